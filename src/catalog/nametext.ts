import { ByteWriter, hexEncode } from '../common/bytes.ts'
import { utf8Decode } from '../common/utf8.ts'
import { textEncoding } from '../datum/encoding/encodings.ts'

/*
 * This text follows the hex of a name that is no text. No name is as long as this (NAMEDATALEN, 63 bytes), so a label '\xff' of four characters and a
 * label of the one byte ff are never one text. Lakes of ltap 0.1.0 have the hex alone; their files say what their labels are.
 */
const NO_TEXT = ' (bytes of a name that no text in the encoding of its database stands for)'

/**
 * A name in the database's encoding as a string; two names never become one. SQL_ASCII databases may hold bytes that are no text, others
 * bytes that are no character, or two codes of one character: then `\x` and hex.
 * @param encoding pg_database.encoding
 */
export function nameText(bytes: Uint8Array, encoding: number): string {
  if (bytes.every((byte) => byte > 0 && byte < 0x80)) return String.fromCharCode(...bytes)
  const { toUtf8, fromUtf8 } = textEncoding(encoding)
  const text = new ByteWriter(bytes.length * 3)
  const back = new ByteWriter(bytes.length)
  if (!toUtf8(bytes, 0, bytes.length, text)) return `\\x${hexEncode(bytes)}${NO_TEXT}`
  const utf8 = text.take()
  const leadsBack = fromUtf8(utf8, 0, utf8.length, back) && equal(back.take(), bytes)
  return leadsBack ? utf8Decode(utf8) : `\\x${hexEncode(bytes)}${NO_TEXT}`
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
