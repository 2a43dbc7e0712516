import { type WalPosition, formatWalPosition } from '../common/ids.ts'
import { PG_MAJORS, type PgMajor } from '../common/pgversion.ts'

/*
 * XLogPageHeaderData and XLogLongPageHeaderData (xlog_internal.h), little-endian, at the start of every page of 8192 bytes;
 * the long one on the first page of a segment, and only there:
 *
 *  0           2          4         8              16            20    24           32             36           40
 *  +-----------+----------+---------+--------------+-------------+-----+------------+--------------+------------+
 *  | xlp_magic | xlp_info | xlp_tli | xlp_pageaddr | xlp_rem_len | pad | xlp_sysid  | xlp_seg_size | xlp_xlog_… |
 *  +-----------+----------+---------+--------------+-------------+-----+------------+--------------+------------+
 *  |<-------------------------- short ------------------------->| |<------------- long header only ------------>|
 */
export const WAL_PAGE_SIZE = 8192
export const SIZE_OF_SHORT_PAGE_HEADER = 24
export const SIZE_OF_LONG_PAGE_HEADER = 40

const XLP_INFO = 2
const XLP_TLI = 4
const XLP_PAGEADDR = 8
const XLP_REM_LEN = 16
const XLP_SYSID = 24
const XLP_SEG_SIZE = 32
const XLP_XLOG_BLCKSZ = 36

export const XLP_FIRST_IS_CONTRECORD = 0x0001
const XLP_LONG_HEADER = 0x0002
export const XLP_FIRST_IS_OVERWRITE_CONTRECORD = 0x0008
/** XLP_BKP_REMOVABLE, 0x4, is a hint to backup tools. */
const XLP_ALL_FLAGS = 0x000f

/**
 * XLOG_PAGE_MAGIC of each major (xlog_internal.h). It does not fix the layout of records: 17.11 and 18.6 added block references under the
 * same magic.
 */
const XLOG_PAGE_MAGIC: Readonly<Record<PgMajor, number>> = { 14: 0xd10d, 15: 0xd110, 16: 0xd113, 17: 0xd116, 18: 0xd118 }

export interface WalPageHeader {
  magic: number
  info: number
  timeline: number
  pageAddress: WalPosition
  /** xlp_rem_len: how many bytes of a record that began on an earlier page are still to come, from this page on. */
  remaining: number
  /** The fields of a long header; undefined for a short one. */
  long: { systemIdentifier: bigint; segmentSize: number; pageSize: number } | undefined
}

/** Whose segments these are. */
export interface SegmentIdentity {
  major: PgMajor
  systemIdentifier: bigint
  segmentSize: number
}

/** The values that a page's header is compared with. */
export interface ExpectedPage {
  major: PgMajor
  segmentSize: number
  /** The highest timeline that a page may have: a page that an ancestor wrote keeps the ancestor's number. */
  timeline: number
  systemIdentifier: bigint | undefined
}

/** Why a page cannot be part of the WAL that is being read. */
export interface PageFault {
  code: string
  reason: string
}

/** Bytes of the header of the page at `pageAddress`. */
export function pageHeaderSize(pageAddress: WalPosition, segmentSize: number): number {
  return pageAddress % segmentSize === 0 ? SIZE_OF_LONG_PAGE_HEADER : SIZE_OF_SHORT_PAGE_HEADER
}

/**
 * `position` as the end of a record. Where a page is full, pg_current_wal_insert_lsn names the end of the WAL by the place behind the next
 * page's header (XLogBytePosToRecPtr, xlog.c), and so does a record that begins there: both are the page's beginning.
 */
export function endPosition(position: WalPosition, segmentSize: number): WalPosition {
  const page = position - (position % WAL_PAGE_SIZE)
  return position <= page + pageHeaderSize(page, segmentSize) ? page : position
}

/** Where a record of `length` bytes that begins at `start` ends, padding and the page headers inside included. */
export function recordEnd(start: WalPosition, length: number, segmentSize: number): WalPosition {
  let at = start
  for (let left = (length + 7) & ~7; ; ) {
    const room = WAL_PAGE_SIZE - (at % WAL_PAGE_SIZE)
    if (left <= room) return at + left
    left -= room
    at += room
    at += pageHeaderSize(at, segmentSize)
  }
}

/** The major whose servers write this page magic. */
export function majorOfMagic(magic: number): PgMajor | undefined {
  return PG_MAJORS.find(major => XLOG_PAGE_MAGIC[major] === magic)
}

/**
 * Reads the header at `start`; checks nothing.
 * @throws RangeError if it is cut short
 */
