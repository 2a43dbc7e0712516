import { readU16, readU32 } from '../common/bytes.ts'
import { HEAP_NATTS_MASK } from './infomask.ts'

/*
 * HeapTupleHeaderData (htup_details.h), 23 bytes, then t_bits; little-endian:
 *
 *  0        4        8        12      14      16      18          20        22     23
 *  +--------+--------+--------+-------+-------+-------+-----------+---------+------+----------+--------
 *  | t_xmin | t_xmax | t_cid  | bi_hi | bi_lo | posid | infomask2 | infomask| hoff | t_bits…  | data…
 *  +--------+--------+--------+-------+-------+-------+-----------+---------+------+----------+--------
 *                              t_ctid: the HIGH half of the block comes first       only with HEAP_HASNULL
 */
export const SIZE_OF_TUPLE_HEADER = 23
export const T_XMIN = 0
export const T_XMAX = 4
export const T_CID = 8
export const T_CTID = 12
export const T_INFOMASK2 = 18
export const T_INFOMASK = 20
export const T_HOFF = 22

/** MaxHeapTupleSize is 8160; the attribute count has 11 bits. */
export const MAX_TUPLE_ATTRIBUTES: 2047 = HEAP_NATTS_MASK

export interface TupleHeader {
  xmin: number
  xmax: number
  cid: number
  ctidBlock: number
  ctidOffset: number
  infomask2: number
  infomask: number
  hoff: number
  natts: number
}

/** Reads the header of the tuple that begins at `start`. Throws RangeError if fewer than 23 bytes follow. */
export function readTupleHeader(bytes: Uint8Array, start: number): TupleHeader {
  const infomask2 = readU16(bytes, start + T_INFOMASK2)
  return {
    xmin: readU32(bytes, start + T_XMIN),
    xmax: readU32(bytes, start + T_XMAX),
    cid: readU32(bytes, start + T_CID),
    ctidBlock: ((readU16(bytes, start + T_CTID) << 16) | readU16(bytes, start + T_CTID + 2)) >>> 0,
    ctidOffset: readU16(bytes, start + T_CTID + 4),
    infomask2,
    infomask: readU16(bytes, start + T_INFOMASK),
    hoff: bytes[start + T_HOFF]!,
    natts: infomask2 & HEAP_NATTS_MASK,
  }
}

/** Bytes of the null bitmap of `natts` attributes (BITMAPLEN). */
export function bitmapLength(natts: number): number {
  return (natts + 7) >> 3
}

/** t_hoff as heap_form_tuple sets it. */
export function headerLength(natts: number, hasNull: boolean): number {
  return (SIZE_OF_TUPLE_HEADER + (hasNull ? bitmapLength(natts) : 0) + 7) & ~7
}
