import type { Attribute, TupleDesc } from '../catalog/tupledesc.ts'
import { CorruptionError } from '../common/errors.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { Codec } from '../datum/codec.ts'
import { isNumericCodec, type NumericCodec } from '../datum/types/numeric.ts'
import { codecFor } from '../datum/registry.ts'
import type { CodecContext, TypeProfile } from '../datum/typedef.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import { allocateFields, type ColumnFields, fieldsOfFormat1, lakeFieldOf, type UnnamedColumn } from './columnfields.ts'
import { LTAP_FIELD, UNIQUE_LTAP_FIELD } from './physical.ts'

/** Field id of `_overflow`; its children have this and the ids of their columns. */
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
  /** See RelationDescriptor. */
  fields?: readonly ColumnFields[]
  /** See RelationDescriptor. */
  uniqueLanes?: true
  /** Display scale most frequent in the file, by attnum; 0 where absent. */
  displayScales: Readonly<Record<number, number>>
  /** pd_flags that pages are predicted to have: the file's most frequent ones. */
  pageFlags: number
  /** See CodecContext. */
  compositeHeaders?: CodecContext['compositeHeaders']
  onCompositeHeader?: CodecContext['onCompositeHeader']
  /** Codecs from outside, see CodecContext. A file pins for which types it needs one; a reader of vectors must give the same ones. */
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

/** @throws CorruptionError lake.fields if the context's fields are those of other types */
export function relationSchema(context: SchemaContext): RelationSchema {
  const codecs = codecsOf(context)
  const given = context.fields ?? fieldsOfFormat1(unnamedColumns(context))
  const fieldsOf = new Map(given.map((field) => [field.attnum, field]))
  const columns: LakeField[] = []
  const overflow: LakeField[] = []
  const attributes = context.desc.attributes.map((attribute): AttributePlan => {
    const codec = codecs.get(attribute)
    if (codec === undefined) return { attribute }
    const own = fieldsOf.get(attribute.attnum)
    if (own === undefined) throw new CorruptionError('lake.fields', `no field of the column '${attribute.name}'`)
    columns.push(lakeFieldOf(own, codec.column))
    const overflows = codec.overflows || (context.overflow ?? []).includes(attribute.attnum)
    if (overflows) overflow.push({ name: own.overflow ?? own.name, id: OVERFLOW_FIELD_ID + own.id, type: { kind: 'string' } })
    const column: ColumnPlan = { index: columns.length - 1, codec, overflow: overflows ? overflow.length - 1 : -1 }
    if (isNumericCodec(codec)) column.numeric = codec
    return { attribute, column }
  })
  const overflowField = overflow.length === 0 ? undefined : structField('_overflow', OVERFLOW_FIELD_ID, overflow)
  const fields = [...columns, ...(overflowField ? [overflowField] : []), context.uniqueLanes ? UNIQUE_LTAP_FIELD : LTAP_FIELD]
  return { context, attributes, columns, overflow: overflowField, fields }
}

/** Allocates fields for the columns of a relation that has none yet. */
export function newColumnFields(context: SchemaContext): ColumnFields[] {
  return allocateFields(unnamedColumns(context))
}

/** The columns of a relation before they have fields, in order of attnums. */
export function unnamedColumns(context: SchemaContext): UnnamedColumn[] {
  return [...codecsOf(context)].map(([{ attnum, name }, codec]) => ({ attnum, name, type: codec.column }))
}

/** The codecs of the attributes that have a column, in order of attnums. */
function codecsOf(context: SchemaContext): Map<Attribute, Codec> {
  const types = new Map(context.desc.types.map((type) => [type.oid, type]))
  const live = context.desc.attributes.filter(({ dropped, virtual }) => !dropped && !virtual)
  return new Map(live.map((attribute) => {
    const displayScale = context.displayScales[attribute.attnum] ?? 0
    return [attribute, codecFor(attribute.type, { ...codecContext(context), types, displayScale })]
  }))
}

function codecContext(
  { major, profile, encoding, extensions, compositeHeaders, onCompositeHeader }: SchemaContext,
): Omit<CodecContext, 'types' | 'displayScale'> {
  return {
    major, profile, encoding, ...(extensions && { extensions }), ...(compositeHeaders && { compositeHeaders }), ...(onCompositeHeader && { onCompositeHeader }),
  }
}

function structField(name: string, id: number, children: LakeField[]): LakeField {
  return { name, id, type: { kind: 'struct', fields: children.map(({ name: child, type }) => ({ name: child, type })) }, children }
}
