import type { ByteWriter } from '../../common/bytes.ts'

/*
 * Plain text is bytes 0x01 .. 0x7f only: `b | (b - 1)` stays below 0x80 for these and no others. The same holds for four bytes in
 * a word, because without a zero byte no byte borrows from the next.
 */
const NOT_PLAIN = ~0x7f
const NOT_PLAIN_WORD = 0x80808080
const ONES = 0x01010101
/** From this many bytes on, copying by Uint8Array.set is faster than a loop. */
const LONG = 40

/**
 * Copies `source[start .. end)` behind the content of `out`, and counts it as content if all of it is plain, which is the same text in
 * every encoding. Otherwise false: nothing is appended, but the bytes lie behind the content.
 */
export function copyPlain(source: Uint8Array, start: number, end: number, out: ByteWriter): boolean {
  if (end - start >= LONG) return copyLong(source, start, end, out)
  out.reserve(end - start)
  const bytes = out.bytes
  let to = out.length
  let at = start
  let words = 0
  for (const last = end - 4; at <= last; at += 4, to += 4) {
    const a = source[at]!
    const b = source[at + 1]!
    const c = source[at + 2]!
    const d = source[at + 3]!
    bytes[to] = a
    bytes[to + 1] = b
    bytes[to + 2] = c
    bytes[to + 3] = d
    const word = a | (b << 8) | (c << 16) | (d << 24)
    words |= word | (word - ONES)
  }
  let rest = 0
  while (at < end) {
    const byte = source[at++]!
    bytes[to++] = byte
    rest |= byte | (byte - 1)
  }
  if ((words & NOT_PLAIN_WORD) | (rest & NOT_PLAIN)) return false
  out.length = to
  return true
}

function copyLong(source: Uint8Array, start: number, end: number, out: ByteWriter): boolean {
  out.reserve(end - start)
  out.bytes.set(source.subarray(start, end), out.length)
  let at = start
  let words = 0
  for (const last = end - 4; at <= last; at += 4) {
    const word = source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24)
    words |= word | (word - ONES)
  }
  let rest = 0
  while (at < end) {
    const byte = source[at++]!
    rest |= byte | (byte - 1)
  }
  if ((words & NOT_PLAIN_WORD) | (rest & NOT_PLAIN)) return false
  out.length += end - start
  return true
}
