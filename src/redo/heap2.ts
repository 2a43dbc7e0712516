import { UnsupportedError } from '../common/errors.ts'
import { FROZEN_XID, INVALID_XID } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import {
  clearAllVisible, normalItem, redirectItems, releaseItems, repairFragmentation, setAllVisible, truncateLinePointers,
} from '../page/heappage.ts'
import { LP_DEAD, LP_UNUSED } from '../page/linepointer.ts'
import { HEAP_MOVED_IN, HEAP_MOVED_OFF } from '../tuple/infomask.ts'
import {
  corruptHeapRecord, heapBlock, HeapDelete, XLH_INSERT_ALL_FROZEN_SET, XLH_INSERT_ALL_VISIBLE_CLEARED,
  XLH_LOCK_ALL_FROZEN_CLEARED, XLOG_HEAP_OPMASK,
} from '../wal/heap.ts'
import {
  decodeHeapNewCid, decodeHeapRewrite, HeapMultiInsert, HeapVisible, VISIBILITYMAP_ALL_FROZEN, VISIBILITYMAP_VALID_BITS,
  XLOG_HEAP2_FREEZE_PAGE, XLOG_HEAP2_LOCK_UPDATED, XLOG_HEAP2_MULTI_INSERT, XLOG_HEAP2_NEW_CID, XLOG_HEAP2_PRUNE, XLOG_HEAP2_REWRITE,
  XLOG_HEAP2_VACUUM, XLOG_HEAP2_VISIBLE,
} from '../wal/heap2.ts'
import { HeapPrune, XLH_FREEZE_XVAC, XLH_INVALID_XVAC, XLHP_CLEANUP_LOCK } from '../wal/heapprune.ts'
import { MAIN_FORK, VISIBILITYMAP_FORK } from '../common/relpath.ts'
import type { WalRecord } from '../wal/record.ts'
import { BLK_NEEDS_REDO, type RedoBuffers } from './buffers.ts'
import { BLKREF_VM, type HeapRedo } from './heap.ts'
import type { RedoPage } from './store.ts'
import { replaceXmaxBits, setInfomasks, setXmax, setXvac, tupleInfomask } from './tuplechange.ts'
import type { VisibilityMapRedo } from './visibilitymap.ts'

/** RM_HEAP2_ID: heap2_redo. The C functions named here are in heapam_xlog.c since 18, before in heapam.c. */
export class Heap2Redo {
  /** Whether VISIBLE moves the LSN of the heap page (XLogHintBitIsNeeded): with data checksums or wal_log_hints. */
  hintsAreLogged: boolean
  private readonly buffers: RedoBuffers
  private readonly visibilityMap: VisibilityMapRedo
  private readonly heap: HeapRedo
  private readonly major: PgMajor
  private readonly insertion = new HeapMultiInsert()
  private readonly heapVisible = new HeapVisible()
  private readonly pruning = new HeapPrune()
  private readonly locking = new HeapDelete()

  constructor(buffers: RedoBuffers, visibilityMap: VisibilityMapRedo, heap: HeapRedo, major: PgMajor, hintsAreLogged: boolean) {
    this.buffers = buffers
    this.visibilityMap = visibilityMap
    this.heap = heap
    this.major = major
    this.hintsAreLogged = hintsAreLogged
  }

  apply(record: WalRecord): void {
    switch (record.info & XLOG_HEAP_OPMASK) {
      case XLOG_HEAP2_PRUNE:
      case XLOG_HEAP2_VACUUM:
      case XLOG_HEAP2_FREEZE_PAGE: return this.prune(record)
      case XLOG_HEAP2_VISIBLE: return this.visible(record)
      case XLOG_HEAP2_MULTI_INSERT: return this.multiInsert(record)
      case XLOG_HEAP2_LOCK_UPDATED: return this.lockUpdated(record)
      // Both are for logical decoding: combo command ids, and mapping files in pg_logical. No page of a relation changes.
      case XLOG_HEAP2_NEW_CID: return void decodeHeapNewCid(record)
      case XLOG_HEAP2_REWRITE: return void decodeHeapRewrite(record)
      default: throw new UnsupportedError('redo.heap2', `unknown heap record, info 0x${record.info.toString(16)}`)
    }
  }

  /** heap_xlog_multi_insert: COPY, and a batch of catalog rows. */
  private multiInsert(record: WalRecord): void {
    const { buffers, insertion } = this
    insertion.read(record)
    const block = heapBlock(record)
    const { flags } = insertion
    if (flags & XLH_INSERT_ALL_VISIBLE_CLEARED) this.visibilityMap.clear(record, block, BLKREF_VM, VISIBILITYMAP_VALID_BITS)
    if (this.heap.readOrInit(record, block) !== BLK_NEEDS_REDO) return
    while (insertion.next(record)) this.heap.addTuple(record, block, insertion.offset, insertion.headerStart, insertion.dataLength)
    // The two flags exclude each other: COPY FREEZE makes the page all-visible, any other insertion ends that.
    if (flags & XLH_INSERT_ALL_VISIBLE_CLEARED) clearAllVisible(buffers.page)
    if (flags & XLH_INSERT_ALL_FROZEN_SET) setAllVisible(buffers.page)
    buffers.changed()
  }

