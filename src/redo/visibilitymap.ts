import type { BlockNumber } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { initPage, isNewPage } from '../page/heappage.ts'
import { clearMapBits, mapBlock, setMapBits } from '../page/visibilitymap.ts'
import { VISIBILITYMAP_FORK } from '../common/relpath.ts'
import type { BlockReference, WalRecord } from '../wal/record.ts'
import { BLK_NEEDS_REDO, type RedoBuffers } from './buffers.ts'
import type { RedoPage } from './store.ts'

/**
 * Changes the visibility map (visibilitymap.c). Records that clear bits name the page of the map only since 17.11 and 18.6; the LSN of a page that
 * is not named stays as it is, as visibilitymap_clear leaves it. A page that is named follows the usual rules (heap_xlog_vm_clear,
 * heapam_xlog.c). In both cases the bits are cleared
 * even if the heap page is newer: a bit that stays set would hide a change from VACUUM and from index-only scans.
 */
export class VisibilityMapRedo {
  private readonly buffers: RedoBuffers
  private readonly major: PgMajor

  constructor(buffers: RedoBuffers, major: PgMajor) {
    this.buffers = buffers
    this.major = major
  }

  /** visibilitymap_set, for a VISIBLE record, whose block 0 is the map's page. The LSN moves only if a bit changed. */
  set(record: WalRecord, block: BlockReference, heapBlock: BlockNumber, bits: number): void {
    const { buffers } = this
    if (buffers.readOrZero(record, block) !== BLK_NEEDS_REDO) return
    const { page } = buffers
    // A page that was added to the file, or that was damaged and became zeros: heap_xlog_visible calls PageInit for it.
    if (isNewPage(page)) {
      initPage(page)
      page.dirty = true
    }
    if (setMapBits(page.bytes, heapBlock, bits)) buffers.changed()
  }

  /**
   * Clears bits of the heap block of `heap`.
   * @param id the block id under which the record names the page of the map, if it does
   */
  clear(record: WalRecord, heap: BlockReference, id: number, bits: number): void {
    const reference = this.reference(record, heap.block, id)
    if (reference === undefined) this.clearUnnamed(heap, bits)
    else this.clearNamed(record, reference, heap.block, -1, bits)
  }

  /**
   * Clears the bits for an UPDATE: of the old version's heap block, the new version's, or both. Both may have their bits on one page of the map,
   * which the record then names once, under the id of the new one. That page must be read once, since the first change moves its LSN.
   */
  clearForUpdate(record: WalRecord, old: BlockReference | undefined, fresh: BlockReference | undefined, newId: number, oldId: number): void {
    const newReference = fresh && this.reference(record, fresh.block, newId)
    const oldReference = old && (this.reference(record, old.block, oldId) ?? this.reference(record, old.block, newId))
    if (old !== undefined && fresh !== undefined && oldReference !== undefined && oldReference === newReference) {
      this.clearNamed(record, oldReference, old.block, fresh.block, ALL_BITS)
      return
    }
    // A record that names a page of the map names each page whose bits it cleared; the bits of other blocks were clear (heap_xlog_update, 18.6).
    const namesAll = record.block(newId) !== undefined || record.block(oldId) !== undefined
    if (old !== undefined) {
      if (oldReference !== undefined) this.clearNamed(record, oldReference, old.block, -1, ALL_BITS)
      else if (!namesAll) this.clearUnnamed(old, ALL_BITS)
    }
    if (fresh !== undefined) {
      if (newReference !== undefined) this.clearNamed(record, newReference, fresh.block, -1, ALL_BITS)
      else if (!namesAll) this.clearUnnamed(fresh, ALL_BITS)
    }
  }

  /** The record's reference to the map page of `heapBlock`; undefined if the record does not name it, as records of older servers do not. */
  private reference(record: WalRecord, heapBlock: BlockNumber, id: number): BlockReference | undefined {
    const block = record.block(id)
    return block !== undefined && block.fork === VISIBILITYMAP_FORK && block.block === mapBlock(heapBlock) ? block : undefined
  }

  private clearNamed(record: WalRecord, reference: BlockReference, heapBlock: BlockNumber, other: BlockNumber, bits: number): void {
    const { buffers } = this
    if (buffers.readOrZero(record, reference) !== BLK_NEEDS_REDO) return
    const { bytes } = buffers.page
    const cleared = clearMapBits(bytes, heapBlock, bits)
    const clearedOther = other >= 0 && clearMapBits(bytes, other, bits)
    if (cleared || clearedOther) buffers.changed()
  }

  private clearUnnamed(heap: BlockReference, bits: number): void {
    const page = this.mapPage(heap)
    if (page !== undefined && clearMapBits(page.bytes, heap.block, bits)) page.dirty = true
  }

  /**
   * visibilitymap_pin: the map is extended up to the block's page. Until 15 vm_extend gives the new pages a header (PageInit); since 16 they are
   * zeros, and get a header with the first bit that is set. A server that replays leaves the same difference.
   */
  private mapPage(heap: BlockReference): RedoPage | undefined {
    this.buffers.block = heap
    const fork = this.buffers.relations.fork(heap, VISIBILITYMAP_FORK)
    if (fork === undefined) return undefined
    const block = mapBlock(heap.block)
    const present = fork.page(block)
    if (present !== undefined) {
      this.buffers.zeroOnError(present, block)
      return present
    }
    const added = fork.blocks
    const page = fork.extend(block)
    for (let fresh = added; this.major < 16 && fresh <= block; fresh++) {
      const map = fork.page(fresh)!
      initPage(map)
      map.dirty = true
    }
    return page
  }
}

/** VISIBILITYMAP_VALID_BITS (visibilitymapdefs.h): ALL_VISIBLE and ALL_FROZEN. */
const ALL_BITS = 3
