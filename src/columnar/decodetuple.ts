import { ByteWriter, hexDecode } from '../common/bytes.ts'
import { assert, CorruptionError, isPositioned, UnsupportedError } from '../common/errors.ts'
import { ParseError } from '../datum/codec.ts'
import { hexText } from '../datum/text/hextext.ts'
import { nestedBytes } from '../vector/databytes.ts'
import { BytesVector, ListVector, StructVector } from '../vector/vector.ts'
import { ATTR_ABSENT, ATTR_NULL, checkTupleHeader, type DeformedTuple, deformTuple, newDeformedTuple } from '../tuple/deform.ts'
import { SIZE_OF_TUPLE_HEADER, T_HOFF, T_INFOMASK, T_INFOMASK2 } from '../tuple/header.ts'
import { HEAP_HASNULL, HEAP_NATTS_MASK } from '../tuple/infomask.ts'
import { decompress, readToastPointer, type ToastPointer } from '../tuple/toast.ts'
import { isCompressed, isExternal, payloadStart, SHORT_PAYLOAD_MAX } from '../tuple/varlena.ts'
import type { Batch } from './batch.ts'
import type { TupleFormer } from './formtuple.ts'
import { KEPT_BYTES_MAX } from '../parquet/encoderfacts.ts'
import type { AttributePlan, ColumnPlan } from './schema.ts'
import type { ToastSource } from '../tuple/toastsource.ts'
import { clearValueFaults, newValueFaults, type ValueFaults } from './valuefaults.ts'

/**
 * Out-of-line values of one page that are read into columns: more than any single value has. A page never spans two row groups, so they
 * are in one row group, and a column has at most 2 GiB there. Those of columns with children go through wasm, which has 4 GiB.
 */
const PAGE_VALUES_MAX = 1_200_000_000
const PAGE_NESTED_VALUES_MAX = 256_000_000
/**
 * What the values of one page in columns with children, and its texts of `_overflow`, may ask of wasm ({@link nestedBytes}). It panics between 840 and
 * 1,040 MB of that (strings of 420 and 520 MB). Decoded values may be far larger than stored ones: a null of an array is one bit, and a uuid's text 36 bytes.
 */
const PAGE_ENCODED_MAX = 512 << 20
/** A payload up to this size has few elements: it is not counted. */
const UNCOUNTED_PAYLOAD_MAX = 1024
/**
 * Out-of-line values of one page that are in memory together, unless one alone is larger; those after them are fetched again when they are
 * written.
 */
const PAGE_KEPT_MAX = 64 << 20
/** A payload that its codec does not accept is shown in hex up to this size, through wasm; above, its TOAST pointer is. */
const HEX_PAYLOAD_MAX = 16_000_000

const CARRY = '--on-corrupt carry keeps its TOAST pointer and shows everything else'

/** What becomes of a tuple: visible at L, or it may become so; 0 if neither, and then its out-of-line values may be gone. */
export const VISIBLE = 2
export const IN_PROGRESS = 1

/**
 * Puts tuples into a batch, attribute by attribute: any layout, any lane. The reference for the generated decoder, and what
 * decodes a page again whose proof failed: with `verify` each value is formed back at once and the raw lane takes what differs.
 */
export class TupleDecoder {
  private readonly batch: Batch
  private readonly former: TupleFormer
  private readonly toast: ToastSource | undefined
  private readonly carryMissing: boolean
  readonly faults: ValueFaults = newValueFaults()
  private readonly deformed: DeformedTuple
  private readonly missing: readonly (Uint8Array | undefined)[]
  private readonly layouts: readonly AttributePlan['attribute'][]
  private readonly text = new ByteWriter()
  /** The row has entries in the raw or dscale list that closeLists must close. */
  listsOpen = false
  /** The value as it is stored. */
  private datum: Uint8Array = new Uint8Array(0)
  private datumStart = 0
  private datumEnd = 0
  /** Bytes of out-of-line values fetched for the current page, and of those for columns with children. */
  private outOfLineBytes = 0
  private nestedBytes = 0
  /** What the current page asks of wasm so far. */
  private encodedBytes = 0
  /** Bytes of out-of-line values of columns without children that stay in the vectors. */
  private keptBytes = 0
  /** One value that is fetched again. */
  private readonly fetched = new BytesVector()

  /** @param carryMissing a value that is not dead and whose TOAST chunks are missing: true counts it and keeps its pointer, false throws */
  constructor(batch: Batch, former: TupleFormer, toast: ToastSource | undefined, carryMissing: boolean) {
    this.batch = batch
    this.former = former
    this.toast = toast
    this.carryMissing = carryMissing
    this.layouts = batch.schema.attributes.map(({ attribute }) => attribute)
    this.deformed = newDeformedTuple(this.layouts.length)
    this.missing = this.layouts.map(({ missing }) => (missing === undefined ? undefined : hexDecode(missing)))
  }

