import type { Oid } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { DEFAULT_TABLESPACE, GLOBAL_TABLESPACE } from '../../common/rel.ts'
import type { DatabaseDirectory } from '../../redo/store.ts'
import { FORK_NAMES, MAIN_FORK } from '../../wal/record.ts'

/** The name of a fork's first segment (GetRelationPath, relpath.c). */
export function forkName(relNumber: number, fork: number): string {
  return fork === MAIN_FORK ? String(relNumber) : `${relNumber}_${FORK_NAMES[fork]}`
}

/**
 * Where a database keeps its files in a tablespace, below the data directory; the shared relations have database 0 in pg_global. In a
 * page store tablespaces are directories, not links.
 */
export function directoryPath({ spcOid, dbOid }: DatabaseDirectory, identity: { major: PgMajor; catalogVersion: number }): string {
  if (spcOid === GLOBAL_TABLESPACE) return 'global'
  if (spcOid === DEFAULT_TABLESPACE) return `base/${dbOid}`
  return `${tablespacePath(spcOid)}/PG_${identity.major}_${identity.catalogVersion}/${dbOid}`
}

export function tablespacePath(oid: Oid): string {
  return `pg_tblspc/${oid}`
}
