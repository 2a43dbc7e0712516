import { ByteWriter } from '../../common/bytes.ts'
import { utf8Encode } from '../../common/utf8.ts'

/*
 * A Puffin file (Iceberg, Puffin specification) of one deletion vector, which is not compressed:
 *
 *   "PFA1" | blob | "PFA1" | footer: JSON | length of the JSON, i32 | flags, 4 bytes of 0 | "PFA1"
 */

export interface PuffinBlob {
  /** A bitmap with its frame. */
  readonly bytes: Uint8Array
  /** How many rows it hides. */
  readonly rows: number
  /** URI of the data file. */
  readonly of: string
}

const MAGIC = utf8Encode('PFA1')
/** Field id of the row position, which is what a deletion vector is of. */
const ROW_POSITION = 2147483645
/** The entry of the manifest says to which snapshot it belongs. */
const INHERITED = -1

/** @returns the file, and where its blob is */
export function encodePuffin({ bytes, rows, of }: PuffinBlob, ltapVersion: string): { bytes: Uint8Array; blob: { offset: number; length: number } } {
  const blob = { offset: MAGIC.length, length: bytes.length }
  const footer = utf8Encode(JSON.stringify({
    blobs: [{
      type: 'deletion-vector-v1', fields: [ROW_POSITION], 'snapshot-id': INHERITED, 'sequence-number': INHERITED, ...blob,
      properties: { 'referenced-data-file': of, cardinality: String(rows) },
    }],
    properties: { 'created-by': `ltap ${ltapVersion}` },
  }))
  const out = new ByteWriter(bytes.length + footer.length + 32)
  for (const part of [MAGIC, bytes, MAGIC, footer]) out.copy(part)
  out.u32(footer.length)
  out.zeros(4)
  out.copy(MAGIC)
  return { bytes: out.take(), blob }
}