  /** Begins a page: resets the bytes that its values may take together, and the counts of its faulty values. */
  beginPage(): void {
    this.outOfLineBytes = this.nestedBytes = this.encodedBytes = this.keptBytes = 0
    clearValueFaults(this.faults)
  }

  /**
   * Decodes the tuple at bytes[start .. end) into row `row`, the next one of every column.
   * @param live VISIBLE, IN_PROGRESS or 0
   * @param verify form every value back and compare
   * @returns false if the tuple has more attributes than the descriptor; nothing was decoded
   * @throws CorruptionError tuple.* if its bytes are not those of a tuple; toast.*, compression.* for values out of line; datum.* and
   *   UnsupportedError if it is not VISIBLE: another descriptor may fit it, while a visible tuple's value goes to the raw lane
   */
  decode(bytes: Uint8Array, start: number, end: number, row: number, live: number, verify: boolean): boolean {
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

  /** Gives back memory that only a huge value needed; no value that was deferred may be asked for any more. */
  release(): void {
    this.fetched.truncate(0)
    if (this.fetched.data.bytes.length > KEPT_BYTES_MAX) this.fetched.data.bytes = new Uint8Array(0)
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
    if (plan.column) this.storedValue(plan, plan.column, bytes, start, end, row, live, false)
    else this.pushRaw(plan, bytes, start, end, row)
  }

  /** For generated code: a datum that begins at `datum`, whose header is canonical and whose payload is bytes[start .. end). */
  payload(i: number, bytes: Uint8Array, datum: number, start: number, end: number, row: number): void {
    const plan = this.batch.schema.attributes[i]!
    if (!this.coded(plan, plan.column!, bytes, start, end, row)) this.pushRaw(plan, bytes, datum, end, row)
  }

  private attribute(i: number, bytes: Uint8Array, row: number, live: number, verify: boolean): void {
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
      this.datum = missing
      this.datumStart = 0
      this.datumEnd = missing.length
      this.value(plan, column, missing, 0, missing.length, row, live)
    } else if (start === ATTR_NULL || start === ATTR_ABSENT) {
      this.batch.columns[column.index]!.pushNull()
    } else {
      this.storedValue(plan, column, bytes, start, end, row, live, verify)
    }
  }

