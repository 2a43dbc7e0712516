import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { BOOTSTRAP_XID, FIRST_NORMAL_XID, FROZEN_XID, INVALID_XID, type Xid, xidEpoch } from '../common/ids.ts'
import {
  HEAP_MOVED_IN, HEAP_MOVED_OFF, HEAP_XMAX_COMMITTED, HEAP_XMAX_INVALID, HEAP_XMAX_IS_MULTI, HEAP_XMIN_COMMITTED, HEAP_XMIN_FROZEN,
  HEAP_XMIN_INVALID, xmaxIsLockedOnly,
} from '../tuple/infomask.ts'
import { clogPageOf, TRANSACTION_STATUS_ABORTED, TRANSACTION_STATUS_COMMITTED } from './clog.ts'
import { CommitStatus, STATUS_LOST } from './commitstatus.ts'
import type { MultiXacts } from './multixact.ts'
import { slruPageName } from './segments.ts'
import type { SlruPages } from './slru.ts'

/** `unknown`: pg_xact or pg_multixact has lost it. */
export type XidStatus = 'committed' | 'aborted' | 'in-progress' | 'unknown'
export type XminStatus = XidStatus | 'frozen'
/** `none`: no transaction deletes this row version; `locked`: xmax only locks it. */
export type XmaxStatus = XidStatus | 'none' | 'locked'

export interface SnapshotSources {
  clog: SlruPages
  multixacts: MultiXacts
  /** The next full xid at L, in two halves. An xid from here on was never assigned. */
  nextXid: { low: number; epoch: number }
  /** CLOG has statuses from here on; VACUUM froze all older xids and may have truncated their pages. */
  oldestXid: Xid
  /** Prepared transactions and their subtransactions: the only ones still in progress in a clean cluster. */
  prepared: ReadonlySet<Xid>
  /** Transactions from this full xid on may be running at L. Default: nextXid, as in a clean cluster, where none is. */
  unresolvedFrom?: { low: number; epoch: number }
  /**
   * What becomes of row versions whose transaction's status is lost, and which no hint bit settles: an error (the default), or not
   * visible, or visible.
   */
  unknown?: 'fail' | UnknownTransactions
}

export type UnknownTransactions = 'hide' | 'show'

const HEAP_MOVED = HEAP_MOVED_OFF | HEAP_MOVED_IN
const CACHE_SIZE = 4096
const CACHE_COMMITTED = 1
const CACHE_ABORTED = 2
const CACHE_IN_PROGRESS = 3
const CACHE_UNKNOWN = 4

const STATUS_NAMES = ['', 'committed', 'aborted', 'in-progress', 'unknown'] as const

/** Not a xid: the updater of a multixact whose members are lost. */
const LOST_UPDATER = -1

/**
 * What every transaction that begins at L sees. L is the end of a cleanly shut down cluster, or the end of replay. CLOG says what committed. A
 * transaction that CLOG leaves open is in progress if it is prepared or may still run, else it is dead; so is a subtransaction that committed
 * into an open parent (status 3). Hint bits on pages are no newer than L. They decide only where CLOG is truncated. A COMMITTED hint that CLOG
 * contradicts is an error and no vote. Where CLOG is damaged, and `unknown` says to go on, the hints are believed, and a status without a
 * hint is unknown.
 *
 * `xvac` is t_cid, needed only for tuples with HEAP_MOVED_OFF or HEAP_MOVED_IN (VACUUM FULL before 9.0) and no xmin hint.
 */
