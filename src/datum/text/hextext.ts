import type { ByteWriter } from '../../common/bytes.ts'
import { ParseError } from '../codec.ts'
import { hexDigit, hexValue } from './hex.ts'

/** The overflow text of a value that has no text: `\x` and its payload in lower-case hex. */
export function hexText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  out.reserve((end - start) * 2 + 2)
  const { bytes } = out
  let to = out.length
  bytes[to++] = 0x5c
  bytes[to++] = 0x78
  for (let at = start; at < end; at++) {
    bytes[to++] = hexDigit(source[at]! >> 4)
    bytes[to++] = hexDigit(source[at]! & 15)
  }
  out.length = to
}

export function isHexText(text: Uint8Array, start: number, end: number): boolean {
  return end - start >= 2 && text[start] === 0x5c && text[start + 1] === 0x78
}

/** The inverse of {@link hexText}. Throws ParseError. */
export function hexParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (!isHexText(text, start, end) || (end - start) & 1) throw new ParseError('not a \\x text')
  out.reserve((end - start - 2) / 2)
  for (let at = start + 2; at < end; at += 2) out.u8((nibble(text[at]!) << 4) | nibble(text[at + 1]!))
}

function nibble(byte: number): number {
  const value = hexValue(byte)
  if (value < 0) throw new ParseError('not a \\x text')
  return value
}