  private storedValue(
    plan: AttributePlan, column: ColumnPlan, bytes: Uint8Array, start: number, end: number, row: number, live: number, verify: boolean,
  ): void {
    const { attribute } = plan
    this.datum = bytes
    this.datumStart = start
    this.datumEnd = end
    let raw = false
    let source: Uint8Array | undefined = bytes
    let from = start
    let to = end
    if (attribute.len === -1) {
      const first = bytes[start]!
      if (isExternal(first) || isCompressed(first)) {
        source = isExternal(first) ? this.detoast(column, bytes, start, live) : this.inflate(bytes, start, end, live)
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
    if (source && raw && isExternal(bytes[start]!) && this.deferred(column, source)) {
      // Its pointer is in raw, and the column has it when it is written.
    } else if (source) raw = !this.value(plan, column, source, from, to, row, live) || raw
    else this.hexOnly(plan, column, bytes, start, end, row, live)
    if (raw || !source || (verify && !this.formsBack(plan, column, bytes, start, end, row))) this.pushRaw(plan, bytes, start, end, row)
  }

  /**
   * As {@link coded}. If the codec refuses the payload of a visible tuple, or the vector has no room for its value, the payload goes to `_overflow`
   * in hex and to the raw lane.
   */
  private value(plan: AttributePlan, column: ColumnPlan, source: Uint8Array, start: number, end: number, row: number, live: number): boolean {
    try {
      return this.coded(plan, column, source, start, end, row)
    } catch (error) {
      const oversized = error instanceof UnsupportedError && error.code === 'vector.size'
      const refused = live === VISIBLE && (error instanceof CorruptionError || error instanceof UnsupportedError)
      if (!oversized && !refused) throw error
      this.batch.columns[column.index]!.truncate(row)
      if (column.overflow >= 0) this.batch.overflow[column.overflow]!.truncate(row)
      if (oversized) this.faults.oversized++
      else this.faults.unreadable++
      if (oversized || end - start > HEX_PAYLOAD_MAX) this.hexOnly(plan, column, this.datum, this.datumStart, this.datumEnd, row, live)
      else this.hexOnly(plan, column, source, start, end, row, live)
      return false
    }
  }

  /** Column and text lane of one payload. Returns false if these two cannot form it back, so that raw must. */
  private coded(plan: AttributePlan, column: ColumnPlan, source: Uint8Array, start: number, end: number, row: number): boolean {
    const { codec, numeric, index, overflow } = column
    const vector = this.batch.columns[index]!
    const counted = end - start > UNCOUNTED_PAYLOAD_MAX && (vector instanceof ListVector || vector instanceof StructVector)
    const before = counted ? nestedBytes(vector) : 0
    if (codec.decode(source, start, end, vector)) {
      if (counted) this.countEncoded(nestedBytes(vector) - before)
      if (numeric) this.scale(plan, numeric.displayScale(source, start, end), numeric.predictScale(vector, row), row)
      return codec.encode !== undefined
    }
    this.text.length = 0
    codec.text(source, start, end, this.text)
    this.countEncoded(this.text.length * 2)
    const text = this.batch.overflow[overflow]!
    text.padTo(row)
    text.push(this.text.bytes, 0, this.text.length)
    return codec.parse !== undefined
  }

  /** @throws UnsupportedError vector.size: the value that asks for so much is not shown */
  private countEncoded(bytes: number): void {
    if (this.encodedBytes + bytes > PAGE_ENCODED_MAX) throw new UnsupportedError('vector.size', 'the lists, structs and texts of one page exceed 512 MiB')
    this.encodedBytes += bytes
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

  /** An inline compressed value; undefined if it does not decompress in a visible tuple. */
  private inflate(bytes: Uint8Array, start: number, end: number, live: number): Uint8Array | undefined {
    try {
      return decompress(bytes, start + 4, end)
    } catch (error) {
      if (live !== VISIBLE || !(error instanceof CorruptionError)) throw error
      this.faults.unreadable++
      return undefined
    }
  }

  /**
   * Whether the column will fetch the value again, since the page has so many that they are not in memory together. False for a value that its codec
   * does not accept, and for one that the codec puts into the text lane.
   */
  private deferred({ codec, index }: ColumnPlan, payload: Uint8Array): boolean {
    const vector = this.batch.columns[index]!
    if (!(vector instanceof BytesVector)) return false
    if (this.keptBytes === 0 || this.keptBytes + payload.length < PAGE_KEPT_MAX) {
      this.keptBytes += payload.length
      return false
    }
    const pointer = readToastPointer(this.datum, this.datumStart)
    const decoded = (value: Uint8Array): boolean => {
      this.fetched.truncate(0)
      return codec.decode(value, 0, value.length, this.fetched)
    }
    try {
      if (!decoded(payload)) return false
      const length = this.fetched.valueLength(0)
      vector.defer(length, () => {
        const again = this.fetch(pointer, VISIBLE)
        assert(again !== undefined && decoded(again) && this.fetched.valueLength(0) === length, 'a value is what it was')
        return this.fetched.view(0)
      })
      return true
    } catch (error) {
      if (error instanceof CorruptionError || error instanceof UnsupportedError) return false
      throw error
    }
  }

  /** Undefined for a value that the column will not show: it is counted. */
  private detoast(column: ColumnPlan, bytes: Uint8Array, start: number, live: number): Uint8Array | undefined {
    try {
      const pointer = readToastPointer(bytes, start)
      const nested = column.codec.column.kind === 'string' || column.codec.column.kind === 'binary' ? 0 : pointer.rawSize
      if (this.outOfLineBytes + pointer.rawSize > PAGE_VALUES_MAX || this.nestedBytes + nested > PAGE_NESTED_VALUES_MAX) {
        this.faults.oversized++
        return undefined
      }
      this.outOfLineBytes += pointer.rawSize
      this.nestedBytes += nested
      return this.fetch(pointer, live)
    } catch (error) {
      if (live === 0 || !this.carryMissing || !(error instanceof CorruptionError)) throw error
      // If one transaction made a TOAST relation and the tuples that use it, no visible catalog row names this relation yet.
      if (error.code === 'toast.relation' && live !== VISIBLE) throw error
      this.faults.missingToast++
      return undefined
    }
  }

  private fetch(pointer: ToastPointer, live: number): Uint8Array | undefined {
    const stored = this.toast?.fetch(pointer)
    if (stored) {
      const value = pointer.compressed ? decompress(stored, 0, stored.length) : stored
      if (value.length === pointer.rawSize) return value
    }
    if (live === 0) {
      this.faults.dangling++
      return undefined
    }
    const { valueId, toastRelId } = pointer
    if (!this.toast) throw new CorruptionError('toast.relation', `value ${valueId} is in TOAST relation ${toastRelId}, which does not exist; ${CARRY}`)
    const what = stored ? 'inconsistent chunks' : 'missing chunks'
    throw new CorruptionError('toast.value', `${what} of value ${valueId} in TOAST relation ${toastRelId}; ${CARRY}`)
  }

  /** The column is NULL, the text lane shows bytes in hex: a payload, or a datum whose payload cannot be read. */
  private hexOnly(
    { attribute }: AttributePlan, column: ColumnPlan, bytes: Uint8Array, start: number, end: number, row: number, live: number,
  ): void {
    this.batch.columns[column.index]!.pushNull()
    if (column.overflow < 0) {
      if (live !== 0) this.faults.wanted.add(attribute.attnum)
      return
    }
    const text = this.batch.overflow[column.overflow]!
    text.padTo(row)
    hexText(bytes, start, end, text.data)
    text.close()
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
