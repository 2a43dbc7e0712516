import { ByteWriter } from '../../common/bytes.ts'
import { type Codec, ParseError } from '../codec.ts'
import type { TextEncoding } from '../encoding/textencoding.ts'
import { hexParse, hexText, isHexText } from '../text/hextext.ts'
import { jsonbParse } from '../text/jsonbparse.ts'
import { jsonbPrint } from '../text/jsonbprint.ts'
import type { BytesVector, Vector } from '../../vector/vector.ts'

/**
 * jsonb: the column is the server's own text. Values it cannot hold overflow as `\x` and the payload in hex: strings that are no text in
 * the database's encoding, and texts longer than a server could print.
 * @param encoding the database's; undefined for UTF-8
 */
export function jsonbCodec(encoding: TextEncoding | undefined): Codec {
  return {
    column: { kind: 'string' },
    overflows: true,
    decode(source, start, end, out) {
      const strings = out as BytesVector
      if (jsonText(encoding, source, start, end, strings.data)) {
        strings.close()
        return true
      }
      strings.abandon()
      strings.pushNull()
      return false
    },
    encode(column: Vector, row: number, out: ByteWriter) {
      const strings = column as BytesVector
      jsonParse(encoding, strings.data.bytes, strings.start(row), strings.end(row), out)
    },
    text(source, start, end, out) {
      const from = out.length
      if (jsonText(encoding, source, start, end, out)) return
      out.length = from
      hexText(source, start, end, out)
    },
    parse(text, start, end, out) {
      if (isHexText(text, start, end)) hexParse(text, start, end, out)
      else jsonParse(encoding, text, start, end, out)
    },
  }
}

/** False if the value has no text; then `out` may hold a part of one. */
function jsonText(encoding: TextEncoding | undefined, source: Uint8Array, start: number, end: number, out: ByteWriter): boolean {
  if (!encoding) return jsonbPrint(source, start, end, true, out)
  const native = new ByteWriter((end - start) * 2)
  return jsonbPrint(source, start, end, false, native) && encoding.toUtf8(native.bytes, 0, native.length, out)
}

function jsonParse(encoding: TextEncoding | undefined, text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (!encoding) return jsonbParse(text, start, end, true, out)
  const native = new ByteWriter(end - start)
  if (!encoding.fromUtf8(text, start, end, native)) throw new ParseError('jsonb: not in the encoding of the database')
  jsonbParse(native.bytes, 0, native.length, false, out)
}
