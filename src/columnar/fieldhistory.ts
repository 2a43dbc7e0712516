import * as v from 'valibot'
import type { Attribute } from '../catalog/tupledesc.ts'
import type { Oid } from '../common/ids.ts'
import { exactly, faulty, integer, type Persisted, type Schema, text, unsigned32, validate } from '../common/validate.ts'
import type { TypeDef } from '../datum/typedef.ts'
import type { ColumnType } from '../vector/columntype.ts'
import {
  COLUMN_FIELDS_ENTRIES, type ColumnFields, FIELD_ID_MAX, FieldAllocator, GIVEN_FIELDS_ENTRIES, type GivenFields, isCalledAlike, lakeFieldOf, namesOf,
  NESTED_FIELD_ID, type UnnamedColumn,
} from './columnfields.ts'
import { type SchemaContext, unnamedColumns } from './schema.ts'

/** A column and its fields. */
export interface GrownColumn extends ColumnFields {
  /** Its name in Postgres. */
  column: string
  /** What its values are stored as, as {@link storedAs} says it. */
  stored: string
}

/**
 * All fields that a relation's columns ever had, as the lake keeps them: no id and no name is given twice. JSON-safe; {@link parseFieldHistory} reads it.
 */
export interface FieldHistory {
  /** In order of attnums. */
  columns: readonly GrownColumn[]
  /** The next id for a nested field, or for a column that had another one. */
  next: number
  /** Fields of columns that are gone or have others now, and those that the root of a tree gave to columns of its leaves. */
  given: readonly GivenFields[]
  /** Oid of the root of the partition or inheritance tree whose fields these are. */
  root?: Oid
  /** See RelationDescriptor; absent for a relation that was first written without. */
  uniqueLanes?: true
}

export interface GrownFields {
  history: FieldHistory
  /**
   * Files that were written before must not be read with the new fields: a column has another field, or one is new whose name an older file may have.
   * Every block of the relation is dirty.
   */
  rewrite: boolean
}

/** The fields as a file's descriptor has them. */
export function columnFields({ columns }: FieldHistory): ColumnFields[] {
  return columns.map((field) => ({ attnum: field.attnum, ...givenFields(field) }))
}

function givenFields({ id, name, nested, overflow }: ColumnFields): GivenFields {
  return { id, name, ...(nested && { nested }), ...(overflow !== undefined && { overflow }) }
}

/**
 * The fields of a relation whose definition may have changed. A column keeps its fields, whatever its name is now, until what its values are stored as
 * changes; then it gets new ones, as an added column does. It also gets new ones when names cross, or a field in a list is renamed: readers that match
 * fields by name would take the one for the other.
 * @param before undefined for a relation that has none yet
 */
export function grownColumnFields(before: FieldHistory | undefined, context: SchemaContext): GrownFields {
  const columns = lookedAt(context)
  const { columns: were = [], given: gone = [], next = NESTED_FIELD_ID } = before ?? {}
  const kept = keptFields(columns, were, gone)
  const given = [...gone, ...were.filter((field) => !kept.has(field.attnum)).map(givenFields)]
  const allocator = new FieldAllocator(next, columns)
  for (const field of given) allocator.take(field)
  const { history, rewrite } = grown(before, columns, kept, given, allocator)
  return { history: { ...history, ...((before === undefined || before.uniqueLanes) && { uniqueLanes: true }) }, rewrite }
}

/**
 * The fields of a leaf of a partition or inheritance tree: those of the root's columns of the same names, for readers see all files of a tree as one
 * table (publication, 1). A column that the root has not gets fields that the root will never give to another.
 * @param root of the tree, as {@link grownColumnFields} gives it for the same state
 * @param rootOid by which is known that `before` has fields of this root
 */
