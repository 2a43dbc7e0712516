import * as v from 'valibot'
import { EnvironmentError } from '../common/errors.ts'
import { formatWalPosition, type WalPosition } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { count, flag, integer, type Schema } from '../common/validate.ts'
import { Redo, REDO_STATE, type RedoState } from '../redo/redo.ts'
import type { RedoObserver } from '../redo/buffers.ts'
import type { RedoStore } from '../redo/store.ts'
import type { WalRecord } from '../wal/record.ts'
import type { TimelineHistory } from '../wal/timelinehistory.ts'
import { RM_XACT_ID, RM_XLOG_ID } from '../wal/rmgr.ts'
import { XactEnd, XLOG_XACT_ABORT, XLOG_XACT_ABORT_PREPARED, XLOG_XACT_COMMIT, XLOG_XACT_COMMIT_PREPARED, XLOG_XACT_OPMASK } from '../wal/xact.ts'
import { decodeBackupEnd, XLOG_BACKUP_END } from '../wal/xlog.ts'
import type { TransactionStore } from '../xact/store.ts'
import { TransactionLog, type TransactionObserver } from '../xact/transactionlog.ts'
import { TRANSACTION_STATE, type TransactionState } from '../xact/transactionstate.ts'
import { type Ancestor, ANCESTORS, ancestorsOf, refuseOtherTimeline } from './timelines.ts'

/** The pages, files and transaction status of a cluster, which replay moves along the WAL. A port. */
export interface ReplayStore extends RedoStore, TransactionStore {
  /** The changes that follow belong to the record that ends here. */
  beginRecord(endLsn: WalPosition): void
}

/** When the pages become consistent. The pages of a base backup belong to many LSNs, since a server wrote them during the backup. */
export interface Consistency {
  /** The pages are not consistent before this position. */
  at: WalPosition
  /** The pages are not consistent before the BACKUP_END record that names this position as the backup's start. */
  backupEndOf?: WalPosition
  reached: boolean
}

/** Where replay is. Plain data: it is kept beside the pages, and JSON and back is the same. */
export interface ReplayProgress {
  /** Every record that ends at or before it is applied, and none that ends later. */
  lsn: WalPosition
  /** Where the last record begins that was applied: the next one must be linked to it. Absent before the first one. */
  previous?: WalPosition
  /** The ancestors of the timeline; absent where no history was given. */
  ancestors?: readonly Ancestor[]
  /** Once consistent: no transaction in the pages ended later; microseconds since 2000. */
  time: number
  consistency: Consistency
  transactions: TransactionState
  redo: RedoState
}

/** The check of a ReplayProgress that was stored as JSON; its `lsn` is stored elsewhere. */
export const REPLAY_PROGRESS: Schema<Omit<ReplayProgress, 'lsn'>> = v.strictObject({
  previous: v.exactOptional(count), ancestors: v.exactOptional(ANCESTORS),
  time: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  consistency: v.strictObject({ at: count, backupEndOf: v.exactOptional(count), reached: flag }),
  transactions: TRANSACTION_STATE, redo: REDO_STATE,
})

/** How far to go: to the first limit that is met. Without limits: to the end of the WAL. */
export interface ReplayTarget {
  /** An end position: a record that ends later is not applied. */
  lsn?: WalPosition
  /** Stop before the first commit or abort later than this; microseconds since 2000. */
  time?: bigint
}

export interface ReplayOptions {
  major: PgMajor
  checksums: boolean
  target?: ReplayTarget
  /** The timeline history of the WAL; the pages must be on it. Without it only xl_prev of the first record can show that the WAL is another's. */
  timelineHistory?: TimelineHistory
  pages?: RedoObserver
  transactions?: TransactionObserver
}

/** Moves a store along the WAL, record by record, up to a target. */
export class Replay {
  private readonly store: ReplayStore
  private readonly redo: Redo
  private readonly transactions: TransactionLog
  private readonly target: ReplayTarget
  private readonly major: PgMajor
  private readonly consistency: Consistency
  private readonly end = new XactEnd()
  private lsn: WalPosition
  /** Where the last record begins; -1 before the first one. */
  private previous: WalPosition
  private time: number
  private readonly timelineHistory: TimelineHistory | undefined
  private readonly from: Pick<ReplayProgress, 'ancestors'> & { timeline: number }

  /**
   * @param from continued, and not changed
   * @throws EnvironmentError replay.timeline
   */
  constructor(store: ReplayStore, from: ReplayProgress, { major, checksums, target = {}, timelineHistory, pages, transactions }: ReplayOptions) {
    const { timeline } = from.transactions
    if (timelineHistory !== undefined) refuseOtherTimeline(timelineHistory, from.lsn, timeline, from.ancestors)
    this.store = store
    this.major = major
    this.target = target
    this.timelineHistory = timelineHistory
    this.from = { ...from.ancestors !== undefined && { ancestors: from.ancestors }, timeline }
    this.lsn = from.lsn
    this.previous = from.previous ?? -1
    this.time = from.time
    this.consistency = { ...from.consistency }
    this.redo = new Redo(store, { major, checksums, ...from.redo }, pages)
    this.transactions = new TransactionLog(store, structuredClone(from.transactions), major, transactions)
    this.checkConsistency()
  }

  /** A copy. */
  get progress(): ReplayProgress {
    const ancestors = this.ancestors()
    return {
      lsn: this.lsn, ...this.previous >= 0 && { previous: this.previous }, ...ancestors !== undefined && { ancestors }, time: this.time,
      consistency: { ...this.consistency }, transactions: structuredClone(this.transactions.state),
      redo: this.redo.state(),
    }
  }

  get position(): WalPosition {
    return this.lsn
  }

