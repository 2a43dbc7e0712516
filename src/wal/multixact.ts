import type { Oid, Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { takeSlruPage } from './clog.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/*
 * RM_MULTIXACT_ID (multixact.h). XLOG_MULTIXACT_CREATE_ID:
 *
 *  0     4      8          12    16       20
 *  +-----+------+----------+-----+--------+----
 *  | mid | moff | nmembers | xid | status | …
 *  +-----+------+----------+-----+--------+----
 */
export const XLOG_MULTIXACT_ZERO_OFF_PAGE = 0x00
export const XLOG_MULTIXACT_ZERO_MEM_PAGE = 0x10
export const XLOG_MULTIXACT_CREATE_ID = 0x20
export const XLOG_MULTIXACT_TRUNCATE_ID = 0x30

const MEMBER_SIZE = 8
/** MaxMultiXactStatus. */
const MULTIXACT_STATUS_UPDATE = 5

/** A new multixact; its members are where {@link multiXactMemberXid} and {@link multiXactMemberStatus} find them. */
export interface MultiXactCreate {
  multi: number
  /** Number of its first member. */
  memberOffset: number
  memberCount: number
  /** Position of the first member in the record's bytes; a MultiXactMember (multixact.h) is an xid and a status of 4 bytes each. */
  membersStart: number
}

export interface MultiXactTruncate {
  oldestMultiDb: Oid
  /** The multixacts from start to end, exclusive, are gone. */
  startMulti: number
  endMulti: number
  startMember: number
  endMember: number
}

const data = new MainData('wal.multixact')

/** The page of offsets or of members that becomes zeros. @throws CorruptionError wal.multixact */
export function decodeMultiXactZeroPage(record: WalRecord, major: PgMajor): number {
  data.open(record)
  const page = takeSlruPage(data, major)
  data.finish()
  return page
}

/** @throws CorruptionError wal.multixact */
export function decodeMultiXactCreate(record: WalRecord): MultiXactCreate {
  data.open(record)
  const multi = data.u32()
  const memberOffset = data.u32()
  const memberCount = data.count(MEMBER_SIZE)
  const membersStart = data.take(memberCount * MEMBER_SIZE)
  data.finish()
  if (multi === 0 || memberCount === 0) throw data.corrupt(`multixact ${multi} with ${memberCount} members`)
  for (let i = 0; i < memberCount; i++) {
    const status = record.view.getUint32(membersStart + i * MEMBER_SIZE + 4, true)
    if (status > MULTIXACT_STATUS_UPDATE) throw data.corrupt(`multixact ${multi} has a member with status ${status}`)
  }
  return { multi, memberOffset, memberCount, membersStart }
}

export function multiXactMemberXid(record: WalRecord, { membersStart }: MultiXactCreate, i: number): Xid {
  return record.view.getUint32(membersStart + i * MEMBER_SIZE, true)
}

/** MultiXactStatus, 0 (for key share) to 5 (update). */
export function multiXactMemberStatus(record: WalRecord, { membersStart }: MultiXactCreate, i: number): number {
  return record.view.getUint32(membersStart + i * MEMBER_SIZE + 4, true)
}

/** @throws CorruptionError wal.multixact */
export function decodeMultiXactTruncate(record: WalRecord): MultiXactTruncate {
  data.open(record)
  const truncate = {
    oldestMultiDb: data.u32(), startMulti: data.u32(), endMulti: data.u32(), startMember: data.u32(), endMember: data.u32(),
  }
  data.finish()
  return truncate
}
