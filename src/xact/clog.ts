import { CorruptionError } from '../common/errors.ts'
import { FIRST_NORMAL_XID, INVALID_XID, type Xid, xidPrecedes } from '../common/ids.ts'
import { requirePage, type SlruPages } from './slru.ts'

/*
 * pg_xact (clog.c), pages without header, 2 bits per xid, low bits first:
 *
 *   byte of xid x: x / 4      bits:  7 6   5 4   3 2   1 0
 *                             xid:   x|3   x|2   x|1   x|0     (x a multiple of 4)
 *
 * 32768 xids per page (CLOG_XACTS_PER_PAGE). Xids 0 to 2 are permanent and have no status here. Status 0 is in progress, or crashed; status 3 is a
 * subtransaction that committed into a parent which has not ended. Neither is committed.
 */
export const TRANSACTION_STATUS_COMMITTED = 1
export const TRANSACTION_STATUS_ABORTED = 2

export const CLOG_XACTS_PER_PAGE = 32768

export function clogPageOf(xid: Xid): number {
  return Math.floor(xid / CLOG_XACTS_PER_PAGE)
}

/**
 * The two bits of a normal xid between the cluster's oldest and next one; the caller has checked the range.
 * @throws CorruptionError xact.clog-missing when the page is not there
 */
export function transactionStatus(pages: SlruPages, xid: Xid): number {
  const page = requirePage(pages, clogPageOf(xid), 'xact.clog-missing', `the status of xid ${xid}`)
  return statusBits(page, xid)
}

/** How a transaction ended. `open`: it is running, it went down with its server (status 0), or its parent has not ended (status 3). */
export type TransactionOutcome = 'committed' | 'aborted' | 'open'

/**
 * How a transaction ended, for permanent ids too (TransactionIdDidCommit and DidAbort, transam.c). xmin 0 is an insertion that
 * heap_abort_speculative took back (heapam.c).
 * @throws as {@link transactionStatus}
 */
export function transactionOutcome(pages: SlruPages, xid: Xid): TransactionOutcome {
  if (xid === INVALID_XID) return 'aborted'
  if (xid < FIRST_NORMAL_XID) return 'committed'
  const status = transactionStatus(pages, xid)
  return status === TRANSACTION_STATUS_COMMITTED ? 'committed' : status === TRANSACTION_STATUS_ABORTED ? 'aborted' : 'open'
}

/** The two bits of an xid in its page. */
export function statusBits(page: Uint8Array, xid: Xid): number {
  return (page[(xid % CLOG_XACTS_PER_PAGE) >> 2]! >> ((xid & 3) * 2)) & 3
}

/**
 * Writes the two bits of a normal xid into its page (TransactionIdSetStatusBit, clog.c). A repeated record writes the same bits: pages of a base
 * backup may be ahead of the WAL.
 * @throws CorruptionError xact.clog-conflict for a transaction that ended the other way
 */
export function setTransactionStatus(page: Uint8Array, xid: Xid, status: number): void {
  const at = (xid % CLOG_XACTS_PER_PAGE) >> 2
  const shift = (xid & 3) * 2
  const byte = page[at]!
  const current = (byte >> shift) & 3
  // A transaction ends once. Another end means that page and WAL are of different servers or timelines.
  if (current !== status && (current === TRANSACTION_STATUS_COMMITTED || current === TRANSACTION_STATUS_ABORTED)) {
    throw new CorruptionError('xact.clog-conflict', `xid ${xid} ends with status ${status}, CLOG has ${current} for it`)
  }
  page[at] = (byte & ~(3 << shift)) | (status << shift)
}

/**
 * TrimCLOG (clog.c): clears the statuses from `nextXid` to the end of its page, as a server does when it starts. A subtransaction's commit writes
 * pg_xact and no WAL record, so a crash may leave bits of xids that the WAL does not know. The server assigns these xids a second time.
 */
export function trimClogPage(page: Uint8Array, nextXid: Xid): void {
  const at = (nextXid % CLOG_XACTS_PER_PAGE) >> 2
  page[at] = page[at]! & ((1 << ((nextXid & 3) * 2)) - 1)
  page.fill(0, at + 1)
}

/** False for the first xid of a page: its ZEROPAGE record has not been written, so the page does not exist yet (ExtendCLOG, clog.c). */
export function isInsideClogPage(xid: Xid): boolean {
  return xid % CLOG_XACTS_PER_PAGE !== 0
}

/** CLOGPagePrecedes (clog.c): the order of pages, modulo 2^32. Both ends of the other page are compared, since a page is no single xid. */
export function clogPagePrecedes(page: number, other: number): boolean {
  const first = (page * CLOG_XACTS_PER_PAGE + FIRST_NORMAL_XID + 1) >>> 0
  const otherFirst = (other * CLOG_XACTS_PER_PAGE + FIRST_NORMAL_XID + 1) >>> 0
  return xidPrecedes(first, otherFirst) && xidPrecedes(first, (otherFirst + CLOG_XACTS_PER_PAGE - 1) >>> 0)
}
