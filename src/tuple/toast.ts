import { readI32, readU32 } from '../common/bytes.ts'
import { CorruptionError } from '../common/errors.ts'
import type { Oid } from '../common/ids.ts'
import { lz4Decompress } from '../common/lz4.ts'
import { pglzDecompress } from '../common/pglz.ts'
import { METHOD_LZ4, METHOD_PGLZ } from './varlena.ts'

/** TOAST_MAX_CHUNK_SIZE: payload bytes of every chunk but the last (heaptoast.h). */
export const TOAST_MAX_CHUNK_SIZE = 1996
/** VARLENA_EXTSIZE_MASK (varatt.h): 30 bits, since MaxAllocSize bounds every varlena. The 2 bits above are the compression method. */
const MAX_RAW_SIZE = 0x3fffffff

/** varatt_external (varatt.h): where an out-of-line value lives. */
export interface ToastPointer {
  /** Payload bytes of the value when read, without header. */
  rawSize: number
  /** Stored bytes over all chunks. */
  extSize: number
  compressed: boolean
  valueId: Oid
  /** pg_class oid of the TOAST relation. */
  toastRelId: Oid
}

/** Reads the 18-byte external datum at `at`: `01 12`, i32 va_rawsize, u32 va_extinfo, u32 va_valueid, u32 va_toastrelid. */
export function readToastPointer(bytes: Uint8Array, at: number): ToastPointer {
  const rawSize = readI32(bytes, at + 2) - 4
  const extSize = readU32(bytes, at + 6) & MAX_RAW_SIZE
  if (rawSize < 0) throw new CorruptionError('toast.pointer', `va_rawsize ${rawSize + 4}`)
  // VARATT_EXTERNAL_IS_COMPRESSED (varatt.h): the sizes decide, not the method bits, which are those of pglz in an uncompressed value.
  return { rawSize, extSize, compressed: extSize < rawSize, valueId: readU32(bytes, at + 10), toastRelId: readU32(bytes, at + 14) }
}

/**
 * Expands a compressed value whose tcinfo word is at `at` and whose data ends at `end`
 * (an inline 4B_C datum from byte 4 on, or the joined chunks of an out-of-line one).
 * @throws CorruptionError compression.*
 */
export function decompress(bytes: Uint8Array, at: number, end: number): Uint8Array {
  if (at + 4 > end) throw new CorruptionError('compression.header', `compressed value of ${end - at} bytes`)
  const info = readU32(bytes, at)
  const rawSize = info & MAX_RAW_SIZE
  const method = info >>> 30
  // pglz and lz4 gain at most 255-fold (plus slack): a larger claim would only make us allocate.
  if (rawSize > (end - at) * 300) throw new CorruptionError('compression.header', `${end - at} bytes claim to expand to ${rawSize}`)
  if (method === METHOD_PGLZ) return pglzDecompress(bytes, at + 4, end, rawSize)
  if (method === METHOD_LZ4) return lz4Decompress(bytes, at + 4, end, rawSize)
  throw new CorruptionError('compression.header', `unknown compression method ${method}`)
}
