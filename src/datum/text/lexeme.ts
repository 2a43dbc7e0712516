import type { ByteWriter } from '../../common/bytes.ts'
import type { AsciiReader } from './asciireader.ts'
import { ParseError } from '../codec.ts'

const QUOTE = 0x27
const BACKSLASH = 0x5c

/** A lexeme as tsvectorout and tsqueryout write it: in single quotes, quotes and backslashes doubled. */
export function lexemeText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  out.reserve((end - start) * 2 + 2)
  const { bytes } = out
  let to = out.length
  bytes[to++] = QUOTE
  for (let at = start; at < end; at++) {
    const byte = source[at]!
    if (byte === QUOTE || byte === BACKSLASH) bytes[to++] = byte
    bytes[to++] = byte
  }
  bytes[to++] = QUOTE
  out.length = to
}

/** The inverse: appends the lexeme's bytes. Throws ParseError. */
export function lexemeParse(reader: AsciiReader, out: ByteWriter): void {
  reader.expect("'")
  const { text, end } = reader
  for (; reader.at < end; reader.at++) {
    const byte = text[reader.at]!
    const doubled = reader.at + 1 < end && text[reader.at + 1] === byte
    if (byte === QUOTE && !doubled) {
      reader.at++
      return
    }
    if (byte === BACKSLASH && !doubled) throw new ParseError('a lone backslash in a lexeme')
    if (byte === 0) throw new ParseError('a zero byte in a lexeme')
    if (byte === QUOTE || byte === BACKSLASH) reader.at++
    out.u8(byte)
  }
  throw new ParseError('a lexeme without end')
}
