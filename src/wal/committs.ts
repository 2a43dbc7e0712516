import type { Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { takeSlruPage } from './clog.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/* RM_COMMIT_TS_ID (commit_ts.h). The timestamps themselves are in the commit records (xact_redo_commit writes them to pg_commit_ts). */
export const COMMIT_TS_ZEROPAGE = 0x00
export const COMMIT_TS_TRUNCATE = 0x10

const data = new MainData('wal.committs')

/** The page that becomes zeros. @throws CorruptionError wal.committs */
export function decodeCommitTsZeroPage(record: WalRecord, major: PgMajor): number {
  data.open(record)
  const page = takeSlruPage(data, major)
  data.finish()
  return page
}

/** @throws CorruptionError wal.committs */
export function decodeCommitTsTruncate(record: WalRecord, major: PgMajor): { page: number; oldestXid: Xid } {
  data.open(record)
  const page = takeSlruPage(data, major)
  const oldestXid = data.u32()
  data.finish()
  return { page, oldestXid }
}
