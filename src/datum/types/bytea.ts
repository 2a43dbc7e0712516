import type { Codec } from '../codec.ts'
import { hexParse, hexText } from '../text/hextext.ts'
import { checkPayload } from './payload.ts'
import type { BytesVector } from '../../vector/vector.ts'

/** bytea (varlena.c): the payload is the value. Text as with bytea_output hex, `\x` and lower-case digits. */
export const byteaCodec: Codec = binaryCodec('bytea')

/** A codec whose column is the payload itself. */
export function binaryCodec(type: string): Codec {
  return {
    column: { kind: 'binary' },
    overflows: false,
    decode(source, start, end, out) {
      checkPayload(type, source, start, end)
      const binaries = out as BytesVector
      binaries.push(source, start, end)
      return true
    },
    encode(column, row, out) {
      const binaries = column as BytesVector
      out.copy(binaries.data.bytes, binaries.start(row), binaries.end(row))
    },
    text(source, start, end, out) {
      checkPayload(type, source, start, end)
      hexText(source, start, end, out)
    },
    parse: hexParse,
  }
}