export function grownLeafFields(
  root: FieldHistory, rootOid: Oid, before: FieldHistory | undefined, context: SchemaContext,
): GrownFields & { root: FieldHistory } {
  const columns = lookedAt(context)
  const own = leafFields(root, before?.root === rootOid ? before.columns : [], columns)
  const allocator = new FieldAllocator(root.next, columns)
  for (const field of [...root.given, ...root.columns]) allocator.take(field)
  const { history, rewrite } = grown(before, columns, own, [], allocator, false)
  const fresh = history.columns.filter(({ attnum }) => !own.has(attnum)).map(givenFields)
  const ids = new Set(history.columns.map(({ id }) => id))
  // What a relation had before it came into the tree was numbered apart.
  const had = before?.root === rootOid ? [...before.given, ...before.columns.map(givenFields)] : []
  const isForeign = before !== undefined && before.root !== rootOid
  const { uniqueLanes } = root
  const hasOtherLanes = before !== undefined && before.uniqueLanes !== uniqueLanes
  return {
    history: { ...history, given: had.filter(({ id }) => !ids.has(id)), root: rootOid, ...(uniqueLanes && { uniqueLanes }) },
    rewrite: rewrite || hasOtherLanes || (isForeign && (before.given.length > 0 || textOf(before) !== textOf(history))),
    root: { ...root, next: allocator.next, given: [...root.given, ...fresh] },
  }
}

/** Fields of a leaf's columns that the root has, or that the leaf got before, by attnum. */
function leafFields(root: FieldHistory, were: readonly GrownColumn[], columns: readonly LookedAt[]): Map<number, ColumnFields> {
  const roots = new Map(root.columns.map((field) => [field.column, field]))
  const ids = new Set(root.columns.map(({ id }) => id))
  const kept = keptFields(columns, were, root.given)
  const own = new Map<number, ColumnFields>()
  for (const { attnum, name, stored } of columns) {
    const shared = roots.get(name)
    const last = kept.get(attnum)
    if (shared?.stored === stored) own.set(attnum, { ...shared, attnum })
    else if (last && !ids.has(last.id)) own.set(attnum, last)
  }
  return own
}

function textOf(history: FieldHistory): string {
  return JSON.stringify(columnFields(history))
}

interface LookedAt extends UnnamedColumn {
  stored: string
}

function lookedAt(context: SchemaContext): LookedAt[] {
  const types = new Map(context.desc.types.map((type) => [type.oid, type]))
  const attributes: ReadonlyMap<number, Attribute> = new Map(context.desc.attributes.map((attribute) => [attribute.attnum, attribute]))
  return unnamedColumns(context).map((column) => ({ ...column, stored: storedAs(column.type, attributes.get(column.attnum)!.type.oid, types) }))
}

/** The fields of the columns that go on with those they had, by attnum. */
function keptFields(columns: readonly LookedAt[], were: readonly GrownColumn[], gone: readonly GivenFields[]): Map<number, GrownColumn> {
  const before = new Map(were.map((field) => [field.attnum, field]))
  const owners = new Map<string, number>(gone.flatMap(namesOf).map((name) => [name, 0]))
  for (const field of were) for (const name of namesOf(field)) owners.set(name, field.attnum)
  /** Names that columns have and did not have before. */
  const newNames = new Map<string, number>()
  for (const { attnum, name } of columns) if (before.get(attnum)?.column !== name) newNames.set(folded(name), attnum)
  const kept = new Map<number, GrownColumn>()
  for (const { attnum, name, stored, type } of columns) {
    const field = before.get(attnum)
    if (field?.stored !== stored || !isCalledAlike(field, type)) continue
    const isRenamed = field.column !== name
    const takesAnother = isRenamed && (owners.get(folded(name)) ?? attnum) !== attnum
    const [own, ...parts] = namesOf(field) as [string, ...string[]]
    const isTaken = (own !== folded(name) && (newNames.get(own) ?? attnum) !== attnum) || parts.some((part) => newNames.has(part))
    if (!takesAnother && !isTaken) kept.set(attnum, field)
  }
  return kept
}

function grown(
  before: FieldHistory | undefined, columns: readonly LookedAt[], kept: ReadonlyMap<number, ColumnFields>, given: readonly GivenFields[],
  allocator: FieldAllocator, inOrder = true,
): GrownFields {
  for (const { attnum, type } of columns) {
    const field = kept.get(attnum)
    if (field) allocator.take(field, lakeFieldOf(field, type).type)
  }
  const had = new Map(before?.columns.map((field) => [field.attnum, field]))
  let rewrite = false
  const fields = columns.map((column): GrownColumn => {
    const { attnum, name, stored } = column
    const field = kept.get(attnum) ?? allocator.allocate(column, inOrder)
    const was = had.get(attnum)
    if (before && (was ? was.id !== field.id : folded(field.name) !== folded(name))) rewrite = true
    return { ...field, column: name, stored }
  })
  return { history: { columns: fields, next: allocator.next, given }, rewrite }
}

