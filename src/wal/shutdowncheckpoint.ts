import { crc32c } from '../common/crc32c.ts'
import { assert } from '../common/errors.ts'
import { formatWalPosition, type Oid, type WalPosition, type Xid } from '../common/ids.ts'
import { SIZE_OF_LONG_PAGE_HEADER, type SegmentIdentity, WAL_PAGE_SIZE, writeSegmentHeader } from './pageheader.ts'
import { SIZE_OF_RECORD_HEADER, XL_CRC, XL_INFO, XL_RMID, XL_TOT_LEN } from './recordheader.ts'
import { RM_XLOG_ID } from './rmgr.ts'
import { XLOG_CHECKPOINT_SHUTDOWN } from './xlog.ts'

/*
 * WAL as pg_resetwal begins it (WriteEmptyXLOG): a segment with one record, the checkpoint of a server that was shut down.
 *
 *  0             40              64         66             154
 *  +-- header ---+-- XLogRecord -+- 255 88 -+- CheckPoint -+- zeros to the end of the segment
 */

/** sizeof(CheckPoint): see xlog.ts for its members. */
export const SIZE_OF_CHECKPOINT = 88
const REDO = 0
const THIS_TIMELINE = 8
const PREV_TIMELINE = 12
const NEXT_XID = 24
const NEXT_OID = 32
const NEXT_MULTI = 36
const NEXT_MULTI_OFFSET = 40
const OLDEST_XID = 44
const OLDEST_MULTI = 52
const OLDEST_ACTIVE_XID = 80
/** XLR_BLOCK_ID_DATA_SHORT (xlogrecord.h): one byte says how long the main data is. */
const DATA_SHORT = 255
const RECORD_LENGTH = SIZE_OF_RECORD_HEADER + 2 + SIZE_OF_CHECKPOINT

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
 * @param checkPoint its 88 bytes, of the same major
 */
export function shutdownCheckPoint(checkPoint: Uint8Array, redo: WalPosition, timeline: number, counters: CheckPointCounters): Uint8Array {
  assert(checkPoint.length === SIZE_OF_CHECKPOINT, `a CheckPoint of ${checkPoint.length} bytes`)
  const bytes = new Uint8Array(checkPoint)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(REDO, BigInt(redo), true)
  view.setUint32(THIS_TIMELINE, timeline, true)
  view.setUint32(PREV_TIMELINE, timeline, true)
  view.setUint32(NEXT_XID, counters.nextXid.low, true)
  view.setUint32(NEXT_XID + 4, counters.nextXid.epoch, true)
  view.setUint32(NEXT_OID, counters.nextOid, true)
  view.setUint32(NEXT_MULTI, counters.nextMulti, true)
  view.setUint32(NEXT_MULTI_OFFSET, counters.nextMultiOffset, true)
  view.setUint32(OLDEST_XID, counters.oldestXid, true)
  view.setUint32(OLDEST_MULTI, counters.oldestMulti, true)
  // Nothing runs at a shutdown.
  view.setUint32(OLDEST_ACTIVE_XID, 0, true)
  return bytes
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
  const record = page.subarray(SIZE_OF_LONG_PAGE_HEADER, SIZE_OF_LONG_PAGE_HEADER + RECORD_LENGTH)
  const view = new DataView(record.buffer, record.byteOffset, record.length)
  view.setUint32(XL_TOT_LEN, RECORD_LENGTH, true)
  record[XL_INFO] = XLOG_CHECKPOINT_SHUTDOWN
  record[XL_RMID] = RM_XLOG_ID
  record[SIZE_OF_RECORD_HEADER] = DATA_SHORT
  record[SIZE_OF_RECORD_HEADER + 1] = SIZE_OF_CHECKPOINT
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
