import { ByteWriter } from '../../common/bytes.ts'
import { type Codec, ParseError } from '../codec.ts'
import type { TextEncoding } from '../encoding/encodings.ts'
import { hexParse, hexText, isHexText } from '../text/hextext.ts'
import { checkPayload } from './payload.ts'
import type { BytesVector } from '../../vector/vector.ts'

/*
 * text, varchar, bpchar (varchar.c; blanks are stored and kept), json, xml, citext, refcursor, pg_node_tree, cstring: the payload is
 * the value's bytes in the database encoding.
 *
 *   caf\xe9 in LATIN1      63 61 66 e9        column 63 61 66 c3 a9
 *   the same in UTF8       63 61 66 e9        no text: column null, overflow text `\x636166e9`
 */

/** Types whose payload is text in `encoding`; what is not text there overflows as hex. */
export function stringCodec(encoding: TextEncoding): Codec {
  const { toUtf8 } = encoding
  return {
    column: { kind: 'string' },
    overflows: true,
    decode(source, start, end, out) {
      checkPayload('text', source, start, end)
      const strings = out as BytesVector
      if (!toUtf8(source, start, end, strings.data)) {
        strings.pushNull()
        return false
      }
      strings.close()
      return true
    },
    encode(column, row, out) {
      const strings = column as BytesVector
      parseString(encoding, strings.data.bytes, strings.start(row), strings.end(row), out)
    },
    text(source, start, end, out) {
      checkPayload('text', source, start, end)
      putText(encoding, source, start, end, out)
    },
    parse(text, start, end, out) {
      parseText(encoding, text, start, end, out)
    },
  }
}

/** Bytes as UTF-8, or as `\x` hex if they are not text in `encoding`. */
export function putText(encoding: TextEncoding, source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (!encoding.toUtf8(source, start, end, out)) hexText(source, start, end, out)
}

/** UTF-8 to bytes in `encoding`. Throws ParseError for a character that the encoding does not have. */
export function parseString(encoding: TextEncoding, text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (!encoding.fromUtf8(text, start, end, out)) throw new ParseError(`not text in ${encoding.name}`)
}

/**
 * The inverse of {@link putText}. If `\x` and hex stand for valid text, they are the text itself, because putText writes valid text as it is. Throws
 * ParseError.
 */
export function parseText(encoding: TextEncoding, text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (isLowerHexText(text, start, end)) {
    const before = out.length
    hexParse(text, start, end, out)
    if (!encoding.toUtf8(out.bytes, before, out.length, new ByteWriter())) return
    out.length = before
  }
  parseString(encoding, text, start, end, out)
}

function isLowerHexText(text: Uint8Array, start: number, end: number): boolean {
  if (!isHexText(text, start, end) || (end - start) & 1) return false
  for (let at = start + 2; at < end; at++) {
    const byte = text[at]!
    if (!((byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66))) return false
  }
  return true
}
