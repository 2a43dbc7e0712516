import * as v from 'valibot'
import type { TupleDesc } from '../catalog/tupledesc.ts'
import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { integer, type Schema, text, unsigned32 } from '../common/validate.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import type { ColumnType } from '../vector/columntype.ts'

/** Name and id of a Parquet field, as they were when the column was first written. A rename in Postgres changes neither. */
export interface AllocatedField {
  id: number
  name: string
}

/**
 * The fields of an attribute: its own, and those nested in it, each before its children: of a list the element, of a map key and value, of a struct its
 * fields. Its child of `_overflow` has the same name, and the id 2,000,000 + id.
 */
export interface ColumnFields extends AllocatedField {
  attnum: number
  /** Absent for a column without children. */
  nested?: readonly AllocatedField[]
}

/** An attribute's field begins with its attnum as id (MaxHeapAttributeNumber is 1600); nested and re-typed ones are counted from here. */
export const NESTED_FIELD_ID = 10_000
/** `_ltap` has ids from 1,000,000 on. */
export const FIELD_ID_MAX = 999_999

const OWN_NAMES: readonly string[] = ['_ltap', '_overflow']

/**
 * Names that no column gets, in lower case: our own columns, Iceberg's metadata columns (MetadataColumns.java), which Spark refuses, and those of
 * Delta's change data feed.
 */
const RESERVED_NAMES: readonly string[] = [
  ...OWN_NAMES, '_file', '_pos', '_deleted', '_spec_id', '_partition', '_row_id', '_last_updated_sequence_number', '_change_ordinal',
  '_commit_snapshot_id', '_change_type', '_commit_version', '_commit_timestamp', '_metadata',
]

/** A column before it has fields: its Postgres name and what its values are stored as. */
export interface UnnamedColumn {
  attnum: number
  name: string
  type: ColumnType
}

/**
 * Allocates the fields of a relation that has none yet: attnums as ids, nested fields counted from 10,000 on. Engines fold case, and some split names
 * at dots: a name that is reserved, or equal to a path that is taken, gets the suffix `_<attnum>`, once or more, until no other column has that name.
 */
export function allocateFields(columns: readonly UnnamedColumn[]): ColumnFields[] {
  const allocator = new FieldAllocator(NESTED_FIELD_ID, columns)
  return columns.map((column) => allocator.allocate(column))
}

/** The fields of a file of format 1, which has no list of them. */
export function fieldsOfFormat1(columns: readonly UnnamedColumn[]): ColumnFields[] {
  const allocator = new FieldAllocator(NESTED_FIELD_ID, [], OWN_NAMES, (name) => [name.toLowerCase()])
  return columns.map((column) => allocator.allocate(column))
}

/** Gives columns names and ids that no other field has. */
export class FieldAllocator {
  /** The id of the next field that is nested, or that cannot have its attnum. */
  next: number
  readonly #names: Set<string>
  readonly #ids = new Set<number>()
  /** What the columns are called. */
  readonly #columns: ReadonlySet<string>
  readonly #pathsOf: (name: string, type: ColumnType) => string[]

  constructor(
    next: number, columns: readonly Pick<UnnamedColumn, 'name'>[], reserved: readonly string[] = RESERVED_NAMES,
    paths: (name: string, type: ColumnType) => string[] = pathsOf,
  ) {
    this.next = next
    this.#columns = new Set(columns.map(({ name }) => name.toLowerCase()))
    this.#names = new Set(reserved)
    this.#pathsOf = paths
  }

