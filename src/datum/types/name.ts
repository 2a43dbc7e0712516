import type { ByteWriter } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { type Codec, ParseError } from '../codec.ts'
import type { TextEncoding } from '../encoding/encodings.ts'
import { checkPayload } from './payload.ts'
import { parseString, parseText, putText } from './text.ts'
import type { BytesVector } from '../../vector/vector.ts'

/*
 * name (c.h, NameData): 64 bytes, text in the database encoding, then zero bytes to the end
 *
 *   68 65 6c 6c 6f 00 00 .. 00      hello
 *
 * At least one zero byte ends the text. Bytes behind it are not part of the value; where they are not zero, encode shows it.
 */
const NAMEDATALEN = 64

/** name; what is not text in `encoding` overflows as the hex of the bytes before the first zero. */
export function nameCodec(encoding: TextEncoding): Codec {
  return {
    column: { kind: 'string' },
    overflows: true,
    decode(source, start, end, out) {
      const strings = out as BytesVector
      if (!encoding.toUtf8(source, start, nameEnd(source, start, end), strings.data)) {
        strings.pushNull()
        return false
      }
      strings.close()
      return true
    },
    encode(column, row, out) {
      const strings = column as BytesVector
      const before = out.length
      parseString(encoding, strings.data.bytes, strings.start(row), strings.end(row), out)
      pad(out, before)
    },
    text(source, start, end, out) {
      putText(encoding, source, start, nameEnd(source, start, end), out)
    },
    parse(text, start, end, out) {
      const before = out.length
      parseText(encoding, text, start, end, out)
      pad(out, before)
    },
  }
}

/** Where the text of a name ends. */
function nameEnd(source: Uint8Array, start: number, end: number): number {
  checkPayload('name', source, start, end, NAMEDATALEN)
  for (let at = start; at < end; at++) if (source[at] === 0) return at
  throw new CorruptionError('datum.name', 'no zero byte')
}

function pad(out: ByteWriter, before: number): void {
  const length = out.length - before
  if (length >= NAMEDATALEN) throw new ParseError('longer than a name')
  for (let at = before; at < out.length; at++) if (out.bytes[at] === 0) throw new ParseError('zero byte in a name')
  out.zeros(NAMEDATALEN - length)
}
