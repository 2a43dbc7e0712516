import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { BOOTSTRAP_XID, FIRST_NORMAL_XID, FROZEN_XID, INVALID_XID, type Xid, xidEpoch } from '../common/ids.ts'
import {
  HEAP_MOVED_IN, HEAP_MOVED_OFF, HEAP_XMAX_COMMITTED, HEAP_XMAX_INVALID, HEAP_XMAX_IS_MULTI, HEAP_XMIN_COMMITTED, HEAP_XMIN_FROZEN,
  HEAP_XMIN_INVALID, xmaxIsLockedOnly,
} from '../tuple/infomask.ts'
import { TRANSACTION_STATUS_ABORTED, TRANSACTION_STATUS_COMMITTED, transactionStatus } from './clog.ts'
import type { MultiXacts } from './multixact.ts'
import type { SlruPages } from './slru.ts'

export type XidStatus = 'committed' | 'aborted' | 'in-progress'
export type XminStatus = XidStatus | 'frozen'
/** `none`: nobody deletes this row version; `locked`: xmax only locks it. */
export type XmaxStatus = XidStatus | 'none' | 'locked'

export interface SnapshotSources {
  clog: SlruPages
  multixacts: MultiXacts
  /** Next full xid at L, in two halves. */
  nextXid: { low: number; epoch: number }
  /** Older statuses may be truncated away. */
  oldestXid: Xid
  /** Prepared transactions and their subtransactions: the only ones still in progress in a clean cluster. */
  prepared: ReadonlySet<Xid>
  /** Transactions from this full xid on may be running at L. Default: nextXid, as in a clean cluster, where none is. */
  unresolvedFrom?: { low: number; epoch: number }
}

const HEAP_MOVED = HEAP_MOVED_OFF | HEAP_MOVED_IN
const CACHE_SIZE = 4096
const CACHE_COMMITTED = 1
const CACHE_ABORTED = 2
const CACHE_IN_PROGRESS = 3

/**
 * What every transaction that begins at L sees, L being the end of a cleanly shut down cluster or of replay: committed is what CLOG
 * says. What CLOG leaves open is in progress if it is prepared or may still run, else dead; so is a subtransaction that committed
 * into an open parent (status 3). A page's hint bits are no newer than L; they decide only where CLOG is truncated, and a COMMITTED
 * hint that CLOG contradicts is an error, never a vote.
 *
 * `xvac` is t_cid, needed only for tuples with HEAP_MOVED_OFF or HEAP_MOVED_IN (VACUUM FULL before 9.0) and no xmin hint.
 */
export class Snapshot {
  readonly nextXid: { low: number; epoch: number }
  readonly oldestXid: Xid
  private readonly sources: SnapshotSources
  private readonly unresolvedFrom: { low: number; epoch: number }
  // Direct-mapped: xid at its low bits; xid 0 is never looked up, so 0 means empty.
  private readonly cacheXids = new Uint32Array(CACHE_SIZE)
  private readonly cacheStatus = new Uint8Array(CACHE_SIZE)
  private lastMulti = 0
  private lastUpdater = INVALID_XID

  constructor(sources: SnapshotSources) {
    this.sources = sources
    this.nextXid = { ...sources.nextXid }
    this.unresolvedFrom = { ...(sources.unresolvedFrom ?? sources.nextXid) }
    this.oldestXid = sources.oldestXid
  }

  /** HeapTupleSatisfiesMVCC (heapam_visibility.c). @throws CorruptionError xact.* */
  isVisible(xmin: Xid, xmax: Xid, infomask: number, xvac?: Xid): boolean {
    return this.xminCommitted(xmin, infomask, xvac) && !this.xmaxCommitted(xmax, infomask)
  }

  /** Neither visible at L nor ever after: inserted by an aborted transaction or deleted by a committed one. */
  isDead(xmin: Xid, xmax: Xid, infomask: number, xvac?: Xid): boolean {
    return this.xminStatus(xmin, infomask, xvac) === 'aborted' || this.xmaxCommitted(xmax, infomask)
  }

