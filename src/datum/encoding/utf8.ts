import type { ByteWriter } from '../../common/bytes.ts'
import { isUtf8 } from '../../common/utf8.ts'
import type { TextEncoding } from './textencoding.ts'

/*
 * Encodings whose text is UTF-8 already. While copying, `b | (b - 1)` of every byte is collected: it stays below 0x80 only if
 * all bytes are in 0x01 .. 0x7f. Only other text is looked at a second time.
 */
const NOT_PLAIN = ~0x7f
/** From this many bytes on, copying by Uint8Array.set is faster than the loop. */
const LONG = 64

/** UTF8, and SQL_ASCII where nobody knows what bytes above 0x7f mean: text if they are UTF-8 (convert_from does the same). */
export function utf8Encoding(name: string): TextEncoding {
  return { name, toUtf8: copyUtf8, fromUtf8: copyUtf8 }
}

/** Encodings that the server does not convert to UTF-8 at all (MULE_INTERNAL): only their ASCII part is text. */
export function asciiEncoding(name: string): TextEncoding {
  return { name, toUtf8: copyAscii, fromUtf8: copyAscii }
}

function copyUtf8(source: Uint8Array, start: number, end: number, out: ByteWriter): boolean {
  const seen = copyCollecting(source, start, end, out)
  if (seen & NOT_PLAIN && !isUtf8(source, start, end)) return false
  out.length += end - start
  return true
}

function copyAscii(source: Uint8Array, start: number, end: number, out: ByteWriter): boolean {
  if (copyCollecting(source, start, end, out) & NOT_PLAIN) return false
  out.length += end - start
  return true
}

/** Copies behind the content of `out` without counting it. */
function copyCollecting(source: Uint8Array, start: number, end: number, out: ByteWriter): number {
  out.reserve(end - start)
  const bytes = out.bytes
  let to = out.length
  let seen = 0
  if (end - start < LONG) {
    for (let at = start; at < end; at++, to++) {
      const byte = source[at]!
      bytes[to] = byte
      seen |= byte | (byte - 1)
    }
    return seen
  }
  for (let at = start; at < end; at++) {
    const byte = source[at]!
    seen |= byte | (byte - 1)
  }
  bytes.set(source.subarray(start, end), to)
  return seen
}
