import { ByteWriter } from '../common/bytes.ts'
import { crc32c } from '../common/crc32c.ts'
import { CorruptionError, UnsupportedError, isPositioned } from '../common/errors.ts'
import { FIRST_NORMAL_XID, formatLsn, formatWalPosition, type WalPosition, type Xid, xidEpoch, xidPrecedes } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { CLOG_TRUNCATE, CLOG_ZEROPAGE, decodeClogTruncate, decodeClogZeroPage } from '../wal/clog.ts'
import {
  decodeMultiXactCreate, decodeMultiXactTruncate, decodeMultiXactZeroPage, multiXactMemberXid, XLOG_MULTIXACT_CREATE_ID,
  XLOG_MULTIXACT_TRUNCATE_ID, XLOG_MULTIXACT_ZERO_MEM_PAGE, XLOG_MULTIXACT_ZERO_OFF_PAGE,
} from '../wal/multixact.ts'
import type { WalRecord } from '../wal/record.ts'
import { decodeReplOriginDrop, decodeReplOriginSet, XLOG_REPLORIGIN_DROP, XLOG_REPLORIGIN_SET } from '../wal/replorigin.ts'
import { RM_CLOG_ID, RM_MULTIXACT_ID, RM_REPLORIGIN_ID, RM_STANDBY_ID, RM_XACT_ID, RM_XLOG_ID } from '../wal/rmgr.ts'
import { decodeRunningXacts, XLOG_INVALIDATIONS, XLOG_RUNNING_XACTS, XLOG_STANDBY_LOCK } from '../wal/standby.ts'
import {
  decodePrepare, XactEnd, XLOG_XACT_ABORT, XLOG_XACT_ABORT_PREPARED, XLOG_XACT_ASSIGNMENT, XLOG_XACT_COMMIT, XLOG_XACT_COMMIT_PREPARED,
  XLOG_XACT_INVALIDATIONS, XLOG_XACT_OPMASK, XLOG_XACT_PREPARE,
} from '../wal/xact.ts'
import {
  type CheckPoint, decodeCheckPoint, decodeEndOfRecovery, decodeNextOid, XLOG_CHECKPOINT_ONLINE, XLOG_CHECKPOINT_SHUTDOWN,
  XLOG_END_OF_RECOVERY, XLOG_NEXTOID,
} from '../wal/xlog.ts'
import {
  clogPageOf, clogPagePrecedes, isInsideClogPage, setTransactionStatus, TRANSACTION_STATUS_ABORTED, TRANSACTION_STATUS_COMMITTED, trimClogPage,
} from './clog.ts'
import { isInCircle, memberSegment, multiOffsetPage, multiOffsetPagePrecedes, multiPrecedes } from './multixactlayout.ts'
import { recordNewMultiXact, trimMultiXact, truncateMembers, truncateOffsets, zeroOffsetsPage } from './multixactlog.ts'
import { advanceOrigin, dropOrigin } from './replicationorigins.ts'
import { SLRU_PAGES_PER_SEGMENT, truncateSegments } from './segments.ts'
import type { SlruStore, TransactionStore } from './store.ts'
import { type FullXid, type TransactionState, widenXid } from './transactionstate.ts'

/** Sees every end of a transaction, and of a subtransaction that aborts without its parent. */
export interface TransactionObserver {
  /**
   * @param end valid during the call
   * @param next the next full xid: what gives the xids their epochs
   * @param endLsn of the record: the commit belongs to L if it is at most L
   */
  transactionEnded(end: XactEnd, next: FullXid, endLsn: WalPosition): void
}

/**
 * Replays what WAL says about transactions, as the startup process of a standby does: statuses, multixacts, prepared transactions, counters
 * (xact_redo, clog_redo, multixact_redo, xlog_redo, standby_redo, replorigin_redo). All changes are idempotent: pages that are ahead of the state, as in a base
 * backup, give the same result.
 */
export class TransactionLog {
  /** Changes with every record; copy it to keep it. */
  readonly state: TransactionState
  private readonly store: TransactionStore
  private readonly major: PgMajor
  private readonly observer: TransactionObserver | undefined
  private readonly end = new XactEnd()
  private readonly change = (store: SlruStore, n: number): Uint8Array => this.pageToChange(store, n)

