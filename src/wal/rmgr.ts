import type { PgMajor } from '../common/pgversion.ts'

/* Resource managers (rmgrlist.h): the same numbers and names in 14 to 18. */
export const RM_XLOG_ID = 0
export const RM_XACT_ID = 1
export const RM_SMGR_ID = 2
export const RM_CLOG_ID = 3
export const RM_DBASE_ID = 4
export const RM_TBLSPC_ID = 5
export const RM_MULTIXACT_ID = 6
export const RM_RELMAP_ID = 7
export const RM_STANDBY_ID = 8
export const RM_HEAP2_ID = 9
export const RM_HEAP_ID = 10
export const RM_BTREE_ID = 11
export const RM_HASH_ID = 12
export const RM_GIN_ID = 13
export const RM_GIST_ID = 14
export const RM_SEQ_ID = 15
export const RM_SPGIST_ID = 16
export const RM_BRIN_ID = 17
export const RM_COMMIT_TS_ID = 18
export const RM_REPLORIGIN_ID = 19
export const RM_GENERIC_ID = 20
export const RM_LOGICALMSG_ID = 21
export const RM_MAX_BUILTIN_ID: 21 = RM_LOGICALMSG_ID
/** RM_MIN_CUSTOM_ID (rmgr.h, since 15): ids from here on belong to extensions. */
export const RM_MIN_CUSTOM_ID = 128
export const RM_MAX_CUSTOM_ID = 255

/** By id, as pg_waldump writes them. */
export const RMGR_NAMES: readonly string[] = [
  'XLOG', 'Transaction', 'Storage', 'CLOG', 'Database', 'Tablespace', 'MultiXact', 'RelMap', 'Standby', 'Heap2', 'Heap',
  'Btree', 'Hash', 'Gin', 'Gist', 'Sequence', 'SPGist', 'BRIN', 'CommitTs', 'ReplicationOrigin', 'Generic', 'LogicalMessage',
]

/** RmgrIdIsValid: whether servers of `major` write records with this id. */
export function isRmgrValid(id: number, major: PgMajor): boolean {
  return (id >= 0 && id <= RM_MAX_BUILTIN_ID) || (major >= 15 && id >= RM_MIN_CUSTOM_ID && id <= RM_MAX_CUSTOM_ID)
}

/** `Heap2`; `custom128` for an extension's, whose name the WAL does not tell. */
export function rmgrName(id: number): string {
  return RMGR_NAMES[id] ?? `custom${String(id).padStart(3, '0')}`
}

/** The id of a name as {@link rmgrName} gives it, in any case; undefined without one. */
export function findRmgr(name: string): number | undefined {
  const lower = name.toLowerCase()
  const id = RMGR_NAMES.findIndex((known) => known.toLowerCase() === lower)
  if (id >= 0) return id
  const custom = Number(/^custom(\d{3})$/.exec(lower)?.[1] ?? -1)
  return custom >= RM_MIN_CUSTOM_ID && custom <= RM_MAX_CUSTOM_ID ? custom : undefined
}
