import { ByteWriter } from '../../common/bytes.ts'
import { isUtf8 } from '../../common/utf8.ts'
import { type Codec, ParseError } from '../codec.ts'
import type { TextEncoding } from '../encoding/textencoding.ts'
import { hexParse, hexText, isHexText } from './hextext.ts'
import type { TextForm } from './textcodec.ts'
import type { BytesVector, Vector } from '../../vector/vector.ts'

/**
 * A codec whose column is the type's text, for types with strings inside: `form` works in the database's encoding, and this converts.
 * A value that is no text in the encoding overflows as `\x` and its payload in hex; no text of these types begins with `\x`.
 * @param encoding the database's; undefined for UTF-8
 */
export function nativeTextCodec(form: Required<TextForm>, encoding: TextEncoding | undefined): Codec {
  return {
    column: { kind: 'string' },
    overflows: true,
    decode(source, start, end, out) {
      const strings = out as BytesVector
      if (nativeText(form, encoding, source, start, end, strings.data)) {
        strings.close()
        return true
      }
      strings.abandon()
      strings.pushNull()
      return false
    },
    encode(column: Vector, row: number, out: ByteWriter) {
      const strings = column as BytesVector
      nativeParse(form, encoding, strings.data.bytes, strings.start(row), strings.end(row), out)
    },
    text(source, start, end, out) {
      const from = out.length
      if (nativeText(form, encoding, source, start, end, out)) return
      out.length = from
      hexText(source, start, end, out)
    },
    parse(text, start, end, out) {
      if (isHexText(text, start, end)) hexParse(text, start, end, out)
      else nativeParse(form, encoding, text, start, end, out)
    },
  }
}

/** False if the text is not valid in the encoding; `out` may then hold a part of the text. */
function nativeText(
  form: TextForm, encoding: TextEncoding | undefined, source: Uint8Array, start: number, end: number, out: ByteWriter,
): boolean {
  if (!encoding) {
    const from = out.length
    form.text(source, start, end, out)
    return isUtf8(out.bytes, from, out.length)
  }
  const native = new ByteWriter((end - start) * 2)
  form.text(source, start, end, native)
  return encoding.toUtf8(native.bytes, 0, native.length, out)
}

function nativeParse(
  form: Required<TextForm>, encoding: TextEncoding | undefined, text: Uint8Array, start: number, end: number, out: ByteWriter,
): void {
  if (!encoding) {
    if (!isUtf8(text, start, end)) throw new ParseError('not UTF-8')
    return form.parse(text, start, end, out)
  }
  const native = new ByteWriter(end - start)
  if (!encoding.fromUtf8(text, start, end, native)) throw new ParseError('not in the encoding of the database')
  form.parse(native.bytes, 0, native.length, out)
}