  constructor(store: TransactionStore, start: TransactionState, major: PgMajor, observer?: TransactionObserver) {
    this.store = store
    this.state = start
    this.major = major
    this.observer = observer
  }

  /**
   * @throws CorruptionError wal.* and xact.*, UnsupportedError for an opcode that no server of this major writes; with the LSN
   */
  apply(record: WalRecord): void {
    this.advancePast(record.xid)
    const { rmgr } = record
    // ApplyWalRecord (xlogrecovery.c) advances nextXid for every record before it calls the resource manager.
    // Most records do not concern transactions.
    if (rmgr > RM_STANDBY_ID && rmgr !== RM_REPLORIGIN_ID) return
    try {
      if (rmgr === RM_XACT_ID) this.applyXact(record)
      else if (rmgr === RM_XLOG_ID) this.applyXlog(record)
      else if (rmgr === RM_CLOG_ID) this.applyClog(record)
      else if (rmgr === RM_MULTIXACT_ID) this.applyMultiXact(record)
      else if (rmgr === RM_STANDBY_ID) this.applyStandby(record)
      else if (rmgr === RM_REPLORIGIN_ID) this.applyOrigin(record)
    } catch (error) {
      throw isPositioned(error) ? error.at({ lsn: formatWalPosition(record.startLsn) }) : error
    }
  }

  /**
   * The pages are consistent now: from here on each page that the WAL changes must exist.
   * @throws CorruptionError xact.missing-page if one was missing, and no later truncation explained it
   */
  reachedConsistency(): void {
    const { missingPages } = this.state
    if (missingPages.length > 0) {
      throw new CorruptionError('xact.missing-page', `the WAL changes pages that are missing: ${missingPages.slice(0, 10).join(', ')}`)
    }
    this.state.consistent = true
  }

  /** Clears what lies beyond the counters, as a server does that starts here (TrimCLOG, TrimMultiXact). */
  trim(): void {
    const { nextXid, nextMulti, nextMultiOffset } = this.state
    const { clog, multiOffsets, multiMembers } = this.store
    if (isInsideClogPage(nextXid.low)) trimClogPage(this.change(clog, clogPageOf(nextXid.low)), nextXid.low)
    trimMultiXact(multiOffsets, multiMembers, nextMulti, nextMultiOffset, this.change)
  }

  /** xact_redo (xact.c), without the files of relations: StorageRedo removes those. */
  private applyXact(record: WalRecord): void {
    switch (record.info & XLOG_XACT_OPMASK) {
      case XLOG_XACT_COMMIT:
      case XLOG_XACT_ABORT:
      case XLOG_XACT_COMMIT_PREPARED:
      case XLOG_XACT_ABORT_PREPARED:
        return this.endTransaction(record)
      case XLOG_XACT_PREPARE:
        return this.prepare(record)
      // A commit or abort lists its subtransactions, so ASSIGNMENT adds nothing. Invalidation messages concern caches of a running server.
      case XLOG_XACT_ASSIGNMENT:
      case XLOG_XACT_INVALIDATIONS:
        return
      default:
        throw unsupported(record)
    }
  }

  /** xact_redo_commit and xact_redo_abort (xact.c). The tree's highest xid is past nextXid if the subtransaction wrote no record of its own. */
  private endTransaction(record: WalRecord): void {
    const { end } = this
    end.decode(record, this.major)
    this.advancePast(end.xid)
    for (let i = 0; i < end.subxactCount; i++) this.advancePast(end.subxact(i))
    this.setTreeStatus(end.committed ? TRANSACTION_STATUS_COMMITTED : TRANSACTION_STATUS_ABORTED)
    if (end.op === XLOG_XACT_COMMIT_PREPARED || end.op === XLOG_XACT_ABORT_PREPARED) this.forgetPrepared(end.xid)
    if (end.origin !== undefined) this.advanceOrigin(record.origin, formatLsn(end.origin.lsn))
    this.observer?.transactionEnded(end, this.state.nextXid, record.endLsn)
  }

