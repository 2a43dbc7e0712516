import { type ByteWriter, readI32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { type Codec, ParseError } from '../codec.ts'
import { textCodec } from '../text/textcodec.ts'

/*
 * bit, varbit (varbit.h), payload: i32 number of bits, then the bits, most significant first, the last byte filled up with zeros.
 */
const ZERO = 0x30

function bitText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const count = end - start < 4 ? -1 : readI32(source, start)
  if (count < 0 || end - start - 4 !== Math.ceil(count / 8)) {
    throw new CorruptionError('datum.bit', `${count} bits in ${end - start} bytes`)
  }
  out.reserve(count)
  const { bytes } = out
  let to = out.length
  for (let bit = 0; bit < count; bit++) bytes[to++] = ZERO + ((source[start + 4 + (bit >> 3)]! >> (7 - (bit & 7))) & 1)
  out.length = to
}

function bitParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  out.u32(end - start)
  out.reserve((end - start + 7) >> 3)
  for (let at = start; at < end; at += 8) {
    let byte = 0
    for (let bit = 0; bit < 8 && at + bit < end; bit++) {
      const digit = text[at + bit]! - ZERO
      if (digit !== 0 && digit !== 1) throw new ParseError('bit: neither 0 nor 1')
      byte |= digit << (7 - bit)
    }
    out.u8(byte)
  }
}

/** bit(n) and varbit. */
export const bitCodec: Codec = textCodec({ text: bitText, parse: bitParse })
