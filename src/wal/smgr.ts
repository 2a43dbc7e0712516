import type { BlockNumber } from '../common/ids.ts'
import type { RelFileLocator } from '../common/rel.ts'
import { MainData } from './maindata.ts'
import { INIT_FORK } from '../common/relpath.ts'
import type { WalRecord } from './record.ts'

/*
 * RM_SMGR_ID (storage_xlog.h):
 *
 *   CREATE    relation 12, fork i32
 *   TRUNCATE  blkno u32, relation 12, flags i32
 */
export const XLOG_SMGR_CREATE = 0x10
export const XLOG_SMGR_TRUNCATE = 0x20

export const SMGR_TRUNCATE_HEAP = 0x01
export const SMGR_TRUNCATE_VM = 0x02
const SMGR_TRUNCATE_FSM = 0x04

export interface SmgrCreate {
  locator: RelFileLocator
  fork: number
}

export interface SmgrTruncate {
  locator: RelFileLocator
  /** New length of the main fork. */
  blocks: BlockNumber
  flags: number
}

const data = new MainData('wal.smgr')

function locator(): RelFileLocator {
  return { spcOid: data.u32(), dbOid: data.u32(), relNumber: data.u32() }
}

/** @throws CorruptionError wal.smgr */
export function decodeSmgrCreate(record: WalRecord): SmgrCreate {
  data.open(record)
  const decoded = { locator: locator(), fork: data.i32() }
  data.finish()
  // The fork becomes a part of a file name.
  if (decoded.fork < 0 || decoded.fork > INIT_FORK) throw data.corrupt(`fork ${decoded.fork}`)
  return decoded
}

/** @throws CorruptionError wal.smgr */
export function decodeSmgrTruncate(record: WalRecord): SmgrTruncate {
  data.open(record)
  const blocks = data.u32()
  const decoded = { locator: locator(), blocks, flags: data.i32() }
  data.finish()
  if (decoded.flags & ~(SMGR_TRUNCATE_HEAP | SMGR_TRUNCATE_VM | SMGR_TRUNCATE_FSM)) throw data.corrupt(`flags 0x${decoded.flags.toString(16)}`)
  return decoded
}