  /**
   * TransactionIdCommitTree and TransactionIdAbortTree (transam.c). A server sets "subcommitted" first where the tree spans several pages, so that
   * readers see it end at once; redo has no readers.
   */
  private setTreeStatus(status: number): void {
    const { end } = this
    let current = clogPageOf(end.xid)
    let page = this.pageToChange(this.store.clog, current)
    setTransactionStatus(page, end.xid, status)
    for (let i = 0; i < end.subxactCount; i++) {
      const xid = end.subxact(i)
      if (clogPageOf(xid) !== current) {
        current = clogPageOf(xid)
        page = this.pageToChange(this.store.clog, current)
      }
      setTransactionStatus(page, xid, status)
    }
  }

  /** PrepareRedoAdd (twophase.c), and the file of RecreateTwoPhaseFile: the record's main data with a CRC behind it. */
  private prepare(record: WalRecord): void {
    const { xid, dbOid, subxacts, originLsn } = decodePrepare(record, this.major)
    this.advancePast(xid)
    for (const subxact of subxacts) this.advancePast(subxact)
    const start = record.mainStart
    const file = new ByteWriter(record.mainLength + 4)
    file.copy(record.bytes, start, start + record.mainLength)
    file.u32(crc32c(file.bytes, 0, file.length))
    this.forgetPrepared(xid)
    this.state.prepared.push({ xid, database: dbOid, subxacts })
    this.store.savePrepared(xid, file.take(), this.epochOf(xid))
    this.advanceOrigin(record.origin, formatWalPosition(originLsn))
  }

  /** PrepareRedoRemove (twophase.c). */
  private forgetPrepared(xid: Xid): void {
    const { prepared } = this.state
    const at = prepared.findIndex((transaction) => transaction.xid === xid)
    if (at >= 0) prepared.splice(at, 1)
    this.store.removePrepared(xid, this.epochOf(xid))
  }

  /** clog_redo (clog.c). */
  private applyClog(record: WalRecord): void {
    const { clog } = this.store
    if (record.op === CLOG_ZEROPAGE) return clog.zero(decodeClogZeroPage(record, this.major))
    if (record.op !== CLOG_TRUNCATE) throw unsupported(record)
    const { page, oldestXid } = decodeClogTruncate(record, this.major)
    // The statuses of the present would be lost. No server truncates CLOG there.
    if (clogPagePrecedes(clogPageOf(this.state.nextXid.low), page)) throw corrupt(`CLOG is truncated before page ${page}, beyond the next xid`)
    if (xidPrecedes(this.state.oldestClogXid, oldestXid)) this.state.oldestClogXid = oldestXid
    truncateSegments(clog, page, clogPagePrecedes)
    this.explainMissing('clog', (missing) => clogPagePrecedes(missing, page))
  }

  /** multixact_redo (multixact.c). */
  private applyMultiXact(record: WalRecord): void {
    const { multiOffsets, multiMembers } = this.store
    switch (record.op) {
      case XLOG_MULTIXACT_ZERO_OFF_PAGE:
        return zeroOffsetsPage(multiOffsets, this.state, decodeMultiXactZeroPage(record, this.major))
      case XLOG_MULTIXACT_ZERO_MEM_PAGE:
        return multiMembers.zero(decodeMultiXactZeroPage(record, this.major))
      case XLOG_MULTIXACT_CREATE_ID:
        return this.createMultiXact(record)
      case XLOG_MULTIXACT_TRUNCATE_ID:
        return this.truncateMultiXacts(record)
      default:
        throw unsupported(record)
    }
  }

  private createMultiXact(record: WalRecord): void {
    const create = decodeMultiXactCreate(record)
    recordNewMultiXact(this.store.multiOffsets, this.store.multiMembers, this.state, record, create, this.change)
    this.advanceMulti((create.multi + 1) >>> 0, (create.memberOffset + create.memberCount) >>> 0)
    for (let i = 0; i < create.memberCount; i++) this.advancePast(multiXactMemberXid(record, create, i))
  }

