import { CorruptionError } from '../common/errors.ts'
import { equalJson } from '../common/equaljson.ts'
import { ParseError } from '../datum/codec.ts'
import type { Oid } from '../common/ids.ts'
import { type CompositeHeader, PLAIN_COMPOSITE_HEADER } from '../datum/typedef.ts'
import type { NumericCodec } from '../datum/types/numeric.ts'
import { LP_NORMAL } from '../page/linepointer.ts'
import { HEAP_NATTS_MASK } from '../tuple/infomask.ts'
import { appendRows } from '../vector/copyrows.ts'
import type { Batch } from './batch.ts'
import { TupleFormer } from './formtuple.ts'
import type { AttributePlan, ColumnPlan, RelationSchema, SchemaContext } from './schema.ts'

/** A numeric column whose predicted display scales differ between two files. */
interface Rescaled {
  attnum: number
  source: ColumnPlan & { numeric: NumericCodec }
  numeric: NumericCodec
}

/**
 * Rows of one file of a relation → rows of another one. Values are copied as they are. What `_ltap` says by a null is said in full where the files
 * predict another value: the number of attributes, display scales. A value of a column that was dropped since goes to the raw lane, and so does one with
 * a composite value in it whose header the files predict otherwise.
 */
export class CopiedRows {
  private readonly target: Batch
  private readonly source: RelationSchema
  private readonly columns: readonly { to: ColumnPlan; from: ColumnPlan | undefined }[]
  /** Attributes whose values the target does not form from its columns. */
  private readonly unformed: readonly AttributePlan[]
  private readonly rescaled: readonly Rescaled[]
  private readonly countDiffers: boolean

  /** @throws CorruptionError lake.fields if the files do not say of a column's values the same */
  constructor(source: RelationSchema, target: Batch) {
    const { schema } = target
    this.source = source
    this.target = target
    this.columns = schema.attributes.flatMap(({ column: to }, i) => {
      const from = source.attributes[i]?.column
      if (to !== undefined && from !== undefined && !equalJson(source.columns[from.index], schema.columns[to.index])) {
        throw new CorruptionError('lake.fields', `the column '${schema.columns[to.index]!.name}' is another one in an older file`)
      }
      return to === undefined ? [] : [{ to, from }]
    })
    const isOtherwise = otherHeaders(source.context, schema.context)
    this.unformed = source.attributes.filter(({ attribute, column }, i) => (
      column !== undefined && (schema.attributes[i]?.column === undefined || isOtherwise(attribute.type.oid))))
    this.rescaled = source.attributes.flatMap(({ attribute: { attnum }, column }, i): Rescaled[] => {
      const numeric = schema.attributes[i]?.column?.numeric
      const differs = (source.context.displayScales[attnum] ?? 0) !== (schema.context.displayScales[attnum] ?? 0)
      return numeric && column?.numeric && differs ? [{ attnum, source: { ...column, numeric: column.numeric }, numeric }] : []
    })
    this.countDiffers = source.attributes.length !== schema.attributes.length
  }

  /** Appends rows [first, end) of a row group: whole pages. */
  append(from: Batch, first: number, end: number): void {
    const { target } = this
    const { rows } = target
    for (const { to, from: column } of this.columns) {
      const vector = target.columns[to.index]!
      if (column) appendRows(vector, from.columns[column.index]!, first, end)
      if (to.overflow < 0) continue
      const text = target.overflow[to.overflow]!
      text.padTo(rows)
      if (column && column.overflow >= 0) appendRows(text, from.overflow[column.overflow]!, first, end)
    }
    const { struct, infomask2, dscale, raw } = target.physical
    for (const [i, child] of struct.children.entries()) {
      if (child === infomask2 && this.countDiffers || child === dscale && this.rescaled.length > 0 || child === raw && this.unformed.length > 0) continue
      child.padTo(rows)
      appendRows(child, from.physical.struct.children[i]!, first, end)
    }
    if (this.countDiffers) this.appendCounts(from, first, end)
    if (this.rescaled.length > 0 || this.unformed.length > 0) this.appendLists(from, first, end)
    target.rows += end - first
    for (const column of target.columns) column.padTo(target.rows)
  }

  private appendCounts({ physical }: Batch, first: number, end: number): void {
    const { infomask2 } = this.target.physical
    const { length } = this.source.attributes
    for (let row = first, to = this.target.rows; row < end; row++, to++) {
      infomask2.padTo(to)
      if (!physical.infomask2.isNull(row)) infomask2.push1(physical.infomask2.words[row]!)
      else if (isTuple(physical, row)) infomask2.push1(length)
    }
  }

  private appendLists(from: Batch, first: number, end: number): void {
    const former = new TupleFormer(from)
    for (let row = first, to = this.target.rows; row < end; row++, to++) {
      if (this.rescaled.length > 0) this.appendScales(from, former, row, to)
      if (this.unformed.length > 0) this.appendRaw(from, former, row, to)
    }
  }

