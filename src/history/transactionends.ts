import type { WalPosition, Xid } from '../common/ids.ts'
import type { XactEnd } from '../wal/xact.ts'
import type { TransactionEnd } from '../xact/commitlog.ts'
import type { TransactionObserver } from '../xact/transactionlog.ts'
import { type FullXid, fullXidNumber } from '../xact/transactionstate.ts'

/** The full xid, as a number, that is nearest to `next`: xids on pages are less than 2^31 away, frozen ones apart. */
export function nearestFullXid(xid: Xid, next: FullXid): number {
  return next.epoch * 0x100000000 + next.low + ((xid - next.low) | 0)
}

/**
 * How, where and when transactions ended: those that changed a table, and those that ran when the range began. Memory grows with their number, not
 * with the range.
 */
export class TransactionEnds implements TransactionObserver {
  private readonly ends = new Map<number, TransactionEnd>()
  private readonly wanted = new Set<number>()
  private readonly start: number
  private readonly all: boolean
  /** End of the commit or abort record that came last, and its time. */
  lastEnd: WalPosition = 0
  lastTime = 0n

  /**
   * @param start next full xid when the range begins
   * @param all keep every transaction
   */
  constructor(start: FullXid, all = false) {
    this.all = all
    this.start = nearestFullXid(start.low, start)
  }

  want(fullXid: number): void {
    if (!this.all) this.wanted.add(fullXid)
  }

  transactionEnded(end: XactEnd, next: FullXid, endLsn: WalPosition): void {
    this.lastEnd = endLsn
    this.lastTime = end.time
    let entry = this.note(end.xid, undefined, end, next, endLsn)
    for (let i = 0; i < end.subxactCount; i++) entry = this.note(end.subxact(i), entry, end, next, endLsn)
  }

  /** @returns undefined for a transaction that did not end in the range, or did not change the table */
  find(fullXid: number): TransactionEnd | undefined {
    return this.ends.get(fullXid)
  }

  private note(xid: Xid, entry: TransactionEnd | undefined, end: XactEnd, next: FullXid, endLsn: WalPosition): TransactionEnd | undefined {
    const full = fullXidNumber(xid, next)
    if (full >= this.start && !this.all && !this.wanted.delete(full)) return entry
    const found = entry ?? { committed: end.committed, endLsn, time: end.time }
    this.ends.set(full, found)
    return found
  }
}
