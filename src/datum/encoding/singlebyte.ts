import type { ByteWriter } from '../../common/bytes.ts'
import { isUtf8 } from '../../common/utf8.ts'
import { codePointAt, putCodePoint, utf8Length } from './codepoint.ts'
import { CodeTable, type TableText } from './codetable.ts'
import { copyPlain } from './plain.ts'
import type { TextEncoding } from './textencoding.ts'

/** UTF-8 bytes of one code: all are in the Basic Multilingual Plane. */
const UTF8_MAX = 3

/** An encoding of one byte per character: ASCII, and a table for 0x80 to 0xff. The table is read when it is first needed. */
export function singleByteEncoding(name: string, text: TableText): TextEncoding {
  let loaded: CodeTable | undefined
  const table = (): CodeTable => (loaded ??= new CodeTable(text, 256))
  return {
    name,
    toUtf8: (source, start, end, out) => copyPlain(source, start, end, out) || toUtf8(table(), source, start, end, out),
    fromUtf8: (source, start, end, out) => copyPlain(source, start, end, out) || fromUtf8(table(), source, start, end, out),
  }
}

function toUtf8(table: CodeTable, source: Uint8Array, start: number, end: number, out: ByteWriter): boolean {
  const { forward } = table
  out.reserve((end - start) * UTF8_MAX)
  const { bytes } = out
  let to = out.length
  for (let at = start; at < end; at++) {
    const codePoint = forward[source[at]!]!
    if (codePoint === 0) return false
    to = putCodePoint(bytes, to, codePoint)
  }
  out.length = to
  return true
}

function fromUtf8(table: CodeTable, source: Uint8Array, start: number, end: number, out: ByteWriter): boolean {
  if (!isUtf8(source, start, end)) return false
  const { backward } = table
  out.reserve(end - start)
  const { bytes } = out
  let to = out.length
  for (let at = start; at < end; ) {
    const codePoint = codePointAt(source, at)
    const slot = backward.slotOf(codePoint)
    if (slot < 0) return false
    bytes[to++] = slot
    at += utf8Length(codePoint)
  }
  out.length = to
  return true
}
