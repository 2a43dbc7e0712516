import * as v from 'valibot'
import type { TupleDesc } from '../catalog/tupledesc.ts'
import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { exactly, integer, type Schema, text, unsigned32 } from '../common/validate.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import type { ColumnType } from '../vector/columntype.ts'
import { UNIQUE_LTAP_FIELD } from './physical.ts'

/** Name and id of a Parquet field, as they were when the column was first written. A rename in Postgres changes neither. */
export interface AllocatedField {
  id: number
  name: string
}

export interface NestedField extends AllocatedField {
  /** A field of a struct in a list: it is called as in Postgres, and others may be called so, too. */
  inList?: true
}

/** The fields of a column, whichever attribute has it. */
export interface GivenFields extends AllocatedField {
  /**
   * Those nested in it, each before its children: of a list the element, of a map key and value, of a struct its fields. Absent for a column without
   * children.
   */
  nested?: readonly NestedField[]
  /**
   * Name of its child of `_overflow`, which has the id 2,000,000 + id. No other field of the relation ever has this name, nor that of a nested one outside of
   * lists and maps. Absent in lakes from before: there the child has the column's name, and nested fields are called as in Postgres.
   */
  overflow?: string
}

/** The fields of an attribute. */
export interface ColumnFields extends GivenFields {
  attnum: number
}

/** An attribute's field begins with its attnum as id (MaxHeapAttributeNumber is 1600); nested and re-typed ones are counted from here. */
export const NESTED_FIELD_ID = 10_000
/** `_ltap` has ids from 1,000,000 on. */
export const FIELD_ID_MAX = 999_999

const OWN_NAMES: readonly string[] = ['_ltap', '_overflow']
const ELEMENT_NAMES: ReadonlySet<string> = new Set(['element', 'key', 'value'])

/**
 * Names that no column gets, in lower case: our own columns, Iceberg's metadata columns (MetadataColumns.java), which Spark refuses, and those of
 * Delta's change data feed.
 */
