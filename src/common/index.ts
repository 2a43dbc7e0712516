/** Ids, versions, errors, bytes: what every floor speaks in. Pure; no I/O. */
export { type BlockRun, BlockSet } from './blockset.ts'
export { alignUp, ByteWriter, maxAlign } from './bytes.ts'
export type { Clock } from './clock.ts'
export { crc32c, crc32cUpdate } from './crc32c.ts'
export { CorruptionError, EnvironmentError, isPositioned, type Position, PositionedError, UnsupportedError, withPosition } from './errors.ts'
export {
  type BlockNumber, BOOTSTRAP_XID, FIRST_NORMAL_XID, formatLsn, formatWalPosition, FROZEN_XID, INVALID_XID, type Lsn, type OffsetNumber,
  type Oid, parseLsn, type WalPosition, walPosition, type Xid, xidEpoch, xidPrecedes,
} from './ids.ts'
export { parsePgMajor, PG_MAJORS, type PgMajor } from './pgversion.ts'
export { BLOCK_SIZE, DEFAULT_TABLESPACE, GLOBAL_TABLESPACE, type RelFileLocator, SEGMENT_BLOCKS } from './rel.ts'
export {
  type DatabaseDirectory, databasePath, FORK_NAMES, forkFileName, FSM_FORK, INIT_FORK, MAIN_FORK, segmentPath, tablespacePath,
  type TablespaceVersion, tablespaceVersionName, VISIBILITYMAP_FORK,
} from './relpath.ts'
export type { Persisted } from './validate.ts'
export { utf8Decode, utf8Encode } from './utf8.ts'