  /** The state of transactions after the last record. The object changes with each record. */
  get transactionState(): Readonly<TransactionState> {
    return this.transactions.state
  }

  /** Pages and transaction status are of one LSN: before that they must not be read. */
  get isConsistent(): boolean {
    return this.consistency.reached
  }

  get timeline(): number {
    return this.transactions.state.timeline
  }

  /**
   * Applies the record that follows, unless it lies beyond the target.
   * @returns whether it was applied; nothing has changed if not
   * @throws EnvironmentError replay.prev-link for a record that does not follow the last one; nothing has changed
   * @throws CorruptionError, UnsupportedError with the record's LSN; the store may then hold half of the record
   */
  apply(record: WalRecord): boolean {
    const { prev } = record
    if (this.previous >= 0 ? prev !== this.previous : prev >= this.lsn || record.startLsn < this.lsn) throw this.notNext(record)
    if (this.stopsBefore(record)) return false
    this.store.beginRecord(record.endLsn)
    // Transaction status is first, because redo calls endRecord, after which pages may be reused.
    this.transactions.apply(record)
    this.redo.apply(record)
    this.lsn = record.endLsn
    this.previous = record.startLsn
    if (record.rmgr === RM_XACT_ID && endsTransaction(record)) this.time = Math.max(this.time, timeOfEnd(record))
    if (!this.consistency.reached) this.approachConsistency(record)
    return true
  }

  /**
   * Ends the replay: at its target, or at the end of the WAL.
   * @param endOfWal the WAL ended before the target was reached
   * @throws EnvironmentError replay.inconsistent, replay.target
   */
  finish(endOfWal: boolean): void {
    const { consistency, target } = this
    if (endOfWal && target.lsn !== undefined && target.lsn > this.lsn) {
      throw new EnvironmentError('replay.target',
        `the WAL ends at ${this.text(this.lsn)}, before the target ${this.text(target.lsn)}: add the WAL that follows`)
    }
    // A server with recovery_target_time fails here, too: the missing WAL may have commits before that time.
    if (endOfWal && target.time !== undefined) {
      const reason = `the WAL ends at ${this.text(this.lsn)} with no transaction that ended after the target; --to latest is the end of the WAL`
      throw new EnvironmentError('replay.target', reason)
    }
    if (consistency.reached) return
    throw new EnvironmentError('replay.inconsistent', `at ${this.text(this.lsn)} the pages are not yet consistent: ${this.whatIsMissing()}`)
  }

  /**
   * The error for a record that does not follow the last one. Its xl_prev shows what the history does not tell: WAL of another server or timeline has
   * another record at that place, or begins it elsewhere.
   */
  private notNext({ startLsn, prev }: WalRecord): EnvironmentError {
    const ours = this.previous >= 0 ? `the last one applied begins at ${this.text(this.previous)}` : `the pages are those of ${this.text(this.lsn)}`
    const reason = `a record that follows the one at ${this.text(prev)}, but ${ours}: this WAL is not the one that the pages were replayed along; `
      + 'name that one, or replay into another folder'
    return new EnvironmentError('replay.prev-link', reason, { lsn: this.text(startLsn) })
  }

  /** Undefined where they are not known. */
  private ancestors(): readonly Ancestor[] | undefined {
    if (this.timelineHistory !== undefined) return ancestorsOf(this.timelineHistory, this.timeline)
    return this.timeline === this.from.timeline ? this.from.ancestors : undefined
  }

  private whatIsMissing(): string {
    const { at, backupEndOf } = this.consistency
    if (backupEndOf !== undefined) return `the WAL up to the end of the backup that began at ${this.text(backupEndOf)} is needed`
    return `they may be as new as ${this.text(at)}, so they cannot give an earlier point`
  }

  /** recoveryStopsBefore (xlogrecovery.c): a time is compared with commit and abort records alone, since no other record has a time. */
  private stopsBefore(record: WalRecord): boolean {
    const { lsn, time } = this.target
    if (lsn !== undefined && record.endLsn > lsn) return true
    if (time === undefined || record.rmgr !== RM_XACT_ID) return false
    if (!endsTransaction(record)) return false
    this.end.decode(record, this.major)
    return this.end.time > time
  }

  /** CheckRecoveryConsistency (xlogrecovery.c): a backup is consistent after its BACKUP_END record, a crashed directory at the end of its WAL. */
  private approachConsistency(record: WalRecord): void {
    const { consistency } = this
    if (record.rmgr === RM_XLOG_ID && record.op === XLOG_BACKUP_END && decodeBackupEnd(record) === consistency.backupEndOf) delete consistency.backupEndOf
    this.checkConsistency()
  }

  private checkConsistency(): void {
    const { consistency } = this
    const { at, backupEndOf, reached } = consistency
    if (reached || this.lsn < at || backupEndOf !== undefined) {
      if (reached) this.redo.reachedConsistency()
      return
    }
    this.redo.reachedConsistency()
    this.transactions.reachedConsistency()
    consistency.reached = true
  }

  private text(at: WalPosition): string {
    return formatWalPosition(at)
  }
}

function endsTransaction(record: WalRecord): boolean {
  const op = record.info & XLOG_XACT_OPMASK
  return op === XLOG_XACT_COMMIT || op === XLOG_XACT_ABORT || op === XLOG_XACT_COMMIT_PREPARED || op === XLOG_XACT_ABORT_PREPARED
}

/** xact_time, the first field of all of them, of a record that was decoded before. */
function timeOfEnd({ view, mainStart }: WalRecord): number {
  return view.getInt32(mainStart + 4, true) * 0x100000000 + view.getUint32(mainStart, true)
}
