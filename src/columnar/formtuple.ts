import { ByteWriter } from '../common/bytes.ts'
import { assert, CorruptionError } from '../common/errors.ts'
import { headerLength, SIZE_OF_TUPLE_HEADER, T_HOFF } from '../tuple/header.ts'
import { HEAP_HASEXTERNAL, HEAP_HASNULL, HEAP_HASVARWIDTH, HEAP_NATTS_MASK } from '../tuple/infomask.ts'
import { isExternal, SHORT_PAYLOAD_MAX } from '../tuple/varlena.ts'
import type { Batch } from './batch.ts'
import { PREDICTED_HINTS } from './predict.ts'
import type { AttributePlan, ColumnPlan } from './schema.ts'

/** Room before a payload for the longest varlena header. */
const HEADER_ROOM = 4

/**
 * heap_form_tuple (heaptuple.c) from a batch: the inverse of TupleDecoder, whatever lanes the values took.
 * The reference for the generated former.
 */
export class TupleFormer {
  private readonly batch: Batch
  private readonly datum = new ByteWriter()

  constructor(batch: Batch) {
    this.batch = batch
  }

  /**
   * Appends the tuple of row `row`, header first, to `out`; `out` may hold other tuples, each beginning 8-aligned.
   * @param block the row's block, for the predicted ctid
   */
  form(row: number, block: number, out: ByteWriter): void {
    const { physical, schema } = this.batch
    if (!physical.tuple.isNull(row)) {
      out.copy(physical.tuple.data.bytes, physical.tuple.start(row), physical.tuple.end(row))
      return
    }
    const { attributes } = schema
    const infomask2 = physical.infomask2.isNull(row) ? attributes.length : physical.infomask2.words[row]!
    const natts = infomask2 & HEAP_NATTS_MASK
    if (natts > attributes.length) throw new CorruptionError('lake.tuple', `${natts} attributes where the footer describes ${attributes.length}`)
    const hasNull = this.anyNull(row, natts)
    const start = out.length
    const hoff = headerLength(natts, hasNull)
    out.zeros(hoff)
    const implied = (hasNull ? HEAP_HASNULL : 0) | this.formAttributes(row, natts, hasNull, start, out)
    const infomask = physical.infomask.isNull(row) ? implied | PREDICTED_HINTS : physical.infomask.words[row]!
    this.writeHeader(row, block, start, infomask2, infomask, out)
    out.bytes[start + T_HOFF] = hoff
  }

  /** Everything of the header but t_hoff, which lies at `start` + 22. */
  writeHeader(row: number, block: number, start: number, infomask2: number, infomask: number, out: ByteWriter): void {
    const { xmin, xmax, cid, ctid, ctidBlock, ctidOffset, offset } = this.batch.physical
    const self = ctid.isNull(row)
    const targetBlock = self ? block : ctidBlock.words[row * 2]!
    const targetOffset = self ? offset.words[row]! : ctidOffset.words[row]!
    out.setU32(start, xmin.words[row * 2]!)
    out.setU32(start + 4, xmax.isNull(row) ? 0 : xmax.words[row * 2]!)
    out.setU32(start + 8, cid.isNull(row) ? 0 : cid.words[row * 2]!)
    out.setU32(start + 12, (targetBlock >>> 16) | (targetBlock << 16))
    out.setU32(start + 16, (targetOffset & 0xffff) | (infomask2 << 16))
    out.bytes[start + 20] = infomask
    out.bytes[start + 21] = infomask >>> 8
  }

  /** Appends the stored attributes and sets the null bitmap; returns the HASVARWIDTH and HASEXTERNAL bits they imply. */
  private formAttributes(row: number, natts: number, hasNull: boolean, start: number, out: ByteWriter): number {
    const { raw, rawAttnum, rawBytes } = this.batch.physical
    const { attributes } = this.batch.schema
    let rawAt = raw.isNull(row) ? 0 : raw.start(row)
    const rawEnd = raw.isNull(row) ? 0 : raw.end(row)
    let implied = 0
    for (let i = 0; i < natts; i++) {
      const plan = attributes[i]!
      const { attribute } = plan
      if (rawAt < rawEnd && rawAttnum.words[rawAt] === attribute.attnum) {
        implied |= this.appendRaw(rawBytes.data.bytes, rawBytes.start(rawAt), rawBytes.end(rawAt), plan, start, out)
        rawAt++
      } else if (plan.column && this.hasValue(plan.column, row)) {
        const from = this.formDatum(plan, plan.column, row)
        if (attribute.len < 0) implied |= HEAP_HASVARWIDTH
        if (attribute.len > 0 || from === 0) out.alignFrom(start, attribute.align)
        out.copy(this.datum.bytes, from, this.datum.length)
      } else {
        continue
      }
      if (hasNull) out.bytes[start + SIZE_OF_TUPLE_HEADER + (i >> 3)]! |= 1 << (i & 7)
    }
    if (rawAt !== rawEnd) throw new CorruptionError('lake.raw', `a raw value for attribute ${rawAttnum.words[rawAt]} that the tuple does not have`)
    return implied
  }

