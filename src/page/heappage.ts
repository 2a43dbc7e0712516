import { CorruptionError } from '../common/errors.ts'
import type { OffsetNumber, WalPosition, Xid } from '../common/ids.ts'
import { xidPrecedes } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { checkPageBounds, PAGESIZE_VERSION, PD_FLAGS, PD_LOWER, PD_LSN, PD_PRUNE_XID, PD_SPECIAL, SIZE_OF_PAGE_HEADER } from './header.ts'
import { LP_FLAGS, LP_NORMAL, LP_OFF, LP_REDIRECT, LP_UNUSED } from './linepointer.ts'

/*
 * Changes of a heap page (bufpage.c). This code writes the bytes that Postgres writes and no others, so that the hole and the padding are as
 * recovery leaves them. Hot paths use the 32-bit words alone: most pages are not in the processor's cache, and each further view costs a cache miss.
 *
 *   word 0        1        2               3               4                  5              6 …
 *   +--------+--------+---------------+---------------+------------------+--------------+-----------------
 *   | lsn hi | lsn lo | flags | cksum | upper | lower | version | special| pd_prune_xid | line pointers, from 1
 *   +--------+--------+---------------+---------------+------------------+--------------+-----------------
 *                       31 … 16  15 … 0
 */
export interface PageViews {
  readonly bytes: Uint8Array
  readonly words: Int32Array
}

export const PD_HAS_FREE_LINES = 0x0001
export const PD_ALL_VISIBLE = 0x0004

/** Words, as drawn above. */
const LSN = PD_LSN >> 2
const FLAGS = PD_FLAGS >> 2
const BOUNDS = PD_LOWER >> 2
const SPECIAL = PD_SPECIAL >> 2
const PRUNE_XID = PD_PRUNE_XID >> 2
/** Word of line pointer `offset` is LINE_POINTERS + offset: they count from 1. */
const LINE_POINTERS = (SIZE_OF_PAGE_HEADER >> 2) - 1
const WORDS = BLOCK_SIZE >> 2

/** MaxHeapTuplesPerPage (htup_details.h). */
const MAX_HEAP_TUPLES_PER_PAGE = 291
/** SizeofHeapTupleHeader: a shorter item cannot be a tuple. */
const MIN_TUPLE = 23

/** PageIsNew: a zero page; nothing else has pd_upper 0. */
export function isNewPage({ words }: PageViews): boolean {
  return words[BOUNDS]! >>> 16 === 0
}

/** pd_special: where the special area begins; BLOCK_SIZE without one. */
export function pageSpecial({ words }: PageViews): number {
  return words[SPECIAL]! & 0xffff
}

/** pd_lsn, of which the high half comes first. */
export function pageLsn({ words }: PageViews): WalPosition {
  return (words[LSN]! >>> 0) * 0x100000000 + (words[LSN + 1]! >>> 0)
}

export function setPageLsn({ words }: PageViews, lsn: WalPosition): void {
  words[LSN] = Math.floor(lsn / 0x100000000)
  words[LSN + 1] = lsn
}

/** PageInit: all bytes zero but the header. `specialSize` is a multiple of 8. */
export function initPage({ words }: PageViews, specialSize = 0): void {
  words.fill(0)
  const special = BLOCK_SIZE - specialSize
  words[BOUNDS] = SIZE_OF_PAGE_HEADER | (special << 16)
  words[SPECIAL] = special | (PAGESIZE_VERSION << 16)
}

/** Number of line pointers. */
export function maxOffset({ words }: PageViews): number {
  const lower = words[BOUNDS]! & 0xffff
  return lower <= SIZE_OF_PAGE_HEADER ? 0 : (lower - SIZE_OF_PAGE_HEADER) >> 2
}

export function setAllVisible({ words }: PageViews): void {
  words[FLAGS] = words[FLAGS]! | (PD_ALL_VISIBLE << 16)
}

export function clearAllVisible({ words }: PageViews): void {
  words[FLAGS] = words[FLAGS]! & ~(PD_ALL_VISIBLE << 16)
}

/** PageSetPrunable: the oldest transaction that may have left a version to remove. */
export function setPrunable({ words }: PageViews, xid: Xid): void {
  const prune = words[PRUNE_XID]! >>> 0
  // The older xid wins: pruning looks at the page as soon as the first of the transactions is dead to all.
  if (prune === 0 || xidPrecedes(xid, prune)) words[PRUNE_XID] = xid
}

/**
 * The line pointer of a tuple that a record changes.
 * @throws CorruptionError page.item unless it is a NORMAL one with room for a tuple header
 */
export function normalItem(page: PageViews, offset: OffsetNumber): number {
  const { words } = page
  if (offset < 1 || offset > maxOffset(page)) throw noLinePointer(offset, maxOffset(page))
  const word = words[LINE_POINTERS + offset]!
  const off = word & LP_OFF
  const len = word >>> 17
  if (((word >>> 15) & 3) !== LP_NORMAL || off & 7 || len < MIN_TUPLE || off < (words[BOUNDS]! & 0xffff) || off + len > BLOCK_SIZE) {
    throw new CorruptionError('page.item', `line pointer 0x${(word >>> 0).toString(16)} is not that of a tuple`, { offset })
  }
  return word
}

