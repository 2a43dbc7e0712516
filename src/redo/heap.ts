import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import type { PgMajor } from '../common/pgversion.ts'
import {
  clearAllVisible, initPage, normalItem, placeItem, setAllVisible, setPrunable,
} from '../page/heappage.ts'
import { SIZE_OF_TUPLE_HEADER } from '../tuple/header.ts'
import { HEAP_HOT_UPDATED, xmaxIsLockedOnly } from '../tuple/infomask.ts'
import {
  corruptHeapRecord, decodeHeapConfirm, decodeHeapInplace, decodeHeapTruncate, heapBlock, HeapDelete, HeapInsert, HeapUpdate,
  SIZE_OF_HEAP_HEADER, XLH_DELETE_ALL_VISIBLE_CLEARED, XLH_DELETE_IS_PARTITION_MOVE, XLH_DELETE_IS_SUPER, XLH_INSERT_ALL_FROZEN_SET,
  XLH_INSERT_ALL_VISIBLE_CLEARED, XLH_LOCK_ALL_FROZEN_CLEARED, XLH_UPDATE_NEW_ALL_VISIBLE_CLEARED, XLH_UPDATE_OLD_ALL_VISIBLE_CLEARED,
  XLH_UPDATE_PREFIX_FROM_OLD, XLH_UPDATE_SUFFIX_FROM_OLD, XLOG_HEAP_CONFIRM, XLOG_HEAP_DELETE, XLOG_HEAP_HOT_UPDATE, XLOG_HEAP_INIT_PAGE,
  XLOG_HEAP_INPLACE, XLOG_HEAP_INSERT, XLOG_HEAP_LOCK, XLOG_HEAP_OPMASK, XLOG_HEAP_TRUNCATE, XLOG_HEAP_UPDATE,
} from '../wal/heap.ts'
import { VISIBILITYMAP_ALL_FROZEN, VISIBILITYMAP_VALID_BITS } from '../wal/heap2.ts'
import { MAIN_FORK } from '../common/relpath.ts'
import type { BlockReference, WalRecord } from '../wal/record.ts'
import { BLK_NEEDS_REDO, type RedoAction, type RedoBuffers } from './buffers.ts'
import {
  bitmapStart, clearHotUpdated, copyFromRecord, copyWithinPage, NOT_HOT_UPDATED, replaceXmaxBits, setCtid, setFirstCommandId,
  setMovedPartitions, setXmax, setXmin, tupleHoff, tupleInfomask, writeNewHeader,
} from './tuplechange.ts'
import type { VisibilityMapRedo } from './visibilitymap.ts'

/**
 * Block ids under which records name pages of the visibility map. 17.11, 18.6 and later register these pages; older servers change the map
 * without naming its page. This id is that of a record with one heap page.
 */
export const BLKREF_VM = 1
/** The ids of an UPDATE: the map page of the new version's heap page, and the map page of the old version's. */
const UPDATE_BLKREF_VM_NEW = 2
const UPDATE_BLKREF_VM_OLD = 3
/**
 * The id of the old version's heap page in an UPDATE that puts the new version on another page. An UPDATE registers its map pages under the ids
 * 2 and 3, so its block 1 is always a heap page.
 */
const UPDATE_BLKREF_HEAP_OLD = 1

/** MaxHeapTupleSize (htup_details.h): BLCKSZ less the page header and one line pointer, both rounded up to 8 bytes. */
const MAX_TUPLE_SIZE = 8160

/**
 * RM_HEAP_ID: heap_redo. The C functions named here are in heapam_xlog.c since 18, before in heapam.c. All of them have the same order, and
 * the order matters: first the visibility map, whatever the heap page's LSN is; then the LSN interlock; then the change of the page.
 */
export class HeapRedo {
  private readonly buffers: RedoBuffers
  private readonly visibilityMap: VisibilityMapRedo
  private readonly major: PgMajor
  private readonly insertion = new HeapInsert()
  private readonly deletion = new HeapDelete()
  private readonly change = new HeapUpdate()

  constructor(buffers: RedoBuffers, visibilityMap: VisibilityMapRedo, major: PgMajor) {
    this.buffers = buffers
    this.visibilityMap = visibilityMap
    this.major = major
  }

