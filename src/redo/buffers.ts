import { CorruptionError } from '../common/errors.ts'
import type { BlockNumber, WalPosition } from '../common/ids.ts'
import type { RelFileLocator } from '../common/rel.ts'
import { checkPageChecksum } from '../page/checksum.ts'
import { checkPageHeader, isZeroPage } from '../page/header.ts'
import { isNewPage, pageLsn, pageSpecial, setPageLsn } from '../page/heappage.ts'
import { isIndexArea } from '../page/specialarea.ts'
import { restoreImage } from '../wal/blockimage.ts'
import { MAIN_FORK } from '../common/relpath.ts'
import type { BlockReference, WalRecord } from '../wal/record.ts'
import { type InvalidPage, InvalidPages } from './invalidpages.ts'
import { Relations } from './relations.ts'
import type { RedoPage, RedoStore } from './store.ts'

/** What redo has to do with a block of a record: XLogRedoAction (xlogutils.h). The page is older than the record, which must change it. */
export const BLK_NEEDS_REDO = 0
/** pd_lsn is the record's end or later: the page was written after this record, so its change is in the page already. */
const BLK_DONE = 1
/** The page is now the record's full-page image, which contains the change. */
const BLK_RESTORED = 2
/** The block is past the end of its fork or all zero. A later truncate or drop of the relation must explain that. */
export const BLK_NOTFOUND = 3
export type RedoAction = typeof BLK_NEEDS_REDO | typeof BLK_DONE | typeof BLK_RESTORED | typeof BLK_NOTFOUND

/** InvalidBlockNumber (block.h): no page of a relation has this number. */
const INVALID_BLOCK_NUMBER = 0xffffffff

/** An observer reads row versions before redo removes them. Redo leaves out a call whose method the observer does not have. */
export interface RedoObserver {
  /**
   * The page of a main fork is about to lose row versions or to be replaced as a whole: a prune, vacuum or freeze record, an image,
   * or an INIT record on a page that has content. The page is as it was before the record.
   */
  beforeRemove?(page: RedoPage, block: BlockReference, record: WalRecord): void
  /**
   * As {@link beforeRemove}, for a page that is damaged or torn, so that its tuples are not known.
   */
  beforeDamagedIsReplaced?(block: BlockReference): void
  /**
   * A main fork is about to be truncated or dropped.
   * @returns a function that gets each page of the blocks to be removed, as it is before the record; a page is valid during the call only.
   *   Undefined: the observer does not want to see them
   */
  beforeCut?(locator: RelFileLocator, record: WalRecord): ((page: RedoPage, block: BlockNumber) => void) | undefined
  /** The record is applied: the pages that {@link beforeRemove} got now have the content that the record gave them. */
  afterRecord?(record: WalRecord): void
  /** From this record on all pages of the cluster belong to one LSN. */
  reachedConsistency?(): void
}

/** Gets the pages that a record changes, by the rules of XLogReadBufferForRedoExtended (xlogutils.c): images, LSN interlock, missing pages. */
export class RedoBuffers {
  readonly relations: Relations
  readonly invalid: InvalidPages
  /** The page that the last {@link read}, {@link init} or {@link readOrZero} found. A call that answers BLK_NOTFOUND leaves it unchanged. */
  page!: RedoPage
  /** The block that was asked for last. An error that happens now is reported with it. */
  block: BlockReference | undefined = undefined
  readonly observer: RedoObserver
  /** End of the record that is being applied (XLogReaderState.EndRecPtr): the LSN that redo gives to the pages it changes. */
  private lsn: WalPosition = 0

  private readonly checksums: boolean

  constructor(store: RedoStore, observer: RedoObserver, invalid: readonly InvalidPage[], checksums: boolean) {
    this.checksums = checksums
    this.invalid = new InvalidPages(invalid)
    this.relations = new Relations(store)
    this.observer = observer
  }

  begin(record: WalRecord): void {
    this.lsn = record.endLsn
    this.block = undefined
  }

  /** XLogReadBufferForRedo (xlogutils.c) with RBM_NORMAL: finds the block and puts it into {@link page}. */
  read(record: WalRecord, block: BlockReference): RedoAction {
    this.block = block
    // Postgres panics here too: a redo function that does not rewrite the whole page would keep bytes that the primary's page does not have.
    if (block.willInit) throw new CorruptionError('redo.block', 'the record has BKPBLOCK_WILL_INIT, but its type does not initialise the page')
    const fork = this.fork(block)
    // The image replaces the page even if the page's LSN is newer: a crash may have torn the page, while a CRC covers the record. The WAL that
    // follows repeats the later changes.
    if (block.applyImage) return this.restore(record, block)
    const page = fork.page(block.block)
    // A page that was read from disk is checked before its LSN is believed: a damaged pd_lsn would decide that the change is done.
    if (page?.unverified === true) this.verify(page, block.block)
    // A missing or zero block means that the relation was truncated or dropped after this record and before the copy (log_invalid_page).
    if (page === undefined || isNewPage(page)) {
      this.invalid.add(block, block.fork, block.block, page !== undefined, record.startLsn)
      return BLK_NOTFOUND
    }
    this.page = page
    // The LSN interlock: each change moves pd_lsn, so a page whose LSN is not older has this change and must not get it twice.
    return this.lsn <= pageLsn(page) ? BLK_DONE : BLK_NEEDS_REDO
  }

