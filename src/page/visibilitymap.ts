import type { BlockNumber } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { SIZE_OF_PAGE_HEADER } from './header.ts'

/*
 * A page of the visibility map (visibilitymap.c): a page header without line pointers, then two bits per heap block, the first block
 * of a byte in its lowest bits.
 *
 *    7   6   5   4   3   2   1   0
 *   +---+---+---+---+---+---+---+---+
 *   | F   V | F   V | F   V | F   V |   V all-visible, F all-frozen
 *   +---+---+---+---+---+---+---+---+
 *     n + 3   n + 2   n + 1   n
 */
const BLOCKS_PER_BYTE = 4
const MAPSIZE = BLOCK_SIZE - SIZE_OF_PAGE_HEADER
/** HEAPBLOCKS_PER_PAGE (visibilitymap.c): 32,672 heap blocks. */
export const HEAP_BLOCKS_PER_MAP_PAGE: number = MAPSIZE * BLOCKS_PER_BYTE

/** The block of the map that holds the bits of a heap block. */
export function mapBlock(heapBlock: BlockNumber): BlockNumber {
  return Math.floor(heapBlock / HEAP_BLOCKS_PER_MAP_PAGE)
}

function mapByte(heapBlock: BlockNumber): number {
  return SIZE_OF_PAGE_HEADER + ((heapBlock % HEAP_BLOCKS_PER_MAP_PAGE) >> 2)
}

function mapShift(heapBlock: BlockNumber): number {
  return (heapBlock % BLOCKS_PER_BYTE) * 2
}

/** The two bits of a heap block: 1 all-visible, 2 all-frozen. `page` is the one of {@link mapBlock}. */
export function mapBits(page: Uint8Array, heapBlock: BlockNumber): number {
  return (page[mapByte(heapBlock)]! >> mapShift(heapBlock)) & 3
}

/** @returns whether the bits were others before: bits are added, but compared as a whole (visibilitymap_set) */
export function setMapBits(page: Uint8Array, heapBlock: BlockNumber, bits: number): boolean {
  if (mapBits(page, heapBlock) === bits) return false
  const at = mapByte(heapBlock)
  page[at] = page[at]! | (bits << mapShift(heapBlock))
  return true
}

/** @returns whether one of the bits was set */
export function clearMapBits(page: Uint8Array, heapBlock: BlockNumber, bits: number): boolean {
  const at = mapByte(heapBlock)
  const mask = bits << mapShift(heapBlock)
  if ((page[at]! & mask) === 0) return false
  page[at] = page[at]! & ~mask
  return true
}

/** Zeroes the bits of `heapBlock` and of all blocks behind it on the page (visibilitymap_prepare_truncate). */
export function clearMapTail(page: Uint8Array, heapBlock: BlockNumber): void {
  const at = mapByte(heapBlock)
  page.fill(0, at + 1, BLOCK_SIZE)
  page[at] = page[at]! & ((1 << mapShift(heapBlock)) - 1)
}