export function readWalPageHeader(view: DataView, start: number): WalPageHeader {
  const info = view.getUint16(start + XLP_INFO, true)
  return {
    magic: view.getUint16(start, true),
    info,
    timeline: view.getUint32(start + XLP_TLI, true),
    pageAddress: readPosition(view, start + XLP_PAGEADDR),
    remaining: view.getUint32(start + XLP_REM_LEN, true),
    long: (info & XLP_LONG_HEADER) === 0 ? undefined : {
      systemIdentifier: view.getBigUint64(start + XLP_SYSID, true),
      segmentSize: view.getUint32(start + XLP_SEG_SIZE, true),
      pageSize: view.getUint32(start + XLP_XLOG_BLCKSZ, true),
    },
  }
}

/** Writes the header of a segment's first page, at the start of `view`. */
export function writeSegmentHeader(
  view: DataView, { major, timeline, pageAddress, systemIdentifier, segmentSize }: Pick<WalPageHeader, 'timeline' | 'pageAddress'> & SegmentIdentity,
): void {
  view.setUint16(0, XLOG_PAGE_MAGIC[major], true)
  view.setUint16(XLP_INFO, XLP_LONG_HEADER, true)
  view.setUint32(XLP_TLI, timeline, true)
  view.setBigUint64(XLP_PAGEADDR, BigInt(pageAddress), true)
  view.setUint32(XLP_REM_LEN, 0, true)
  view.setBigUint64(XLP_SYSID, systemIdentifier, true)
  view.setUint32(XLP_SEG_SIZE, segmentSize, true)
  view.setUint32(XLP_XLOG_BLCKSZ, WAL_PAGE_SIZE, true)
}

export function pageInfo(view: DataView, start: number): number {
  return view.getUint16(start + XLP_INFO, true)
}

export function pageTimeline(view: DataView, start: number): number {
  return view.getUint32(start + XLP_TLI, true)
}

export function pageRemaining(view: DataView, start: number): number {
  return view.getUint32(start + XLP_REM_LEN, true)
}

/**
 * XLogReaderValidatePageHeader (xlogreader.c) for the header at `start` of `view`, which must be there in full. It is stricter than Postgres in one
 * point: only the first page of a segment has a long header.
 * @param lastTimeline of the page before, 0 if that is not known
 */
export function checkPageHeader(view: DataView, start: number, pageAddress: WalPosition, lastTimeline: number, expected: ExpectedPage): PageFault | undefined {
  const magic = view.getUint16(start, true)
  if (magic !== XLOG_PAGE_MAGIC[expected.major]) {
    return { code: 'wal.magic', reason: magic === 0 ? 'a page of zeros' : `page magic ${hex(magic)} is not that of ${expected.major}` }
  }
  const info = view.getUint16(start + XLP_INFO, true)
  if ((info & ~XLP_ALL_FLAGS) !== 0) return { code: 'wal.page-info', reason: `page info ${hex(info)}` }
  const first = pageAddress % expected.segmentSize === 0
  if (((info & XLP_LONG_HEADER) !== 0) !== first) {
    return { code: 'wal.long-header', reason: first ? 'the first page of a segment has a short header' : 'a long header inside a segment' }
  }
  const address = readPosition(view, start + XLP_PAGEADDR)
  if (address !== pageAddress) return { code: 'wal.page-address', reason: `the page says it is at ${formatWalPosition(address)}` }
  const timeline = view.getUint32(start + XLP_TLI, true)
  if (timeline > expected.timeline) {
    return { code: 'wal.timeline', reason: `a page of timeline ${timeline} in a file of timeline ${expected.timeline}` }
  }
  if (timeline < lastTimeline) return { code: 'wal.timeline', reason: `a page of timeline ${timeline} after one of ${lastTimeline}` }
  return first ? checkLongHeader(view, start, expected) : undefined
}

function checkLongHeader(view: DataView, start: number, { systemIdentifier, segmentSize }: ExpectedPage): PageFault | undefined {
  const found = view.getBigUint64(start + XLP_SYSID, true)
  if (systemIdentifier !== undefined && found !== systemIdentifier) {
    return { code: 'wal.system-identifier', reason: `WAL of the system ${found}, not of ${systemIdentifier}` }
  }
  const size = view.getUint32(start + XLP_SEG_SIZE, true)
  if (size !== segmentSize) return { code: 'wal.segment-size', reason: `segments of ${size} bytes, not of ${segmentSize}` }
  const pageSize = view.getUint32(start + XLP_XLOG_BLCKSZ, true)
  if (pageSize !== WAL_PAGE_SIZE) return { code: 'wal.page-size', reason: `WAL pages of ${pageSize} bytes` }
  return undefined
}

/** A position as stored; 2^53 and above (no server has been there) come out inexact, but never equal to a smaller one. */
function readPosition(view: DataView, start: number): WalPosition {
  return view.getUint32(start + 4, true) * 0x100000000 + view.getUint32(start, true)
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`
}
