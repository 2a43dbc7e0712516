import { ByteWriter, hexDecode, hexEncode } from '../common/bytes.ts'
import { CorruptionError, isPositioned } from '../common/errors.ts'
import { ParseError } from '../datum/codec.ts'
import { ATTR_ABSENT, ATTR_NULL, checkTupleHeader, type DeformedTuple, deformTuple, newDeformedTuple } from '../tuple/deform.ts'
import { SIZE_OF_TUPLE_HEADER, T_HOFF, T_INFOMASK, T_INFOMASK2 } from '../tuple/header.ts'
import { HEAP_HASNULL, HEAP_NATTS_MASK } from '../tuple/infomask.ts'
import { decompress, readToastPointer } from '../tuple/toast.ts'
import { isCompressed, isExternal, payloadStart, SHORT_PAYLOAD_MAX } from '../tuple/varlena.ts'
import type { Batch } from './batch.ts'
import type { TupleFormer } from './formtuple.ts'
import type { LaneCounts } from './lanes.ts'
import type { AttributePlan, ColumnPlan } from './schema.ts'
import type { ToastSource } from './toastsource.ts'

/**
 * Out-of-line values of one page that are read into columns: more than any single value has. A page never spans two row groups, and
 * what is beyond would not fit Arrow's 31-bit offsets or the encoder's memory.
 */
const PAGE_VALUES_MAX = 1_200_000_000

/**
 * Puts tuples into a batch, attribute by attribute: any layout, any lane. The reference for the generated decoder, and what
 * decodes a page again whose proof failed: with `verify` each value is formed back at once and the raw lane takes what differs.
 */
export class TupleDecoder {
  private readonly batch: Batch
  private readonly former: TupleFormer
  private readonly toast: ToastSource | undefined
  private readonly counts: LaneCounts
  private readonly deformed: DeformedTuple
  private readonly missing: readonly (Uint8Array | undefined)[]
  private readonly layouts: readonly AttributePlan['attribute'][]
  private readonly text = new ByteWriter()
  /** The row has entries in the raw or dscale list that closeLists must close. */
  listsOpen = false
  /** Bytes of out-of-line values fetched for the current page. */
  private outOfLineBytes = 0

  constructor(batch: Batch, former: TupleFormer, toast: ToastSource | undefined, counts: LaneCounts) {
    this.batch = batch
    this.former = former
    this.toast = toast
    this.counts = counts
    this.layouts = batch.schema.attributes.map(({ attribute }) => attribute)
    this.deformed = newDeformedTuple(this.layouts.length)
    this.missing = this.layouts.map(({ missing }) => (missing === undefined ? undefined : hexDecode(missing)))
  }

  /** Begins a page: what its values may take together is bounded. */
  beginPage(): void {
    this.outOfLineBytes = 0
  }

  /**
   * Decodes the tuple at bytes[start .. end) into row `row`, the next one of every column.
   * @param live visible at L or may become so: then its out-of-line values must be there
   * @param verify form every value back and compare
   * @returns false if the tuple has more attributes than the descriptor; nothing was decoded
   * @throws CorruptionError tuple.*, datum.*, toast.*, compression.*
   */
  decode(bytes: Uint8Array, start: number, end: number, row: number, live: boolean, verify: boolean): boolean {
    const natts = (bytes[start + T_INFOMASK2]! | (bytes[start + T_INFOMASK2 + 1]! << 8)) & HEAP_NATTS_MASK
    const hasNull = (bytes[start + T_INFOMASK]! & HEAP_HASNULL) !== 0
    const hoff = bytes[start + T_HOFF]!
    checkTupleHeader(hoff, natts, hasNull, end - start)
    if (natts > this.layouts.length) return false
    const bits = hasNull ? start + SIZE_OF_TUPLE_HEADER : -1
    deformTuple(bytes, start, end, start + hoff, natts, bits, this.layouts, this.deformed)
    for (let i = 0; i < this.layouts.length; i++) {
      try {
        this.attribute(i, bytes, row, live, verify)
      } catch (error) {
        throw isPositioned(error) ? error.at({ attribute: this.layouts[i]!.name }) : error
      }
    }
    if (this.listsOpen) this.closeLists()
    return true
  }

  /** Ends the row's raw and dscale lists, those that have entries. */
  closeLists(): void {
    const { raw, dscale } = this.batch.physical
    if (raw.child.length > raw.start(raw.length)) raw.close()
    if (dscale.child.length > dscale.start(dscale.length)) dscale.close()
    this.listsOpen = false
  }

  /** Forgets what a decode that failed wrote of row `row`. */
  abandon(row: number): void {
    const { columns, overflow, physical } = this.batch
    for (const vector of [...columns, ...overflow, physical.raw, physical.dscale]) vector.truncate(row)
    this.listsOpen = false
  }

  /** For generated code: the datum bytes[start .. end) of attribute `i`, whatever its header. */
  slow(i: number, bytes: Uint8Array, start: number, end: number, row: number, live: number): void {
    const plan = this.batch.schema.attributes[i]!
    if (plan.column) this.storedValue(plan, plan.column, bytes, start, end, row, live !== 0, false)
    else this.pushRaw(plan, bytes, start, end, row)
  }

  /** For generated code: a datum that begins at `datum`, whose header is canonical and whose payload is bytes[start .. end). */
  payload(i: number, bytes: Uint8Array, datum: number, start: number, end: number, row: number): void {
    const plan = this.batch.schema.attributes[i]!
    if (!this.value(plan, plan.column!, bytes, start, end, row)) this.pushRaw(plan, bytes, datum, end, row)
  }