  xminStatus(xmin: Xid, infomask: number, xvac?: Xid): XminStatus {
    const hint = infomask & HEAP_XMIN_FROZEN
    if (hint === HEAP_XMIN_FROZEN) return 'frozen'
    if (hint === HEAP_XMIN_INVALID) return 'aborted'
    if (hint === 0 && (infomask & HEAP_MOVED) !== 0) return this.movedCommitted(infomask, xvac) ? 'committed' : 'aborted'
    return statusName(this.status(xmin, hint !== 0))
  }

  xmaxStatus(xmax: Xid, infomask: number): XmaxStatus {
    if (xmax === INVALID_XID) return 'none'
    if (xmaxIsLockedOnly(infomask)) return 'locked'
    if (infomask & HEAP_XMAX_INVALID) return 'aborted'
    if (infomask & HEAP_XMAX_IS_MULTI) {
      const updater = this.updater(xmax)
      return updater === INVALID_XID ? 'locked' : statusName(this.status(updater, false))
    }
    return statusName(this.status(xmax, (infomask & HEAP_XMAX_COMMITTED) !== 0))
  }

  /** Who deletes or updates this row version, however that ended: xmax or a multixact's updater; 0 if nobody does, or is known to have failed. */
  deleter(xmax: Xid, infomask: number): Xid {
    if (xmax === INVALID_XID || (infomask & HEAP_XMAX_INVALID) !== 0 || xmaxIsLockedOnly(infomask)) return INVALID_XID
    return infomask & HEAP_XMAX_IS_MULTI ? this.updater(xmax) : xmax
  }

  /**
   * Compares the hint bits of one tuple with CLOG: in a clean cluster they never differ. Xids that CLOG no longer knows pass.
   * @returns what is wrong, or undefined
   */
  hintContradiction(xmin: Xid, xmax: Xid, infomask: number): string | undefined {
    if (!(infomask & HEAP_MOVED)) {
      const hint = infomask & HEAP_XMIN_FROZEN
      const problem = this.contradiction('xmin', xmin, (hint & HEAP_XMIN_COMMITTED) !== 0, hint === HEAP_XMIN_INVALID)
      // COPY FREEZE and REFRESH freeze rows of a relation that nobody sees before they commit.
      if (problem && !(hint === HEAP_XMIN_FROZEN && this.lookUp(xmin) === CACHE_IN_PROGRESS)) return problem
    }
    // XMAX_INVALID on a locker says only that the lock is gone.
    if (xmaxIsLockedOnly(infomask) || infomask & HEAP_XMAX_IS_MULTI) return undefined
    return this.contradiction('xmax', xmax, (infomask & HEAP_XMAX_COMMITTED) !== 0, (infomask & HEAP_XMAX_INVALID) !== 0)
  }

  private contradiction(which: string, xid: Xid, hintedCommitted: boolean, hintedInvalid: boolean): string | undefined {
    if (xid < FIRST_NORMAL_XID || !(hintedCommitted || hintedInvalid) || !this.isInClog(xid)) return undefined
    const status = this.lookUp(xid)
    if (hintedCommitted && status !== CACHE_COMMITTED) return `${which} ${xid} is hinted committed, CLOG says ${statusName(status)}`
    if (hintedInvalid && status !== CACHE_ABORTED) return `${which} ${xid} is hinted aborted, CLOG says ${statusName(status)}`
    return undefined
  }

  private xminCommitted(xmin: Xid, infomask: number, xvac: Xid | undefined): boolean {
    const hint = infomask & HEAP_XMIN_FROZEN
    if (hint === HEAP_XMIN_FROZEN) return true
    if (hint === HEAP_XMIN_INVALID) return false
    if (hint === 0 && (infomask & HEAP_MOVED) !== 0) return this.movedCommitted(infomask, xvac)
    return this.status(xmin, hint !== 0) === CACHE_COMMITTED
  }