export class Snapshot {
  readonly nextXid: { low: number; epoch: number }
  readonly oldestXid: Xid
  private readonly sources: SnapshotSources
  private readonly commitStatus: CommitStatus
  private readonly goesOn: boolean
  private readonly showsUnknown: boolean
  private readonly otherLosses = new Set<string>()
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
    this.goesOn = sources.unknown === 'hide' || sources.unknown === 'show'
    this.showsUnknown = sources.unknown === 'show'
    this.commitStatus = new CommitStatus(sources.clog, { start: this.oldestXid, end: this.unresolvedFrom.low }, sources.prepared)
  }

  /** The pages of pg_xact and the multixacts that were asked for and are lost or wrong, one sentence for each. */
  get losses(): string[] {
    return [...this.commitStatus.losses, ...this.otherLosses]
  }

  /** HeapTupleSatisfiesMVCC (heapam_visibility.c). @throws CorruptionError xact.* */
  isVisible(xmin: Xid, xmax: Xid, infomask: number, xvac?: Xid): boolean {
    const inserted = this.insertion(xmin, infomask, xvac)
    if (inserted !== CACHE_COMMITTED && !(inserted === CACHE_UNKNOWN && this.showsUnknown)) return false
    const deleted = this.deletion(xmax, infomask)
    return deleted !== CACHE_COMMITTED && (deleted !== CACHE_UNKNOWN || this.showsUnknown)
  }

  /** True if the visibility depends on a transaction whose status is lost; false if the row version is dead in any case. */
  isUnknown(xmin: Xid, xmax: Xid, infomask: number, xvac?: Xid): boolean {
    if (!this.goesOn) return false
    const inserted = this.insertion(xmin, infomask, xvac)
    if (inserted !== CACHE_COMMITTED && inserted !== CACHE_UNKNOWN) return false
    const deleted = this.deletion(xmax, infomask)
    return deleted === CACHE_UNKNOWN || (inserted === CACHE_UNKNOWN && deleted !== CACHE_COMMITTED)
  }

  /** Neither visible at L nor ever after: inserted by an aborted transaction or deleted by a committed one. */
  isDead(xmin: Xid, xmax: Xid, infomask: number, xvac?: Xid): boolean {
    return this.xminStatus(xmin, infomask, xvac) === 'aborted' || this.deletion(xmax, infomask) === CACHE_COMMITTED
  }

  xminStatus(xmin: Xid, infomask: number, xvac?: Xid): XminStatus {
    const hint = infomask & HEAP_XMIN_FROZEN
    if (hint === HEAP_XMIN_FROZEN) return 'frozen'
    if (hint === HEAP_XMIN_INVALID) return 'aborted'
    return statusName(this.insertion(xmin, infomask, xvac))
  }

  xmaxStatus(xmax: Xid, infomask: number): XmaxStatus {
    if (xmax === INVALID_XID) return 'none'
    if (xmaxIsLockedOnly(infomask)) return 'locked'
    if (infomask & HEAP_XMAX_INVALID) return 'aborted'
    if (infomask & HEAP_XMAX_IS_MULTI) {
      return this.updater(xmax) === INVALID_XID ? 'locked' : statusName(this.updaterStatus(xmax))
    }
    return statusName(this.status(xmax, (infomask & HEAP_XMAX_COMMITTED) !== 0))
  }

  /**
   * The transaction that deletes or updates this row version, whether it committed or not; 0 if there is no such transaction, or if a hint says
   * that it failed.
   */
  deleter(xmax: Xid, infomask: number): Xid {
    if (xmax === INVALID_XID || (infomask & HEAP_XMAX_INVALID) !== 0 || xmaxIsLockedOnly(infomask)) return INVALID_XID
    return infomask & HEAP_XMAX_IS_MULTI ? Math.max(this.updater(xmax), INVALID_XID) : xmax
  }

  /**
   * Compares the hint bits of one tuple with CLOG: in a clean cluster they never differ. Xids that CLOG no longer knows pass.
   * @returns what is wrong, or undefined
   */
  hintContradiction(xmin: Xid, xmax: Xid, infomask: number): string | undefined {
    if (!(infomask & HEAP_MOVED)) {
      const hint = infomask & HEAP_XMIN_FROZEN
      const problem = this.contradiction('xmin', xmin, (hint & HEAP_XMIN_COMMITTED) !== 0, hint === HEAP_XMIN_INVALID)
      // COPY FREEZE and REFRESH freeze rows of a relation that no other transaction sees before the commit.
      if (problem && !(hint === HEAP_XMIN_FROZEN && this.lookUp(xmin) === CACHE_IN_PROGRESS)) return problem
    }
    // HEAP_XMAX_INVALID on a locker says that the lock has ended, not that its transaction aborted.
    if (xmaxIsLockedOnly(infomask) || infomask & HEAP_XMAX_IS_MULTI) return undefined
    return this.contradiction('xmax', xmax, (infomask & HEAP_XMAX_COMMITTED) !== 0, (infomask & HEAP_XMAX_INVALID) !== 0)
  }

  private contradiction(which: string, xid: Xid, hintedCommitted: boolean, hintedInvalid: boolean): string | undefined {
    if (xid < FIRST_NORMAL_XID || !(hintedCommitted || hintedInvalid) || !this.isInClog(xid)) return undefined
    const status = this.lookUp(xid)
    if (status === CACHE_UNKNOWN) return undefined
    if (hintedCommitted && status !== CACHE_COMMITTED) return `${which} ${xid} is hinted committed, CLOG says ${statusName(status)}`
    if (hintedInvalid && status !== CACHE_ABORTED) return `${which} ${xid} is hinted aborted, CLOG says ${statusName(status)}`
    return undefined
  }

  /** How the inserting transaction ended: the first half of HeapTupleSatisfiesMVCC. Frozen means committed, whatever xmin is. */
  private insertion(xmin: Xid, infomask: number, xvac: Xid | undefined): number {
    const hint = infomask & HEAP_XMIN_FROZEN
    if (hint === HEAP_XMIN_FROZEN) return CACHE_COMMITTED
    if (hint === HEAP_XMIN_INVALID) return CACHE_ABORTED
    if (hint === 0 && (infomask & HEAP_MOVED) !== 0) return this.moved(infomask, xvac)
    return this.status(xmin, hint !== 0)
  }

  /** How the deleting transaction ended, the second half of HeapTupleSatisfiesMVCC. "Aborted" stands for "nothing deletes the row" too. */
  private deletion(xmax: Xid, infomask: number): number {
    if ((infomask & HEAP_XMAX_INVALID) !== 0 || xmax === INVALID_XID || xmaxIsLockedOnly(infomask)) return CACHE_ABORTED
    return infomask & HEAP_XMAX_IS_MULTI ? this.updaterStatus(xmax) : this.status(xmax, (infomask & HEAP_XMAX_COMMITTED) !== 0)
  }

  /**
   * A tuple that VACUUM FULL before 9.0 moved: the MOVED_OFF copy is gone if the move (xvac) committed, the MOVED_IN copy is valid if it did. The
   * inserter itself committed long before.
   */
  private moved(infomask: number, xvac: Xid | undefined): number {
    if (xvac === undefined) throw new UnsupportedError('xact.moved', 'a tuple moved by VACUUM FULL before 9.0, without its t_xvac')
    const move = xvac === INVALID_XID ? CACHE_ABORTED : this.status(xvac, false)
    if (move === CACHE_UNKNOWN) return CACHE_UNKNOWN
    return (move === CACHE_COMMITTED) === ((infomask & HEAP_MOVED_OFF) === 0) ? CACHE_COMMITTED : CACHE_ABORTED
  }

  /** How the updater in a multixact ended; a multixact of lockers only deletes nothing. */
  private updaterStatus(multi: number): number {
    const updater = this.updater(multi)
    if (updater === LOST_UPDATER) return CACHE_UNKNOWN
    return updater === INVALID_XID ? CACHE_ABORTED : this.status(updater, false)
  }

  private updater(multi: number): Xid {
    if (multi !== this.lastMulti) {
      this.lastUpdater = this.updaterUncached(multi)
      this.lastMulti = multi
    }
    return this.lastUpdater
  }

  private updaterUncached(multi: number): Xid {
    try {
      return this.sources.multixacts.updater(multi)
    } catch (error) {
      if (!this.goesOn || !(error instanceof CorruptionError)) throw error
      this.otherLosses.add(error.reason)
      return LOST_UPDATER
    }
  }

  /** Full xids of transactions, subtransactions too, that had not ended at L and may still end; ascending. */
  inProgress(): number[] {
    const { low, epoch } = this.nextXid
    const full = (xid: Xid): number => xidEpoch(xid, low, epoch) * 0x100000000 + xid
    const running = new Set([...this.sources.prepared].map(full))
    const end = epoch * 0x100000000 + low
    for (let next = this.unresolvedFrom.epoch * 0x100000000 + this.unresolvedFrom.low; next < end; next++) {
      const xid = next % 0x100000000
      if (xid >= FIRST_NORMAL_XID && this.lookUp(xid) === CACHE_IN_PROGRESS) running.add(next)
    }
    return [...running].sort((a, b) => a - b)
  }

  private status(xid: Xid, hintedCommitted: boolean): number {
    const slot = xid & (CACHE_SIZE - 1)
    const status = this.cacheXids[slot] === xid && xid !== INVALID_XID ? this.cacheStatus[slot]! : this.statusUncached(xid, hintedCommitted)
    return hintedCommitted && status !== CACHE_COMMITTED ? this.hintedStatus(xid, status) : status
  }

  /** Decides between a hint that says "committed" and a CLOG that does not. A server looks at the hint alone. */
  private hintedStatus(xid: Xid, status: number): number {
    if (!this.isInClog(xid)) return status
    const page = slruPageName('pg_xact', clogPageOf(xid))
    if (!this.goesOn) throw new CorruptionError('xact.hint', `xid ${xid} is hinted committed, CLOG says ${statusName(status)} (${page})`)
    if (status !== CACHE_UNKNOWN) this.otherLosses.add(`${page} contradicts hint bits, which say that transactions committed: they are believed`)
    return CACHE_COMMITTED
  }

  private statusUncached(xid: Xid, hintedCommitted: boolean): number {
    if (xid === BOOTSTRAP_XID || xid === FROZEN_XID) return CACHE_COMMITTED
    // heap_abort_speculative (heapam.c) sets xmin to 0 when INSERT ... ON CONFLICT takes its row back.
    if (xid === INVALID_XID) return CACHE_ABORTED
    if (this.isInClog(xid)) return this.lookUp(xid)
    const { low } = this.nextXid
    const isFuture = ((xid - low) | 0) >= 0
    if (hintedCommitted && !isFuture) return CACHE_COMMITTED
    if (this.goesOn) return CACHE_UNKNOWN
    if (isFuture) throw new CorruptionError('xact.future', `xid ${xid} was never assigned, the next one is ${low}`)
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
    const bits = this.commitStatus.bits(xid)
    let status = CACHE_ABORTED
    if (bits === TRANSACTION_STATUS_COMMITTED) status = CACHE_COMMITTED
    else if (bits === STATUS_LOST) status = this.lost(xid)
    // A transaction that neither ended, nor is prepared, nor may run any more went down with its server: TransactionIdIsInProgress says no.
    else if (bits !== TRANSACTION_STATUS_ABORTED && (this.sources.prepared.has(xid) || this.mayRun(xid))) status = CACHE_IN_PROGRESS
    this.cacheXids[slot] = xid
    this.cacheStatus[slot] = status
    return status
  }

  private lost(xid: Xid): number {
    if (this.goesOn) return CACHE_UNKNOWN
    const advice = 'a server, too, reads only rows with hint bits; restore the file from a backup'
    throw new CorruptionError('xact.clog-lost', `${this.commitStatus.lossOf(xid)} (asked for ${xid}); ${advice}`)
  }
}

function statusName(status: number): XidStatus {
  return STATUS_NAMES[status] as XidStatus
}
