import { type BlockNumber, FIRST_NORMAL_XID, type Oid, type OffsetNumber, type WalPosition, type Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { RelFileLocator } from '../common/rel.ts'
import { corruptHeapRecord, heapBlock, SIZE_OF_HEAP_HEADER, XLOG_HEAP_INIT_PAGE } from './heap.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/*
 * RM_HEAP2_ID (heapam_xlog.h). The opcodes 0x10, 0x20 and 0x30 are three record types until 16, and three names of one type since 17: see
 * heapprune.ts.
 *
 *   MULTI_INSERT  flags u8, garbage u8, ntuples u16, offsets u16[ntuples] unless INIT_PAGE; block data: xl_multi_insert_tuple[],
 *                 each at an even position of the block data:
 *                 +-------------+---------------+--------------+---------+----------------------
 *                 | datalen u16 | infomask2 u16 | infomask u16 | hoff u8 | bitmap, pad, values
 *                 +-------------+---------------+--------------+---------+----------------------
 *   VISIBLE       snapshotConflictHorizon u32, flags u8
 *   NEW_CID       top_xid u32, cmin u32, cmax u32, combocid u32, relation 12, ctid 6
 *   REWRITE       mapped_xid u32, mapped_db u32, mapped_rel u32, pad 4, offset i64, num_mappings u32, pad 4, start_lsn u64, mappings of 36
 */
export const XLOG_HEAP2_REWRITE = 0x00
/** PRUNE until 16, PRUNE_ON_ACCESS since 17. */
export const XLOG_HEAP2_PRUNE = 0x10
/** VACUUM until 16, PRUNE_VACUUM_SCAN since 17. */
export const XLOG_HEAP2_VACUUM = 0x20
/** FREEZE_PAGE until 16, PRUNE_VACUUM_CLEANUP since 17. */
export const XLOG_HEAP2_FREEZE_PAGE = 0x30
export const XLOG_HEAP2_VISIBLE = 0x40
export const XLOG_HEAP2_MULTI_INSERT = 0x50
export const XLOG_HEAP2_LOCK_UPDATED = 0x60
export const XLOG_HEAP2_NEW_CID = 0x70

export const VISIBILITYMAP_ALL_FROZEN = 0x02
export const VISIBILITYMAP_VALID_BITS = 0x03
/** 16 added it for logical decoding on standbys: catalog rows vanish. Redo of pages does not use it. */
const VISIBILITYMAP_XLOG_CATALOG_REL = 0x04

const SIZE_OF_MULTI_INSERT = 4
/** SizeOfMultiInsertTuple: datalen, then an xl_heap_header. */
const SIZE_OF_MULTI_INSERT_TUPLE = 2 + SIZE_OF_HEAP_HEADER
const SIZE_OF_HEAP_VISIBLE = 5

/** xl_heap_multi_insert; refilled. A record whose block has a full-page image may have no block data, so {@link read} does not look at it. */
export class HeapMultiInsert {
  flags = 0
  count = 0
  /** Offset number of the tuple that {@link next} found. */
  offset: OffsetNumber = 0
  /** Where its xl_heap_header begins in the record's bytes. */
  headerStart = 0
  /** Bytes behind the header. */
  dataLength = 0
  private index = 0
  private at = 0
  private init = false

  /** @throws CorruptionError wal.heap */
  read(record: WalRecord): void {
    const { view, mainStart, mainLength } = record
    if (mainLength < SIZE_OF_MULTI_INSERT) throw corruptHeapRecord(record, `main data of ${mainLength} bytes`)
    this.init = (record.info & XLOG_HEAP_INIT_PAGE) !== 0
    this.flags = view.getUint8(mainStart)
    this.count = view.getUint16(mainStart + 2, true)
    this.index = 0
    this.at = heapBlock(record).dataStart
    const expected = SIZE_OF_MULTI_INSERT + (this.init ? 0 : 2 * this.count)
    if (mainLength !== expected) throw corruptHeapRecord(record, `main data of ${mainLength} bytes for ${this.count} tuples`)
  }

  /** The offset number of tuple `index` of {@link count}, from 0: known without block data too. */
  offsetOf(record: WalRecord, index: number): OffsetNumber {
    return this.init ? index + 1 : record.view.getUint16(record.mainStart + SIZE_OF_MULTI_INSERT + 2 * index, true)
  }

  /**
   * Steps to the next tuple of the block data. @returns false after the last one
   * @throws CorruptionError wal.heap unless the tuples fill the block data exactly
   */
  next(record: WalRecord): boolean {
    const { dataStart, dataLength } = heapBlock(record)
    const end = dataStart + dataLength
    if (this.index === this.count) {
      if (this.at !== end) throw corruptHeapRecord(record, `${end - this.at} bytes behind the last tuple`)
      return false
    }
    // xl_multi_insert_tuple begins at an even address (SHORTALIGN): heap_multi_insert aligned it in a buffer whose beginning is the block data's.
    const at = this.at + ((this.at - dataStart) & 1)
    if (at + SIZE_OF_MULTI_INSERT_TUPLE > end) throw corruptHeapRecord(record, `tuple ${this.index + 1} of ${this.count} is cut short`)
    this.headerStart = at + 2
    this.dataLength = record.view.getUint16(at, true)
    this.at = at + SIZE_OF_MULTI_INSERT_TUPLE + this.dataLength
    if (this.at > end) throw corruptHeapRecord(record, `tuple ${this.index + 1} of ${this.count} is cut short`)
    this.offset = this.offsetOf(record, this.index)
    this.index++
    return true
  }
}

/** xl_heap_visible; refilled. Block 0 is the page of the visibility map, block 1 the heap page. */
export class HeapVisible {
  /** snapshotConflictHorizon: a standby cancels queries whose snapshot is older than this xid. Redo of pages does not use it. */
  conflictHorizon: Xid = 0
  flags = 0

  /** @throws CorruptionError wal.heap */
  read(record: WalRecord, major: PgMajor): void {
    if (record.mainLength !== SIZE_OF_HEAP_VISIBLE) throw corruptHeapRecord(record, `main data of ${record.mainLength} bytes`)
    this.conflictHorizon = record.view.getUint32(record.mainStart, true)
    this.flags = record.view.getUint8(record.mainStart + 4)
    const valid = VISIBILITYMAP_VALID_BITS | (major >= 16 ? VISIBILITYMAP_XLOG_CATALOG_REL : 0)
    if (this.flags & ~valid) throw corruptHeapRecord(record, `flags 0x${this.flags.toString(16)}`)
  }
}

/** xl_heap_new_cid: read by logical decoding alone. */
export interface HeapNewCid {
  topXid: Xid
  cmin: number
  cmax: number
  comboCid: number
  locator: RelFileLocator
  block: BlockNumber
  offset: OffsetNumber
}

const data = new MainData('wal.heap')

/** @throws CorruptionError wal.heap */
export function decodeHeapNewCid(record: WalRecord): HeapNewCid {
  data.open(record)
  const topXid = data.u32()
  const cmin = data.u32()
  const cmax = data.u32()
  const comboCid = data.u32()
  const locator = { spcOid: data.u32(), dbOid: data.u32(), relNumber: data.u32() }
  const blockHigh = data.u16()
  const block = ((blockHigh << 16) | data.u16()) >>> 0
  const offset = data.u16()
  data.finish()
  if (topXid < FIRST_NORMAL_XID) throw data.corrupt(`top xid ${topXid}`)
  return { topXid, cmin, cmax, comboCid, locator, block, offset }
}

/** xl_heap_rewrite_mapping: the part of a file in pg_logical/mappings that logical decoding needs after a table was rewritten. */
export interface HeapRewrite {
  mappedXid: Xid
  mappedDbOid: Oid
  mappedRelOid: Oid
  mappings: number
  startLsn: WalPosition
}

const SIZE_OF_REWRITE_MAPPING = 36

/** @throws CorruptionError wal.heap */
export function decodeHeapRewrite(record: WalRecord): HeapRewrite {
  data.open(record)
  const mappedXid = data.u32()
  const mappedDbOid = data.u32()
  const mappedRelOid = data.u32()
  data.take(4 + 8)
  const mappings = data.u32()
  data.take(4)
  const startLsn = data.position()
  data.take(mappings * SIZE_OF_REWRITE_MAPPING)
  data.finish()
  return { mappedXid, mappedDbOid, mappedRelOid, mappings, startLsn }
}
