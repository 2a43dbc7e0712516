import type { Oid } from './ids.ts'
import type { PgMajor } from './pgversion.ts'
import { DEFAULT_TABLESPACE, GLOBAL_TABLESPACE } from './rel.ts'

/*
 * Forks of relations, and where their files are below a data directory (relpath.h, relpath.c, md.c):
 *
 *   global/<relNumber>                                            shared relations
 *   base/<dbOid>/<relNumber>[_fsm|_vm|_init][.<segment>]          pg_default
 *   pg_tblspc/<spcOid>/PG_<major>_<catalog version>/<dbOid>/…     other tablespaces
 */
export const MAIN_FORK = 0
export const FSM_FORK = 1
export const VISIBILITYMAP_FORK = 2
export const INIT_FORK = 3

/** By number (forkNames, relpath.c). */
export const FORK_NAMES: readonly string[] = ['main', 'fsm', 'vm', 'init']

/** A directory of relation files: one database in one tablespace. The shared relations have database 0 in pg_global. */
export interface DatabaseDirectory {
  spcOid: Oid
  dbOid: Oid
}

/** Which directories of tablespaces are a cluster's (TABLESPACE_VERSION_DIRECTORY). */
export interface TablespaceVersion {
  major: PgMajor
  catalogVersion: number
}

/** The name of a fork's first segment. */
export function forkFileName(relNumber: number, fork: number): string {
  return fork === MAIN_FORK ? String(relNumber) : `${relNumber}_${FORK_NAMES[fork]}`
}

/** _mdfd_segpath (md.c): `path` is of the first segment. */
export function segmentPath(path: string, segment: number): string {
  return segment === 0 ? path : `${path}.${segment}`
}

export function tablespacePath(oid: Oid): string {
  return `pg_tblspc/${oid}`
}

export function tablespaceVersionName({ major, catalogVersion }: TablespaceVersion): string {
  return `PG_${major}_${catalogVersion}`
}

/** GetDatabasePath. */
export function databasePath({ spcOid, dbOid }: DatabaseDirectory, version: TablespaceVersion): string {
  if (spcOid === GLOBAL_TABLESPACE) return 'global'
  if (spcOid === DEFAULT_TABLESPACE) return `base/${dbOid}`
  return `${tablespacePath(spcOid)}/${tablespaceVersionName(version)}/${dbOid}`
}
