import type { ByteWriter } from '../common/bytes.ts'
import type { AttributeLayout } from './attribute.ts'
import { headerLength, SIZE_OF_TUPLE_HEADER, T_CID, T_CTID, T_HOFF, T_INFOMASK, T_XMAX, type TupleHeader } from './header.ts'
import { HEAP_HASEXTERNAL, HEAP_HASNULL, HEAP_HASVARWIDTH, HEAP_NATTS_MASK } from './infomask.ts'
import { isExternal } from './varlena.ts'

/*
 * heap_form_tuple and heap_fill_tuple (heaptuple.c): attributes → bytes, the inverse of deform.ts. A caller that has columns works piece by piece:
 * beginTuple, appendDatum for every attribute that is not NULL, in order, writeTupleHeader. A caller that has datums calls formTuple.
 */

/** Header fields that heap_form_tuple does not make itself. */
export type TupleHeaderFields = Omit<TupleHeader, 'hoff' | 'natts'>

/**
 * Begins a tuple at the end of `out`, which may hold others, each beginning at a multiple of 8: zeros up to t_hoff, and t_hoff.
 * @param hasNull some of the `natts` attributes is NULL: the tuple has a null bitmap, in which nothing is present yet
 * @returns where it begins
 */
export function beginTuple(natts: number, hasNull: boolean, out: ByteWriter): number {
  const start = out.length
  const hoff = headerLength(natts, hasNull)
  out.zeros(hoff)
  out.bytes[start + T_HOFF] = hoff
  return start
}

/**
 * Appends one datum as it is stored, bytes[from .. to), header included, with the padding before it: none before a cstring and before a
 * varlena with a 1-byte header (att_align_datum).
 * @param i attnum - 1 @param hasNull as for {@link beginTuple}
 * @returns the t_infomask bits that it implies
 */
export function appendDatum(
  bytes: Uint8Array, from: number, to: number, i: number, { len, align }: AttributeLayout, hasNull: boolean, start: number, out: ByteWriter,
): number {
  const first = bytes[from]!
  // A 1-byte header is odd and never aligned. A 4-byte header is even, and a cstring has no alignment (att_datum_alignby, att_align_datum).
  if (len > 0 || (len === -1 && (first & 1) === 0)) out.alignFrom(start, align)
  out.copy(bytes, from, to)
  if (hasNull) out.bytes[start + SIZE_OF_TUPLE_HEADER + (i >> 3)]! |= 1 << (i & 7)
  if (len > 0) return 0
  return len === -1 && isExternal(first) ? HEAP_HASVARWIDTH | HEAP_HASEXTERNAL : HEAP_HASVARWIDTH
}

/** Writes the first 22 bytes of the tuple that begins at `start`: all of HeapTupleHeaderData but t_hoff. */
export function writeTupleHeader(
  start: number, xmin: number, xmax: number, cid: number, ctidBlock: number, ctidOffset: number, infomask2: number, infomask: number, out: ByteWriter,
): void {
  out.setU32(start, xmin)
  out.setU32(start + T_XMAX, xmax)
  out.setU32(start + T_CID, cid)
  out.setU32(start + T_CTID, (ctidBlock >>> 16) | (ctidBlock << 16))
  out.setU32(start + T_CTID + 4, (ctidOffset & 0xffff) | (infomask2 << 16))
  out.bytes[start + T_INFOMASK] = infomask
  out.bytes[start + T_INFOMASK + 1] = infomask >>> 8
}

/**
 * heap_form_tuple: appends a tuple to `out`, which may hold others, each beginning at a multiple of 8.
 * @param datums of the first attributes, as they are stored, varlena header included; undefined for NULL
 * @param header its infomask2 says how many attributes are stored; HASNULL, HASVARWIDTH and HASEXTERNAL follow from the datums
 */
export function formTuple(
  attributes: readonly AttributeLayout[], datums: readonly (Uint8Array | undefined)[], header: TupleHeaderFields, out: ByteWriter,
): void {
  const natts = header.infomask2 & HEAP_NATTS_MASK
  const stored = datums.slice(0, natts)
  const hasNull = stored.includes(undefined)
  const start = beginTuple(natts, hasNull, out)
  let implied = hasNull ? HEAP_HASNULL : 0
  for (const [i, datum] of stored.entries()) {
    if (datum !== undefined) implied |= appendDatum(datum, 0, datum.length, i, attributes[i]!, hasNull, start, out)
  }
  const { xmin, xmax, cid, ctidBlock, ctidOffset, infomask2, infomask } = header
  const infomaskBits = (infomask & ~(HEAP_HASNULL | HEAP_HASVARWIDTH | HEAP_HASEXTERNAL)) | implied
  writeTupleHeader(start, xmin, xmax, cid, ctidBlock, ctidOffset, infomask2, infomaskBits, out)
}
