import type { ByteWriter } from '../../common/bytes.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { type Codec, ParseError } from '../codec.ts'
import type { TextEncoding } from '../encoding/encodings.ts'
import { checkPayload } from './payload.ts'
import { parseString, parseText, putText, stringCodec } from './text.ts'
import { textCodec } from '../text/textcodec.ts'
import type { BytesVector } from '../../vector/vector.ts'

/*
 * "char" (char.c): one byte
 *
 *   00          empty text
 *   01 .. 7f    that ASCII character
 *   80 .. ff    since 15 `\ooo`, the byte in octal; in 14 the byte itself, which is text only in a single-byte encoding
 */
const BACKSLASH = 0x5c
const ZERO = 0x30

/** "char"; overflows in 14 only. */
export function charCodec(major: PgMajor, encoding: TextEncoding): Codec {
  return major >= 15 ? textCodec({ text: octalText, parse: octalParse }) : byteCodec(encoding)
}

function octalText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  checkPayload('char', source, start, end, 1)
  const byte = source[start]!
  if (byte >= 0x80) {
    out.u8(BACKSLASH)
    out.u8(ZERO + (byte >> 6))
    out.u8(ZERO + ((byte >> 3) & 7))
    out.u8(ZERO + (byte & 7))
  } else if (byte > 0) {
    out.u8(byte)
  }
}

function octalParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (end - start <= 1) {
    const byte = start < end ? text[start]! : 0
    if (byte >= 0x80 || (byte === 0 && start < end)) throw new ParseError('not one ASCII character')
    out.u8(byte)
    return
  }
  if (end - start !== 4 || text[start] !== BACKSLASH) throw new ParseError('not a "char"')
  let byte = 0
  for (let at = start + 1; at < end; at++) {
    const digit = text[at]! - ZERO
    if (digit < 0 || digit > 7) throw new ParseError('not an octal digit')
    byte = byte * 8 + digit
  }
  if (byte < 0x80 || byte > 0xff) throw new ParseError('not written in octal')
  out.u8(byte)
}

/** Text of no or one byte: 0 is the empty text. */
function byteCodec(encoding: TextEncoding): Codec {
  const string = stringCodec(encoding)
  return {
    column: string.column,
    overflows: true,
    decode: (source, start, end, out) => string.decode(source, start, textEnd(source, start, end), out),
    encode(column, row, out) {
      const strings = column as BytesVector
      const before = out.length
      parseString(encoding, strings.data.bytes, strings.start(row), strings.end(row), out)
      endByte(out, before)
    },
    text: (source, start, end, out) => putText(encoding, source, start, textEnd(source, start, end), out),
    parse(text, start, end, out) {
      const before = out.length
      parseText(encoding, text, start, end, out)
      endByte(out, before)
    },
  }
}

function textEnd(source: Uint8Array, start: number, end: number): number {
  checkPayload('char', source, start, end, 1)
  return source[start] === 0 ? start : end
}

function endByte(out: ByteWriter, before: number): void {
  if (out.length === before) out.u8(0)
  else if (out.length !== before + 1 || out.bytes[before] === 0) throw new ParseError('not one byte')
}
