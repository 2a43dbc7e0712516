import * as v from 'valibot'
import { EnvironmentError } from '../common/errors.ts'
import { formatWalPosition, type WalPosition } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { count, flag, integer, type Schema } from '../common/validate.ts'
import { Redo, REDO_STATE, type RedoState } from '../redo/redo.ts'
import type { RedoObserver } from '../redo/buffers.ts'
import type { RedoStore } from '../redo/store.ts'
import type { WalRecord } from '../wal/record.ts'
import { RM_XACT_ID, RM_XLOG_ID } from '../wal/rmgr.ts'
import { XactEnd, XLOG_XACT_ABORT, XLOG_XACT_ABORT_PREPARED, XLOG_XACT_COMMIT, XLOG_XACT_COMMIT_PREPARED, XLOG_XACT_OPMASK } from '../wal/xact.ts'
import { decodeBackupEnd, XLOG_BACKUP_END } from '../wal/xlog.ts'
import type { TransactionStore } from '../xact/store.ts'
import { TransactionLog, type TransactionObserver } from '../xact/transactionlog.ts'
import { TRANSACTION_STATE, type TransactionState } from '../xact/transactionstate.ts'

/** Pages, files and transaction status of a cluster, to be moved along the WAL. A port. */
export interface ReplayStore extends RedoStore, TransactionStore {
  /** The changes that follow belong to the record that ends here. */
  beginRecord(endLsn: WalPosition): void
}

/** When the pages are those of one moment: a base backup's are of many. */
export interface Consistency {
  /** Not before this position. */
  at: WalPosition
  /** Nor before the BACKUP_END record that names this position as the backup's start. */
  backupEndOf?: WalPosition
  reached: boolean
}

/** Where replay is. Plain data: it is kept beside the pages, and JSON and back is the same. */
export interface ReplayProgress {
  /** Every record that ends at or before it is applied, and none that ends later. */
  lsn: WalPosition
  /** Once consistent: no transaction in the pages ended later; microseconds since 2000. */
  time: number
  consistency: Consistency
  transactions: TransactionState
  redo: RedoState
}

/** What is read as a ReplayProgress, whose `lsn` is elsewhere. */
export const REPLAY_PROGRESS: Schema<Omit<ReplayProgress, 'lsn'>> = v.strictObject({
  time: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  consistency: v.strictObject({ at: count, backupEndOf: v.exactOptional(count), reached: flag }),
  transactions: TRANSACTION_STATE, redo: REDO_STATE,
})

/** How far to go: the first limit that is met. None: to the end of the WAL. */
export interface ReplayTarget {
  /** An end position: records that end later do not belong. */
  lsn?: WalPosition
  /** Stop before the first commit or abort later than this; microseconds since 2000. */
  time?: bigint
}

export interface ReplayOptions {
  major: PgMajor
  checksums: boolean
  target?: ReplayTarget
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
  private time: number

  /** @param from continued, and not changed */
  constructor(store: ReplayStore, from: ReplayProgress, { major, checksums, target = {}, pages, transactions }: ReplayOptions) {
    this.store = store
    this.major = major
    this.target = target
    this.lsn = from.lsn
    this.time = from.time
    this.consistency = { ...from.consistency }
    this.redo = new Redo(store, { major, checksums, ...from.redo }, pages)
    this.transactions = new TransactionLog(store, structuredClone(from.transactions), major, transactions)
    this.checkConsistency()
  }

  /** A copy. */
  get progress(): ReplayProgress {
    return {
      lsn: this.lsn, time: this.time, consistency: { ...this.consistency }, transactions: structuredClone(this.transactions.state),
      redo: this.redo.state(),
    }
  }

  get position(): WalPosition {
    return this.lsn
  }

  /** As of the record at hand; changes with each. */
  get transactionState(): Readonly<TransactionState> {
    return this.transactions.state
  }

  get timeline(): number {
    return this.transactions.state.timeline
  }

  /**
   * Applies the record that follows, unless it lies beyond the target.
   * @returns whether it was applied; nothing has changed if not
   * @throws CorruptionError, UnsupportedError with the record's LSN; the store may then hold half of the record
   */
  apply(record: WalRecord): boolean {
    if (this.stopsBefore(record)) return false
    this.store.beginRecord(record.endLsn)
    // Status first: redo ends the record, and with it the pages that were handed out.
    this.transactions.apply(record)
    this.redo.apply(record)
    this.lsn = record.endLsn
    if (record.rmgr === RM_XACT_ID && endsTransaction(record)) this.time = Math.max(this.time, timeOfEnd(record))
    if (!this.consistency.reached) this.approachConsistency(record)
    return true
  }

  /**
   * No more records are wanted, or there are none.
   * @param endOfWal the WAL ended, and not the target
   * @throws EnvironmentError replay.inconsistent, replay.target
   */
  finish(endOfWal: boolean): void {
    const { consistency, target } = this
    if (endOfWal && target.lsn !== undefined && target.lsn > this.lsn) {
      throw new EnvironmentError('replay.target', `the WAL ends at ${this.text(this.lsn)}, before the target ${this.text(target.lsn)}`)
    }
    // As a server that recovers: whether there was more before that time, nobody knows.
    if (endOfWal && target.time !== undefined) {
      const reason = `the WAL ends at ${this.text(this.lsn)} with no transaction that ended after the target; for its end say latest`
      throw new EnvironmentError('replay.target', reason)
    }
    if (consistency.reached) return
    throw new EnvironmentError('replay.inconsistent', `at ${this.text(this.lsn)} the pages are not yet those of one moment: ${this.whatIsMissing()}`)
  }

  private whatIsMissing(): string {
    const { at, backupEndOf } = this.consistency
    if (backupEndOf !== undefined) return `the WAL up to the end of the backup that began at ${this.text(backupEndOf)} is needed`
    return `they may be as new as ${this.text(at)}, so an earlier point cannot be had from them`
  }

  private stopsBefore(record: WalRecord): boolean {
    const { lsn, time } = this.target
    if (lsn !== undefined && record.endLsn > lsn) return true
    if (time === undefined || record.rmgr !== RM_XACT_ID) return false
    if (!endsTransaction(record)) return false
    this.end.decode(record, this.major)
    return this.end.time > time
  }

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
