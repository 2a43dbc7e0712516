import { dataView } from '../common/bytes.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { CorruptionError } from '../common/errors.ts'
import type { Lsn } from '../common/ids.ts'

/*
 * PageHeaderData (bufpage.h), little-endian:
 *
 *  0        4        8        10       12       14       16       18              20             24
 *  +--------+--------+--------+--------+--------+--------+--------+---------------+--------------+---- - -
 *  | lsn hi | lsn lo | cksum  | flags  | lower  | upper  | special| size|version  | pd_prune_xid | pd_linp[]
 *  +--------+--------+--------+--------+--------+--------+--------+---------------+--------------+---- - -
 *
 *  [24, lower) line pointers   [lower, upper) hole   [upper, special) tuples   [special, 8192) special area
 */
export const PD_LSN = 0
export const PD_CHECKSUM = 8
export const PD_FLAGS = 10
export const PD_LOWER = 12
export const PD_UPPER = 14
export const PD_SPECIAL = 16
export const PD_PAGESIZE_VERSION = 18
export const PD_PRUNE_XID = 20
export const SIZE_OF_PAGE_HEADER = 24

/** PageSetPageSizeAndVersion: 8192 | PG_PAGE_LAYOUT_VERSION 4. */
export const PAGESIZE_VERSION: number = BLOCK_SIZE | 4
/** PD_VALID_FLAG_BITS (bufpage.h): PD_HAS_FREE_LINES, PD_PAGE_FULL, PD_ALL_VISIBLE. */
export const PD_VALID_FLAG_BITS = 0x0007

export interface PageHeader {
  lsn: Lsn
  checksum: number
  flags: number
  lower: number
  upper: number
  special: number
  pagesizeVersion: number
  pruneXid: number
}

/** Reads the header of the page at `view`; checks nothing. */
export function readPageHeader(view: DataView): PageHeader {
  return {
    lsn: (BigInt(view.getUint32(PD_LSN, true)) << 32n) | BigInt(view.getUint32(PD_LSN + 4, true)),
    checksum: view.getUint16(PD_CHECKSUM, true),
    flags: view.getUint16(PD_FLAGS, true),
    lower: view.getUint16(PD_LOWER, true),
    upper: view.getUint16(PD_UPPER, true),
    special: view.getUint16(PD_SPECIAL, true),
    pagesizeVersion: view.getUint16(PD_PAGESIZE_VERSION, true),
    pruneXid: view.getUint32(PD_PRUNE_XID, true),
  }
}

/** True if every byte is zero: a block that was added to the file and never initialised (PageIsNew). */
export function isZeroPage(page: Uint8Array): boolean {
  if (((page.byteOffset | page.length) & 3) === 0) {
    const words = new Int32Array(page.buffer, page.byteOffset, page.length >> 2)
    for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false
    return true
  }
  return page.every((byte) => byte === 0)
}

/**
 * The header test of PageIsVerifiedExtended (bufpage.c), stricter in two points: the layout version is 4, as it is since 8.3, and pd_lower is at
 * least 24, as PageInit sets it. Call it for pages that are not all zero.
 * @throws CorruptionError page.header
 */
export function checkPageHeader(page: Uint8Array): void {
  const { flags, lower, upper, special, pagesizeVersion } = readPageHeader(dataView(page))
  if (upper === 0) {
    throw new CorruptionError('page.header', 'pd_upper is 0 (uninitialised page) but other bytes are set')
  }
  if (pagesizeVersion !== PAGESIZE_VERSION) {
    throw new CorruptionError('page.header', `page size and layout version 0x${pagesizeVersion.toString(16)}, expected 0x2004`)
  }
  if (flags & ~PD_VALID_FLAG_BITS) {
    throw new CorruptionError('page.header', `unknown pd_flags 0x${flags.toString(16)}`)
  }
  checkPageBounds(lower, upper, special)
}

/** Whether pd_lower, pd_upper and pd_special of an initialised page are possible together. */
export function areSoundBounds(lower: number, upper: number, special: number): boolean {
  return lower >= SIZE_OF_PAGE_HEADER && lower <= upper && upper <= special && special <= BLOCK_SIZE && (special & 7) === 0
}

/** @throws CorruptionError page.header unless {@link areSoundBounds} */
export function checkPageBounds(lower: number, upper: number, special: number): void {
  if (areSoundBounds(lower, upper, special)) return
  throw new CorruptionError('page.header', `impossible bounds: pd_lower ${lower}, pd_upper ${upper}, pd_special ${special}`)
}
