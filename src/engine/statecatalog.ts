import { EnvironmentError } from '../common/errors.ts'
import { type ClusterInfo, type DatabaseInfo, parseCatalogEntry, type PartitionedTable } from '../lake/clusterinfo.ts'
import type { NotRead } from '../lake/notread.ts'
import type { Snapshot } from './snapshot.ts'

/** What a state holds beside relations with pages. */
export interface StateCatalog {
  readonly cluster: ClusterInfo
  /** By oid. */
  readonly databases: readonly DatabaseInfo[]
  readonly parents: readonly PartitionedTable[]
  readonly notRead: readonly NotRead[]
}

/** @throws EnvironmentError lake.empty for the state of a lake that nothing was written into; CorruptionError, UnsupportedError lake.* */
export async function readCatalog(snapshot: Snapshot): Promise<StateCatalog> {
  let cluster: ClusterInfo | undefined
  const databases: DatabaseInfo[] = []
  const parents: PartitionedTable[] = []
  const notRead: [key: string, NotRead][] = []
  await snapshot.scan('catalog', (key, value) => {
    const entry = parseCatalogEntry(key, value)
    if (entry.kind === 'cluster') ({ cluster } = entry)
    else if (entry.kind === 'database') databases.push(entry.database)
    else if (entry.kind === 'parent') parents.push(entry.parent)
    else notRead.push([key, entry.notRead])
  })
  if (cluster === undefined) throw new EnvironmentError('lake.empty', 'the lake has no state yet: ltap transcode writes one')
  return {
    cluster, databases: databases.sort((a, b) => a.oid - b.oid), parents: parents.sort((a, b) => a.dbOid - b.dbOid || a.oid - b.oid),
    notRead: notRead.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry),
  }
}
