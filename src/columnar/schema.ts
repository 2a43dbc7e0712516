import type { Attribute, TupleDesc } from '../catalog/tupledesc.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { Codec } from '../datum/codec.ts'
import type { ColumnType } from '../vector/columntype.ts'
import { isNumericCodec, type NumericCodec } from '../datum/types/numeric.ts'
import { codecFor } from '../datum/registry.ts'
import type { CodecContext, TypeProfile } from '../datum/typedef.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import { LTAP_FIELD } from './physical.ts'

/** Field ids: an attribute has its attnum, nested fields count from here in schema order. */
const NESTED_FIELD_ID = 10_000
const OVERFLOW_FIELD_ID = 2_000_000

/** What a relation's columns depend on besides its rows; pinned into every file's footer. */
export interface SchemaContext {
  major: PgMajor
  profile: TypeProfile
  /** pg_database.encoding. */
  encoding: number
  desc: TupleDesc
  /** See RelationDescriptor. */
  overflow?: readonly number[]
  /** Display scale most frequent in the file, by attnum; 0 where absent. */
  displayScales: Readonly<Record<number, number>>
  /** pd_flags that pages are predicted to have: the file's most frequent ones. */
  pageFlags: number
  /**
   * Codecs from outside, see CodecContext. They are not pinned in a footer: who reads vectors or files that were made with them must give the same ones.
   */
  extensions?: CodecContext['extensions']
}

/** One attribute and where its values go. */
export interface AttributePlan {
  attribute: Attribute
  /** Undefined for attributes that have no column: dropped and virtual ones; their stored values go to the raw lane. */
  column?: ColumnPlan
}

export interface ColumnPlan {
  /** Index among the user columns. */
  index: number
  codec: Codec
  numeric?: NumericCodec
  /** Index among `_overflow`'s children, -1 if the codec never overflows and the context does not ask for one. */
  overflow: number
}

/** TupleDesc → Parquet schema: user columns, then `_overflow` if any column can overflow, then `_ltap`. */
export interface RelationSchema {
  context: SchemaContext
  attributes: readonly AttributePlan[]
  columns: readonly LakeField[]
  overflow: LakeField | undefined
  fields: readonly LakeField[]
}

export function relationSchema(context: SchemaContext): RelationSchema {
  const types = new Map(context.desc.types.map((type) => [type.oid, type]))
  const names = columnNames(context.desc.attributes)
  const ids = { next: NESTED_FIELD_ID }
  const columns: LakeField[] = []
  const overflow: LakeField[] = []
  const attributes = context.desc.attributes.map((attribute): AttributePlan => {
    const name = names.get(attribute.attnum)
    if (name === undefined) return { attribute }
    const displayScale = context.displayScales[attribute.attnum] ?? 0
    const codec = codecFor(attribute.type, { ...codecContext(context), types, displayScale })
    columns.push(lakeField(name, attribute.attnum, codec.column, ids))
    const overflows = codec.overflows || (context.overflow ?? []).includes(attribute.attnum)
    if (overflows) overflow.push({ name, id: OVERFLOW_FIELD_ID + attribute.attnum, type: { kind: 'string' } })
    const column: ColumnPlan = { index: columns.length - 1, codec, overflow: overflows ? overflow.length - 1 : -1 }
    if (isNumericCodec(codec)) column.numeric = codec
    return { attribute, column }
  })
  const overflowField = overflow.length === 0 ? undefined : structField('_overflow', OVERFLOW_FIELD_ID, overflow)
  const fields = [...columns, ...(overflowField ? [overflowField] : []), LTAP_FIELD]
  return { context, attributes, columns, overflow: overflowField, fields }
}

function codecContext({ major, profile, encoding, extensions }: SchemaContext): Omit<CodecContext, 'types' | 'displayScale'> {
  return { major, profile, encoding, ...(extensions && { extensions }) }
}

/** Attnum → column name. Engines fold case: a name that is reserved or taken gets the suffix `_<attnum>`. */
function columnNames(attributes: readonly Attribute[]): Map<number, string> {
  const taken = new Set(['_ltap', '_overflow'])
  const names = new Map<number, string>()
  for (const { attnum, name, dropped, virtual } of attributes) {
    if (dropped || virtual) continue
    let unique = name
    while (taken.has(unique.toLowerCase())) unique += `_${attnum}`
    taken.add(unique.toLowerCase())
    names.set(attnum, unique)
  }
  return names
}

function lakeField(name: string, id: number, type: ColumnType, ids: { next: number }): LakeField {
  const nested = (childName: string, child: ColumnType): LakeField => lakeField(childName, ids.next++, child, ids)
  switch (type.kind) {
    case 'list':
      return { name, id, type, children: [nested('element', type.element)] }
    case 'map':
      return { name, id, type, children: [nested('key', { kind: 'string' }), nested('value', type.value)] }
    case 'struct':
      return { name, id, type, children: type.fields.map((field) => nested(field.name, field.type)) }
    default:
      return { name, id, type }
  }
}

function structField(name: string, id: number, children: LakeField[]): LakeField {
  return { name, id, type: { kind: 'struct', fields: children.map(({ name: child, type }) => ({ name: child, type })) }, children }
}
