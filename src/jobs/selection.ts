import type { DamagedRelation, NonHeapRelation, Relation, UnstoredRelation } from '../catalog/relations.ts'
import { noTableHint, quotedTableName, tablesNamed } from '../catalog/tablename.ts'
import { EnvironmentError } from '../common/errors.ts'
import type { Oid } from '../common/ids.ts'
import type { NotRead } from '../lake/notread.ts'
import type { DirectoryCluster } from '../io/cluster.ts'
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

/** Relations that a lake has: a filter leaves out none of them, whatever they and their databases are called now. */
export interface KnownRelations {
  has(dbOid: Oid, oid: Oid): boolean
  hasDatabase(dbOid: Oid): boolean
}

/** What the choice of relations needs: before the choice, no more than this is in memory for a relation. */
interface Candidate extends Pick<Relation, 'database' | 'schema' | 'name' | 'oid' | 'parents' | 'visible' | 'toastRelId'> {
  relkind: string
  /** Where it is in the list of its database. */
  index: number
}

interface Candidates {
  relations: Candidate[]
  parents: Candidate[]
  notRead: NotRead[]
}

/** The relations that a job is about. A job takes them database by database, so that the catalogs of one database are in memory. */
export class Selection {
  /** Oids of the databases, 0 for the shared relations. */
  readonly databases: readonly Oid[]
  /** Relations that were excluded, and relations that were asked for and cannot be read. */
  readonly notRead: readonly NotRead[]
  /** All databases and all tables were asked for: what is not selected is in `notRead`. */
  readonly complete: boolean
  private readonly cluster: DirectoryCluster
  private readonly chosen: { relations: ReadonlyMap<Oid, ReadonlySet<number>>; parents: ReadonlyMap<Oid, ReadonlySet<number>> }

  constructor(cluster: DirectoryCluster, databases: readonly Oid[], { relations, parents, notRead }: Candidates, complete: boolean) {
    this.cluster = cluster
    this.databases = databases
    this.notRead = notRead
    this.complete = complete
    this.chosen = { relations: indexesByDatabase(relations), parents: indexesByDatabase(parents) }
  }

  /** The chosen relations of a database, in the order of its catalogs. */
  relations(dbOid: Oid): Relation[] {
    const chosen = this.chosen.relations.get(dbOid)
    return chosen === undefined ? [] : this.cluster.relations(dbOid).filter((_, i) => chosen.has(i))
  }

  /** Partitioned tables. */
  parents(dbOid: Oid): UnstoredRelation[] {
    const chosen = this.chosen.parents.get(dbOid)
    return chosen === undefined ? [] : this.cluster.unstored(dbOid).filter((_, i) => chosen.has(i))
  }
}

/**
 * @param known the relations of a lake that was made with this filter: names in it may be gone since
 * @throws EnvironmentError selection.* for names that the cluster does not have
 */
export function selectRelations(
  cluster: DirectoryCluster, filter: RelationFilter = { databases: [], tables: [] }, known?: KnownRelations | undefined,
): Selection {
  const { databases, tables, exclude = [], excludeSecrets = false } = filter
  for (const name of known === undefined ? databases : []) {
    if (!cluster.databases.some((database) => database.name === name)) {
      const known = cluster.databases.map((database) => database.name).join(', ')
      throw new EnvironmentError('selection.database', `there is no database '${name}'; the cluster has ${known}`)
    }
  }
  const complete = databases.length === 0 && tables.length === 0
  const isChosen = ({ oid, name }: { oid: Oid; name: string }): boolean =>
    databases.length === 0 || databases.includes(name) || known?.hasDatabase(oid) === true
  const chosen = cluster.databases.filter((database) => !database.invalid && isChosen(database))
  const oids = chosen.map(({ oid }) => oid)
  // A table that is named may be a shared catalog: it is part of every database.
  if (complete || tables.length > 0) oids.unshift(0)
  const found = candidatesOf(cluster, oids)
  const all = withoutExcluded(excludeSecrets ? withoutSecrets(found) : found, exclude, known)
  return new Selection(cluster, oids, tables.length === 0 ? all : selectTables(all, tables, known), complete)
}

