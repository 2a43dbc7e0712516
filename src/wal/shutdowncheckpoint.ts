import { crc32c } from '../common/crc32c.ts'
import { assert } from '../common/errors.ts'
import { formatWalPosition, type Oid, type WalPosition, type Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { SIZE_OF_LONG_PAGE_HEADER, type SegmentIdentity, WAL_PAGE_SIZE, writeSegmentHeader } from './pageheader.ts'
import { SIZE_OF_RECORD_HEADER, XL_CRC, XL_INFO, XL_RMID, XL_TOT_LEN } from './recordheader.ts'
import { RM_XLOG_ID } from './rmgr.ts'
import { XLOG_CHECKPOINT_SHUTDOWN } from './xlog.ts'

/*
 * WAL as pg_resetwal begins it (WriteEmptyXLOG): a segment with one record, the checkpoint of a server that was shut down.
 *
 *  0             40              64         66             154 (since 19: 162)
 *  +-- header ---+-- XLogRecord -+- 255 88 -+- CheckPoint -+- zeros to the end of the segment
 */

/** Where a CheckPoint has its members: see xlog.ts. */
interface CheckPointPlaces {
  size: number
  nextXid: number
  nextOid: number
  nextMulti: number
  nextMultiOffset: number
  oldestXid: number
  oldestMulti: number
  commitTimestamps: number
  oldestActiveXid: number
}

const REDO = 0
const THIS_TIMELINE = 8
const PREV_TIMELINE = 12
const UNTIL_18: CheckPointPlaces = {
  size: 88, nextXid: 24, nextOid: 32, nextMulti: 36, nextMultiOffset: 40, oldestXid: 44, oldestMulti: 52, commitTimestamps: 72, oldestActiveXid: 80,
}
const SINCE_19: CheckPointPlaces = {
  size: 96, nextXid: 32, nextOid: 40, nextMulti: 44, nextMultiOffset: 48, oldestXid: 56, oldestMulti: 64, commitTimestamps: 80, oldestActiveXid: 88,
}
/** XLR_BLOCK_ID_DATA_SHORT (xlogrecord.h): one byte says how long the main data is. */
const DATA_SHORT = 255

function placesOf(major: PgMajor): CheckPointPlaces {
  return major >= 19 ? SINCE_19 : UNTIL_18
}

/** sizeof(CheckPoint). */
export function sizeOfCheckPoint(major: PgMajor): number {
  return placesOf(major).size
}

/** Members of a CheckPoint. */
export interface CheckPointCounters {
  nextXid: { low: Xid; epoch: number }
  nextOid: Oid
  nextMulti: number
  nextMultiOffset: number
  oldestXid: Xid
  oldestMulti: number
}

/**
 * The CheckPoint of a shutdown at `redo`: members that neither the place nor the counters say stay as they are.
 * @param checkPoint its bytes, of the same major
 */
export function shutdownCheckPoint(
  major: PgMajor, checkPoint: Uint8Array, redo: WalPosition, timeline: number, counters: CheckPointCounters,
): Uint8Array {
  const at = placesOf(major)
  assert(checkPoint.length === at.size, `a CheckPoint of ${checkPoint.length} bytes`)
  const bytes = new Uint8Array(checkPoint)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(REDO, BigInt(redo), true)
  view.setUint32(THIS_TIMELINE, timeline, true)
  view.setUint32(PREV_TIMELINE, timeline, true)
  view.setUint32(at.nextXid, counters.nextXid.low, true)
  view.setUint32(at.nextXid + 4, counters.nextXid.epoch, true)
  view.setUint32(at.nextOid, counters.nextOid, true)
  view.setUint32(at.nextMulti, counters.nextMulti, true)
  if (major >= 19) view.setBigUint64(at.nextMultiOffset, BigInt(counters.nextMultiOffset), true)
  else view.setUint32(at.nextMultiOffset, counters.nextMultiOffset, true)
  view.setUint32(at.oldestXid, counters.oldestXid, true)
  view.setUint32(at.oldestMulti, counters.oldestMulti, true)
  // Nothing runs at a shutdown.
  view.setUint32(at.oldestActiveXid, 0, true)
  return bytes
}

/** The same CheckPoint without the range of xids that have commit timestamps. */
export function withoutCommitTimestamps(major: PgMajor, checkPoint: Uint8Array): Uint8Array {
  const { commitTimestamps } = placesOf(major)
  return new Uint8Array(checkPoint).fill(0, commitTimestamps, commitTimestamps + 8)
}

/** Where the record of a segment that begins with it is. */
export function firstRecordOf(segmentStart: WalPosition): WalPosition {
  return segmentStart + SIZE_OF_LONG_PAGE_HEADER
}

/**
 * The first page of the segment that begins at `segmentStart`; what follows is zeros.
 * @param checkPoint by {@link shutdownCheckPoint}, of the same timeline, with {@link firstRecordOf} as its redo position
 */
export function checkpointPage(identity: SegmentIdentity, segmentStart: WalPosition, timeline: number, checkPoint: Uint8Array): Uint8Array {
  assert(segmentStart % identity.segmentSize === 0, `a segment that begins at ${formatWalPosition(segmentStart)}`)
  const page = new Uint8Array(WAL_PAGE_SIZE)
  writeSegmentHeader(new DataView(page.buffer), { ...identity, timeline, pageAddress: segmentStart })
  const size = sizeOfCheckPoint(identity.major)
  const length = SIZE_OF_RECORD_HEADER + 2 + size
  const record = page.subarray(SIZE_OF_LONG_PAGE_HEADER, SIZE_OF_LONG_PAGE_HEADER + length)
  const view = new DataView(record.buffer, record.byteOffset, record.length)
  view.setUint32(XL_TOT_LEN, length, true)
  record[XL_INFO] = XLOG_CHECKPOINT_SHUTDOWN
  record[XL_RMID] = RM_XLOG_ID
  record[SIZE_OF_RECORD_HEADER] = DATA_SHORT
  record[SIZE_OF_RECORD_HEADER + 1] = size
  record.set(checkPoint, SIZE_OF_RECORD_HEADER + 2)
  view.setUint32(XL_CRC, recordCrc(record), true)
  return page
}

/** The CRC of everything behind the header, then of the header up to the CRC itself. */
function recordCrc(record: Uint8Array): number {
  const ordered = new Uint8Array(record.length - SIZE_OF_RECORD_HEADER + XL_CRC)
  ordered.set(record.subarray(SIZE_OF_RECORD_HEADER))
  ordered.set(record.subarray(0, XL_CRC), record.length - SIZE_OF_RECORD_HEADER)
  return crc32c(ordered)
}
