import { type ByteWriter, readI32 } from '../../common/bytes.ts'
import { type Codec, ParseError } from '../codec.ts'
import { hexDigit, hexValue } from '../text/hex.ts'
import { checkPayload } from './payload.ts'
import { textCodec } from '../text/textcodec.ts'
import type { CodecContext } from '../typedef.ts'
import type { WordVector } from '../../vector/vector.ts'

/* uuid (uuid.c): 16 bytes in text order; text lower-case hex 8-4-4-4-12. */
const DASH = 0x2d

function dashBefore(byte: number): boolean {
  return byte === 4 || byte === 6 || byte === 8 || byte === 10
}

function uuidText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  checkPayload('uuid', source, start, end, 16)
  out.reserve(36)
  const bytes = out.bytes
  let to = out.length
  for (let i = 0; i < 16; i++) {
    if (dashBefore(i)) bytes[to++] = DASH
    const byte = source[start + i]!
    bytes[to++] = hexDigit(byte >> 4)
    bytes[to++] = hexDigit(byte & 15)
  }
  out.length = to
}

function uuidParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (end - start !== 36 || end > text.length) throw new ParseError('uuid: not 36 bytes')
  out.reserve(16)
  const bytes = out.bytes
  let at = start
  for (let i = 0; i < 16; i++) {
    if (dashBefore(i) && text[at++] !== DASH) throw new ParseError('uuid: no dash')
    const byte = hexValue(text[at]) * 16 + hexValue(text[at + 1])
    if (hexValue(text[at]) < 0 || hexValue(text[at + 1]) < 0) throw new ParseError('uuid: no hex digit')
    bytes[out.length + i] = byte
    at += 2
  }
  out.length += 16
}

const textual = textCodec({ text: uuidText, parse: uuidParse })

const native: Codec = {
  column: { kind: 'uuid' },
  overflows: false,
  decode(source, start, end, out) {
    checkPayload('uuid', source, start, end, 16)
    const words = out as WordVector
    words.push4(readI32(source, start), readI32(source, start + 4), readI32(source, start + 8), readI32(source, start + 12))
    return true
  },
  encode(column, row, out) {
    const words = (column as WordVector).words
    for (let i = row * 4; i < row * 4 + 4; i++) out.u32(words[i]!)
  },
  text: uuidText,
  parse: uuidParse,
}

/** uuid ↔ string (profile portable) or uuid (iceberg). */
export function uuidCodec(context: Pick<CodecContext, 'profile'>): Codec {
  return context.profile === 'iceberg' ? native : textual
}
