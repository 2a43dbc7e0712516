import { dataView } from '../common/bytes.ts'
import { type BlockNumber, formatWalPosition, INVALID_XID, type OffsetNumber, type WalPosition, type Xid } from '../common/ids.ts'
import { CorruptionError, withPosition } from '../common/errors.ts'
import { BLOCK_SIZE, type RelFileLocator } from '../common/rel.ts'
import { pageChecksum } from '../page/checksum.ts'
import { readPageHeader } from '../page/header.ts'
import { isNewPage, pageLsn } from '../page/heappage.ts'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags, lpOff } from '../page/linepointer.ts'
import type { RedoObserver } from '../redo/buffers.ts'
import type { RedoPage } from '../redo/store.ts'
import { readTupleHeader, type TupleHeader } from '../tuple/header.ts'
import { HEAP_XMAX_INVALID, HEAP_XMAX_IS_MULTI, HEAP_XMIN_COMMITTED, HEAP_XMIN_FROZEN, HEAP_XMIN_INVALID, xmaxIsLockedOnly } from '../tuple/infomask.ts'
import { decodeSmgrCreate, XLOG_SMGR_CREATE } from '../wal/smgr.ts'
import { MAIN_FORK } from '../common/relpath.ts'
import type { BlockReference, WalRecord } from '../wal/record.ts'
import { RM_SMGR_ID, RM_XACT_ID } from '../wal/rmgr.ts'
import { XLOG_XACT_COMMIT, XLOG_XACT_COMMIT_PREPARED, XLOG_XACT_OPMASK } from '../wal/xact.ts'
import { transactionOutcome } from '../xact/clog.ts'
import { MultiXacts } from '../xact/multixact.ts'
import type { TransactionStore } from '../xact/store.ts'
import type { TransactionState } from '../xact/transactionstate.ts'
import { damagedPage } from './filehistory.ts'
import { forEachTuple } from './pagetuples.ts'
import { nearestFullXid, type TransactionEnds } from './transactionends.ts'

/** A file whose row versions are followed. */
export interface FollowedFile {
  role: 'table' | 'toast' | 'attributes'
  dbOid: number
  /** 0: any tablespace. */
  spcOid: number
  relNumber: number
  /** End of the record that made it; 0 if it was there when the range began. */
  createdAt: WalPosition
  /** The record that dropped it, and how its transaction ended; undefined if it is still there. */
  dropped?: { lsn: WalPosition; time: bigint; committed: boolean }
}

/** What is known of a transaction when a row version vanishes. */
export type KnownStatus = 'open' | 'committed' | 'aborted'

/** A row version that is no longer where it was. */
export interface RemovedVersion {
  file: FollowedFile
  block: BlockNumber
  offset: OffsetNumber
  /** Full xids as numbers; deleter 0 if no transaction deletes it. */
  inserter: number
  inserterStatus: KnownStatus
  deleter: number
  deleterStatus: KnownStatus
  /** Pruned or overwritten; its block was cut off; its file was dropped. */
  how: 'removed' | 'cut' | 'dropped'
  /** End of the record that removed it. */
  lsn: WalPosition
  /** Its page may have been copied while it was written: nothing vouches for its bytes. */
  unproven: boolean
}

/** Takes what vanishes; the bytes are valid during the call only. */
export interface VersionSink {
  version(removed: RemovedVersion, bytes: Uint8Array, start: number, length: number): void
  /** A row of a TOAST relation. */
  chunk(bytes: Uint8Array, start: number, length: number): void
  /** A page of pg_attribute before rows vanish from it. */
  attributes(page: Uint8Array, mayBeTorn: boolean): void
}

export interface VersionHistoryOptions {
  files: readonly FollowedFile[]
  sink: VersionSink
  store: TransactionStore
  /** The state of transactions after the record that is being applied. */
  state: () => Readonly<TransactionState>
  ends: TransactionEnds
  checksums: boolean
}

/** A page that a record is about to change. */
interface PendingPage {
  readonly before: Uint8Array
  page: RedoPage | undefined
  file: FollowedFile | undefined
  block: BlockNumber
  unproven: boolean
}