  private xmaxCommitted(xmax: Xid, infomask: number): boolean {
    if ((infomask & HEAP_XMAX_INVALID) !== 0 || xmax === INVALID_XID || xmaxIsLockedOnly(infomask)) return false
    if ((infomask & HEAP_XMAX_IS_MULTI) === 0) return this.status(xmax, (infomask & HEAP_XMAX_COMMITTED) !== 0) === CACHE_COMMITTED
    const updater = this.updater(xmax)
    return updater !== INVALID_XID && this.status(updater, false) === CACHE_COMMITTED
  }

  /** Moved off: gone if the move committed. Moved in: here if it did. The inserter itself committed long before. */
  private movedCommitted(infomask: number, xvac: Xid | undefined): boolean {
    if (xvac === undefined) throw new UnsupportedError('xact.moved', 'a tuple moved by VACUUM FULL before 9.0, without its t_xvac')
    const committed = xvac !== INVALID_XID && this.status(xvac, false) === CACHE_COMMITTED
    return infomask & HEAP_MOVED_OFF ? !committed : committed
  }

  private updater(multi: number): Xid {
    if (multi !== this.lastMulti) {
      this.lastUpdater = this.sources.multixacts.updater(multi)
      this.lastMulti = multi
    }
    return this.lastUpdater
  }

  private status(xid: Xid, hintedCommitted: boolean): number {
    const slot = xid & (CACHE_SIZE - 1)
    const status = this.cacheXids[slot] === xid && xid !== INVALID_XID ? this.cacheStatus[slot]! : this.statusUncached(xid, hintedCommitted)
    if (hintedCommitted && status !== CACHE_COMMITTED) {
      throw new CorruptionError('xact.hint', `xid ${xid} is hinted committed, CLOG says ${statusName(status)}`)
    }
    return status
  }

  private statusUncached(xid: Xid, hintedCommitted: boolean): number {
    if (xid === BOOTSTRAP_XID || xid === FROZEN_XID) return CACHE_COMMITTED
    // xmin 0 is an insertion that was taken back (heap_abort_speculative).
    if (xid === INVALID_XID) return CACHE_ABORTED
    if (this.isInClog(xid)) return this.lookUp(xid)
    const { low } = this.nextXid
    if (((xid - low) | 0) >= 0) throw new CorruptionError('xact.future', `xid ${xid} was never assigned, the next one is ${low}`)
    if (hintedCommitted) return CACHE_COMMITTED
    throw new CorruptionError('xact.clog-truncated', `xid ${xid} has no hint and is older than the oldest known, ${this.oldestXid}`)
  }

  private isInClog(xid: Xid): boolean {
    return (xid - this.oldestXid) >>> 0 < (this.nextXid.low - this.oldestXid) >>> 0
  }

  private mayRun(xid: Xid): boolean {
    const { low, epoch } = this.unresolvedFrom
    const ownEpoch = xidEpoch(xid, this.nextXid.low, this.nextXid.epoch)
    return ownEpoch > epoch || (ownEpoch === epoch && xid >= low)
  }

  private lookUp(xid: Xid): number {
    const slot = xid & (CACHE_SIZE - 1)
    if (this.cacheXids[slot] === xid) return this.cacheStatus[slot]!
    const bits = transactionStatus(this.sources.clog, xid)
    let status = CACHE_ABORTED
    if (bits === TRANSACTION_STATUS_COMMITTED) status = CACHE_COMMITTED
    // Neither committed nor aborted, prepared nor running: its server crashed.
    else if (bits !== TRANSACTION_STATUS_ABORTED && (this.sources.prepared.has(xid) || this.mayRun(xid))) status = CACHE_IN_PROGRESS
    this.cacheXids[slot] = xid
    this.cacheStatus[slot] = status
    return status
  }
}

function statusName(status: number): XidStatus {
  return status === CACHE_COMMITTED ? 'committed' : status === CACHE_ABORTED ? 'aborted' : 'in-progress'
}
