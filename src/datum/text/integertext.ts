import type { ByteWriter } from '../../common/bytes.ts'
import { ParseError } from '../codec.ts'

const ZERO = 0x30
const WORD = 2 ** 32
const BILLION = 1e9

const scratch = new Uint8Array(20)

/** Decimal digits of an integer below 2^53, left-padded with zeros to `width` (at most 20). */
export function writeDecimal(out: ByteWriter, value: number, width = 1): void {
  let at = scratch.length
  let rest = value
  while (rest >= BILLION) {
    const quotient = Math.floor(rest / 10)
    scratch[--at] = ZERO + (rest - quotient * 10)
    rest = quotient
  }
  let small = rest | 0
  while (small > 0) {
    const quotient = (small / 10) | 0
    scratch[--at] = ZERO + (small - quotient * 10)
    small = quotient
  }
  while (scratch.length - at < width) scratch[--at] = ZERO
  out.copy(scratch, at, scratch.length)
}

/** Decimal digits of the unsigned 64-bit number `high * 2^32 + low`, given as words of any sign, padded to `width`. */
export function writeUnsigned64(out: ByteWriter, low: number, high: number, width = 1): void {
  const top = high >>> 0
  if (top < 1 << 21) {
    writeDecimal(out, top * WORD + (low >>> 0), width)
    return
  }
  // Long division by 10^9 in steps of 16 bits, so that remainder * 2^16 stays exact.
  const middle = (top % BILLION) * 65536 + (low >>> 16)
  const bottom = (middle % BILLION) * 65536 + (low & 0xffff)
  const quotient = Math.floor(top / BILLION) * WORD + Math.floor(middle / BILLION) * 65536 + Math.floor(bottom / BILLION)
  writeDecimal(out, quotient, Math.max(1, width - 9))
  writeDecimal(out, bottom % BILLION, 9)
}

/** Decimal text of a signed 64-bit number. */
export function writeSigned64(out: ByteWriter, low: number, high: number): void {
  if (high >= 0) {
    writeUnsigned64(out, low, high)
    return
  }
  out.u8(0x2d)
  writeUnsigned64(out, -low, low === 0 ? -high : ~high)
}

/** An unsigned 64-bit number as two words, low first: digits only, no leading zero. Throws ParseError. */
export function parseUnsigned64(text: Uint8Array, start: number, end: number, words: Int32Array): void {
  const count = end - start
  if (count < 1 || count > 20 || end > text.length || (text[start] === ZERO && count > 1)) throw new ParseError('not a decimal number')
  let low = 0
  let high = 0
  for (let i = start; i < end; i++) {
    const digit = text[i]! - ZERO
    if (digit < 0 || digit > 9) throw new ParseError('not a decimal number')
    low = low * 10 + digit
    const carry = Math.floor(low / WORD)
    low -= carry * WORD
    high = high * 10 + carry
  }
  if (high >= WORD) throw new ParseError('number out of range')
  words[0] = low
  words[1] = high
}

/** A signed 64-bit number as two words, low first, as {@link writeSigned64} writes it. Throws ParseError. */
export function parseSigned64(text: Uint8Array, start: number, end: number, words: Int32Array): void {
  const negative = start < end && text[start] === 0x2d
  parseUnsigned64(text, negative ? start + 1 : start, end, words)
  const low = words[0]!
  const high = words[1]!
  if (negative) {
    if (low === 0 && high === 0) throw new ParseError('negative zero')
    words[0] = -low
    words[1] = low === 0 ? -high : ~high
  }
  if ((words[1]! < 0) !== negative) throw new ParseError('number out of range')
}