/**
 * Hands every row version of some files to a sink at the moment it vanishes: what stays on a page is not handed over, so each version
 * comes once. If a version is seen twice (the pages of a base backup may be ahead of the WAL), the second one is the same version, later.
 */
export class VersionHistory implements RedoObserver {
  private readonly options: VersionHistoryOptions
  private readonly files = new Map<number, FollowedFile[]>()
  private readonly pending: PendingPage[] = []
  private pendingCount = 0
  private consistent = false

  constructor(options: VersionHistoryOptions) {
    this.options = options
    for (const file of options.files) this.files.set(file.relNumber, [...(this.files.get(file.relNumber) ?? []), file])
  }

  reachedConsistency(): void {
    this.consistent = true
  }

  beforeRemove(page: RedoPage, block: BlockReference, record: WalRecord): void {
    const file = this.find(block)
    // Later records of the WAL repeat the changes of a page that is ahead of this record.
    if (file === undefined || isNewPage(page) || pageLsn(page) >= record.endLsn) return
    // What a record changes and does not replace is as the WAL made it.
    const proof = block.applyImage || block.willInit ? this.proofOf(page, block.block) : 'proven'
    if (proof === 'torn') return
    if (file.role === 'attributes') return this.options.sink.attributes(page.bytes, proof === 'unknown')
    const pending = this.nextPending()
    pending.before.set(page.bytes)
    pending.page = page
    pending.file = file
    pending.block = block.block
    pending.unproven = proof === 'unknown'
  }

  /** A TOAST page that is lost shows in the values that miss it. */
  beforeDamagedIsReplaced(block: BlockReference): void {
    const role = this.find(block)?.role
    if (this.consistent && role !== undefined && role !== 'toast') throw damagedPage()
  }

  beforeCut(locator: RelFileLocator, record: WalRecord): ((page: RedoPage, block: BlockNumber) => void) | undefined {
    const file = this.find(locator)
    if (file === undefined) return undefined
    const dropped = record.rmgr === RM_XACT_ID
    if (dropped) file.dropped = this.dropOf(record)
    const how = dropped ? 'dropped' : 'cut'
    return (page, block) => {
      const proof = this.proofOf(page, block)
      if (pageLsn(page) >= record.endLsn || proof === 'torn') return
      const unproven = proof === 'unknown'
      if (file.role === 'attributes') return this.options.sink.attributes(page.bytes, unproven)
      forEachTuple(page.bytes, unproven, (start, length, offset) =>
        this.emit(file, page.bytes, start, length, block, offset, how, record.endLsn, unproven))
    }
  }

  afterRecord(record: WalRecord): void {
    this.noteXid(record)
    if (record.rmgr === RM_SMGR_ID && record.op === XLOG_SMGR_CREATE) this.noteCreation(record)
    for (let i = 0; i < this.pendingCount; i++) this.compare(this.pending[i]!, record)
    this.pendingCount = 0
  }

  private find({ spcOid, dbOid, relNumber }: RelFileLocator): FollowedFile | undefined {
    const files = this.files.get(relNumber)
    if (files === undefined) return undefined
    return files.find((file) => file.dbOid === dbOid && (file.spcOid === 0 || file.spcOid === spcOid))
  }

  /**
   * A page from a copy that is not yet consistent may be torn; a checksum tells. A dirty one is of the WAL's making.
   * @throws CorruptionError history.page
   */
  private proofOf({ bytes, dirty }: RedoPage, block: BlockNumber): 'proven' | 'torn' | 'unknown' {
    if (dirty) return 'proven'
    if (!this.options.checksums) return this.consistent ? 'proven' : 'unknown'
    if (readPageHeader(dataView(bytes)).checksum === pageChecksum(bytes, block)) return 'proven'
    if (this.consistent) throw damagedPage()
    return 'torn'
  }

  private dropOf(record: WalRecord): NonNullable<FollowedFile['dropped']> {
    const op = record.info & XLOG_XACT_OPMASK
    const { ends } = this.options
    return { lsn: record.endLsn, time: ends.lastTime, committed: op === XLOG_XACT_COMMIT || op === XLOG_XACT_COMMIT_PREPARED }
  }

