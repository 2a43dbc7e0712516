import type { Oid } from '../../common/ids.ts'
import { DEFAULT_TABLESPACE, GLOBAL_TABLESPACE } from '../../common/rel.ts'
import type { DatabaseDirectory } from '../../redo/store.ts'
import type { StoreIdentity } from './statefile.ts'

/** File name suffix of a fork, by its number (forkname in relpath.c). */
export const FORK_SUFFIXES = ['', '_fsm', '_vm', '_init'] as const
export const FORK_NAMES = ['main', 'fsm', 'vm', 'init'] as const

export function forkName(relNumber: number, fork: number): string {
  return `${relNumber}${FORK_SUFFIXES[fork]}`
}

/** Names below the store's folder are those of a data directory, but tablespaces are directories, not links. */
export function directoryPath({ spcOid, dbOid }: DatabaseDirectory, identity: StoreIdentity): string {
  if (spcOid === GLOBAL_TABLESPACE) return 'global'
  if (spcOid === DEFAULT_TABLESPACE) return `base/${dbOid}`
  return `${tablespacePath(spcOid)}/PG_${identity.major}_${identity.catalogVersion}/${dbOid}`
}

export function tablespacePath(oid: Oid): string {
  return `pg_tblspc/${oid}`
}
