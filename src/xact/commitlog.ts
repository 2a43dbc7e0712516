import type { WalPosition, Xid } from '../common/ids.ts'
import type { XactEnd } from '../wal/xact.ts'
import type { TransactionObserver } from './transactionlog.ts'
import { type FullXid, fullXidNumber } from './transactionstate.ts'

/** The commit or abort record of a transaction. */
export interface TransactionEnd {
  committed: boolean
  /** End of its record: the transaction has ended at L if this is at most L. */
  endLsn: WalPosition
  /** Microseconds since 2000. */
  time: bigint
}

/**
 * Collects how, where and when the transactions and subtransactions of a range of WAL ended. It holds all of them, so its memory grows with the
 * range.
 */
export class CommitLog implements TransactionObserver {
  private readonly ends = new Map<number, TransactionEnd>()

  transactionEnded(end: XactEnd, next: FullXid, endLsn: WalPosition): void {
    const entry: TransactionEnd = { committed: end.committed, endLsn, time: end.time }
    this.ends.set(fullXidNumber(end.xid, next), entry)
    for (let i = 0; i < end.subxactCount; i++) this.ends.set(fullXidNumber(end.subxact(i), next), entry)
  }

  /** @returns undefined for a transaction that did not end in the range */
  find(xid: Xid, epoch: number): TransactionEnd | undefined {
    return this.ends.get(epoch * 0x100000000 + xid)
  }
}