const RESERVED_NAMES: readonly string[] = [
  ...OWN_NAMES, '_file', '_pos', '_deleted', '_spec_id', '_partition', '_row_id', '_last_updated_sequence_number', '_change_ordinal',
  '_commit_snapshot_id', '_change_type', '_commit_version', '_commit_timestamp', '_metadata', ...namesWithin(UNIQUE_LTAP_FIELD),
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
 * A field of a composite is called `<field that it is in>_<its name>`, a child of `_overflow` `_overflow_<column>`: readers want one name for each field.
 * Within a list it is called as Postgres calls it, since ClickHouse finds it there by no other name.
 */
export function allocateFields(columns: readonly UnnamedColumn[]): ColumnFields[] {
  const allocator = new FieldAllocator(NESTED_FIELD_ID, columns)
  return columns.map((column) => allocator.allocate(column))
}

/** The fields of a file of format 1, which has no list of them. */
export function fieldsOfFormat1(columns: readonly UnnamedColumn[]): ColumnFields[] {
  const allocator = new FieldAllocator(NESTED_FIELD_ID, [], 1)
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
  readonly #format: 1 | 2

  /** @param format of the files: in format 1 nested fields are called as in Postgres, and columns look at each other's names alone */
  constructor(next: number, columns: readonly Pick<UnnamedColumn, 'name'>[], format: 1 | 2 = 2) {
    this.next = next
    this.#columns = new Set(columns.map(({ name }) => name.toLowerCase()))
    this.#names = new Set(format === 1 ? OWN_NAMES : RESERVED_NAMES)
    this.#format = format
  }

  #pathsOf(name: string, type: ColumnType): string[] {
    return this.#format === 1 ? [name.toLowerCase()] : pathsOf(name, type)
  }

  /** A field that is or was there. @param type of a column that is there, as its fields are called */
  take(fields: GivenFields, type?: ColumnType): void {
    this.#ids.add(fields.id)
    for (const name of namesOf(fields)) this.#names.add(name)
    for (const path of type === undefined ? [] : this.#pathsOf(fields.name, type)) this.#names.add(path)
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
    const nested = this.#nested(unique, type)
    const fields = { attnum, id, name: unique, ...(nested.length > 0 && { nested }) }
    return this.#format === 1 ? fields : { ...fields, overflow: this.#free(`_overflow_${unique}`, attnum) }
  }

  #nested(within: string, type: ColumnType): NestedField[] {
    if (this.#format === 1) return childrenOf(type).flatMap((child) => [{ id: this.#nextId(), name: child.name }, ...this.#nested('', child.type)])
    if (type.kind !== 'struct') return this.#called(shownFields(type))
    return type.fields.flatMap((child) => {
      const id = this.#nextId()
      const name = this.#free(`${within}_${child.name}`, id)
      return [{ id, name }, ...this.#nested(name, child.type)]
    })
  }

  #called(fields: readonly Omit<NestedField, 'id'>[]): NestedField[] {
    return fields.map((field) => ({ id: this.#nextId(), ...field }))
  }

  /** The name, made unique by the number of its field. */
  #free(name: string, number: number): string {
    let unique = name
    while (this.#names.has(unique.toLowerCase()) || this.#columns.has(unique.toLowerCase())) unique += `_${number}`
    this.#names.add(unique.toLowerCase())
    return unique
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

/** Names that no other field of the relation has, in lower case. In lakes from before that is the column's alone. */
export function namesOf({ name, nested = [], overflow }: GivenFields): string[] {
  const others = overflow === undefined ? [] : [overflow, ...nested.filter(isUnique).map((field) => field.name)]
  return [name, ...others].map((text) => text.toLowerCase())
}

function isUnique({ name, inList }: NestedField): boolean {
  return inList !== true && !ELEMENT_NAMES.has(name)
}

/** What is nested in a list or map, each before its children: the names under which engines are to see it. */
function shownFields(type: ColumnType): Omit<NestedField, 'id'>[] {
  const isStruct = type.kind === 'struct'
  return partsOf(type).flatMap(({ name, type: own }) => [{ name, ...(isStruct && { inList: true as const }) }, ...shownFields(own)])
}

/** Whether fields in lists are called as their type calls them now. In lakes from before no field is known to be in one. */
export function isCalledAlike({ nested = [] }: GivenFields, type: ColumnType): boolean {
  const shown = shownFields(type)
  return nested.every(({ name, inList }, i) => inList !== true || name === shown[i]?.name)
}

function namesWithin({ name, children = [] }: LakeField): string[] {
  return [name, ...children.flatMap(namesWithin)].filter((text) => !ELEMENT_NAMES.has(text))
}

function childrenOf(type: ColumnType): readonly { name: string; type: ColumnType }[] {
  if (type.kind === 'list') return [{ name: 'element', type: type.element }]
  if (type.kind === 'map') return [{ name: 'key', type: { kind: 'string' } }, { name: 'value', type: type.value }]
  return type.kind === 'struct' ? type.fields : []
}

/** As {@link childrenOf}; engines fold case: of two fields of a struct whose names differ in case only, the second one gets its position behind it. */
export function partsOf(type: ColumnType): readonly { name: string; type: ColumnType }[] {
  const taken = new Set<string>()
  return childrenOf(type).map(({ name, type: own }, i) => {
    let unique = name
    while (taken.has(unique.toLowerCase())) unique += `_${i + 1}`
    taken.add(unique.toLowerCase())
    return { name: unique, type: own }
  })
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

const NESTED: Schema<NestedField[]> = v.array(v.strictObject({
  id: integer(NESTED_FIELD_ID, FIELD_ID_MAX), name: text, inList: v.exactOptional(exactly(true)),
}))
/** Members of the fields of one column. */
export const GIVEN_FIELDS_ENTRIES: {
  id: Schema<number>; name: Schema<string>; nested: v.ExactOptionalSchema<Schema<NestedField[]>, undefined>
  overflow: v.ExactOptionalSchema<Schema<string>, undefined>
} = { id: integer(1, FIELD_ID_MAX), name: text, nested: v.exactOptional(NESTED), overflow: v.exactOptional(text) }
export const COLUMN_FIELDS_ENTRIES: typeof GIVEN_FIELDS_ENTRIES & { attnum: Schema<number> } = { attnum: unsigned32, ...GIVEN_FIELDS_ENTRIES }

/** What is read as the fields of a relation's columns; {@link fieldsFault} says whether they fit a descriptor. */
export const COLUMN_FIELDS: Schema<ColumnFields[]> = v.array(v.strictObject(COLUMN_FIELDS_ENTRIES))

/** Where fields are not those of a descriptor's columns: each column has one, in order of attnums; ids and, but for case, names are there once. */
export function fieldsFault(fields: readonly ColumnFields[], { attributes }: TupleDesc): { path: string; problem: string } | undefined {
  const live = attributes.filter(({ dropped, virtual }) => !dropped && !virtual)
  if (fields.length !== live.length) return { path: 'fields', problem: `has ${fields.length} columns, the table ${live.length}` }
  const names = new Set(OWN_NAMES)
  const ids = new Set<number>()
  for (const [i, field] of fields.entries()) {
    const { attnum, id, nested = [] } = field
    if (attnum !== live[i]!.attnum) return { path: `fields[${i}].attnum`, problem: `is ${attnum}, not ${live[i]!.attnum}` }
    if (names.has(field.name.toLowerCase())) return { path: `fields[${i}].name`, problem: 'is taken' }
    for (const name of namesOf(field)) {
      if (names.has(name)) return { path: `fields[${i}]`, problem: `has the name ${JSON.stringify(name)}, which is taken` }
      names.add(name)
    }
    for (const own of [id, ...nested.map((child) => child.id)]) {
      if (ids.has(own)) return { path: `fields[${i}]`, problem: `has the id ${own}, which is there twice` }
      ids.add(own)
    }
  }
  return undefined
}