  /** The TRUNCATE_ID part of multixact_redo. The oldest multixact moves first, so that no reader asks for members that are being removed. */
  private truncateMultiXacts(record: WalRecord): void {
    const { startMember, endMember, endMulti } = decodeMultiXactTruncate(record)
    if (multiPrecedes(this.state.nextMulti, endMulti)) throw corrupt(`multixacts are truncated up to ${endMulti}, beyond the next one`)
    this.state.oldestMulti = endMulti
    truncateMembers(this.store.multiMembers, startMember, endMember)
    truncateOffsets(this.store.multiOffsets, endMulti)
    const [first, end] = [memberSegment(startMember), memberSegment(endMember)]
    this.explainMissing('multixact members', (page) => isInCircle(Math.floor(page / SLRU_PAGES_PER_SEGMENT), first, end))
    this.explainMissing('multixact offsets', (page) => multiOffsetPagePrecedes(page, multiOffsetPage(endMulti)))
  }

  /** The parts of xlog_redo (xlog.c) that concern counters and timelines. */
  private applyXlog(record: WalRecord): void {
    switch (record.op) {
      case XLOG_CHECKPOINT_SHUTDOWN:
        return this.shutdownCheckpoint(decodeCheckPoint(record, this.major))
      case XLOG_CHECKPOINT_ONLINE:
        return this.onlineCheckpoint(decodeCheckPoint(record, this.major))
      case XLOG_NEXTOID:
        this.state.nextOid = decodeNextOid(record)
        return
      case XLOG_END_OF_RECOVERY: {
        const { thisTimeline, prevTimeline } = decodeEndOfRecovery(record, this.major)
        this.switchTimeline(thisTimeline, prevTimeline)
        return this.serverStarted()
      }
      // The other records of RM_XLOG_ID say nothing about transactions.
      default:
    }
  }

  /**
   * CHECKPOINT_SHUTDOWN: the server went down in order, or ended its recovery here. No transaction ran, so xlog_redo takes the record's counters as
   * they are, even if its own are ahead.
   */
  private shutdownCheckpoint(checkPoint: CheckPoint): void {
    const { state } = this
    this.switchTimeline(checkPoint.thisTimeline, checkPoint.prevTimeline)
    state.nextXid.low = checkPoint.nextXid.low
    state.nextXid.epoch = checkPoint.nextXid.epoch
    state.nextOid = checkPoint.nextOid
    state.nextMulti = checkPoint.nextMulti
    state.nextMultiOffset = checkPoint.nextMultiOffset
    this.advanceOldest(checkPoint)
    this.serverStarted()
  }

  /**
   * CHECKPOINT_ONLINE: transactions ran on while it was made, so the counters only move forward. Its nextOid is not used: NEXTOID records log OIDs
   * ahead of their use (xlog_redo says the same).
   */
  private onlineCheckpoint(checkPoint: CheckPoint): void {
    const { nextXid } = this.state
    if (checkPoint.thisTimeline !== this.state.timeline) {
      throw corrupt(`a checkpoint of timeline ${checkPoint.thisTimeline} on timeline ${this.state.timeline}`)
    }
    const { low, epoch } = checkPoint.nextXid
    if (epoch > nextXid.epoch || (epoch === nextXid.epoch && low > nextXid.low)) {
      nextXid.low = low
      nextXid.epoch = epoch
    }
    this.advanceMulti(checkPoint.nextMulti, checkPoint.nextMultiOffset)
    this.advanceOldest(checkPoint)
  }

  private advanceOldest({ oldestXid, oldestMulti }: CheckPoint): void {
    const { state } = this
    if (xidPrecedes(state.oldestXid, oldestXid)) state.oldestXid = oldestXid
    if (xidPrecedes(state.oldestClogXid, oldestXid)) state.oldestClogXid = oldestXid
    if (multiPrecedes(state.oldestMulti, oldestMulti)) state.oldestMulti = oldestMulti
  }

  /** A server started here: transactions that were open before are dead, except prepared ones. StartupXLOG (xlog.c) trims the SLRUs. */
  private serverStarted(): void {
    this.state.unresolvedFrom = { ...this.state.nextXid }
    this.trim()
  }

