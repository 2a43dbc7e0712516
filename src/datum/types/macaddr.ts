import type { ByteWriter } from '../../common/bytes.ts'
import { type Codec, ParseError } from '../codec.ts'
import { hexDigit, hexValue } from '../text/hex.ts'
import { checkPayload } from './payload.ts'
import { textCodec } from '../text/textcodec.ts'

/* macaddr (mac.c, 6 bytes), macaddr8 (mac8.c, 8 bytes): the bytes in text order; text `08:00:2b:01:02:03`. */
const COLON = 0x3a

function macCodec(type: string, length: number): Codec {
  return textCodec({
    text(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
      checkPayload(type, source, start, end, length)
      for (let i = start; i < end; i++) {
        if (i > start) out.u8(COLON)
        out.u8(hexDigit(source[i]! >> 4))
        out.u8(hexDigit(source[i]! & 15))
      }
    },
    parse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
      if (end - start !== length * 3 - 1 || end > text.length) throw new ParseError(`${type}: not ${length} bytes`)
      for (let at = start; at < end; at += 3) {
        if (hexValue(text[at]) < 0 || hexValue(text[at + 1]) < 0) throw new ParseError(`${type}: no hex digit`)
        if (at + 2 < end && text[at + 2] !== COLON) throw new ParseError(`${type}: no colon`)
      }
      for (let at = start; at < end; at += 3) out.u8(hexValue(text[at]) * 16 + hexValue(text[at + 1]))
    },
  })
}

/** macaddr ↔ string. */
export const macaddrCodec: Codec = macCodec('macaddr', 6)
/** macaddr8 ↔ string. */
export const macaddr8Codec: Codec = macCodec('macaddr8', 8)
