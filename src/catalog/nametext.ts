import { ByteWriter, hexEncode } from '../common/bytes.ts'
import { utf8Decode } from '../common/utf8.ts'
import { textEncoding } from '../datum/encoding.ts'

/**
 * A name in the database's encoding as a string. SQL_ASCII databases may hold bytes that are no text: then `\x` and hex, as in every
 * other place where bytes take the place of text.
 * @param encoding pg_database.encoding
 */
export function nameText(bytes: Uint8Array, encoding: number): string {
  if (bytes.every((byte) => byte > 0 && byte < 0x80)) return String.fromCharCode(...bytes)
  const out = new ByteWriter(bytes.length * 3)
  if (!textEncoding(encoding).toUtf8(bytes, 0, bytes.length, out)) return `\\x${hexEncode(bytes)}`
  return utf8Decode(out.take())
}
