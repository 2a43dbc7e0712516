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
import type { VisibilityMap } from './visibilitymap.ts'

/** RM_HEAP2_ID: heap2_redo (heapam_xlog.c). */
export class Heap2Redo {
  /** Whether VISIBLE moves the LSN of the heap page (XLogHintBitIsNeeded): with data checksums or wal_log_hints. */
  hintsAreLogged: boolean
  private readonly buffers: RedoBuffers
  private readonly map: VisibilityMap
  private readonly heap: HeapRedo
  private readonly major: PgMajor
  private readonly insertion = new HeapMultiInsert()
  private readonly visibility = new HeapVisible()
  private readonly pruning = new HeapPrune()
  private readonly locking = new HeapDelete()

  constructor(buffers: RedoBuffers, map: VisibilityMap, heap: HeapRedo, major: PgMajor, hintsAreLogged: boolean) {
    this.buffers = buffers
    this.map = map
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
      // For logical decoding: files and facts that no page shows.
      case XLOG_HEAP2_NEW_CID: return void decodeHeapNewCid(record)
      case XLOG_HEAP2_REWRITE: return void decodeHeapRewrite(record)
      default: throw new UnsupportedError('redo.heap2', `unknown heap record, info 0x${record.info.toString(16)}`)
    }
  }

  private multiInsert(record: WalRecord): void {
    const { buffers, insertion } = this
    insertion.read(record)
    const block = heapBlock(record)
    const { flags } = insertion
    if (flags & XLH_INSERT_ALL_VISIBLE_CLEARED) this.map.clear(record, block, BLKREF_VM, VISIBILITYMAP_VALID_BITS)
    if (this.heap.readOrInit(record, block) !== BLK_NEEDS_REDO) return
    while (insertion.next(record)) this.heap.addTuple(record, block, insertion.offset, insertion.headerStart, insertion.dataLength)
    if (flags & XLH_INSERT_ALL_VISIBLE_CLEARED) clearAllVisible(buffers.page)
    if (flags & XLH_INSERT_ALL_FROZEN_SET) setAllVisible(buffers.page)
    buffers.changed()
  }

  /** As LOCK, but the version is one that was updated already: its ctid goes on pointing to the next, and its command id stays. */
  private lockUpdated(record: WalRecord): void {
    const { buffers, locking } = this
    locking.readLock(record)
    const block = heapBlock(record)
    if (locking.flags & XLH_LOCK_ALL_FROZEN_CLEARED) this.map.clear(record, block, BLKREF_VM, VISIBILITYMAP_ALL_FROZEN)
    if (buffers.read(record, block) !== BLK_NEEDS_REDO) return
    const start = normalItem(buffers.page, locking.offset) & 0x7fff
    replaceXmaxBits(buffers.page, start, locking.infobits, 0xffff, 0)
    setXmax(buffers.page, start, locking.xmax)
    buffers.changed()
  }

  private visible(record: WalRecord): void {
    const { buffers, visibility } = this
    visibility.read(record, this.major)
    const map = heapBlock(record)
    const heap = record.block(1)
    if (map.fork !== VISIBILITYMAP_FORK || heap === undefined || heap.fork !== MAIN_FORK) throw corruptHeapRecord(record, 'not a map page and a heap page')
    if (buffers.read(record, heap) === BLK_NEEDS_REDO) {
      setAllVisible(buffers.page)
      if (this.hintsAreLogged) buffers.changed()
      else buffers.page.dirty = true
    }
    this.map.set(record, map, heap.block, visibility.flags & VISIBILITYMAP_VALID_BITS)
  }

  private prune(record: WalRecord): void {
    const { buffers, pruning } = this
    pruning.read(record, this.major)
    const block = heapBlock(record)
    if (buffers.read(record, block) !== BLK_NEEDS_REDO) return
    if (!pruning.hasLists) throw corruptHeapRecord(record, 'a page to prune, and nothing about it')
    buffers.beforeRemove(record, block)
    const { page } = buffers
    if (pruning.redirectedCount + pruning.deadCount + pruning.unusedCount > 0) this.setLinePointers(record, page)
    this.freeze(record, page)
    buffers.changed()
  }

  /** heap_page_prune_execute. */
  private setLinePointers({ view }: WalRecord, page: RedoPage): void {
    const { pruning } = this
    if (pruning.redirectedCount > 0) redirectItems(page, view, pruning.redirectedStart, pruning.redirectedCount)
    if (pruning.deadCount > 0) releaseItems(page, LP_DEAD, view, pruning.deadStart, pruning.deadCount)
    if (pruning.unusedCount > 0) releaseItems(page, LP_UNUSED, view, pruning.unusedStart, pruning.unusedCount)
    // 14 leaves unused line pointers at the end where they are.
    if (pruning.flags & XLHP_CLEANUP_LOCK) repairFragmentation(page, this.major >= 15)
    else truncateLinePointers(page)
  }

  /** heap_execute_freeze_tuple: the infomasks say that xmin is frozen, its bytes stay. */
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
