import type { WalPosition } from '../common/ids.ts'
import { INVALID_XID } from '../common/ids.ts'
import { CorruptionError } from '../common/errors.ts'
import type { FollowedFile, KnownStatus, RemovedVersion } from './versionhistory.ts'
import { nearestFullXid, type TransactionEnds } from './transactionends.ts'
import type { TupleHeader } from '../tuple/header.ts'
import type { Snapshot } from '../xact/snapshot.ts'
import { successorState, type TupleState } from '../xact/tuplestate.ts'

/** A point of the range: `lsn` and, at the end of a transaction, its time in microseconds since 2000; or before the range. */
export type Moment = { lsn: WalPosition; time: bigint | undefined } | 'before'

/**
 * What became of a row version: that of `ltap inspect table --dead`, or `removed` with its file, by TRUNCATE or a rewrite (which copies
 * the versions that are alive).
 */
export type VersionState = TupleState | 'removed'

export interface Life {
  state: VersionState
  /** When it was committed, or came into the table with a rewrite's file; undefined if it never was valid. */
  from: Moment | undefined
  /** When the deletion or update was committed; undefined for a version that nothing ended. */
  to: Moment | undefined
}

/** A file in the order of the files that the table had. */
export interface TableFile extends FollowedFile {
  /** `past` and `present`: the table's, one after the other. `open`: of a transaction that has not ended. `failed`: of one that aborted. */
  kind: 'past' | 'present' | 'open' | 'failed'
  /** When it took the place of the one before; undefined for the first. */
  since: Moment | undefined
}

interface Fate {
  status: KnownStatus
  /** When the transaction committed; undefined if it did not. */
  at: Moment | undefined
}

const OPEN: Fate = { status: 'open', at: undefined }
const ABORTED: Fate = { status: 'aborted', at: undefined }

/** Finds out from when to when row versions were valid. */
export class LifeJudge {
  private readonly snapshot: Snapshot
  private readonly ends: TransactionEnds
  /** Next full xid when the range began. */
  private readonly start: number

  constructor(snapshot: Snapshot, ends: TransactionEnds, start: { low: number; epoch: number }) {
    this.snapshot = snapshot
    this.ends = ends
    this.start = nearestFullXid(start.low, start)
  }

  /** The life of a version that was removed from its page in the range. */
  ofRemoved(removed: RemovedVersion, file: TableFile, header: TupleHeader): Life {
    const { inserter, inserterStatus, deleter, deleterStatus, block, offset, how, lsn } = removed
    const born = this.fateOf(inserter, inserterStatus, header.xmin === INVALID_XID)
    const died = deleter === 0 ? ABORTED : this.fateOf(deleter, deleterStatus, false)
    const life = this.life(file, born, died, successorState(header, block, offset))
    if (life.state !== 'live' && life.state !== 'deleting') return life
    if (how === 'dropped') return this.clamp({ state: 'removed', from: life.from, to: file.dropped })
    // Blocks are truncated without a commit only in a file that the same transaction made, so no other transaction saw them.
    if (how === 'cut') return { state: 'removed', from: undefined, to: undefined }
    return { state: 'removed', from: life.from, to: { lsn, time: undefined } }
  }

  /** The life of a version that is on its page at the end of the range. @throws CorruptionError xact.* */
  ofPresent(file: TableFile, header: TupleHeader, block: number, offset: number): Life {
    const { snapshot } = this
    const { xmin, xmax, infomask, cid } = header
    const inserter = snapshot.xminStatus(xmin, infomask, cid)
    const status = inserter === 'in-progress' ? 'open' : inserter === 'aborted' ? 'aborted' : 'committed'
    const born = this.fateOf(nearestFullXid(xmin, snapshot.nextXid), status, xmin === INVALID_XID)
    const deleter = snapshot.deleter(xmax, infomask)
    const ended = snapshot.xmaxStatus(xmax, infomask)
    const known = ended === 'committed' ? 'committed' : ended === 'in-progress' ? 'open' : 'aborted'
    const died = deleter === INVALID_XID ? ABORTED : this.fateOf(nearestFullXid(deleter, snapshot.nextXid), known, false)
    return this.life(file, born, died, successorState(header, block, offset))
  }

  private life(file: TableFile, born: Fate, died: Fate, ended: TupleState): Life {
    if (file.kind === 'failed' || born.status === 'aborted') return { state: 'aborted', from: undefined, to: undefined }
    if (file.kind === 'open' || born.status === 'open') return { state: 'inserting', from: undefined, to: undefined }
    const from = later(born.at, file.since)
    if (died.status === 'committed') return this.clamp({ state: ended, from, to: died.at })
    return { state: died.status === 'open' ? 'deleting' : 'live', from, to: undefined }
  }

  /** A rewrite copies versions that are dead already if an older snapshot may still see them: in the new file they never were valid. */
  private clamp({ state, from, to }: Life): Life {
    return { state, from: later(from, to) === from && to !== undefined ? to : from, to }
  }

  private fateOf(xid: number, known: KnownStatus, takenBack: boolean): Fate {
    if (takenBack) return ABORTED
    const end = this.ends.find(xid)
    if (end !== undefined) return end.committed ? { status: 'committed', at: { lsn: end.endLsn, time: end.time } } : ABORTED
    const status = known === 'open' ? this.statusAtEnd(xid) : known
    return status === 'committed' ? { status, at: 'before' } : status === 'open' ? OPEN : ABORTED
  }

  /** The status of a transaction that did not end in the range: CLOG at its end knows. */
  private statusAtEnd(xid: number): KnownStatus {
    try {
      const status = this.snapshot.xminStatus(xid % 0x100000000, 0)
      if (status !== 'committed') return status === 'in-progress' ? 'open' : 'aborted'
    } catch (error) {
      if (!(error instanceof CorruptionError) || error.code !== 'xact.clog-truncated') throw error
      // The transaction is older than every one that may run, and did not end in the range: it went down with its server.
      return 'aborted'
    }
    if (xid >= this.start) throw new CorruptionError('history.commit', `transaction ${xid} is committed, but the WAL has no commit record of it`)
    return 'committed'
  }
}

/** The later one; undefined is the beginning of time. */
function later(a: Moment | undefined, b: Moment | undefined): Moment | undefined {
  if (a === undefined || b === undefined) return a ?? b
  if (a === 'before') return b
  return b === 'before' || a.lsn >= b.lsn ? a : b
}