  private attribute(i: number, bytes: Uint8Array, row: number, live: boolean, verify: boolean): void {
    const plan = this.batch.schema.attributes[i]!
    const { column } = plan
    const start = this.deformed.starts[i]!
    const end = this.deformed.ends[i]!
    if (!column) {
      if (start >= 0) this.pushRaw(plan, bytes, start, end, row)
      return
    }
    const missing = start === ATTR_ABSENT ? this.missing[i] : undefined
    if (missing) {
      this.value(plan, column, missing, 0, missing.length, row)
    } else if (start === ATTR_NULL || start === ATTR_ABSENT) {
      this.batch.columns[column.index]!.pushNull()
    } else {
      this.storedValue(plan, column, bytes, start, end, row, live, verify)
    }
  }

  private storedValue(
    plan: AttributePlan, column: ColumnPlan, bytes: Uint8Array, start: number, end: number, row: number, live: boolean, verify: boolean,
  ): void {
    const { attribute } = plan
    let raw = false
    let source: Uint8Array | undefined = bytes
    let from = start
    let to = end
    if (attribute.len === -1) {
      const first = bytes[start]!
      if (isExternal(first) || isCompressed(first)) {
        source = isExternal(first) ? this.detoast(bytes, start, live) : decompress(bytes, start + 4, end)
        from = 0
        to = source?.length ?? 0
        raw = true
      } else {
        from = payloadStart(bytes, start)
        // heap_form_tuple writes a short header wherever it may, a long one elsewhere.
        raw = (first & 1) === 1 ? attribute.plain : !attribute.plain && end - from <= SHORT_PAYLOAD_MAX
      }
    } else if (attribute.len === -2) {
      to = end - 1
    }
    if (source) raw = !this.value(plan, column, source, from, to, row) || raw
    else this.pointerOnly(column, bytes, start, end, row)
    if (raw || !source || (verify && !this.formsBack(plan, column, bytes, start, end, row))) this.pushRaw(plan, bytes, start, end, row)
  }

  /** Column and text lane of one payload. Returns false if these two cannot form it back, so that raw must. */
  private value(plan: AttributePlan, column: ColumnPlan, source: Uint8Array, start: number, end: number, row: number): boolean {
    const { codec, numeric, index, overflow } = column
    const vector = this.batch.columns[index]!
    if (codec.decode(source, start, end, vector)) {
      if (numeric) this.scale(plan, numeric.displayScale(source, start, end), numeric.predictScale(vector, row), row)
      return codec.encode !== undefined
    }
    this.text.length = 0
    codec.text(source, start, end, this.text)
    const text = this.batch.overflow[overflow]!
    text.padTo(row)
    text.push(this.text.bytes, 0, this.text.length)
    return codec.parse !== undefined
  }

  private scale(plan: AttributePlan, stored: number, predicted: number, row: number): void {
    if (stored === predicted) return
    const { dscale, dscaleAttnum, dscaleValue } = this.batch.physical
    dscale.padTo(row)
    dscaleAttnum.push1(plan.attribute.attnum)
    dscaleValue.push1(stored)
    dscale.child.close()
    this.listsOpen = true
  }

  private pushRaw(plan: AttributePlan, bytes: Uint8Array, start: number, end: number, row: number): void {
    const { raw, rawAttnum, rawBytes } = this.batch.physical
    raw.padTo(row)
    rawAttnum.push1(plan.attribute.attnum)
    rawBytes.push(bytes, start, end)
    raw.child.close()
    this.listsOpen = true
  }

  /** Undefined for a value that the column will not show: see LaneCounts.dangling and oversized. */
  private detoast(bytes: Uint8Array, start: number, live: boolean): Uint8Array | undefined {
    const pointer = readToastPointer(bytes, start)
    if (this.outOfLineBytes + pointer.rawSize > PAGE_VALUES_MAX) {
      this.counts.oversized++
      return undefined
    }
    this.outOfLineBytes += pointer.rawSize
    const stored = this.toast?.fetch(pointer)
    if (stored) {
      const value = pointer.compressed ? decompress(stored, 0, stored.length) : stored
      if (value.length === pointer.rawSize) return value
    }
    if (!live) {
      this.counts.dangling++
      return undefined
    }
    if (!this.toast) throw new CorruptionError('toast.relation', `a value in TOAST relation ${pointer.toastRelId} of a table that has none`)
    const what = stored ? 'inconsistent chunks' : 'missing chunks'
    throw new CorruptionError('toast.value', `${what} of value ${pointer.valueId} in TOAST relation ${pointer.toastRelId}`)
  }

  /** The column is NULL, the text lane shows the TOAST pointer, the raw lane keeps it. */
  private pointerOnly(column: ColumnPlan, bytes: Uint8Array, start: number, end: number, row: number): void {
    this.batch.columns[column.index]!.pushNull()
    if (column.overflow < 0) return
    const text = this.batch.overflow[column.overflow]!
    text.padTo(row)
    text.pushAscii(`\\x${hexEncode(bytes.subarray(start, end))}`)
  }

  private formsBack(plan: AttributePlan, column: ColumnPlan, bytes: Uint8Array, start: number, end: number, row: number): boolean {
    const { former } = this
    try {
      const from = former.formDatum(plan, column, row)
      if (former.datumEnd - from !== end - start) return false
      const formed = former.datumBytes
      for (let i = from, at = start; at < end; i++, at++) if (formed[i] !== bytes[at]) return false
      return true
    } catch (error) {
      if (error instanceof ParseError || error instanceof CorruptionError) return false
      throw error
    }
  }
}
