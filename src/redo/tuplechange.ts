import type { BlockNumber, OffsetNumber, Xid } from '../common/ids.ts'
import type { PageViews } from '../page/heappage.ts'
import { SIZE_OF_TUPLE_HEADER, T_CID, T_CTID, T_INFOMASK, T_INFOMASK2, T_XMAX } from '../tuple/header.ts'
import {
  HEAP_COMBOCID, HEAP_HOT_UPDATED, HEAP_KEYS_UPDATED, HEAP_MOVED_IN, HEAP_MOVED_OFF, HEAP_XMAX_COMMITTED, HEAP_XMAX_EXCL_LOCK,
  HEAP_XMAX_INVALID, HEAP_XMAX_IS_MULTI, HEAP_XMAX_KEYSHR_LOCK, HEAP_XMAX_LOCK_ONLY,
} from '../tuple/infomask.ts'
import { XLHL_KEYS_UPDATED, XLHL_XMAX_EXCL_LOCK, XLHL_XMAX_IS_MULTI, XLHL_XMAX_KEYSHR_LOCK, XLHL_XMAX_LOCK_ONLY } from '../wal/heap.ts'

/*
 * The tuple that begins at byte `start` of a page, a multiple of 8, through the page's 32-bit words alone (see page/heappage.ts):
 *
 *   word 0     1      2       3                 4                   5
 *   +-------+------+-------+-----------------+-------------------+-------------------------+------
 *   | xmin  | xmax | cid   | blk lo | blk hi | infomask2 | posid | byte 23 | hoff | infomask | data
 *   +-------+------+-------+-----------------+-------------------+-------------------------+------
 *                            31 … 16  15 … 0                       31 … 24    …16   15 … 0
 */
const XMAX = T_XMAX >> 2
const CID = T_CID >> 2
const CTID = T_CTID >> 2
const INFOMASK2 = T_INFOMASK2 >> 2
const INFOMASK = T_INFOMASK >> 2

const HEAP_MOVED = HEAP_MOVED_OFF | HEAP_MOVED_IN
/** HEAP_XMAX_BITS (htup_details.h): all bits of t_infomask that say what xmax is. */
const HEAP_XMAX_BITS = HEAP_XMAX_COMMITTED | HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI | HEAP_XMAX_KEYSHR_LOCK | HEAP_XMAX_EXCL_LOCK | HEAP_XMAX_LOCK_ONLY

/** MovedPartitionsBlockNumber and MovedPartitionsOffsetNumber (itemptr.h): a t_ctid that names no tuple, because the row is in another table now. */
const MOVED_PARTITIONS_BLOCK = 0xffffffff
const MOVED_PARTITIONS_OFFSET = 0xfffd

export function tupleInfomask({ words }: PageViews, start: number): number {
  return words[(start >> 2) + INFOMASK]! & 0xffff
}

export function tupleHoff({ words }: PageViews, start: number): number {
  return (words[(start >> 2) + INFOMASK]! >>> 16) & 0xff
}

/** Sets both infomasks to these values; the bytes beside them in the same words stay. */
export function setInfomasks({ words }: PageViews, start: number, infomask: number, infomask2: number): void {
  const word = start >> 2
  words[word + INFOMASK] = (words[word + INFOMASK]! & ~0xffff) | infomask
  words[word + INFOMASK2] = (words[word + INFOMASK2]! & 0xffff) | (infomask2 << 16)
}

export function setXmin({ words }: PageViews, start: number, xid: Xid): void {
  words[start >> 2] = xid
}

export function setXmax({ words }: PageViews, start: number, xid: Xid): void {
  words[(start >> 2) + XMAX] = xid
}

/** HeapTupleHeaderSetXvac (htup_details.h): VACUUM FULL before 9.0 kept its xid in the place of the command id. */
export function setXvac({ words }: PageViews, start: number, xid: Xid): void {
  words[(start >> 2) + CID] = xid
}

/**
 * HeapTupleHeaderSetCmin and SetCmax (htup_details.h) with FirstCommandId: the records that change heap pages have no command ids, which matter
 * only while the transaction runs.
 */
export function setFirstCommandId({ words }: PageViews, start: number): void {
  const word = start >> 2
  words[word + CID] = 0
  words[word + INFOMASK] = words[word + INFOMASK]! & ~HEAP_COMBOCID
}

/** Sets t_ctid. BlockIdData (block.h) has the high half of the block number first. */
export function setCtid({ words }: PageViews, start: number, block: BlockNumber, offset: OffsetNumber): void {
  const word = start >> 2
  words[word + CTID] = (block >>> 16) | (block << 16)
  words[word + INFOMASK2] = (words[word + INFOMASK2]! & ~0xffff) | offset
}

/** HeapTupleHeaderSetMovedPartitions (htup_details.h). */
export function setMovedPartitions(page: PageViews, start: number): void {
  setCtid(page, start, MOVED_PARTITIONS_BLOCK, MOVED_PARTITIONS_OFFSET)
}

