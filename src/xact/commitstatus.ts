import { FIRST_NORMAL_XID, type Xid } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { CLOG_XACTS_PER_PAGE, clogPageOf, statusBits } from './clog.ts'
import { slruPageName } from './segments.ts'
import type { SlruPages } from './slru.ts'

/** The answer for an xid whose CLOG page is lost; the two bits of a status are 0 to 3. */
export const STATUS_LOST = 4

/**
 * A page of zeros counts as lost if so many of its transactions are settled. A transaction that was open when its server crashed keeps status 0
 * for ever, so a few zeros are normal, and a page that has just begun may hold nothing else. But a page holds 32,768 transactions, and every one
 * that ended left a bit there: a whole page of zeros says that not one of them ended before a crash, while a server has about a hundred open
 * at once. One exception remains: a transaction with as many subtransactions that crashed. A server believes the page and marks the rows
 * dead for ever; ltap keeps the rows and calls them unknown, which loses nothing.
 */
const LOST_XIDS_MIN = 1024

/** Xids in [start, end), modulo 2^32. */
export interface XidRange {
  start: Xid
  end: Xid
}

/**
 * pg_xact, with its losses: a page is lost if it is missing, if it is cut short before the xid, or if it is nothing but zeros although
 * {@link LOST_XIDS_MIN} of its transactions are settled.
 */
export class CommitStatus {
  private readonly pages: SlruPages
  private readonly settled: XidRange
  private readonly prepared: ReadonlySet<Xid>
  private readonly zeroPages = new Map<number, boolean>()
  private readonly found = new Map<number, string>()

  /**
   * @param settled transactions that have ended, or that ended with their server
   * @param prepared prepared transactions among the settled ones: they are still open
   */
  constructor(pages: SlruPages, settled: XidRange, prepared: ReadonlySet<Xid>) {
    this.pages = pages
    this.settled = settled
    this.prepared = prepared
  }

  /** The two bits of a normal xid that was assigned, or {@link STATUS_LOST}. */
  bits(xid: Xid): number {
    const n = clogPageOf(xid)
    const page = this.pages.page(n)
    if (page === undefined) return this.lost(n, this.pages.problem?.(n) ?? 'is missing')
    if ((xid % CLOG_XACTS_PER_PAGE) >> 2 >= page.length) return this.lost(n, `ends after ${page.length} of ${BLOCK_SIZE} bytes`)
    const bits = statusBits(page, xid)
    if (bits === 0 && this.isZeroPage(n, page)) return this.lost(n, 'is all zeros')
    return bits
  }

  /** The pages of pg_xact that were asked for and are lost, one sentence for each. */
  get losses(): string[] {
    return [...this.found.values()]
  }

  /** What is wrong with the page of `xid`, after {@link bits} answered STATUS_LOST. */
  lossOf(xid: Xid): string {
    return this.found.get(clogPageOf(xid)) ?? ''
  }

  private lost(n: number, what: string): number {
    if (!this.found.has(n)) {
      const first = Math.max(n * CLOG_XACTS_PER_PAGE, FIRST_NORMAL_XID)
      const last = (n + 1) * CLOG_XACTS_PER_PAGE - 1
      this.found.set(n, `${slruPageName('pg_xact', n)} ${what}: whether transactions ${first} to ${last} committed is lost`)
    }
    return STATUS_LOST
  }

  private isZeroPage(n: number, page: Uint8Array): boolean {
    const known = this.zeroPages.get(n)
    if (known !== undefined) return known
    const isZero = page.every((byte) => byte === 0) && this.settledOn(n) >= LOST_XIDS_MIN
    this.zeroPages.set(n, isZero)
    return isZero
  }

  /** How many transactions of the page are settled and not prepared. */
  private settledOn(n: number): number {
    const { start, end } = this.settled
    const length = (end - start) >>> 0
    const from = (n * CLOG_XACTS_PER_PAGE - start) >>> 0
    const to = from + CLOG_XACTS_PER_PAGE
    // Xids wrap: the page may hold the beginning of the range after its end.
    const wrapped = to > 0x100000000 ? Math.min(to - 0x100000000, length) : 0
    let count = Math.max(0, Math.min(to, length) - from) + wrapped
    for (const xid of this.prepared) if (clogPageOf(xid) === n) count--
    return count
  }
}