  apply(record: WalRecord): void {
    switch (record.info & XLOG_HEAP_OPMASK) {
      case XLOG_HEAP_INSERT: return this.insert(record)
      case XLOG_HEAP_DELETE: return this.delete(record)
      case XLOG_HEAP_UPDATE: return this.update(record, false)
      case XLOG_HEAP_HOT_UPDATE: return this.update(record, true)
      case XLOG_HEAP_LOCK: return this.lock(record)
      case XLOG_HEAP_CONFIRM: return this.confirm(record)
      case XLOG_HEAP_INPLACE: return this.inplace(record)
      // The record exists for logical decoding alone: SMGR records truncate the files.
      case XLOG_HEAP_TRUNCATE: return void decodeHeapTruncate(record)
      default: throw new UnsupportedError('redo.heap', `unknown heap record, info 0x${record.info.toString(16)}`)
    }
  }

  /**
   * The page that gets new tuples. XLOG_HEAP_INIT_PAGE says that the tuples are the first ones on the page: redo makes an empty page then, so
   * the WAL needs no full-page image, and the old page may be torn or missing.
   */
  readOrInit(record: WalRecord, block: BlockReference): RedoAction {
    const { buffers } = this
    if ((record.info & XLOG_HEAP_INIT_PAGE) === 0) return buffers.read(record, block)
    buffers.init(record, block)
    initPage(buffers.page)
    return BLK_NEEDS_REDO
  }

  /** heap_xlog_insert. */
  private insert(record: WalRecord): void {
    const { buffers, insertion } = this
    insertion.read(record)
    const block = heapBlock(record)
    const { flags, offset } = insertion
    // The new row is not visible to everyone. The map has an LSN of its own: the heap page may have this change while its map page does not.
    if (flags & XLH_INSERT_ALL_VISIBLE_CLEARED) this.visibilityMap.clear(record, block, BLKREF_VM, VISIBILITYMAP_VALID_BITS)
    if (this.readOrInit(record, block) !== BLK_NEEDS_REDO) return
    const { dataStart, dataLength } = block
    // Postgres asserts this. A record with a right CRC can still be made by a stranger.
    if (dataLength <= SIZE_OF_HEAP_HEADER) throw corruptHeapRecord(record, `a tuple of ${dataLength} bytes`)
    this.addTuple(record, block, offset, dataStart, dataLength - SIZE_OF_HEAP_HEADER)
    // PD_ALL_VISIBLE must be clear whenever the map's bit is: heap_insert looks at the page flag to know whether to clear the map.
    if (flags & XLH_INSERT_ALL_VISIBLE_CLEARED) clearAllVisible(buffers.page)
    // COPY FREEZE writes frozen rows. heap_xlog_insert has this statement in older minor releases; 15.18 and 18.6 assert that only MULTI_INSERT has
    // the flag.
    if (flags & XLH_INSERT_ALL_FROZEN_SET) setAllVisible(buffers.page)
    buffers.changed()
  }

  /**
   * Adds a tuple whose bytes are all in the record: xl_heap_header at `headerStart`, then `length` bytes from t_bits on. xmin is the record's
   * xid, the command id is FirstCommandId, t_ctid is the tuple's own place: the WAL has none of these fields.
   */
  addTuple(record: WalRecord, { block }: BlockReference, offset: number, headerStart: number, length: number, xmax = 0): void {
    const { page } = this.buffers
    const size = SIZE_OF_TUPLE_HEADER + length
    if (size > MAX_TUPLE_SIZE) throw corruptHeapRecord(record, `a tuple of ${size} bytes`)
    const start = placeItem(page, offset, size)
    writeNewHeader(page, start, record.view, headerStart, record.xid, xmax, block, offset)
    copyFromRecord(page, bitmapStart(start), record.view, headerStart + SIZE_OF_HEAP_HEADER, length)
  }

  /** heap_xlog_delete. */
  private delete(record: WalRecord): void {
    const { buffers, deletion } = this
    deletion.read(record)
    const block = heapBlock(record)
    const { flags, offset } = deletion
    if (flags & XLH_DELETE_ALL_VISIBLE_CLEARED) this.visibilityMap.clear(record, block, BLKREF_VM, VISIBILITYMAP_VALID_BITS)
    if (buffers.read(record, block) !== BLK_NEEDS_REDO) return
    const { page } = buffers
    const start = normalItem(page, offset) & 0x7fff
    replaceXmaxBits(page, start, deletion.infobits, NOT_HOT_UPDATED, 0)
    // heap_abort_speculative takes back a row of INSERT ... ON CONFLICT. xmin becomes invalid: the row was never there, for any snapshot.
    if (flags & XLH_DELETE_IS_SUPER) setXmin(page, start, 0)
    else setXmax(page, start, deletion.xmax)
    setFirstCommandId(page, start)
    setPrunable(page, record.xid)
    if (flags & XLH_DELETE_ALL_VISIBLE_CLEARED) clearAllVisible(page)
    // An UPDATE that moves a row to another partition deletes it here. Its t_ctid then says so: there is no next version in this table.
    if (flags & XLH_DELETE_IS_PARTITION_MOVE) setMovedPartitions(page, start)
    else setCtid(page, start, block.block, offset)
    buffers.changed()
  }

