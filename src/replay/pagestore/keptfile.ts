import type { Oid } from '../../common/ids.ts'
import { DEFAULT_TABLESPACE, GLOBAL_TABLESPACE } from '../../common/rel.ts'
import type { DatabaseDirectory } from '../../common/relpath.ts'
import { ORIGINS_FILE } from '../../xact/replicationorigins.ts'

/*
 * Paths in a data directory that a page store keeps. Not kept: free space maps, temporary relations (t<backend>_…), indexes (told by
 * their pages), pgsql_tmp, replication slots, statistics.
 */
const DATABASE_FILE = /^(global|base\/(\d+)|pg_tblspc\/(\d+)\/(PG_\d+_\d+)\/(\d+))\/([^/]+)$/
const RELATION_FILE = /^(\d+)(_vm|_init)?(?:\.(\d+))?$/
const SLRU_FILE = /^(?:pg_xact|pg_multixact\/offsets|pg_multixact\/members)\/[0-9A-F]{4,6}$/
const TWOPHASE_FILE = /^pg_twophase\/(?:[0-9A-F]{8}){1,2}$/
/** In the data directory itself: replay does not read it, a server that is restored needs it. */
const CONFIGURATION_FILE = /^[^/]+\.conf$/
const WAL_FILE = /^pg_wal\/((?:[0-9A-F]{24}(?:\.partial)?|[0-9A-F]{8}\.history))$/

export type KeptFile =
  | { kind: 'relation'; directory: string; place: DatabaseDirectory; relNumber: number; fork: 'main' | 'vm' | 'init'; segment: number }
  | { kind: 'file' }
  /** The server's settings. */
  | { kind: 'configuration' }
  | { kind: 'wal'; name: string }
  /** Says where a backup begins; belongs to no data directory that is complete. */
  | { kind: 'label' }

/**
 * @param path relative to the data directory
 * @param version PG_<major>_<catalog version>: the directory in a tablespace that is this cluster's
 * @returns undefined for a file that is not kept
 */
export function keptFile(path: string, version: string | undefined): KeptFile | undefined {
  const match = DATABASE_FILE.exec(path)
  if (match !== null) {
    const [, directory, database, tablespace, tablespaceVersion, tablespaceDatabase, name] = match
    if (path === 'global/pg_control' || name === 'pg_filenode.map' || name === 'PG_VERSION') return { kind: 'file' }
    if (version !== undefined && tablespaceVersion !== undefined && tablespaceVersion !== version) return undefined
    const relation = RELATION_FILE.exec(name!)
    if (relation === null) return undefined
    const place = { spcOid: spaceOf(directory!, tablespace), dbOid: Number(database ?? tablespaceDatabase ?? 0) }
    const fork = relation[2] === '_vm' ? 'vm' : relation[2] === '_init' ? 'init' : 'main'
    return { kind: 'relation', directory: directory!, place, relNumber: Number(relation[1]), fork, segment: Number(relation[3] ?? 0) }
  }
  if (CONFIGURATION_FILE.test(path)) return { kind: 'configuration' }
  if (path === 'PG_VERSION' || path === ORIGINS_FILE || SLRU_FILE.test(path) || TWOPHASE_FILE.test(path)) return { kind: 'file' }
  if (path === 'backup_label' || path === 'tablespace_map') return { kind: 'label' }
  const wal = WAL_FILE.exec(path)
  return wal === null ? undefined : { kind: 'wal', name: wal[1]! }
}

function spaceOf(directory: string, tablespace: string | undefined): Oid {
  if (directory === 'global') return GLOBAL_TABLESPACE
  return tablespace === undefined ? DEFAULT_TABLESPACE : Number(tablespace)
}
