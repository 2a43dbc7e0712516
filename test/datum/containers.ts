import { textEncoding } from '../../src/datum/encoding/encodings.ts'
import { stringCodec } from '../../src/datum/types/text.ts'

/** text in a UTF8 database. */
export const textType = stringCodec(textEncoding(6))

/** Layouts as pg_type has them. */
export const INT4 = { len: 4, align: 4, plain: false }
export const INT8 = { len: 8, align: 8, plain: false }
export const VARLENA = { len: -1, align: 4, plain: false }
export const VARLENA_DOUBLE = { len: -1, align: 8, plain: false }

/** Stored datums (hex with a 1- or 4-byte header) and their texts as payloads and texts. */
export function payloads(vectors: readonly (readonly [datumHex: string, text: string])[]): [string, string][] {
  return vectors.map(([hex, text]) => [hex.slice(Number.parseInt(hex.slice(0, 2), 16) & 1 ? 2 : 8), text])
}
