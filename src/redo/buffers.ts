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

/** What is to be done with a block (XLogRedoAction, xlogutils.h). */
export const BLK_NEEDS_REDO = 0
/** The page is newer already. */
const BLK_DONE = 1
/** The page is now the record's image. */
const BLK_RESTORED = 2
/** There is no such page, which a later truncate or drop must explain. */
const BLK_NOTFOUND = 3
export type RedoAction = typeof BLK_NEEDS_REDO | typeof BLK_DONE | typeof BLK_RESTORED | typeof BLK_NOTFOUND

const INVALID_BLOCK_NUMBER = 0xffffffff

/** Looks on while pages change: what reads row versions that are about to vanish. Nothing is called when absent. */
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
   * A main fork is about to be cut or dropped.
   * @returns undefined, or who sees the pages that go, as they are before the record; each is valid during the call only
   */
  beforeCut?(locator: RelFileLocator, record: WalRecord): ((page: RedoPage, block: BlockNumber) => void) | undefined
  /** The record is applied: the pages of its {@link beforeRemove} are as it leaves them. */
  afterRecord?(record: WalRecord): void
  /** The pages are those of one LSN from here on. */
  reachedConsistency?(): void
}

/** Pages for the record at hand, by the rules of XLogReadBufferForRedo: image, LSN interlock, missing pages. */
export class RedoBuffers {
  readonly relations: Relations
  readonly invalid: InvalidPages
  /** Page of the last {@link read}, {@link init} or {@link readOrZero}; that of an earlier one if the answer was BLK_NOTFOUND. */
  page!: RedoPage
  /** The block asked for last: where an error happened. */
  block: BlockReference | undefined = undefined
  readonly observer: RedoObserver
  /** End of the record at hand. */
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

  /** The block with its content, in {@link page}. */
  read(record: WalRecord, block: BlockReference): RedoAction {
    this.block = block
    if (block.willInit) throw new CorruptionError('redo.block', 'the record has BKPBLOCK_WILL_INIT, but its type does not initialise the page')
    const fork = this.fork(block)
    if (block.applyImage) return this.restore(record, block)
    const page = fork.page(block.block)
    if (page?.unverified === true) this.verify(page, block.block)
    if (page === undefined || isNewPage(page)) {
      this.invalid.add(block, block.fork, block.block, page !== undefined, record.startLsn)
      return BLK_NOTFOUND
    }
    this.page = page
    return this.lsn <= pageLsn(page) ? BLK_DONE : BLK_NEEDS_REDO
  }

  /** As {@link read}, but the fork is extended if the block is not there, and a zero page is as good as any (RBM_ZERO_ON_ERROR). */
  readOrZero(record: WalRecord, block: BlockReference): RedoAction {
    this.block = block
    const fork = this.fork(block)
    if (block.applyImage) return this.restore(record, block)
    this.page = fork.page(block.block) ?? fork.extend(block.block)
    this.zeroOnError(this.page, block.block)
    return this.lsn <= pageLsn(this.page) ? BLK_DONE : BLK_NEEDS_REDO
  }

  /** The block, to be written from scratch whatever its LSN is; its bytes are as they were. */
  init(record: WalRecord, block: BlockReference): void {
    this.block = block
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
    // A page without content has no LSN either.
    if (!isNewPage(page)) setPageLsn(page, this.lsn)
    this.page = page
    return BLK_RESTORED
  }

  /** {@link page} was changed by the record. */
  changed(): void {
    setPageLsn(this.page, this.lsn)
    this.page.dirty = true
  }

  /** Calls the observer if {@link page} may lose row versions. */
  beforeRemove(record: WalRecord, block: BlockReference): void {
    if (this.observer.beforeRemove !== undefined && block.fork === MAIN_FORK) this.observer.beforeRemove(this.page, block, record)
  }

  /** RBM_ZERO_ON_ERROR: a page of the visibility map that is damaged becomes zeros. */
  zeroOnError(page: RedoPage, block: BlockNumber): void {
    if (page.unverified !== true) return
    if (!this.isValid(page, block)) page.bytes.fill(0)
    page.unverified = false
  }

  /** PageIsVerified (bufpage.c): redo must not give a damaged page an LSN, and with it a checksum that hides the damage. */
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

  /** @throws CorruptionError redo.block if pages of the relation are not kept */
  private fork(block: BlockReference): NonNullable<ReturnType<Relations['fork']>> {
    if (block.block === INVALID_BLOCK_NUMBER) throw new CorruptionError('redo.block', 'no block has this number')
    const fork = this.relations.fork(block, block.fork)
    if (fork === undefined) throw new CorruptionError('redo.block', 'a heap record for a relation that was an index')
    return fork
  }

  private take(record: WalRecord, block: BlockReference): RedoPage {
    const fork = this.fork(block)
    const page = fork.page(block.block)
    if (page === undefined) return fork.extend(block.block)
    if (this.observer.beforeRemove !== undefined && block.fork === MAIN_FORK) {
      // What is replaced may be torn.
      if (page.unverified === true && !this.isValid(page, block.block)) this.observer.beforeDamagedIsReplaced?.(block)
      else if (!isNewPage(page)) this.observer.beforeRemove(page, block, record)
    }
    page.unverified = false
    return page
  }
}

/** The page is one of an index. */
export function isIndexPage(page: RedoPage, block: BlockNumber): boolean {
  return !isNewPage(page) && isIndexArea(page.bytes, pageSpecial(page), block)
}
