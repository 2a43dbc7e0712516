import { alignUp } from '../common/bytes.ts'
import { CorruptionError } from '../common/errors.ts'
import type { AttributeLayout } from './attribute.ts'
import { bitmapLength, SIZE_OF_TUPLE_HEADER } from './header.ts'
import { varlenaLength } from './varlena.ts'

/** In `starts`: the attribute is NULL, or absent because the tuple is older than the column. */
export const ATTR_NULL = -1
export const ATTR_ABSENT = -2

/** Byte ranges of a tuple's attributes, headers of varlenas included; reused from tuple to tuple. */
export interface DeformedTuple {
  /** Position in the source, or ATTR_NULL or ATTR_ABSENT. */
  starts: Int32Array
  ends: Int32Array
}

export function newDeformedTuple(count: number): DeformedTuple {
  return { starts: new Int32Array(count), ends: new Int32Array(count) }
}

/**
 * heap_deform_tuple (heaptuple.c): splits the data area of one tuple into attributes.
 * Alignment counts from `tupleStart`, which must be 8-aligned in the page but need not be so in `bytes`.
 * @param bytes holds the tuple in [tupleStart, tupleEnd)
 * @param natts attributes stored in this tuple; those beyond are ATTR_ABSENT
 * @param bits position of the null bitmap, or -1 when the tuple has none
 * @returns the end of the last attribute: canonical tuples end exactly there
 * @throws CorruptionError tuple.* when an attribute leaves the tuple
 */
export function deformTuple(
  bytes: Uint8Array, tupleStart: number, tupleEnd: number, dataStart: number, natts: number, bits: number,
  attributes: readonly AttributeLayout[], out: DeformedTuple,
): number {
  let at = dataStart
  for (let i = 0; i < attributes.length; i++) {
    if (i >= natts) {
      out.starts[i] = ATTR_ABSENT
      continue
    }
    // att_isnull (tupmacs.h): a bit of 0 means NULL, and a NULL takes no bytes.
    if (bits >= 0 && (bytes[bits + (i >> 3)]! & (1 << (i & 7))) === 0) {
      out.starts[i] = ATTR_NULL
      continue
    }
    const { len, align } = attributes[i]!
    at = attributeStart(bytes, tupleStart, at, tupleEnd, len, align)
    const end = attributeEnd(bytes, at, tupleEnd, len)
    out.starts[i] = at
    out.ends[i] = end
    at = end
  }
  return at
}

function attributeStart(bytes: Uint8Array, tupleStart: number, at: number, tupleEnd: number, len: number, align: number): number {
  // A cstring (attlen -2) is never aligned in a tuple: TypeCreate (pg_type.c) allows it the alignment of a char alone.
  if (len === -2) return at
  // att_align_pointer: padding bytes are zero and a 1-byte header never is, so a non-zero byte begins an unaligned value.
  if (len === -1 && at < tupleEnd && bytes[at] !== 0) return at
  return tupleStart + alignUp(at - tupleStart, align)
}

function attributeEnd(bytes: Uint8Array, at: number, tupleEnd: number, len: number): number {
  if (at >= tupleEnd) throw new CorruptionError('tuple.attribute', 'attribute begins past the end of its tuple')
  if (len === -1) return at + varlenaLength(bytes, at, tupleEnd)
  const end = len === -2 ? bytes.indexOf(0, at) + 1 : at + len
  if (end > tupleEnd || end <= at) throw new CorruptionError('tuple.attribute', `attribute of ${len} bytes where ${tupleEnd - at} are left`)
  return end
}

/**
 * Checks t_hoff against the attribute count, as amcheck does (check_tuple_header, verify_heapam.c): the data must begin after the null bitmap.
 * @throws CorruptionError tuple.header
 */
export function checkTupleHeader(hoff: number, natts: number, hasNull: boolean, length: number): void {
  const needed = SIZE_OF_TUPLE_HEADER + (hasNull ? bitmapLength(natts) : 0)
  if (hoff < needed || hoff > length || hoff & 7) {
    throw new CorruptionError('tuple.header', `t_hoff ${hoff} in a tuple of ${length} bytes with ${natts} attributes`)
  }
}