/**
 * The infomasks of a tuple whose xmax is being replaced: the old xmax bits are cleared, and fix_infomask_from_infobits (heapam_xlog.c) sets the
 * new ones. HEAP_MOVED goes too: a tuple that is deleted or locked today was left by a VACUUM FULL that ended long ago.
 * @param keep2 bits of infomask2 to keep
 * @param set2 bits of infomask2 to set
 */
export function replaceXmaxBits({ words }: PageViews, start: number, infobits: number, keep2: number, set2: number): void {
  const word = start >> 2
  let infomask = words[word + INFOMASK]! & ~(HEAP_XMAX_BITS | HEAP_MOVED)
  if (infobits & XLHL_XMAX_IS_MULTI) infomask |= HEAP_XMAX_IS_MULTI
  if (infobits & XLHL_XMAX_LOCK_ONLY) infomask |= HEAP_XMAX_LOCK_ONLY
  if (infobits & XLHL_XMAX_EXCL_LOCK) infomask |= HEAP_XMAX_EXCL_LOCK
  if (infobits & XLHL_XMAX_KEYSHR_LOCK) infomask |= HEAP_XMAX_KEYSHR_LOCK
  words[word + INFOMASK] = infomask
  const set = set2 | (infobits & XLHL_KEYS_UPDATED ? HEAP_KEYS_UPDATED : 0)
  words[word + INFOMASK2] = (words[word + INFOMASK2]! & (((keep2 & ~HEAP_KEYS_UPDATED) << 16) | 0xffff)) | (set << 16)
}

/** All bits of infomask2 but HEAP_HOT_UPDATED. */
export const NOT_HOT_UPDATED: number = 0xffff & ~HEAP_HOT_UPDATED

/** HeapTupleHeaderClearHotUpdated (htup_details.h): the tuple has no next version on its page. */
export function clearHotUpdated({ words }: PageViews, start: number): void {
  const word = (start >> 2) + INFOMASK2
  words[word] = words[word]! & ~(HEAP_HOT_UPDATED << 16)
}

/**
 * Writes the header of a new tuple from the xl_heap_header at `headerStart` of a record. The command id is FirstCommandId, so HEAP_COMBOCID must
 * be clear.
 */
export function writeNewHeader(
  { words }: PageViews, start: number, record: DataView, headerStart: number, xmin: Xid, xmax: Xid, block: BlockNumber, offset: OffsetNumber,
): void {
  const word = start >> 2
  words[word] = xmin
  words[word + XMAX] = xmax
  words[word + CID] = 0
  words[word + CTID] = (block >>> 16) | (block << 16)
  words[word + INFOMASK2] = offset | (record.getUint16(headerStart, true) << 16)
  const infomask = record.getUint16(headerStart + 2, true) & ~HEAP_COMBOCID
  words[word + INFOMASK] = (words[word + INFOMASK]! & ~0xffffff) | infomask | (record.getUint8(headerStart + 4) << 16)
}

function setByte(words: Int32Array, at: number, value: number): void {
  const shift = (at & 3) * 8
  words[at >> 2] = (words[at >> 2]! & ~(0xff << shift)) | (value << shift)
}

/** Copies `length` bytes of a record to byte `to` of a page. */
export function copyFromRecord({ words }: PageViews, to: number, source: DataView, from: number, length: number): void {
  const end = to + length
  const shift = from - to
  let at = to
  for (; at < end && at & 3; at++) setByte(words, at, source.getUint8(at + shift))
  for (; at + 4 <= end; at += 4) words[at >> 2] = source.getInt32(at + shift, true)
  for (; at < end; at++) setByte(words, at, source.getUint8(at + shift))
}

/** Copies bytes within a page; the ranges do not overlap. */
export function copyWithinPage({ words }: PageViews, to: number, from: number, length: number): void {
  const end = to + length
  const shift = from - to
  let at = to
  for (; at < end && at & 3; at++) setByte(words, at, getByte(words, at + shift))
  const low = (shift & 3) * 8
  if (low === 0) {
    for (; at + 4 <= end; at += 4) words[at >> 2] = words[(at + shift) >> 2]!
  } else {
    for (; at + 4 <= end; at += 4) {
      const word = (at + shift) >> 2
      words[at >> 2] = (words[word]! >>> low) | (words[word + 1]! << (32 - low))
    }
  }
  for (; at < end; at++) setByte(words, at, getByte(words, at + shift))
}

function getByte(words: Int32Array, at: number): number {
  return (words[at >> 2]! >>> ((at & 3) * 8)) & 0xff
}

/** Where t_bits, the first byte after the fixed header, lies for a tuple at `start`. */
export function bitmapStart(start: number): number {
  return start + SIZE_OF_TUPLE_HEADER
}