  private appendRaw(bytes: Uint8Array, from: number, to: number, { attribute }: AttributePlan, start: number, out: ByteWriter): number {
    const varlena = attribute.len === -1
    const first = bytes[from]!
    if (attribute.len !== -2 && !(varlena && first & 1)) out.alignFrom(start, attribute.align)
    out.copy(bytes, from, to)
    if (attribute.len > 0) return 0
    return varlena && isExternal(first) ? HEAP_HASVARWIDTH | HEAP_HASEXTERNAL : HEAP_HASVARWIDTH
  }

  private hasValue(column: ColumnPlan, row: number): boolean {
    if (!this.batch.columns[column.index]!.isNull(row)) return true
    return column.overflow >= 0 && !this.batch.overflow[column.overflow]!.isNull(row)
  }

  private anyNull(row: number, natts: number): boolean {
    const { raw, rawAttnum } = this.batch.physical
    const { attributes } = this.batch.schema
    let rawAt = raw.isNull(row) ? 0 : raw.start(row)
    const rawEnd = raw.isNull(row) ? 0 : raw.end(row)
    for (let i = 0; i < natts; i++) {
      const { column, attribute } = attributes[i]!
      if (rawAt < rawEnd && rawAttnum.words[rawAt] === attribute.attnum) rawAt++
      else if (!column || !this.hasValue(column, row)) return true
    }
    return false
  }

  /**
   * Forms one datum, header included and without alignment padding, from column or text lane, into the scratch `datumBytes`.
   * @returns where it begins there: 0 if it has a 4-byte header and so wants alignment
   */
  formDatum({ attribute }: AttributePlan, column: ColumnPlan, row: number): number {
    const { datum } = this
    // A cstring begins at 1, so that nobody aligns it.
    datum.length = attribute.len === -1 ? HEADER_ROOM : attribute.len === -2 ? 1 : 0
    datum.reserve(HEADER_ROOM)
    this.encode(attribute.attnum, column, row)
    if (attribute.len > 0) {
      if (datum.length !== attribute.len) throw new CorruptionError('lake.value', `${datum.length} bytes for a type of ${attribute.len}`)
      return 0
    }
    if (attribute.len === -2) {
      datum.u8(0)
      return 1
    }
    const payload = datum.length - HEADER_ROOM
    if (payload <= SHORT_PAYLOAD_MAX && !attribute.plain) {
      datum.bytes[HEADER_ROOM - 1] = ((payload + 1) << 1) | 1
      return HEADER_ROOM - 1
    }
    datum.setU32(0, datum.length << 2)
    return 0
  }

  /** formDatum for generated code: attribute `i` of row `row`. */
  datumAt(i: number, row: number): number {
    const plan = this.batch.schema.attributes[i]!
    return this.formDatum(plan, plan.column!, row)
  }

  get datumBytes(): Uint8Array {
    return this.datum.bytes
  }

  get datumEnd(): number {
    return this.datum.length
  }

  private encode(attnum: number, column: ColumnPlan, row: number): void {
    const { codec, numeric, index, overflow } = column
    if (overflow >= 0) {
      const text = this.batch.overflow[overflow]!
      if (!text.isNull(row)) {
        assert(codec.parse !== undefined, 'a text lane without parse has a raw lane')
        codec.parse(text.data.bytes, text.start(row), text.end(row), this.datum)
        return
      }
    }
    const vector = this.batch.columns[index]!
    if (numeric) {
      numeric.encodeScaled(vector, row, this.displayScale(attnum, row) ?? numeric.predictScale(vector, row), this.datum)
      return
    }
    assert(codec.encode !== undefined, 'a column without encode has a raw lane')
    codec.encode(vector, row, this.datum)
  }

  /** True if generated code must not form the row: lanes that change the tuple's shape. */
  needsInterpreter(row: number): boolean {
    const { tuple, raw, infomask2 } = this.batch.physical
    return (tuple.length > row && !tuple.isNull(row)) || (raw.length > row && !raw.isNull(row)) || (infomask2.length > row && !infomask2.isNull(row))
  }

  /** True if some numeric of the row has its display scale in the dscale lane. */
  hasScales(row: number): boolean {
    const { dscale } = this.batch.physical
    return dscale.length > row && !dscale.isNull(row)
  }

  /** The dscale lane's entry for a value; the row's list may still be open while the row is being decoded. */
  displayScale(attnum: number, row: number): number | undefined {
    const { dscale, dscaleAttnum, dscaleValue } = this.batch.physical
    if (row > dscale.length || (row < dscale.length && dscale.isNull(row))) return undefined
    const end = row < dscale.length ? dscale.end(row) : dscale.child.length
    for (let i = dscale.start(row); i < end; i++) {
      if (dscaleAttnum.words[i] === attnum) return dscaleValue.words[i]!
    }
    return undefined
  }
}