/**
 * PageAddItem at a given offset number: takes room for `length` bytes below pd_upper and points to it. The caller writes them.
 * @returns where the item begins
 * @throws CorruptionError page.item if the line pointer is in use, beyond the next one, or there is no room
 */
export function placeItem(page: PageViews, offset: OffsetNumber, length: number): number {
  const { words } = page
  const lower = words[BOUNDS]! & 0xffff
  const upper = words[BOUNDS]! >>> 16
  const special = words[SPECIAL]! & 0xffff
  const next = maxOffset(page) + 1
  checkPageBounds(lower, upper, special)
  if (offset < 1 || offset > next || offset > MAX_HEAP_TUPLES_PER_PAGE) {
    throw new CorruptionError('page.item', `a new item beyond line pointer ${next}, the next free one`, { offset })
  }
  const start = (upper - length) & ~7
  if (offset === next) {
    if (start < lower + 4) throw noRoom(offset, length)
    words[BOUNDS] = (lower + 4) | (start << 16)
  } else {
    const word = words[LINE_POINTERS + offset]!
    // PageAddItemExtended (bufpage.c) reuses a line pointer that a prune or VACUUM set free.
    // LP_UNUSED without storage: what else the word holds does not matter (ItemIdIsUsed, ItemIdHasStorage).
    if (((word >>> 15) & 3) !== LP_UNUSED || word >>> 17 !== 0) throw new CorruptionError('page.item', 'the line pointer of a new item is in use', { offset })
    if (start < lower) throw noRoom(offset, length)
    words[BOUNDS] = lower | (start << 16)
  }
  words[LINE_POINTERS + offset] = start | (LP_NORMAL << 15) | (length << 17)
  return start
}

function noRoom(offset: OffsetNumber, length: number): CorruptionError {
  return new CorruptionError('page.item', `no room for an item of ${length} bytes`, { offset })
}

/**
 * Sets line pointers that exist to UNUSED or DEAD: they have no storage then. Their offset numbers are u16 from byte `at` of a record on.
 * @throws CorruptionError page.item
 */
export function releaseItems(page: PageViews, flags: number, source: DataView, at: number, count: number): void {
  const { words } = page
  const last = maxOffset(page)
  for (let i = 0; i < count; i++) {
    const offset = source.getUint16(at + i * 2, true)
    if (offset < 1 || offset > last) throw noLinePointer(offset, last)
    words[LINE_POINTERS + offset] = flags << 15
  }
}

/** Redirects line pointers to others, pairs (from, to) of u16 from byte `at` of a record on. @throws CorruptionError page.item */
export function redirectItems(page: PageViews, source: DataView, at: number, count: number): void {
  const { words } = page
  const last = maxOffset(page)
  for (let i = 0; i < count; i++) {
    const offset = source.getUint16(at + i * 4, true)
    const to = source.getUint16(at + i * 4 + 2, true)
    if (offset < 1 || offset > last) throw noLinePointer(offset, last)
    if (to < 1 || to > last) throw noLinePointer(to, last)
    words[LINE_POINTERS + offset] = to | (LP_REDIRECT << 15)
  }
}

function noLinePointer(offset: OffsetNumber, last: number): CorruptionError {
  return new CorruptionError('page.item', `no line pointer has this number: the page has ${last}`, { offset })
}

const before = new Int32Array(WORDS)

/**
 * PageRepairFragmentation: packs the items against pd_special in the order of their line pointers, the first one highest, and counts
 * unused line pointers. The result depends only on line pointers and tuples, so items that are at their places are not copied.
 * @param truncates 15+: unused line pointers at the end are dropped
 * @throws CorruptionError page.item, page.header
 */
