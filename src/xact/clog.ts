import type { Xid } from '../common/ids.ts'
import { requirePage, type SlruPages } from './slru.ts'

/*
 * pg_xact (clog.c), pages without header, 2 bits per xid, low bits first:
 *
 *   byte of xid x: x / 4      bits:  7 6   5 4   3 2   1 0
 *                             xid:   x|3   x|2   x|1   x|0     (x a multiple of 4)
 *
 * 32768 xids per page. Xids 0 to 2 are permanent and mean nothing here. 0 is in progress or crashed, 3 a subtransaction whose
 * parent's fate is open: neither is committed.
 */
export const TRANSACTION_STATUS_COMMITTED = 1
export const TRANSACTION_STATUS_ABORTED = 2

const CLOG_XACTS_PER_PAGE = 32768

/**
 * The two bits of a normal xid between the cluster's oldest and next one; the caller has checked the range.
 * @throws CorruptionError xact.clog-missing when the page is not there
 */
export function transactionStatus(pages: SlruPages, xid: Xid): number {
  const page = requirePage(pages, Math.floor(xid / CLOG_XACTS_PER_PAGE), 'xact.clog-missing', `the status of xid ${xid}`)
  return (page[(xid % CLOG_XACTS_PER_PAGE) >> 2]! >> ((xid & 3) * 2)) & 3
}