  /**
   * heap_xlog_lock_updated: locks a version that was updated already, to lock all later versions of a row. It differs from LOCK: t_ctid
   * and HEAP_HOT_UPDATED stay, since the next version exists, and the command id stays, too.
   */
  private lockUpdated(record: WalRecord): void {
    const { buffers, locking } = this
    locking.readLock(record)
    const block = heapBlock(record)
    if (locking.flags & XLH_LOCK_ALL_FROZEN_CLEARED) this.visibilityMap.clear(record, block, BLKREF_VM, VISIBILITYMAP_ALL_FROZEN)
    if (buffers.read(record, block) !== BLK_NEEDS_REDO) return
    const start = normalItem(buffers.page, locking.offset) & 0x7fff
    replaceXmaxBits(buffers.page, start, locking.infobits, 0xffff, 0)
    setXmax(buffers.page, start, locking.xmax)
    buffers.changed()
  }

  /** heap_xlog_visible: VACUUM found that every row of the heap page is visible to all. Block 0 is the map's page, block 1 the heap page. */
  private visible(record: WalRecord): void {
    const { buffers, heapVisible } = this
    heapVisible.read(record, this.major)
    const map = heapBlock(record)
    const heap = record.block(1)
    if (map.fork !== VISIBILITYMAP_FORK || heap === undefined || heap.fork !== MAIN_FORK) throw corruptHeapRecord(record, 'not a map page and a heap page')
    if (buffers.read(record, heap) === BLK_NEEDS_REDO) {
      setAllVisible(buffers.page)
      // Without checksums and wal_log_hints the primary leaves pd_lsn alone here (XLogHintBitIsNeeded), because the record has no image of the
      // heap page then. With either the flag change is logged like any other, and a torn page would fail its checksum.
      if (this.hintsAreLogged) buffers.changed()
      else buffers.page.dirty = true
    }
    // The map is set even if the heap page is newer: a record that clears the bit again does so whatever the page's LSN is.
    this.visibilityMap.set(record, map, heap.block, heapVisible.flags & VISIBILITYMAP_VALID_BITS)
  }

  /**
   * Until 16 heap_xlog_prune, heap_xlog_vacuum and heap_xlog_freeze_page, since 17 heap_xlog_prune_freeze. HeapPrune reads all four alike. The page's
   * pd_prune_xid stays as it is: it is a hint, and its worst effect is one prune too many.
   */
  private prune(record: WalRecord): void {
    const { buffers, pruning } = this
    pruning.read(record, this.major)
    const block = heapBlock(record)
    if (buffers.read(record, block) !== BLK_NEEDS_REDO) return
    // The lists are block data, which only a full-page image replaces. An image was applied above, so this page needs them.
    if (!pruning.hasLists) throw corruptHeapRecord(record, 'a prune record without its lists of line pointers')
    buffers.beforeRemove(record, block)
    const { page } = buffers
    if (pruning.redirectedCount + pruning.deadCount + pruning.unusedCount > 0) this.setLinePointers(record, page)
    this.freeze(record, page)
    buffers.changed()
  }

  /** heap_page_prune_execute (pruneheap.c). The order is redirect, dead, unused, as there. */
  private setLinePointers({ view }: WalRecord, page: RedoPage): void {
    const { pruning } = this
    if (pruning.redirectedCount > 0) redirectItems(page, view, pruning.redirectedStart, pruning.redirectedCount)
    if (pruning.deadCount > 0) releaseItems(page, LP_DEAD, view, pruning.deadStart, pruning.deadCount)
    if (pruning.unusedCount > 0) releaseItems(page, LP_UNUSED, view, pruning.unusedStart, pruning.unusedCount)
    // With a cleanup lock no other backend has a pointer into the page, so tuples may move. VACUUM's second pass holds an ordinary lock, and turns
    // only dead line pointers into unused ones: then the array of line pointers is shortened and no tuple moves. PageRepairFragmentation shortens
    // that array since 15; 14 leaves unused line pointers at the end.
    if (pruning.flags & XLHP_CLEANUP_LOCK) repairFragmentation(page, this.major >= 15)
    else truncateLinePointers(page)
  }

  /**
   * heap_execute_freeze_tuple (heapam.c; heapam.h since 18): the infomasks say that xmin is frozen. The bytes of xmin stay (since 9.4), so that
   * one can still see who inserted the row. A plan has the final infomasks: redo sets them and computes nothing.
   */
  private freeze(record: WalRecord, page: RedoPage): void {
    const { pruning } = this
    let tuple = 0
    for (let plan = 0; plan < pruning.planCount; plan++) {
      const xmax = pruning.planXmax(record, plan)
      const infomask2 = pruning.planInfomask2(record, plan)
      const infomask = pruning.planInfomask(record, plan)
      const frzflags = pruning.planFrzflags(record, plan)
      for (let left = pruning.planTuples(record, plan); left > 0; left--) {
        const start = normalItem(page, pruning.freezeOffset(record, tuple++)) & 0x7fff
        setXmax(page, start, xmax)
        this.freezeXvac(page, start, frzflags)
        setInfomasks(page, start, infomask, infomask2)
      }
    }
  }

  /** Tuples that VACUUM FULL of 8.4 or older moved: their xvac becomes FrozenTransactionId or invalid. */
  private freezeXvac(page: RedoPage, start: number, frzflags: number): void {
    if ((frzflags & (XLH_FREEZE_XVAC | XLH_INVALID_XVAC)) === 0) return
    if ((tupleInfomask(page, start) & (HEAP_MOVED_OFF | HEAP_MOVED_IN)) === 0) return
    setXvac(page, start, frzflags & XLH_INVALID_XVAC ? INVALID_XID : FROZEN_XID)
  }
}
