import { ByteWriter } from '../common/bytes.ts'
import { assert, CorruptionError } from '../common/errors.ts'
import { appendDatum, beginTuple, writeTupleHeader } from '../tuple/formtuple.ts'
import { HEAP_HASNULL, HEAP_NATTS_MASK } from '../tuple/infomask.ts'
import { SHORT_PAYLOAD_MAX } from '../tuple/varlena.ts'
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
    const start = beginTuple(natts, hasNull, out)
    const implied = (hasNull ? HEAP_HASNULL : 0) | this.formAttributes(row, natts, hasNull, start, out)
    const infomask = physical.infomask.isNull(row) ? implied | PREDICTED_HINTS : physical.infomask.words[row]!
    this.writeHeader(row, block, start, infomask2, infomask, out)
  }

  /** Everything of the header but t_hoff, which lies at `start` + 22. */
  writeHeader(row: number, block: number, start: number, infomask2: number, infomask: number, out: ByteWriter): void {
    const { xmin, xmax, cid, ctid, ctidBlock, ctidOffset, offset } = this.batch.physical
    const self = ctid.isNull(row)
    const targetBlock = self ? block : ctidBlock.words[row * 2]!
    const targetOffset = self ? offset.words[row]! : ctidOffset.words[row]!
    const deleter = xmax.isNull(row) ? 0 : xmax.words[row * 2]!
    const command = cid.isNull(row) ? 0 : cid.words[row * 2]!
    writeTupleHeader(start, xmin.words[row * 2]!, deleter, command, targetBlock, targetOffset, infomask2, infomask, out)
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
        implied |= appendDatum(rawBytes.data.bytes, rawBytes.start(rawAt), rawBytes.end(rawAt), i, attribute, hasNull, start, out)
        rawAt++
      } else if (plan.column && this.hasValue(plan.column, row)) {
        const from = this.formDatum(plan, plan.column, row)
        implied |= appendDatum(this.datum.bytes, from, this.datum.length, i, attribute, hasNull, start, out)
      }
    }
    if (rawAt !== rawEnd) throw new CorruptionError('lake.raw', `a raw value for attribute ${rawAttnum.words[rawAt]} that the tuple does not have`)
    return implied
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
    // A cstring begins at 1, so that the caller does not align it.
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
