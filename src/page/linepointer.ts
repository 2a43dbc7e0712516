import { dataView, maxAlign } from '../common/bytes.ts'
import { CorruptionError } from '../common/errors.ts'
import { PD_LOWER, PD_SPECIAL, SIZE_OF_PAGE_HEADER } from './header.ts'

/*
 * ItemIdData (itemid.h), one little-endian u32 per line pointer, numbered from 1:
 *
 *   31 ............. 17 | 16 15 | 14 ............. 0
 *       lp_len (15)       flags       lp_off (15)
 */
export const LP_UNUSED = 0
export const LP_NORMAL = 1
export const LP_REDIRECT = 2
export const LP_DEAD = 3

/** Masks of lp_off and lp_flags in the word. */
export const LP_OFF = 0x7fff
export const LP_FLAGS = 0x18000

/** SizeofHeapTupleHeader rounded up: the shortest t_hoff a tuple can have. */
const MIN_TUPLE_LENGTH = 24

export function lpOff(word: number): number {
  return word & LP_OFF
}

export function lpFlags(word: number): number {
  return (word >>> 15) & 3
}

export function lpLen(word: number): number {
  return word >>> 17
}

export function makeLinePointer(off: number, flags: number, len: number): number {
  return (off | (flags << 15) | (len << 17)) >>> 0
}

/** Number of line pointers (PageGetMaxOffsetNumber). */
export function linePointerCount(page: Uint8Array): number {
  const lower = dataView(page).getUint16(PD_LOWER, true)
  return lower <= SIZE_OF_PAGE_HEADER ? 0 : (lower - SIZE_OF_PAGE_HEADER) >> 2
}

/** The line pointer word of offset number `offset` (from 1). */
export function linePointer(page: Uint8Array, offset: number): number {
  return dataView(page).getUint32(SIZE_OF_PAGE_HEADER + (offset - 1) * 4, true)
}

/** @param offset from 1, at most {@link linePointerCount} @param word what {@link makeLinePointer} gives */
export function setLinePointer(page: Uint8Array, offset: number, word: number): void {
  dataView(page).setUint32(SIZE_OF_PAGE_HEADER + (offset - 1) * 4, word, true)
}

/**
 * Checks that each NORMAL item lies between the line pointers and the special space, 8-aligned, long enough for a header, and that
 * all of them fit there together (PageRepairFragmentation, bufpage.c): a page of pointers to one tuple would otherwise decode
 * thousands of times what a page holds. The page header must have passed checkPageHeader.
 * @throws CorruptionError page.line-pointer, with the offset number
 */
export function checkLinePointers(page: Uint8Array): void {
  const view = dataView(page)
  const lower = view.getUint16(PD_LOWER, true)
  const special = view.getUint16(PD_SPECIAL, true)
  const count = linePointerCount(page)
  let total = 0
  for (let offset = 1; offset <= count; offset++) {
    const word = view.getUint32(SIZE_OF_PAGE_HEADER + (offset - 1) * 4, true)
    if (lpFlags(word) !== LP_NORMAL) continue
    const off = lpOff(word)
    const len = lpLen(word)
    if (off < lower || off + len > special || off & 7 || len < MIN_TUPLE_LENGTH) {
      throw new CorruptionError('page.line-pointer', `impossible item: lp_off ${off}, lp_len ${len}`, { offset })
    }
    total += maxAlign(len)
  }
  if (total > special - lower) {
    throw new CorruptionError('page.line-pointer', `impossible items: they take ${total} bytes, pd_lower to pd_special has ${special - lower}`)
  }
}

/** Line pointers up to the last whose word is not zero: a page has as many rows in a file of a lake, and a page without such a line pointer has one. */
export function usedLinePointers(page: Uint8Array): number {
  let last = linePointerCount(page)
  while (last > 0 && linePointer(page, last) === 0) last--
  return last
}
