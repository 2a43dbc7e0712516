import { CorruptionError } from '../common/errors.ts'
import { formatWalPosition, type Oid, type OffsetNumber, type Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { MainData } from './maindata.ts'
import type { BlockReference, WalRecord } from './record.ts'

/*
 * RM_HEAP_ID (heapam_xlog.h). Main data, little-endian, nothing aligned:
 *
 *   INSERT        offnum u16, flags u8
 *   DELETE        xmax u32, offnum u16, infobits_set u8, flags u8, [old tuple: xl_heap_header, bytes from t_bits on]
 *   UPDATE        old_xmax u32, old_offnum u16, old_infobits_set u8, flags u8, new_xmax u32, new_offnum u16, [old tuple]
 *   LOCK          xmax u32, offnum u16, infobits_set u8, flags u8
 *   CONFIRM       offnum u16
 *   INPLACE       offnum u16; 18+: pad u16, dbId u32, tsId u32, relcacheInitFileInval u8, pad[3], nmsgs i32, msgs[nmsgs] of 16
 *   TRUNCATE      dbId u32, nrelids u32, flags u8, pad[3], relids u32[]
 *
 * A new tuple is block data: xl_heap_header, then the tuple's bytes from t_bits (23) on:
 *
 *   +--------------+--------------+---------+----------------------
 *   | infomask2 u16| infomask u16 | hoff u8 | bitmap, pad, values
 *   +--------------+--------------+---------+----------------------
 */
export const XLOG_HEAP_INSERT = 0x00
export const XLOG_HEAP_DELETE = 0x10
export const XLOG_HEAP_UPDATE = 0x20
export const XLOG_HEAP_TRUNCATE = 0x30
export const XLOG_HEAP_HOT_UPDATE = 0x40
export const XLOG_HEAP_CONFIRM = 0x50
export const XLOG_HEAP_LOCK = 0x60
export const XLOG_HEAP_INPLACE = 0x70
/** The opcode's bits of xl_info, without {@link XLOG_HEAP_INIT_PAGE}. */
export const XLOG_HEAP_OPMASK = 0x70
/** The tuples of the record are the first ones on the page: redo begins with an empty page, and needs no full-page image. */
export const XLOG_HEAP_INIT_PAGE = 0x80

export const XLH_INSERT_ALL_VISIBLE_CLEARED = 0x01
export const XLH_INSERT_ALL_FROZEN_SET = 0x20

export const XLH_UPDATE_OLD_ALL_VISIBLE_CLEARED = 0x01
export const XLH_UPDATE_NEW_ALL_VISIBLE_CLEARED = 0x02
const XLH_UPDATE_CONTAINS_OLD_TUPLE = 0x04
const XLH_UPDATE_CONTAINS_OLD_KEY = 0x08
export const XLH_UPDATE_PREFIX_FROM_OLD = 0x20
export const XLH_UPDATE_SUFFIX_FROM_OLD = 0x40

export const XLH_DELETE_ALL_VISIBLE_CLEARED = 0x01
const XLH_DELETE_CONTAINS_OLD_TUPLE = 0x02
const XLH_DELETE_CONTAINS_OLD_KEY = 0x04
/** heap_abort_speculative takes back a row of INSERT ... ON CONFLICT. */
export const XLH_DELETE_IS_SUPER = 0x08
/** The delete half of an UPDATE that moves the row to another partition. */
export const XLH_DELETE_IS_PARTITION_MOVE = 0x10

export const XLH_LOCK_ALL_FROZEN_CLEARED = 0x01

/** Bits of infobits_set. */
export const XLHL_XMAX_IS_MULTI = 0x01
export const XLHL_XMAX_LOCK_ONLY = 0x02
export const XLHL_XMAX_EXCL_LOCK = 0x04
export const XLHL_XMAX_KEYSHR_LOCK = 0x08
export const XLHL_KEYS_UPDATED = 0x10

export const XLH_TRUNCATE_CASCADE = 0x01
export const XLH_TRUNCATE_RESTART_SEQS = 0x02

// Sizes as heapam_xlog.h defines them: offsetof the last field plus its size, so the padding at the end of a C struct is not in the WAL.
/** SizeOfHeapHeader: infomask2, infomask, hoff. */
export const SIZE_OF_HEAP_HEADER = 5
const SIZE_OF_HEAP_INSERT = 3
const SIZE_OF_HEAP_DELETE = 8
const SIZE_OF_HEAP_UPDATE = 14
const SIZE_OF_HEAP_LOCK = 8
const SIZE_OF_HEAP_CONFIRM = 2

/** @throws CorruptionError wal.heap */
export function corruptHeapRecord(record: WalRecord, reason: string): CorruptionError {
  return new CorruptionError('wal.heap', `${reason}, in a record with info 0x${record.info.toString(16)}`, { lsn: formatWalPosition(record.startLsn) })
}

/** The block with id 0, which every record that changes a heap page has. */
export function heapBlock(record: WalRecord): BlockReference {
  const block = record.blockCount > 0 ? record.blocks[0] : undefined
  if (block === undefined || block.id !== 0) throw corruptHeapRecord(record, 'no block 0')
  return block
}

/** Postgres trusts the length of main data. Here a record of another length is refused: its fields would be read from other data. */
function checkLength(record: WalRecord, length: number): void {
  if (record.mainLength !== length) throw corruptHeapRecord(record, `main data of ${record.mainLength} bytes, ${length} expected`)
}

/*
 * Redo refills one object of each class below for every record, so that it allocates nothing per record.
 */

/** xl_heap_insert. */
export class HeapInsert {
  offset: OffsetNumber = 0
  flags = 0

  /** @throws CorruptionError wal.heap */
  read(record: WalRecord): void {
    checkLength(record, SIZE_OF_HEAP_INSERT)
    const { view, mainStart } = record
    this.offset = view.getUint16(mainStart, true)
    this.flags = view.getUint8(mainStart + 2)
  }
}

/** xl_heap_delete, and xl_heap_lock and xl_heap_lock_updated, which have the same fields. */
export class HeapDelete {
  xmax: Xid = 0
  offset: OffsetNumber = 0
  infobits = 0
  flags = 0

  /** @throws CorruptionError wal.heap */
  read(record: WalRecord): void {
    const old = record.mainLength > SIZE_OF_HEAP_DELETE
    if (!old) checkLength(record, SIZE_OF_HEAP_DELETE)
    this.readFields(record)
    checkOldTuple(record, old, this.flags & (XLH_DELETE_CONTAINS_OLD_TUPLE | XLH_DELETE_CONTAINS_OLD_KEY), SIZE_OF_HEAP_DELETE)
  }

  /** LOCK, and LOCK_UPDATED of RM_HEAP2_ID. @throws CorruptionError wal.heap */
  readLock(record: WalRecord): void {
    checkLength(record, SIZE_OF_HEAP_LOCK)
    this.readFields(record)
  }

  private readFields({ view, mainStart }: WalRecord): void {
    this.xmax = view.getUint32(mainStart, true)
    this.offset = view.getUint16(mainStart + 4, true)
    this.infobits = view.getUint8(mainStart + 6)
    this.flags = view.getUint8(mainStart + 7)
  }
}

/** xl_heap_update. */
export class HeapUpdate {
  oldXmax: Xid = 0
  oldOffset: OffsetNumber = 0
  oldInfobits = 0
  flags = 0
  newXmax: Xid = 0
  newOffset: OffsetNumber = 0

  /** @throws CorruptionError wal.heap */
  read(record: WalRecord): void {
    const old = record.mainLength > SIZE_OF_HEAP_UPDATE
    if (!old) checkLength(record, SIZE_OF_HEAP_UPDATE)
    const { view, mainStart } = record
    this.oldXmax = view.getUint32(mainStart, true)
    this.oldOffset = view.getUint16(mainStart + 4, true)
    this.oldInfobits = view.getUint8(mainStart + 6)
    this.flags = view.getUint8(mainStart + 7)
    this.newXmax = view.getUint32(mainStart + 8, true)
    this.newOffset = view.getUint16(mainStart + 12, true)
    checkOldTuple(record, old, this.flags & (XLH_UPDATE_CONTAINS_OLD_TUPLE | XLH_UPDATE_CONTAINS_OLD_KEY), SIZE_OF_HEAP_UPDATE)
  }
}

/**
 * wal_level logical adds the old tuple, or its replica identity key, to the main data. A flag must say so, and there must be more than its
 * header.
 */
function checkOldTuple(record: WalRecord, present: boolean, flags: number, fixed: number): void {
  if (present !== (flags !== 0) || (present && record.mainLength < fixed + SIZE_OF_HEAP_HEADER)) {
    throw corruptHeapRecord(record, `main data of ${record.mainLength} bytes with flags 0x${flags.toString(16)} for the old tuple`)
  }
}

/** xl_heap_confirm. @throws CorruptionError wal.heap */
export function decodeHeapConfirm(record: WalRecord): OffsetNumber {
  checkLength(record, SIZE_OF_HEAP_CONFIRM)
  return record.view.getUint16(record.mainStart, true)
}

/** xl_heap_inplace. 18 added the invalidation messages. */
export interface HeapInplace {
  offset: OffsetNumber
  invalidations: { dbOid: Oid; spcOid: Oid; relcacheInitFileInval: boolean; /** SharedInvalidationMessage, 16 bytes each. */ messages: Uint8Array } | undefined
}

const SIZE_OF_INVALIDATION = 16
const data = new MainData('wal.heap')

/** @throws CorruptionError wal.heap */
export function decodeHeapInplace(record: WalRecord, major: PgMajor): HeapInplace {
  data.open(record)
  const offset = data.u16()
  if (major < 18) {
    data.finish()
    return { offset, invalidations: undefined }
  }
  data.take(2)
  const dbOid = data.u32()
  const spcOid = data.u32()
  const relcacheInitFileInval = data.bool()
  data.take(3)
  const messages = data.bytes(data.count(SIZE_OF_INVALIDATION) * SIZE_OF_INVALIDATION)
  data.finish()
  return { offset, invalidations: { dbOid, spcOid, relcacheInitFileInval, messages } }
}

/** xl_heap_truncate: read by logical decoding alone. */
export interface HeapTruncate {
  dbOid: Oid
  flags: number
  relOids: Oid[]
}

/** @throws CorruptionError wal.heap */
export function decodeHeapTruncate(record: WalRecord): HeapTruncate {
  data.open(record)
  const dbOid = data.u32()
  const count = data.u32()
  const flags = data.u8()
  data.take(3)
  if (count * 4 > record.mainLength) throw data.corrupt(`${count} relations`)
  const relOids = data.u32s(count)
  data.finish()
  return { dbOid, flags, relOids }
}
