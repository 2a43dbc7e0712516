import { ByteWriter } from '../../common/bytes.ts'
import { utf8Encode } from '../../common/utf8.ts'

/*
 * A Puffin file (Iceberg, Puffin specification) of deletion vectors, none of them compressed:
 *
 *   "PFA1" | blob | blob | … | "PFA1" | footer: JSON | length of the JSON, i32 | flags, 4 bytes of 0 | "PFA1"
 */

export interface PuffinBlob {
  /** A bitmap with its frame. */
  readonly bytes: Uint8Array
  /** How many rows it hides. */
  readonly rows: number
  /** URI of the data file. */
  readonly of: string
}

export interface PuffinFile {
  readonly bytes: Uint8Array
  /** Where each blob is. */
  readonly places: readonly { readonly offset: number; readonly length: number }[]
}

const MAGIC = utf8Encode('PFA1')
/** Field id of the row position, which is what a deletion vector is of. */
const ROW_POSITION = 2147483645
/** The entry of the manifest says to which snapshot it belongs. */
const INHERITED = -1

export function encodePuffin(blobs: readonly PuffinBlob[], ltapVersion: string): PuffinFile {
  const out = new ByteWriter(1 << 12)
  out.copy(MAGIC)
  const places = blobs.map(({ bytes }) => {
    const offset = out.length
    out.copy(bytes)
    return { offset, length: bytes.length }
  })
  out.copy(MAGIC)
  const footer = utf8Encode(JSON.stringify({
    blobs: blobs.map(({ rows, of }, i) => ({
      type: 'deletion-vector-v1', fields: [ROW_POSITION], 'snapshot-id': INHERITED, 'sequence-number': INHERITED, ...places[i],
      properties: { 'referenced-data-file': of, cardinality: String(rows) },
    })),
    properties: { 'created-by': `ltap ${ltapVersion}` },
  }))
  out.copy(footer)
  out.u32(footer.length)
  out.zeros(4)
  out.copy(MAGIC)
  return { bytes: out.take(), places }
}