  /** heap_xlog_update. Block 0 is the new version's page; block 1 is the old version's page if that is another one. */
  private update(record: WalRecord, hot: boolean): void {
    const { buffers, change } = this
    change.read(record)
    const { flags } = change
    const fresh = heapBlock(record)
    const other = record.block(UPDATE_BLKREF_HEAP_OLD)
    // A HOT update keeps both versions on one page: its index entries point to the chain's first line pointer there.
    if (other !== undefined && (other.fork !== MAIN_FORK || hot)) throw corruptHeapRecord(record, 'block 1 of an UPDATE is not the page of the old version')
    const old = other ?? fresh
    const oldCleared = (flags & XLH_UPDATE_OLD_ALL_VISIBLE_CLEARED) !== 0
    const newCleared = (flags & XLH_UPDATE_NEW_ALL_VISIBLE_CLEARED) !== 0
    if (oldCleared || newCleared) {
      this.visibilityMap.clearForUpdate(record, oldCleared ? old : undefined, newCleared ? fresh : undefined, UPDATE_BLKREF_VM_NEW, UPDATE_BLKREF_VM_OLD)
    }
    const init = (record.info & XLOG_HEAP_INIT_PAGE) !== 0
    // The page has the old version, so it cannot be empty.
    if (init && other === undefined) throw corruptHeapRecord(record, 'an UPDATE within one page that initialises the page')
    // On one page both versions share the LSN decision. On two pages each page has its own LSN, and each is decided alone. `word` is the old
    // version's line pointer; 0 if the old version is not on the new version's page.
    let word = 0
    let action = buffers.read(record, old)
    if (action === BLK_NEEDS_REDO) {
      word = this.updateOld(record, fresh, hot, oldCleared)
      buffers.changed()
    }
    if (other !== undefined) {
      word = 0
      action = this.readOrInit(record, fresh)
    }
    if (action !== BLK_NEEDS_REDO) return
    this.addNewVersion(record, fresh, word)
    if (newCleared) clearAllVisible(buffers.page)
    buffers.changed()
  }

  /**
   * The part of heap_xlog_update that ends the old version: xmax, and t_ctid to the new version.
   * @returns the old version's line pointer
   */
  private updateOld(record: WalRecord, fresh: BlockReference, hot: boolean, cleared: boolean): number {
    const { page } = this.buffers
    const { change } = this
    const word = normalItem(page, change.oldOffset)
    const start = word & 0x7fff
    replaceXmaxBits(page, start, change.oldInfobits, NOT_HOT_UPDATED, hot ? HEAP_HOT_UPDATED : 0)
    setXmax(page, start, change.oldXmax)
    setFirstCommandId(page, start)
    setCtid(page, start, fresh.block, change.newOffset)
    setPrunable(page, record.xid)
    if (cleared) clearAllVisible(page)
    return word
  }