  /** The row's display scales, as far as the target does not predict them. */
  private appendScales(from: Batch, former: TupleFormer, row: number, to: number): void {
    const { dscale, dscaleAttnum, dscaleValue } = this.target.physical
    const { dscale: known, dscaleAttnum: attnums, dscaleValue: scales } = from.physical
    const push = (attnum: number, scale: number): void => {
      dscale.padTo(to)
      dscaleAttnum.push1(attnum)
      dscaleValue.push1(scale)
      dscale.child.close()
    }
    for (let at = known.isNull(row) ? 0 : known.start(row), last = known.isNull(row) ? 0 : known.end(row); at < last; at++) {
      if (!this.rescaled.some(({ attnum }) => attnum === attnums.words[at])) push(attnums.words[at]!, scales.words[at]!)
    }
    for (const { attnum, source, numeric } of this.rescaled) {
      const vector = from.columns[source.index]!
      if (vector.isNull(row) || !from.overflow[source.overflow]!.isNull(row)) continue
      const scale = former.displayScale(attnum, row) ?? source.numeric.predictScale(vector, row)
      if (scale !== numeric.predictScale(vector, row)) push(attnum, scale)
    }
    if (dscale.child.length > dscale.start(dscale.length)) dscale.close()
  }

  /** The row's raw values, and the stored ones of columns that the target does not have, by attnum. */
  private appendRaw(from: Batch, former: TupleFormer, row: number, to: number): void {
    const { raw, rawAttnum, rawBytes } = this.target.physical
    const { raw: known, rawAttnum: attnums, rawBytes: stored } = from.physical
    const values: { attnum: number; bytes: Uint8Array }[] = []
    for (let at = known.isNull(row) ? 0 : known.start(row), last = known.isNull(row) ? 0 : known.end(row); at < last; at++) {
      values.push({ attnum: attnums.words[at]!, bytes: stored.view(at) })
    }
    for (const plan of this.unformed) {
      const { attribute: { attnum }, column } = plan
      const isRaw = values.some((value) => value.attnum === attnum)
      if (!isRaw && this.isStored(from, row, attnum, column!)) values.push({ attnum, bytes: datumOf(former, plan, row) })
    }
    if (values.length === 0) return
    raw.padTo(to)
    for (const { attnum, bytes } of values.sort((a, b) => a.attnum - b.attnum)) {
      rawAttnum.push1(attnum)
      rawBytes.push(bytes)
      raw.child.close()
    }
    raw.close()
  }

  /** Whether the tuple itself has the value: one that a default of the table gives is not in it. */
  private isStored({ physical, columns, overflow }: Batch, row: number, attnum: number, column: ColumnPlan): boolean {
    if (!isTuple(physical, row)) return false
    const natts = (physical.infomask2.isNull(row) ? this.source.attributes.length : physical.infomask2.words[row]!) & HEAP_NATTS_MASK
    return attnum <= natts && (!columns[column.index]!.isNull(row) || column.overflow >= 0 && !overflow[column.overflow]!.isNull(row))
  }
}

/** Tells of a type whether values of it have a composite value in them, or are one, whose header is predicted otherwise. */
function otherHeaders(source: SchemaContext, target: SchemaContext): (type: Oid) => boolean {
  const headerOf = ({ compositeHeaders }: SchemaContext, oid: Oid): CompositeHeader => compositeHeaders?.get(oid) ?? PLAIN_COMPOSITE_HEADER
  const types = new Map(source.desc.types.map((type) => [type.oid, type]))
  const isOtherwise = (oid: Oid): boolean => {
    const type = types.get(oid)
    if (type === undefined) return false
    if (type.kind === 'composite' && !equalJson(headerOf(source, oid), headerOf(target, oid))) return true
    const inside = [type.element, type.base?.oid, type.subtype, ...(type.fields ?? []).filter(({ dropped }) => !dropped).map((field) => field.type.oid)]
    return inside.some((one) => one !== undefined && isOtherwise(one))
  }
  return isOtherwise
}

/** Whether the row is a tuple that its values and its header form. */
function isTuple({ offset, lp, lpState, tuple }: Batch['physical'], row: number): boolean {
  return offset.words[row] !== 0 && (lp.isNull(row) || lpState.words[row] === LP_NORMAL) && tuple.isNull(row)
}

/** The stored bytes of a value. What does not form makes no page either: the page is carried as an image then. */
function datumOf(former: TupleFormer, plan: AttributePlan, row: number): Uint8Array {
  try {
    const start = former.formDatum(plan, plan.column!, row)
    return former.datumBytes.slice(start, former.datumEnd)
  } catch (error) {
    if (error instanceof ParseError || error instanceof CorruptionError) return new Uint8Array(0)
    throw error
  }
}
