import type { ByteWriter } from '../../common/bytes.ts'
import type { Codec } from '../codec.ts'
import type { BytesVector, Vector } from '../../vector/vector.ts'

/** The two directions of a type whose lake column is its canonical text. */
export interface TextForm {
  text(source: Uint8Array, start: number, end: number, out: ByteWriter): void
  parse?(text: Uint8Array, start: number, end: number, out: ByteWriter): void
}

/** A codec whose column is the type's canonical text; without `parse` the raw lane carries the stored bytes. */
export function textCodec(form: TextForm): Codec {
  const { text, parse } = form
  const codec: Codec = {
    column: { kind: 'string' },
    overflows: false,
    decode(source, start, end, out) {
      const strings = out as BytesVector
      text(source, start, end, strings.data)
      strings.close()
      return true
    },
    text,
  }
  if (parse) {
    codec.parse = parse
    codec.encode = (column: Vector, row: number, out: ByteWriter) => {
      const strings = column as BytesVector
      parse(strings.data.bytes, strings.start(row), strings.end(row), out)
    }
  }
  return codec
}
