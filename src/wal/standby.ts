import type { Oid, Xid } from '../common/ids.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/* RM_STANDBY_ID (standbydefs.h). */
export const XLOG_STANDBY_LOCK = 0x00
export const XLOG_RUNNING_XACTS = 0x10
export const XLOG_INVALIDATIONS = 0x20

const LOCK_SIZE = 12
/** sizeof(SharedInvalidationMessage) (sinval.h). */
export const INVALIDATION_MESSAGE_SIZE = 16

export interface StandbyLock {
  xid: Xid
  dbOid: Oid
  relOid: Oid
}

export interface RunningXacts {
  nextXid: Xid
  oldestRunningXid: Xid
  latestCompletedXid: Xid
  /** The list has not all subtransactions (subxid_overflow): a standby looks them up in pg_subtrans. */
  subxidOverflow: boolean
  xids: Xid[]
  subxids: Xid[]
}

/** Messages are `count` times 16 bytes from `messagesStart` on in the record's bytes. */
export interface StandbyInvalidations {
  dbOid: Oid
  spcOid: Oid
  relcacheInitFileInval: boolean
  count: number
  messagesStart: number
}

const data = new MainData('wal.standby')

/** Access exclusive locks. @throws CorruptionError wal.standby */
export function decodeStandbyLocks(record: WalRecord): StandbyLock[] {
  data.open(record)
  const locks = Array.from({ length: data.count(LOCK_SIZE) }, () => ({ xid: data.u32(), dbOid: data.u32(), relOid: data.u32() }))
  data.finish()
  return locks
}

/** @throws CorruptionError wal.standby */
export function decodeRunningXacts(record: WalRecord): RunningXacts {
  data.open(record)
  const xidCount = data.i32()
  const subxidCount = data.i32()
  const subxidOverflow = data.bool()
  data.take(3)
  const nextXid = data.u32()
  const oldestRunningXid = data.u32()
  const latestCompletedXid = data.u32()
  if (xidCount < 0 || subxidCount < 0 || 24 + (xidCount + subxidCount) * 4 !== record.mainLength) {
    throw data.corrupt(`${xidCount} xids and ${subxidCount} subxids`)
  }
  const xids = data.u32s(xidCount)
  const subxids = data.u32s(subxidCount)
  data.finish()
  return { nextXid, oldestRunningXid, latestCompletedXid, subxidOverflow, xids, subxids }
}

/** @throws CorruptionError wal.standby */
export function decodeStandbyInvalidations(record: WalRecord): StandbyInvalidations {
  data.open(record)
  const dbOid = data.u32()
  const spcOid = data.u32()
  const relcacheInitFileInval = data.bool()
  data.take(3)
  const count = data.count(INVALIDATION_MESSAGE_SIZE)
  const messagesStart = data.take(count * INVALIDATION_MESSAGE_SIZE)
  data.finish()
  return { dbOid, spcOid, relcacheInitFileInval, count, messagesStart }
}