  /**
   * As {@link read} with RBM_ZERO_ON_ERROR, for pages of the visibility map: a block that is not there is added to the fork, and a zero or
   * damaged page is taken as zeros. The map holds hints that VACUUM sets again, so a lost bit costs time and never correctness.
   */
  readOrZero(record: WalRecord, block: BlockReference): RedoAction {
    this.block = block
    const fork = this.fork(block)
    if (block.applyImage) return this.restore(record, block)
    this.page = fork.page(block.block) ?? fork.extend(block.block)
    this.zeroOnError(this.page, block.block)
    return this.lsn <= pageLsn(this.page) ? BLK_DONE : BLK_NEEDS_REDO
  }

  /**
   * XLogInitBufferForRedo (xlogutils.c): gets the block for a record that rewrites all of it, so its LSN does not matter. The old bytes are still
   * in {@link page}; the caller overwrites them with initPage.
   */
  init(record: WalRecord, block: BlockReference): void {
    this.block = block
    // The flag tells readers of the WAL which records need no older page. Postgres panics if the flag and the redo function disagree.
    if (!block.willInit) throw new CorruptionError('redo.block', 'the record initialises the page without BKPBLOCK_WILL_INIT')
    if (block.applyImage) throw new CorruptionError('redo.block', 'the record initialises the page and has a full-page image to apply')
    this.page = this.take(record, block)
  }

  /**
   * Puts the record's image in place of the page.
   * @returns always BLK_RESTORED
   */
  restore(record: WalRecord, block: BlockReference): RedoAction {
    this.block = block
    const page = this.take(record, block)
    page.dirty = true
    restoreImage(record, block, page.bytes)
    // An image may be an all-zero page. An LSN in it would make it a page with a damaged header (XLogReadBufferForRedoExtended).
    if (!isNewPage(page)) setPageLsn(page, this.lsn)
    this.page = page
    return BLK_RESTORED
  }

  /** PageSetLSN and MarkBufferDirty: every redo function ends with both for the page that it changed. */
  changed(): void {
    setPageLsn(this.page, this.lsn)
    this.page.dirty = true
  }

  /** Calls the observer if {@link page} may lose row versions. */
  beforeRemove(record: WalRecord, block: BlockReference): void {
    if (this.observer.beforeRemove !== undefined && block.fork === MAIN_FORK) this.observer.beforeRemove(this.page, block, record)
  }

  /** RBM_ZERO_ON_ERROR (bufmgr.h): a page of the visibility map whose header or checksum is wrong becomes zeros. */
  zeroOnError(page: RedoPage, block: BlockNumber): void {
    if (page.unverified !== true) return
    if (!this.isValid(page, block)) page.bytes.fill(0)
    page.unverified = false
  }

  /**
   * PageIsVerifiedExtended (bufpage.c; PageIsVerified since 18): redo must not give a damaged page an LSN, and with it a checksum that hides
   * the damage.
   */
  private verify(page: RedoPage, block: BlockNumber): void {
    if (!isZeroPage(page.bytes)) {
      checkPageHeader(page.bytes)
      if (this.checksums) checkPageChecksum(page.bytes, block)
    }
    page.unverified = false
  }

  private isValid(page: RedoPage, block: BlockNumber): boolean {
    try {
      this.verify(page, block)
      return true
    } catch (error) {
      if (error instanceof CorruptionError) return false
      throw error
    }
  }

  /** @throws CorruptionError redo.block for InvalidBlockNumber, and for a relation whose pages the store does not keep (an index) */
  private fork(block: BlockReference): NonNullable<ReturnType<Relations['fork']>> {
    if (block.block === INVALID_BLOCK_NUMBER) throw new CorruptionError('redo.block', 'no block can have this number (InvalidBlockNumber)')
    const fork = this.relations.fork(block, block.fork)
    if (fork === undefined) throw new CorruptionError('redo.block', 'a heap record for a relation that was an index')
    return fork
  }

  /** The page that an image or an INIT record is about to replace (RBM_ZERO_AND_LOCK). The observer sees it first. */
  private take(record: WalRecord, block: BlockReference): RedoPage {
    const fork = this.fork(block)
    const page = fork.page(block.block)
    if (page === undefined) return fork.extend(block.block)
    if (this.observer.beforeRemove !== undefined && block.fork === MAIN_FORK) {
      // The record does not need the old page, so a torn one is no error. Its row versions cannot be read, and the observer is told that.
      if (page.unverified === true && !this.isValid(page, block.block)) this.observer.beforeDamagedIsReplaced?.(block)
      else if (!isNewPage(page)) this.observer.beforeRemove(page, block, record)
    }
    page.unverified = false
    return page
  }
}

/** Whether the page has the special area of an index (see page/specialarea.ts). A zero page says nothing about its relation. */
export function isIndexPage(page: RedoPage, block: BlockNumber): boolean {
  return !isNewPage(page) && isIndexArea(page.bytes, pageSpecial(page), block)
}
