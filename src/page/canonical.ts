import { dataView } from '../common/bytes.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { PD_CHECKSUM, PD_LOWER, PD_SPECIAL, SIZE_OF_PAGE_HEADER } from './header.ts'
import { LP_NORMAL } from './linepointer.ts'

/** A page as 32-bit words and as bytes over the same memory: tuples are 8-aligned, so copies run by words; `view` is for what is not. */
export interface PageBuffer {
  bytes: Uint8Array
  words: Int32Array
  view: DataView
}

export function newPageBuffer(): PageBuffer {
  return pageBuffer(new Uint8Array(BLOCK_SIZE))
}

/** @param bytes 4-aligned */
export function pageBuffer(bytes: Uint8Array): PageBuffer {
  return { bytes, words: new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2), view: dataView(bytes) }
}

/**
 * canonical(page): every byte Postgres can reach, all else zero. Kept are bytes 0-7 and 10-23, the line pointer words in
 * [24, pd_lower), [lp_off, lp_off + lp_len) of each NORMAL item and [pd_special, 8192). Zeroed are pd_checksum, the hole,
 * the 0 to 7 padding bytes behind a tuple and every byte no line pointer names.
 * The page must have passed checkPageHeader and checkLinePointers, or be all zero.
 * @param source words of the page, beginning at word index `base`
 * @param out overwritten
 */
export function canonicalPage(source: Int32Array, base: number, out: PageBuffer): void {
  const { words, bytes } = out
  if (copyCompact(source, base, out)) return
  words.fill(0)
  for (let w = 0; w < SIZE_OF_PAGE_HEADER / 4; w++) words[w] = source[base + w]!
  bytes[PD_CHECKSUM] = 0
  bytes[PD_CHECKSUM + 1] = 0
  const lower = words[PD_LOWER >> 2]! & 0xffff
  const special = words[PD_SPECIAL >> 2]! & 0xffff
  if (lower === 0) return
  const pointerEnd = lower >> 2
  copyBytes(source, base, words, bytes, SIZE_OF_PAGE_HEADER, lower)
  for (let w = SIZE_OF_PAGE_HEADER / 4; w < pointerEnd; w++) {
    const pointer = words[w]!
    if (((pointer >>> 15) & 3) !== LP_NORMAL) continue
    const off = pointer & 0x7fff
    copyBytes(source, base, words, bytes, off, off + (pointer >>> 17))
  }
  copyBytes(source, base, words, bytes, special, BLOCK_SIZE)
}

/**
 * The usual page at the cost of a memory copy: tuples one below the other in line pointer order, no gap, no special area.
 * @returns false for other pages, with `out` in disorder
 */
function copyCompact(source: Int32Array, base: number, { words, bytes }: PageBuffer): boolean {
  const lower = source[base + (PD_LOWER >> 2)]! & 0xffff
  if (lower === 0 || lower & 3 || (source[base + (PD_SPECIAL >> 2)]! & 0xffff) !== BLOCK_SIZE) return false
  words.set(source.subarray(base, base + BLOCK_SIZE / 4))
  bytes[PD_CHECKSUM] = 0
  bytes[PD_CHECKSUM + 1] = 0
  let previous = BLOCK_SIZE
  for (let w = SIZE_OF_PAGE_HEADER / 4; w < lower >> 2; w++) {
    const pointer = words[w]!
    if (((pointer >>> 15) & 3) !== LP_NORMAL) continue
    const off = pointer & 0x7fff
    const end = off + (pointer >>> 17)
    if (((end + 7) & ~7) !== previous) return false
    for (let at = end; at < previous; at++) bytes[at] = 0
    previous = off
  }
  words.fill(0, lower >> 2, previous >> 2)
  return true
}

/** Copies page bytes [start, end), start a multiple of 4, by words and a byte-wise tail. */
function copyBytes(source: Int32Array, base: number, words: Int32Array, bytes: Uint8Array, start: number, end: number): void {
  const last = end >> 2
  for (let w = start >> 2; w < last; w++) words[w] = source[base + w]!
  if (end & 3) {
    const tail = source[base + last]!
    for (let at = last << 2, shift = 0; at < end; at++, shift += 8) bytes[at] = tail >>> shift
  }
}

/** Byte position of the first difference, -1 if equal. */
export function firstDifference(a: Int32Array, aBase: number, b: Int32Array, bBase: number): number {
  for (let w = 0; w < BLOCK_SIZE / 4; w++) {
    if (a[aBase + w] !== b[bBase + w]) return w * 4
  }
  return -1
}