export function repairFragmentation(page: PageViews, truncates: boolean): void {
  const { words } = page
  const lower = words[BOUNDS]! & 0xffff
  const upper = words[BOUNDS]! >>> 16
  const special = words[SPECIAL]! & 0xffff
  checkPageBounds(lower, upper, special)
  const count = (lower - SIZE_OF_PAGE_HEADER) >> 2
  let unused = 0
  let lastUsed = 0
  let target = special
  let firstMoved = 0
  // Most items are at their places: only those after the first gap move.
  for (let offset = 1; offset <= count; offset++) {
    const word = words[LINE_POINTERS + offset]!
    if ((word & LP_FLAGS) === 0) {
      words[LINE_POINTERS + offset] = 0
      unused++
      continue
    }
    const length = ((word >>> 17) + 7) & ~7
    if (length !== 0 && (word & LP_OFF) !== target - length) {
      firstMoved = offset
      break
    }
    target -= length
    lastUsed = offset
  }
  if (target < upper) throw impossibleItems(page, count)
  if (firstMoved !== 0) {
    const top = target
    // In falling order, and none reaching into the one before it: then all are sound if the last one is.
    let descending = true
    let previous = special
    let offs = 0
    for (let offset = firstMoved; offset <= count; offset++) {
      const word = words[LINE_POINTERS + offset]!
      if ((word & LP_FLAGS) === 0) {
        words[LINE_POINTERS + offset] = 0
        unused++
        continue
      }
      lastUsed = offset
      const length = ((word >>> 17) + 7) & ~7
      if (length === 0) continue
      const off = word & LP_OFF
      if (off + length > previous) descending = false
      previous = off
      offs |= off
      target -= length
    }
    if (target < lower || offs & 7 || (descending ? previous < upper : impossibleItem(words, count) !== 0)) throw impossibleItems(page, count)
    if (!descending) before.set(words)
    packItems(words, descending ? words : before, firstMoved, count, top)
  }
  const dropped = truncates ? count - lastUsed : 0
  words[BOUNDS] = (lower - 4 * dropped) | (target << 16)
  setHasFreeLines(words, unused > dropped)
}

/** The first item that lies outside of [pd_upper, pd_special) or is not aligned, 0 without one. */
function impossibleItem(words: Int32Array, count: number): OffsetNumber {
  const upper = words[BOUNDS]! >>> 16
  const special = words[SPECIAL]! & 0xffff
  for (let offset = 1; offset <= count; offset++) {
    const word = words[LINE_POINTERS + offset]!
    const off = word & LP_OFF
    const len = word >>> 17
    if (len !== 0 && (off < upper || off + len > special || off & 7)) return offset
  }
  return 0
}

function impossibleItems({ words }: PageViews, count: number): CorruptionError {
  const offset = impossibleItem(words, count)
  if (offset === 0) return new CorruptionError('page.item', 'the items are larger than the page')
  const word = words[LINE_POINTERS + offset]!
  return new CorruptionError('page.item', `impossible item: lp_off ${word & LP_OFF}, lp_len ${word >>> 17}, pd_upper ${words[BOUNDS]! >>> 16}`, { offset })
}

/**
 * Packs the items against `top`, neighbours as one.
 * @param from where they are read: the page itself if they lie in falling order, so that each moves to a higher place, from the highest
 *   on, none onto one yet to be moved; else a picture of the page as it was
 */
function packItems(words: Int32Array, from: Int32Array, first: number, count: number, top: number): void {
  let to = top >> 2
  let runStart = 0
  let runEnd = 0
  for (let offset = first; offset <= count; offset++) {
    const word = words[LINE_POINTERS + offset]!
    const length = ((word >>> 17) + 7) >> 3 << 1
    if (length === 0) continue
    const start = (word & LP_OFF) >> 2
    if (start + length !== runStart) {
      if (to !== runStart) copyRun(words, from, runStart, runEnd, to)
      runEnd = start + length
    }
    runStart = start
    to -= length
    words[LINE_POINTERS + offset] = (word & ~LP_OFF) | (to << 2)
  }
  if (to !== runStart) copyRun(words, from, runStart, runEnd, to)
}

function copyRun(words: Int32Array, from: Int32Array, start: number, end: number, to: number): void {
  if (from === words) copyUp(words, start, end, to)
  else copyBack(words, start, end, to)
}

/** A call costs as much as copying so many words by hand. */
const SHORT_COPY = 48

/** Words [start, end) go to `to`, which is above. */
function copyUp(words: Int32Array, start: number, end: number, to: number): void {
  if (end - start > SHORT_COPY) {
    words.copyWithin(to, start, end)
    return
  }
  for (let from = end - 1, at = to + end - start - 1; from >= start; from--, at--) words[at] = words[from]!
}

/** Words [start, end) of the picture go to `to`. */
function copyBack(words: Int32Array, start: number, end: number, to: number): void {
  if (end - start > 4 * SHORT_COPY) {
    words.set(before.subarray(start, end), to)
    return
  }
  for (let from = start, at = to; from < end; from++, at++) words[at] = before[from]!
}

/** PageTruncateLinePointerArray: drops unused line pointers at the end, never the first one, and notes whether others are unused. */
export function truncateLinePointers(page: PageViews): void {
  const { words } = page
  const count = maxOffset(page)
  let last = count
  while (last > 1 && (words[LINE_POINTERS + last]! & LP_FLAGS) === 0) last--
  let unused = false
  for (let offset = last; offset >= 1 && !unused; offset--) unused = (words[LINE_POINTERS + offset]! & LP_FLAGS) === 0
  words[BOUNDS] = words[BOUNDS]! - 4 * (count - last)
  setHasFreeLines(words, unused)
}

function setHasFreeLines(words: Int32Array, has: boolean): void {
  words[FLAGS] = has ? words[FLAGS]! | (PD_HAS_FREE_LINES << 16) : words[FLAGS]! & ~(PD_HAS_FREE_LINES << 16)
}
