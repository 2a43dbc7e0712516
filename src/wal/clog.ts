import type { Oid, Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/* RM_CLOG_ID (clog.h). A page number is an int up to 16 and an int64 since 17, which widened the page numbers of every SLRU (slru.c). */
export const CLOG_ZEROPAGE = 0x00
export const CLOG_TRUNCATE = 0x10

export interface ClogTruncate {
  /** The server removes the segments before this page (TruncateCLOG, clog.c). */
  page: number
  oldestXid: Xid
  oldestXidDb: Oid
}

const data = new MainData('wal.clog')

/** The page that becomes zeros. @throws CorruptionError wal.clog */
export function decodeClogZeroPage(record: WalRecord, major: PgMajor): number {
  data.open(record)
  const page = takeSlruPage(data, major)
  data.finish()
  return page
}

/** @throws CorruptionError wal.clog */
export function decodeClogTruncate(record: WalRecord, major: PgMajor): ClogTruncate {
  data.open(record)
  const page = takeSlruPage(data, major)
  const oldestXid = data.u32()
  const oldestXidDb = data.u32()
  data.finish()
  return { page, oldestXid, oldestXidDb }
}

/** A page number of an SLRU: an int up to 16, an int64 since 17. */
export function takeSlruPage(from: MainData, major: PgMajor): number {
  const page = major >= 17 ? from.position() : from.i32()
  if (page < 0) throw from.corrupt(`page ${page}`)
  return page
}
