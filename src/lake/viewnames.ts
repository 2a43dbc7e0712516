import type { LakeDatabase, LakeRelation, Manifest } from './manifest.ts'
import { LOG_NAMES, LOG_NAMESPACE } from './publishedentry.ts'
import type { NotRead } from './notread.ts'

/*
 * Postgres names → DuckDB names. DuckDB folds ASCII case even in quoted names, keeps two schemas in every catalog and four
 * catalogs for itself. A name that cannot be kept, or is that of a table of ltap's own, gets a suffix, and a note says so: `_<oid>` for relations and
 * databases, `_2`, `_3` … for schemas (the manifest has no oid of theirs). Of names that differ in case only, the one in lower case stays.
 */
const RESERVED_SCHEMAS = ['pg_catalog', 'information_schema']
const RESERVED_CATALOGS = ['memory', 'temp', 'system', 'main']

/** Schemas that are the server's own: their relations are not user tables. */
export const SYSTEM_SCHEMAS: Set<string> = new Set(['pg_catalog', 'information_schema', 'pg_toast'])

/** A relation and the name of its view. */
export interface NamedRelation {
  relation: LakeRelation
  /** DuckDB schema of the view that shows visible rows. */
  schema: string
  /** DuckDB schema of the view that shows all tuples with their physical columns. */
  physicalSchema: string
  name: string
}

export interface DatabaseNames {
  database: LakeDatabase
  /** DuckDB catalog. */
  catalog: string
  /** Postgres schema → DuckDB schema. */
  schemas: ReadonlyMap<string, string>
  /** Visible relations of the database and shared ones, in the order of the manifest. */
  relations: readonly NamedRelation[]
  /** The children of each parent, partitioned or not, by the parent's oid, in the order of the manifest. */
  children: ReadonlyMap<number, readonly LakeRelation[]>
  /** Relations of the database, and shared relations, that the lake does not have. */
  notRead: readonly NotRead[]
}

/** ASCII only, as DuckDB does. */
export function foldName(name: string): string {
  return name.replace(/[A-Z]/g, (char) => char.toLowerCase())
}

/** Tables, materialized views and partitioned parents that are not the server's own. */
export function isUserTable(relation: Pick<LakeRelation, 'schema' | 'relkind'>): boolean {
  return 'rmp'.includes(relation.relkind) && !SYSTEM_SCHEMAS.has(relation.schema)
}

/** Databases with user tables that are no templates. */
export function userDatabases(manifest: Manifest): LakeDatabase[] {
  const used = new Set(manifest.relations.filter((relation) => relation.visible && isUserTable(relation)).map(({ database }) => database))
  return manifest.databases.filter(({ name, template }) => !template && used.has(name))
}

/** Names of all relations of a database, those without a view too: a name does not depend on which views are made. */
export function databaseNames(manifest: Manifest, database: LakeDatabase): DatabaseNames {
  const relations = manifest.relations.filter(({ visible, database: own }) => visible && (own === null || own === database.name))
  const schemaNames = [...new Set(relations.map(({ schema }) => schema))].sort(lowerCaseFirst)
  const taken = new Set(RESERVED_SCHEMAS)
  const schemas = new Map(schemaNames.map((schema) => [schema, takeNumbered(schema, taken)]))
  const physical = new Map(schemaNames.map((schema) => [schema, takeNumbered(`ltap_${schema}`, taken)]))
  const names = relationNames(relations)
  const named = relations.map((relation) => ({
    relation,
    schema: schemas.get(relation.schema)!,
    physicalSchema: physical.get(relation.schema)!,
    name: names.get(relation)!,
  }))
  // A catalog and a schema of one name would make `name.table` ambiguous.
  const catalog = takeOid(database.name, database.oid, new Set([...RESERVED_CATALOGS, ...taken]))
  const notRead = manifest.notRead.filter(({ database: own }) => own === null || own === database.name)
  return { database, catalog, schemas, relations: named, children: childrenOf(relations), notRead }
}

function childrenOf(relations: readonly LakeRelation[]): Map<number, LakeRelation[]> {
  const children = new Map<number, LakeRelation[]>()
  for (const relation of relations) {
    for (const parent of new Set(relation.parents)) {
      const others = children.get(parent)
      if (others) others.push(relation)
      else children.set(parent, [relation])
    }
  }
  return children
}

/** Which names of these views are not Postgres's own, a sentence each. */
export function renamings(names: DatabaseNames, relations: readonly NamedRelation[]): string[] {
  const notes = new Set<string>()
  if (names.catalog !== names.database.name) notes.add(`database ${quoteName(names.database.name)} is ${quoteName(names.catalog)} here`)
  for (const { relation, schema, name } of relations) {
    if (schema !== relation.schema) notes.add(`schema ${quoteName(relation.schema)} is ${quoteName(schema)} here`)
    if (name !== relation.name) {
      const reading = `${quoteName(relation.name)} reads another table, whose name differs only in case`
      notes.add(`table ${quoteName(relation.schema)}.${quoteName(relation.name)} is ${quoteName(schema)}.${quoteName(name)} here: ${reading}`)
    }
  }
  return [...notes]
}

function relationNames(relations: readonly LakeRelation[]): Map<LakeRelation, string> {
  const taken = new Map<string, Set<string>>()
  const ordered = [...relations].sort((a, b) => lowerCaseFirst(a.name, b.name) || a.oid - b.oid)
  const names = ordered.map((relation): [LakeRelation, string] => {
    const inSchema = taken.get(relation.schema) ?? new Set(ownNames(relation.schema, relations))
    taken.set(relation.schema, inSchema)
    return [relation, takeOid(relation.name, relation.oid, inSchema)]
  })
  return new Map(names)
}

/** Names of ltap's own in a schema, folded: its logs, and what ltap query calls the changes and the versions of tables. */
function ownNames(schema: string, relations: readonly LakeRelation[]): string[] {
  if (schema === LOG_NAMESPACE) return [...LOG_NAMES]
  const [, of] = /^(.+)__(?:changes|history)$/.exec(schema) ?? []
  return relations.filter((relation) => relation.schema === of && isUserTable(relation)).map(({ name }) => foldName(name))
}

/** Names without upper case letters first, else by UTF-16 code units. */
function lowerCaseFirst(a: string, b: string): number {
  const lower = Number(a !== foldName(a)) - Number(b !== foldName(b))
  return lower || (a < b ? -1 : a > b ? 1 : 0)
}

function takeOid(name: string, oid: number, taken: Set<string>): string {
  let free = name
  while (taken.has(foldName(free))) free += `_${oid}`
  taken.add(foldName(free))
  return free
}

function takeNumbered(name: string, taken: Set<string>): string {
  let free = name
  for (let number = 2; taken.has(foldName(free)); number++) free = `${name}_${number}`
  taken.add(foldName(free))
  return free
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
