import type { NonHeapRelation, Relation, UnstoredRelation } from '../../catalog/relations.ts'
import { quotedTableName } from '../../catalog/tablename.ts'
import { EnvironmentError } from '../../common/errors.ts'
import type { DirectoryCluster } from '../../io/cluster.ts'
import { oneTable } from '../selection.ts'

const SYSTEM_DATABASES = new Set(['postgres', 'template0', 'template1'])
const WITHOUT_PAGES = { p: 'a partitioned table: its rows are in its partitions', v: 'a view', f: 'a foreign table' }

/**
 * The relation that `name` means, see catalog/tablename.ts. Of several databases that have it, the only one that is a user's wins.
 * @throws EnvironmentError selection.* if no such table has pages, or several have
 */
export function findTable(cluster: DirectoryCluster, name: string, database?: string): Relation {
  if (database !== undefined && !cluster.databases.some((known) => known.name === database)) {
    const known = cluster.databases.map((other) => other.name).join(', ')
    throw new EnvironmentError('selection.database', `there is no database '${database}'; the cluster has ${known}`)
  }
  const oids = cluster.databases.filter((known) => !known.invalid && (database === undefined || known.name === database)).map(({ oid }) => oid)
  const stored = [0, ...oids].flatMap((oid) => cluster.relations(oid).filter((relation) => relation.visible))
  const nonHeap = oids.flatMap((oid) => cluster.nonHeap(oid))
  const unstored = oids.flatMap((oid) => cluster.unstored(oid))
  const named = new Set(oneTable<Relation | NonHeapRelation | UnstoredRelation>([...stored, ...nonHeap, ...unstored], name))
  const found = stored.filter((relation) => named.has(relation))
  const users = found.filter((relation) => !SYSTEM_DATABASES.has(relation.database.name))
  const candidates = users.length === 1 ? users : found
  if (candidates.length === 1) return candidates[0]!
  if (candidates.length > 1) {
    const databases = candidates.map((relation) => relation.database.name).join(', ')
    throw new EnvironmentError('selection.table', `several databases have a table '${name}': ${databases}; name one with --database`)
  }
  const other = nonHeap.find((relation) => named.has(relation))
  if (other) throw new EnvironmentError('selection.table', `'${name}' cannot be read: it is ${other.reason}`)
  throw new EnvironmentError('selection.table', `'${name}' has no pages: it is ${withoutPages(cluster, [...named][0] as UnstoredRelation)}`)
}

function withoutPages(cluster: DirectoryCluster, { database, oid, relkind }: UnstoredRelation): string {
  const children = cluster.relations(database.oid).filter(({ visible, parents }) => visible && parents.includes(oid))
  const names = children.slice(0, 5).map(({ schema, name }) => `${schema}.${name}`).join(', ')
  return names === '' ? WITHOUT_PAGES[relkind] : `${WITHOUT_PAGES[relkind]}, ${names}${children.length > 5 ? ' …' : ''}`
}

/** Refuses a materialized view that was never filled, as a server does. @throws EnvironmentError selection.unpopulated */
export function refuseUnpopulated({ populated, schema, name }: Relation): void {
  if (populated) return
  const reason = `materialized view ${quotedTableName({ schema, name })} has not been populated: use REFRESH MATERIALIZED VIEW on the server`
  throw new EnvironmentError('selection.unpopulated', reason)
}