  /** A field that is or was there. @param type of a column whose nested fields are there, too, under their names */
  take({ id, name }: AllocatedField, type?: ColumnType): void {
    this.#ids.add(id)
    for (const path of type === undefined ? [name.toLowerCase()] : this.#pathsOf(name, type)) this.#names.add(path)
  }

  /**
   * @param inOrder the column's own id is its attnum if no other field has that
   * @throws UnsupportedError lake.fields after a million of them
   */
  allocate({ attnum, name, type }: UnnamedColumn, inOrder = true): ColumnFields {
    let unique = name
    while (this.#isTaken(unique, type) || (unique !== name && this.#columns.has(unique.toLowerCase()))) unique += `_${attnum}`
    const id = inOrder && !this.#ids.has(attnum) ? attnum : this.#nextId()
    this.take({ id, name: unique }, type)
    const nested = nestedNames(type).map((child) => ({ id: this.#nextId(), name: child }))
    return { attnum, id, name: unique, ...(nested.length > 0 && { nested }) }
  }

  #isTaken(name: string, type: ColumnType): boolean {
    return this.#pathsOf(name, type).some((path) => this.#names.has(path))
  }

  #nextId(): number {
    if (this.next > FIELD_ID_MAX) {
      throw new UnsupportedError('lake.fields', `the columns of this table had ${FIELD_ID_MAX} fields, and no id is given twice: copy it to a new table`)
    }
    return this.next++
  }
}

function pathsOf(name: string, type: ColumnType): string[] {
  const path = name.toLowerCase()
  return [path, ...childrenOf(type).flatMap((child) => pathsOf(`${path}.${child.name}`, child.type))]
}

function nestedNames(type: ColumnType): string[] {
  return childrenOf(type).flatMap((child) => [child.name, ...nestedNames(child.type)])
}

function childrenOf(type: ColumnType): readonly { name: string; type: ColumnType }[] {
  if (type.kind === 'list') return [{ name: 'element', type: type.element }]
  if (type.kind === 'map') return [{ name: 'key', type: { kind: 'string' } }, { name: 'value', type: type.value }]
  return type.kind === 'struct' ? type.fields : []
}

/** A column under its names and ids. @throws CorruptionError lake.fields if they are those of another type */
export function lakeFieldOf(fields: ColumnFields, type: ColumnType): LakeField {
  const { nested = [] } = fields
  const order = nested[Symbol.iterator]()
  const field = withChildren(fields, type, order)
  if (order.next().done !== true) throw new CorruptionError('lake.fields', `the column '${fields.name}' has more fields than its type`)
  return field
}

function withChildren({ id, name }: AllocatedField, type: ColumnType, order: Iterator<AllocatedField>): LakeField {
  const expected = childrenOf(type)
  if (expected.length === 0) return { name, id, type }
  const children = expected.map((child) => {
    const next = order.next()
    if (next.done === true) throw new CorruptionError('lake.fields', `the column '${name}' has fewer fields than its type`)
    // Children of a list or map have Parquet's own names. The names in a struct were allocated.
    if (type.kind !== 'struct' && next.value.name !== child.name) {
      throw new CorruptionError('lake.fields', `'${next.value.name}' in place of '${child.name}' in '${name}'`)
    }
    return withChildren(next.value, child.type, order)
  })
  return { name, id, type: renamed(type, children), children }
}

function renamed(type: ColumnType, children: readonly LakeField[]): ColumnType {
  if (type.kind === 'list') return { kind: 'list', element: children[0]!.type }
  if (type.kind === 'map') return { kind: 'map', value: children[1]!.type }
  return { kind: 'struct', fields: children.map(({ name, type: childType }) => ({ name, type: childType })) }
}

const NESTED: Schema<AllocatedField[]> = v.array(v.strictObject({ id: integer(NESTED_FIELD_ID, FIELD_ID_MAX), name: text }))
/** Members of the fields of one column. */
export const COLUMN_FIELDS_ENTRIES: {
  attnum: Schema<number>; id: Schema<number>; name: Schema<string>; nested: v.ExactOptionalSchema<Schema<AllocatedField[]>, undefined>
} = { attnum: unsigned32, id: integer(1, FIELD_ID_MAX), name: text, nested: v.exactOptional(NESTED) }

/** What is read as the fields of a relation's columns; {@link fieldsFault} says whether they fit a descriptor. */
export const COLUMN_FIELDS: Schema<ColumnFields[]> = v.array(v.strictObject(COLUMN_FIELDS_ENTRIES))

/** Where fields are not those of a descriptor's columns: each column has one, in order of attnums; ids and, but for case, names are there once. */
export function fieldsFault(fields: readonly ColumnFields[], { attributes }: TupleDesc): { path: string; problem: string } | undefined {
  const live = attributes.filter(({ dropped, virtual }) => !dropped && !virtual)
  if (fields.length !== live.length) return { path: 'fields', problem: `has ${fields.length} columns, the table ${live.length}` }
  const names = new Set(OWN_NAMES)
  const ids = new Set<number>()
  for (const [i, { attnum, id, name, nested = [] }] of fields.entries()) {
    if (attnum !== live[i]!.attnum) return { path: `fields[${i}].attnum`, problem: `is ${attnum}, not ${live[i]!.attnum}` }
    if (names.has(name.toLowerCase())) return { path: `fields[${i}].name`, problem: 'is taken' }
    names.add(name.toLowerCase())
    for (const own of [id, ...nested.map((field) => field.id)]) {
      if (ids.has(own)) return { path: `fields[${i}]`, problem: `has the id ${own}, which is there twice` }
      ids.add(own)
    }
  }
  return undefined
}
