import type { DamagedRelation, NonHeapRelation, Relation, UnstoredRelation } from '../catalog/relations.ts'
import { noTableHint, quotedTableName, tablesNamed } from '../catalog/tablename.ts'
import { EnvironmentError } from '../common/errors.ts'
import type { NotRead } from '../lake/notread.ts'
import type { Cluster } from '../io/cluster.ts'
import { excludedTables, exclusionReason } from './exclusion.ts'
import { secretReason } from './secrets.ts'

/** Which relations of a cluster a job is about; empty lists mean all. */
export interface RelationFilter {
  /** Database names. */
  databases: readonly string[]
  /** Tables as `schema.name`, see catalog/tablename.ts; their TOAST relations come along. */
  tables: readonly string[]
  /** Patterns of tables to leave out, see catalog/tablename.ts; their TOAST relations go along. */
  exclude?: readonly string[]
  /** Leaves out the catalogs that hold secrets, see secrets.ts. */
  excludeSecrets?: boolean
}

export interface SelectedRelations {
  relations: Relation[]
  parents: UnstoredRelation[]
  /** What was excluded, and what was asked for and cannot be given. */
  notRead: NotRead[]
  /** All databases and all tables were asked for: what is not in `relations` is in `notRead`. */
  complete: boolean
}

/** @throws EnvironmentError selection.* for names that the cluster does not have */
export function selectRelations(cluster: Cluster, filter: RelationFilter = { databases: [], tables: [] }): SelectedRelations {
  const { databases, tables, exclude = [], excludeSecrets = false } = filter
  for (const name of databases) {
    if (!cluster.databases.some((database) => database.name === name)) {
      const known = cluster.databases.map((database) => database.name).join(', ')
      throw new EnvironmentError('selection.database', `there is no database '${name}'; the cluster has ${known}`)
    }
  }
  const complete = databases.length === 0 && tables.length === 0
  const chosen = cluster.databases.filter(({ name, invalid }) => !invalid && (databases.length === 0 || databases.includes(name)))
  const oids = complete ? [0, ...chosen.map(({ oid }) => oid)] : chosen.map(({ oid }) => oid)
  const relations = oids.flatMap((oid) => cluster.relations(oid))
  const unstored = chosen.flatMap(({ oid }) => cluster.unstored(oid))
  const nonHeap = oids.flatMap((oid) => cluster.nonHeap(oid))
  const damaged = oids.flatMap((oid) => cluster.damaged(oid)).map((relation) => damagedCatalog(cluster, relation))
  const parents = unstored.filter(({ relkind }) => relkind === 'p')
  const found = { relations, parents, notRead: [...nonHeap.map(otherMethod), ...unstored.flatMap(foreignTable), ...damaged] }
  const all = withoutExcluded(excludeSecrets ? withoutSecrets(found) : found, exclude)
  if (tables.length === 0) return { ...all, complete }
  return { ...selectTables(all, tables), complete }
}

function otherMethod({ reason, ...relation }: NonHeapRelation): NotRead {
  return notRead(relation, 'access-method', reason)
}

function damagedCatalog(cluster: Cluster, { error, locator, ...relation }: DamagedRelation): NotRead {
  const advice = locator === undefined ? '' : `; its rows are in ${cluster.relativePath({ locator })}: ltap inspect file with --columns reads them`
  return notRead(relation, 'damaged', `${error.message}${advice}`)
}

function foreignTable(relation: UnstoredRelation): NotRead[] {
  return relation.relkind === 'f' ? [notRead(relation, 'foreign-table', 'a foreign table: its rows are not in this cluster')] : []
}

type Named = Pick<NonHeapRelation, 'database' | 'schema' | 'name' | 'oid' | 'parents'> & { relkind: string }

function notRead({ database, schema, name, oid, relkind, parents }: Named, why: NotRead['why'], reason: string): NotRead {
  return { database: databaseName(database), schema, name, oid, relkind, ...(parents.length > 0 && { parents }), why, reason }
}

type Selected = Omit<SelectedRelations, 'complete'>

function withoutSecrets({ relations, parents, notRead: others }: Selected): Selected {
  const secret = new Map(relations.flatMap((relation) => {
    const reason = secretReason(relation)
    return reason === undefined ? [] : [[relation, reason] as const]
  }))
  const toast = toastOf([...secret.keys()])
  const entries = [...secret].map(([relation, reason]) => notRead(relation, 'secrets', reason))
  return { relations: relations.filter((relation) => !secret.has(relation) && !toast(relation)), parents, notRead: [...others, ...entries] }
}

function withoutExcluded({ relations, parents, notRead: others }: Selected, patterns: readonly string[]): Selected {
  const excluded = excludedTables<Relation | UnstoredRelation | NotRead>([...relations, ...parents, ...others], patterns)
  const toast = toastOf(relations.filter((relation) => excluded.has(relation)))
  const entries = new Map<string, NotRead>()
  for (const [relation, pattern] of excluded) {
    const reason = exclusionReason(pattern)
    const entry: NotRead = 'why' in relation ? { ...relation, why: 'excluded', reason } : notRead(relation, 'excluded', reason)
    entries.set(`${entry.database} ${entry.oid}`, entry)
  }
  return {
    relations: relations.filter((relation) => !excluded.has(relation) && !toast(relation)),
    parents: parents.filter((parent) => !excluded.has(parent)), notRead: [...others.filter((entry) => !excluded.has(entry)), ...entries.values()],
  }
}

/** Tells the TOAST relations of `owners`. */
function toastOf(owners: readonly Relation[]): (relation: Relation) => boolean {
  const toast = new Set(owners.map(({ database, toastRelId }) => `${database.oid}/${toastRelId}`))
  return ({ database, oid, relkind }) => relkind === 't' && toast.has(`${database.oid}/${oid}`)
}

/** Null for the shared catalogs. */
function databaseName({ oid, name }: Relation['database']): string | null {
  return oid === 0 ? null : name
}

function selectTables({ relations, parents, notRead: others }: Selected, tables: readonly string[]): Selected {
  const visible = relations.filter((relation) => relation.visible)
  const known: readonly (Relation | UnstoredRelation | NotRead)[] = [...visible, ...parents, ...others]
  const found = new Set(tables.flatMap((table) => oneTable(known, table)))
  const selected = visible.filter((relation) => found.has(relation))
  const selectedParents = parents.filter((parent) => found.has(parent))
  const selectedNotRead = others.filter((left) => found.has(left))
  const isToast = toastOf(selected)
  return {
    relations: relations.filter((relation) => found.has(relation) || isToast(relation)), parents: selectedParents, notRead: selectedNotRead,
  }
}

/**
 * The table that `text` names, in each of the databases that have it.
 * @throws EnvironmentError selection.table if there is none, or two that the dots of `text` do not tell apart
 */
export function oneTable<T extends { schema: string; name: string }>(tables: readonly T[], text: string): T[] {
  const found = tablesNamed(tables, text)
  if (found.length === 0) throw new EnvironmentError('selection.table', `there is no table '${text}'; ${noTableHint(tables, text)}`)
  const names = new Set(found.map(quotedTableName))
  if (names.size > 1) throw new EnvironmentError('selection.table', `'${text}' may be ${[...names].join(' or ')}: quote it`)
  return found
}
