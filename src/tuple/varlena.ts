import { readU32 } from '../common/bytes.ts'
import { CorruptionError } from '../common/errors.ts'

/*
 * Variable-length datums (varatt.h; in 14 and 15 postgres.h), little-endian; the low bits of the first byte tell the form:
 *
 *   xxxxxx00  4B_U  u32 length<<2      payload from byte 4
 *   xxxxxx10  4B_C  u32 length<<2|2    u32 tcinfo (raw size | method<<30), compressed bytes from byte 8
 *   xxxxxxx1  1B    u8  length<<1|1    payload from byte 1, never aligned
 *   00000001  1B_E  u8 1, u8 tag 18    16 bytes of TOAST pointer, never aligned
 */
export const VARATT_1B_E = 0x01
export const VARTAG_ONDISK = 18
export const SIZE_OF_TOAST_POINTER = 18
/** VARATT_SHORT_MAX - VARHDRSZ_SHORT: the longest payload that gets the 1-byte header. */
export const SHORT_PAYLOAD_MAX = 126

export const METHOD_PGLZ = 0
export const METHOD_LZ4 = 1

/** Length in bytes, header included, of the varlena that begins at `at`. @throws CorruptionError tuple.varlena */
export function varlenaLength(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!
  const length = first === VARATT_1B_E ? externalLength(bytes, at) : first & 1 ? first >>> 1 : longLength(bytes, at, end)
  if (length < 1 || at + length > end) {
    throw new CorruptionError('tuple.varlena', `a value of ${length} bytes where ${end - at} are left`)
  }
  return length
}

function externalLength(bytes: Uint8Array, at: number): number {
  const tag = bytes[at + 1]
  // VARTAG_INDIRECT and the expanded tags point into the memory of a server and never reach a page.
  if (tag !== VARTAG_ONDISK) throw new CorruptionError('tuple.varlena', `external value with unknown tag ${tag}`)
  return SIZE_OF_TOAST_POINTER
}

function longLength(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 > end) throw new CorruptionError('tuple.varlena', `a length word where ${end - at} bytes are left`)
  const length = readU32(bytes, at) >>> 2
  // The length counts its own 4 bytes.
  if (length < 4) throw new CorruptionError('tuple.varlena', `a value of ${length} bytes`)
  return length
}

export function isExternal(first: number): boolean {
  return first === VARATT_1B_E
}

export function isCompressed(first: number): boolean {
  return (first & 3) === 2
}

/** Payload start of a plain (1B or 4B_U) varlena. */
export function payloadStart(bytes: Uint8Array, at: number): number {
  return bytes[at]! & 1 ? at + 1 : at + 4
}