  private nextPending(): PendingPage {
    const known = this.pending[this.pendingCount++]
    if (known !== undefined) return known
    const made: PendingPage = { before: new Uint8Array(BLOCK_SIZE), page: undefined, file: undefined, block: 0, unproven: false }
    this.pending.push(made)
    return made
  }

  /** The transactions that change the table or its columns. */
  private noteXid(record: WalRecord): void {
    if (record.xid === INVALID_XID) return
    for (let i = 0; i < record.blockCount; i++) {
      const block = record.blocks[i]!
      if (block.fork !== MAIN_FORK) continue
      const role = this.find(block)?.role
      if (role !== 'table' && role !== 'attributes') continue
      this.options.ends.want(nearestFullXid(record.xid, this.options.state().nextXid))
      return
    }
  }

  private noteCreation(record: WalRecord): void {
    const { locator, fork } = decodeSmgrCreate(record)
    const file = fork === MAIN_FORK ? this.find(locator) : undefined
    if (file !== undefined && file.createdAt === 0) file.createdAt = record.endLsn
  }

  private compare({ before, page, file, block, unproven }: PendingPage, record: WalRecord): void {
    const after = page!.bytes
    const count = isNewPage(page!) ? 0 : linePointerCount(after)
    const where = { relation: `${file!.dbOid}/${file!.relNumber}`, block, lsn: formatWalPosition(record.startLsn) }
    withPosition(where, () => forEachTuple(before, unproven, (start, length, offset) => {
      const word = offset <= count ? linePointer(after, offset) : 0
      if (lpFlags(word) === LP_NORMAL) {
        const { xmin } = readTupleHeader(after, lpOff(word))
        // xmin 0: an insertion that is taken back, the same version.
        if (xmin === readTupleHeader(before, start).xmin || xmin === INVALID_XID) return
      }
      this.emit(file!, before, start, length, block, offset, 'removed', record.endLsn, unproven)
    }))
  }

  private emit(
    file: FollowedFile, bytes: Uint8Array, start: number, length: number, block: BlockNumber, offset: OffsetNumber,
    how: RemovedVersion['how'], lsn: WalPosition, unproven: boolean,
  ): void {
    const { sink, state } = this.options
    if (file.role === 'toast') return sink.chunk(bytes, start, length)
    const header = readTupleHeader(bytes, start)
    const { nextXid } = state()
    const deleter = this.deleterOf(header)
    sink.version({
      file, block, offset, how, lsn, unproven,
      inserter: nearestFullXid(header.xmin, nextXid), inserterStatus: this.inserterStatus(header),
      deleter: deleter === INVALID_XID ? 0 : nearestFullXid(deleter, nextXid),
      deleterStatus: deleter === INVALID_XID ? 'open' : this.status(deleter),
    }, bytes, start, length)
  }

  private inserterStatus({ xmin, infomask }: TupleHeader): KnownStatus {
    const hint = infomask & HEAP_XMIN_FROZEN
    // COPY FREEZE freezes rows of a transaction that may fail yet: its end, if it is known, goes first.
    if (hint === HEAP_XMIN_FROZEN) return 'committed'
    if (hint === HEAP_XMIN_INVALID) return 'aborted'
    const status = this.status(xmin)
    return status === 'open' && hint === HEAP_XMIN_COMMITTED ? 'committed' : status
  }

  private deleterOf({ xmax, infomask }: TupleHeader): Xid {
    if (xmax === INVALID_XID || (infomask & HEAP_XMAX_INVALID) !== 0 || xmaxIsLockedOnly(infomask)) return INVALID_XID
    if ((infomask & HEAP_XMAX_IS_MULTI) === 0) return xmax
    const { store, state } = this.options
    const { oldestMulti, nextMulti, nextMultiOffset } = state()
    return new MultiXacts({ offsets: store.multiOffsets, members: store.multiMembers, oldestMulti, nextMulti, nextMultiOffset }).updater(xmax)
  }

  /** What CLOG says now: later it may be truncated. */
  private status(xid: Xid): KnownStatus {
    try {
      return transactionOutcome(this.options.store.clog, xid)
    } catch (error) {
      if (error instanceof CorruptionError) return 'open'
      throw error
    }
  }
}