  /**
   * The part of heap_xlog_update that makes the new version. Block data: [prefix length u16], [suffix length u16], xl_heap_header, bitmap and
   * padding up to hoff, changed bytes. The primary leaves out what equals the old version's beginning and end if both versions are on one page.
   * @param oldWord line pointer of the old version on the same page, 0 if it is on another
   */
  private addNewVersion(record: WalRecord, block: BlockReference, oldWord: number): void {
    const { change } = this
    const { view } = record
    let at = block.dataStart
    const end = at + block.dataLength
    const hasPrefix = (change.flags & XLH_UPDATE_PREFIX_FROM_OLD) !== 0
    const hasSuffix = (change.flags & XLH_UPDATE_SUFFIX_FROM_OLD) !== 0
    if (end - at < (hasPrefix ? 2 : 0) + (hasSuffix ? 2 : 0) + SIZE_OF_HEAP_HEADER) throw corruptHeapRecord(record, 'the new tuple is cut short')
    let prefix = 0
    let suffix = 0
    if (hasPrefix) {
      prefix = view.getUint16(at, true)
      at += 2
    }
    if (hasSuffix) {
      suffix = view.getUint16(at, true)
      at += 2
    }
    const logged = end - at - SIZE_OF_HEAP_HEADER
    if (prefix === 0 && suffix === 0) {
      this.addTuple(record, block, change.newOffset, at, logged, change.newXmax)
      return
    }
    const { page } = this.buffers
    const oldStart = oldWord & 0x7fff
    const oldEnd = oldStart + (oldWord >>> 17)
    const oldData = oldStart + tupleHoff(page, oldStart)
    const bitmap = view.getUint8(at + 4) - SIZE_OF_TUPLE_HEADER
    const size = SIZE_OF_TUPLE_HEADER + logged + prefix + suffix
    // Prefix and suffix are copied from the old version: they must lie inside it. The prefix begins behind its header and bitmap (t_hoff); the
    // suffix may begin earlier, as in Postgres. The header's own bitmap must lie in the logged bytes.
    if (oldWord === 0 || oldData < bitmapStart(oldStart) || oldData + prefix > oldEnd || suffix > oldEnd - bitmapStart(oldStart) || size > MAX_TUPLE_SIZE ||
      (prefix > 0 && (bitmap < 0 || bitmap > logged))) {
      throw corruptHeapRecord(record, `a new tuple that takes ${prefix} and ${suffix} bytes from an old one of ${oldWord >>> 17}`)
    }
    // The bitmap is logged even with a prefix, because the new version may have other nulls. It comes before the prefix's bytes.
    const head = prefix > 0 ? bitmap : logged
    const from = at + SIZE_OF_HEAP_HEADER
    const start = placeItem(page, change.newOffset, size)
    const data = bitmapStart(start)
    writeNewHeader(page, start, view, at, record.xid, change.newXmax, block.block, change.newOffset)
    copyFromRecord(page, data, view, from, head)
    copyWithinPage(page, data + head, oldData, prefix)
    copyFromRecord(page, data + head + prefix, view, from + head, logged - head)
    copyWithinPage(page, start + size - suffix, oldEnd - suffix, suffix)
  }

  /** heap_xlog_lock: SELECT ... FOR UPDATE and its relatives set xmax and leave the row alive. */
  private lock(record: WalRecord): void {
    const { buffers, deletion } = this
    deletion.readLock(record)
    const block = heapBlock(record)
    const { offset } = deletion
    // The row stays visible to all, but xmax is a live xid now, and VACUUM must freeze the page before that xid is too old.
    if (deletion.flags & XLH_LOCK_ALL_FROZEN_CLEARED) this.visibilityMap.clear(record, block, BLKREF_VM, VISIBILITYMAP_ALL_FROZEN)
    if (buffers.read(record, block) !== BLK_NEEDS_REDO) return
    const { page } = buffers
    const start = normalItem(page, offset) & 0x7fff
    replaceXmaxBits(page, start, deletion.infobits, 0xffff, 0)
    // The new xmax contains no update, so a HOT flag and a forward t_ctid come from an update that aborted. With an updater in xmax (a
    // multixact of lockers and an updater) both stay, because the next version exists.
    if (xmaxIsLockedOnly(tupleInfomask(page, start))) {
      clearHotUpdated(page, start)
      setCtid(page, start, block.block, offset)
    }
    setXmax(page, start, deletion.xmax)
    setFirstCommandId(page, start)
    buffers.changed()
  }

  /**
   * heap_xlog_confirm: a speculative insertion (INSERT ... ON CONFLICT) is now a row. The primary replaces the token in t_ctid. Redo of the
   * INSERT put the tuple's own place there, so this changes t_ctid only on pages that the primary wrote: in a copy, or as an image.
   */
  private confirm(record: WalRecord): void {
    const { buffers } = this
    const offset = decodeHeapConfirm(record)
    const block = heapBlock(record)
    if (buffers.read(record, block) !== BLK_NEEDS_REDO) return
    setCtid(buffers.page, normalItem(buffers.page, offset) & 0x7fff, block.block, offset)
    buffers.changed()
  }

  /**
   * heap_xlog_inplace: overwrites the values of a catalog row without a new version, as VACUUM does with pg_class.relfrozenxid. The header stays:
   * the change is not transactional. The invalidation messages that 18 adds concern caches of a running server.
   */
  private inplace(record: WalRecord): void {
    const { buffers } = this
    const { offset } = decodeHeapInplace(record, this.major)
    const block = heapBlock(record)
    if (buffers.read(record, block) !== BLK_NEEDS_REDO) return
    const { page } = buffers
    const word = normalItem(page, offset)
    const start = word & 0x7fff
    const hoff = tupleHoff(page, start)
    // An in-place update never changes the length of a row; Postgres panics here.
    if ((word >>> 17) - hoff !== block.dataLength) {
      throw new CorruptionError('redo.heap', `${block.dataLength} bytes in place of ${(word >>> 17) - hoff}`, { offset })
    }
    copyFromRecord(page, start + hoff, record.view, block.dataStart, block.dataLength)
    buffers.changed()
  }
}