/**
 * What a column of this type holds, as text: `int`, `decimal(10,2)`, `list<string>`. Two definitions with the same text have the same Parquet type, but
 * for names of a composite's fields: these are known by their attnums, for a renamed one is the same field, and a new one of an old name is not.
 */
function storedAs(type: ColumnType, oid: Oid | undefined, types: ReadonlyMap<Oid, TypeDef>): string {
  const def = baseOf(oid, types)
  switch (type.kind) {
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`
    case 'timestamp':
      return type.utc ? 'timestamptz' : 'timestamp'
    case 'list':
      return `list<${storedAs(type.element, def?.element, types)}>`
    case 'map':
      return `map<${storedAs(type.value, undefined, types)}>`
    case 'struct': {
      const live = (def?.fields ?? []).flatMap((field, i) => (field.dropped ? [] : [{ attnum: i + 1, oid: field.type.oid }]))
      const fields = type.fields.map(({ name, type: own }, i) => `${live[i]?.attnum ?? JSON.stringify(name)}:${storedAs(own, live[i]?.oid, types)}`)
      return `struct${live.length > 0 ? `#${def!.oid}` : ''}<${fields.join(',')}>`
    }
    default:
      return type.kind
  }
}

function baseOf(oid: Oid | undefined, types: ReadonlyMap<Oid, TypeDef>): TypeDef | undefined {
  let def = oid === undefined ? undefined : types.get(oid)
  while (def?.kind === 'domain') def = types.get(def.base!.oid)
  return def
}

function folded(name: string): string {
  return name.toLowerCase()
}

const HISTORY = v.strictObject({
  columns: v.array(v.strictObject({ ...COLUMN_FIELDS_ENTRIES, column: text, stored: text })),
  next: integer(NESTED_FIELD_ID, FIELD_ID_MAX + 1),
  given: v.array(v.strictObject(GIVEN_FIELDS_ENTRIES)),
  root: v.exactOptional(unsigned32),
  uniqueLanes: v.exactOptional(exactly(true)),
}) satisfies Schema<FieldHistory>

/**
 * @param persisted the structure that has the history @param at its path in it
 * @throws CorruptionError of `persisted.code` with the member, UnsupportedError for a member that this ltap does not know
 */
export function parseFieldHistory(found: unknown, persisted: Persisted, at: string): FieldHistory {
  const history = validate(HISTORY, found, persisted, at)
  const { columns, next, given } = history
  const ids = new Set<number>()
  const names = new Set<string>()
  const take = (field: GivenFields, path: string): void => {
    const { id } = field
    if (ids.has(id)) throw faulty(persisted, `${at}.${path}`, `has the id ${id}, which is there twice`)
    if (names.has(folded(field.name))) throw faulty(persisted, `${at}.${path}.name`, 'is there twice')
    if (id >= next) throw faulty(persisted, `${at}.${path}`, `has the id ${id}, but ${next} is the next one`)
    ids.add(id)
    for (const name of namesOf(field)) {
      if (names.has(name)) throw faulty(persisted, `${at}.${path}`, `has the name ${JSON.stringify(name)}, which is there twice`)
      names.add(name)
    }
  }
  for (const [i, field] of columns.entries()) {
    if (i > 0 && field.attnum <= columns[i - 1]!.attnum) throw faulty(persisted, `${at}.columns[${i}].attnum`, 'is not in order')
    take(field, `columns[${i}]`)
  }
  for (const [i, field] of given.entries()) take(field, `given[${i}]`)
  const all: [string, GivenFields][] = [...columns.entries()].map(([i, field]) => [`columns[${i}]`, field])
  for (const [i, field] of given.entries()) all.push([`given[${i}]`, field])
  for (const [path, { nested = [] }] of all) {
    for (const { id } of nested) {
      if (ids.has(id) || id >= next) throw faulty(persisted, `${at}.${path}.nested`, `has the id ${id}, which is another's`)
      ids.add(id)
    }
  }
  return history
}