function candidatesOf(cluster: DirectoryCluster, oids: readonly Oid[]): Candidates {
  const found: Candidates = { relations: [], parents: [], notRead: [] }
  const notRead: { methods: NotRead[]; foreign: NotRead[]; damaged: NotRead[] } = { methods: [], foreign: [], damaged: [] }
  for (const oid of oids) {
    cluster.relations(oid).forEach((relation, index) => found.relations.push({ ...identityOf(relation), index }))
    notRead.methods.push(...cluster.nonHeap(oid).map(otherMethod))
    notRead.damaged.push(...cluster.damaged(oid).map((relation) => damagedCatalog(cluster, relation)))
    if (oid === 0) continue
    cluster.unstored(oid).forEach((relation, index) => {
      if (relation.relkind === 'p') found.parents.push({ ...identityOf({ ...relation, visible: true, toastRelId: 0 }), index })
      notRead.foreign.push(...foreignTable(relation))
    })
  }
  return { ...found, notRead: [...notRead.methods, ...notRead.foreign, ...notRead.damaged] }
}

function identityOf({ database, schema, name, oid, parents, visible, toastRelId, relkind }: Omit<Candidate, 'index'>): Omit<Candidate, 'index'> {
  return { database, schema, name, oid, parents, visible, toastRelId, relkind }
}

function indexesByDatabase(relations: readonly Candidate[]): Map<Oid, Set<number>> {
  const byDatabase = new Map<Oid, Set<number>>()
  for (const { database: { oid }, index } of relations) byDatabase.set(oid, (byDatabase.get(oid) ?? new Set()).add(index))
  return byDatabase
}

function otherMethod({ reason, ...relation }: NonHeapRelation): NotRead {
  return notRead(relation, 'access-method', reason)
}

function damagedCatalog(cluster: DirectoryCluster, { error, locator, ...relation }: DamagedRelation): NotRead {
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

function withoutSecrets({ relations, parents, notRead: others }: Candidates): Candidates {
  const secret = new Map(relations.flatMap((relation) => {
    const reason = secretReason(relation)
    return reason === undefined ? [] : [[relation, reason] as const]
  }))
  const toast = toastOf([...secret.keys()])
  const entries = [...secret].map(([relation, reason]) => notRead(relation, 'secrets', reason))
  return { relations: relations.filter((relation) => !secret.has(relation) && !toast(relation)), parents, notRead: [...others, ...entries] }
}

function withoutExcluded({ relations, parents, notRead: others }: Candidates, patterns: readonly string[], known: KnownRelations | undefined): Candidates {
  const excluded = excludedTables<Candidate | NotRead>([...relations, ...parents, ...others], patterns, known !== undefined)
  for (const relation of [...relations, ...parents]) if (known?.has(relation.database.oid, relation.oid)) excluded.delete(relation)
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
function toastOf(owners: readonly Candidate[]): (relation: Candidate) => boolean {
  const toast = new Set(owners.map(({ database, toastRelId }) => `${database.oid}/${toastRelId}`))
  return ({ database, oid, relkind }) => relkind === 't' && toast.has(`${database.oid}/${oid}`)
}

/** Null for the shared catalogs. */
function databaseName({ oid, name }: Relation['database']): string | null {
  return oid === 0 ? null : name
}

function selectTables({ relations, parents, notRead: others }: Candidates, tables: readonly string[], known: KnownRelations | undefined): Candidates {
  const visible = relations.filter((relation) => relation.visible)
  const named: readonly (Candidate | NotRead)[] = [...visible, ...parents, ...others]
  const found = new Set(tables.flatMap((table) => (known === undefined ? oneTable(named, table) : tablesNamed(named, table))))
  for (const relation of [...visible, ...parents]) if (known?.has(relation.database.oid, relation.oid)) found.add(relation)
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
 * @throws EnvironmentError selection.table if no table fits, or two do that the dots of `text` do not tell apart
 */
export function oneTable<T extends { schema: string; name: string }>(tables: readonly T[], text: string): T[] {
  const found = tablesNamed(tables, text)
  if (found.length === 0) throw new EnvironmentError('selection.table', `there is no table '${text}'; ${noTableHint(tables, text)}`)
  const names = new Set(found.map(quotedTableName))
  if (names.size > 1) throw new EnvironmentError('selection.table', `'${text}' may be ${[...names].join(' or ')}: quote it`)
  return found
}
