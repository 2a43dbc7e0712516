import { formatLsn } from '../common/ids.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/*
 * RM_REPLORIGIN_ID (origin.h):
 *
 *  SET    +---------------+-------------+-----------+        DROP   +-------------+
 *         | remote_lsn 8  | node_id u16 | force bool|               | node_id u16 |
 *         +---------------+-------------+-----------+               +-------------+
 */
export const XLOG_REPLORIGIN_SET = 0x00
export const XLOG_REPLORIGIN_DROP = 0x10

export interface ReplOriginSet {
  node: number
  /** Any 64-bit number: another server's, which may count otherwise. */
  remoteLsn: string
  /** It may also go back. */
  force: boolean
}

const data = new MainData('wal.replorigin')

/** Main data of XLOG_REPLORIGIN_SET. @throws CorruptionError wal.replorigin */
export function decodeReplOriginSet(record: WalRecord): ReplOriginSet {
  data.open(record)
  const remoteLsn = formatLsn(BigInt.asUintN(64, data.i64()))
  const node = data.u16()
  return { node, remoteLsn, force: data.bool() }
}

/** The node of XLOG_REPLORIGIN_DROP. @throws CorruptionError wal.replorigin */
export function decodeReplOriginDrop(record: WalRecord): number {
  data.open(record)
  return data.u16()
}
