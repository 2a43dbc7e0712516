import { readI32, readU32 } from '../common/bytes.ts'
import { T_HOFF } from './header.ts'
import { isCompressed, isExternal, payloadStart, varlenaLength } from './varlena.ts'

/*
 * A row of a TOAST relation (toast_internals.c): chunk_id oid, chunk_seq int4, chunk_data bytea, never NULL, stored plain.
 *
 *   t_hoff   +4          +8
 *   +--------+-----------+------------------------
 *   |chunk_id| chunk_seq | chunk_data, a varlena …
 */
export interface ToastChunk {
  valueId: number
  seq: number
  /** Payload of chunk_data within the page. */
  start: number
  end: number
}

/** Reads the chunk in page bytes [off, off + len); undefined if the tuple is not shaped as one. @throws CorruptionError tuple.varlena */
export function readToastChunk(page: Uint8Array, off: number, len: number): ToastChunk | undefined {
  const at = off + page[off + T_HOFF]!
  const tupleEnd = off + len
  if (at + 9 > tupleEnd) return undefined
  const first = page[at + 8]!
  // toast_save_datum stores chunk_data plain: another form would need a TOAST relation of the TOAST relation.
  if (isExternal(first) || isCompressed(first)) return undefined
  if ((first & 3) === 0 && at + 12 > tupleEnd) return undefined
  const length = varlenaLength(page, at + 8, tupleEnd)
  return { valueId: readU32(page, at), seq: readI32(page, at + 4), start: payloadStart(page, at + 8), end: at + 8 + length }
}