  /** checkTimeLineSwitch (xlogrecovery.c): a timeline number grows, and the record names the timeline that it left. */
  private switchTimeline(to: number, from: number): void {
    const { state } = this
    if (to === state.timeline) return
    if (from !== state.timeline || to < from) throw corrupt(`a switch from timeline ${from} to ${to} on timeline ${state.timeline}`)
    state.timeline = to
  }

  /**
   * standby_redo (standby.c), of which RUNNING_XACTS matters: no transaction older than its oldest one runs, so what an earlier crash left
   * open is dead.
   */
  private applyStandby(record: WalRecord): void {
    const { op } = record
    if (op === XLOG_STANDBY_LOCK || op === XLOG_INVALIDATIONS) return
    if (op !== XLOG_RUNNING_XACTS) throw unsupported(record)
    const { oldestRunningXid } = decodeRunningXacts(record)
    const { nextXid, unresolvedFrom } = this.state
    const oldest = xidPrecedes(oldestRunningXid, nextXid.low) ? widenXid(oldestRunningXid, nextXid) : nextXid
    if (oldest.epoch > unresolvedFrom.epoch || (oldest.epoch === unresolvedFrom.epoch && oldest.low > unresolvedFrom.low)) {
      this.state.unresolvedFrom = { ...oldest }
    }
  }

  /** replorigin_redo (origin.c). */
  private applyOrigin(record: WalRecord): void {
    const { origins } = this.state
    if (origins === undefined) return
    if (record.op === XLOG_REPLORIGIN_SET) {
      const { node, remoteLsn, force } = decodeReplOriginSet(record)
      advanceOrigin(origins, node, remoteLsn, force)
    } else if (record.op === XLOG_REPLORIGIN_DROP) dropOrigin(origins, decodeReplOriginDrop(record))
    else throw unsupported(record)
  }

  /** The transaction came from another server. */
  private advanceOrigin(node: number, remoteLsn: string): void {
    if (this.state.origins !== undefined) advanceOrigin(this.state.origins, node, remoteLsn)
  }

  /** AdvanceNextFullTransactionIdPastXid (varsup.c): no record says that an xid was assigned, except the first one that uses it. */
  private advancePast(xid: Xid): void {
    const { nextXid } = this.state
    if (xid < FIRST_NORMAL_XID || ((xid - nextXid.low) | 0) < 0) return
    const next = xid === 0xffffffff ? FIRST_NORMAL_XID : xid + 1
    if (next < nextXid.low) nextXid.epoch++
    nextXid.low = next
  }

  /** MultiXactAdvanceNextMXact (multixact.c). */
  private advanceMulti(multi: number, memberOffset: number): void {
    const { state } = this
    if (multiPrecedes(state.nextMulti, multi)) state.nextMulti = multi
    if (multiPrecedes(state.nextMultiOffset, memberOffset)) state.nextMultiOffset = memberOffset
  }

  private epochOf(xid: Xid): number {
    return xidEpoch(xid, this.state.nextXid.low, this.state.nextXid.epoch)
  }

  /**
   * A page exists before a record changes it, since ZEROPAGE creates it. A base backup may miss a page that was truncated during the backup: the WAL
   * up to its end must then have that truncation.
   */
  private pageToChange(store: SlruStore, n: number): Uint8Array {
    if (store.page(n) === undefined) {
      const name = `${this.nameOf(store)} ${n}`
      if (this.state.consistent) throw new CorruptionError('xact.missing-page', `the WAL changes a page that is missing: ${name}`)
      this.state.missingPages.push(name)
    }
    return store.change(n)
  }

  private nameOf(store: SlruStore): string {
    return store === this.store.clog ? 'clog' : store === this.store.multiOffsets ? 'multixact offsets' : 'multixact members'
  }

  private explainMissing(name: string, isGone: (page: number) => boolean): void {
    const { state } = this
    if (state.missingPages.length === 0) return
    state.missingPages = state.missingPages.filter((page) => !(page.startsWith(name) && isGone(Number(page.slice(name.length + 1)))))
  }
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('xact.log', reason)
}

function unsupported({ rmgr, info }: WalRecord): UnsupportedError {
  return new UnsupportedError('xact.opcode', `an unknown record of resource manager ${rmgr}, info 0x${info.toString(16)}`)
}
