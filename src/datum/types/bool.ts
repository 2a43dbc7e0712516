import { CorruptionError } from '../../common/errors.ts'
import { type Codec, ParseError } from '../codec.ts'
import { checkPayload } from './payload.ts'
import type { BitVector } from '../../vector/vector.ts'

/* bool (bool.c): one byte, 0 or 1; text `f`, `t`. */
function boolAt(source: Uint8Array, start: number, end: number): boolean {
  checkPayload('bool', source, start, end, 1)
  const byte = source[start]!
  if (byte > 1) throw new CorruptionError('datum.bool', `byte ${byte}`)
  return byte === 1
}

/** bool ↔ boolean. */
export const boolCodec: Codec = {
  column: { kind: 'boolean' },
  overflows: false,
  decode(source, start, end, out) {
    const value = boolAt(source, start, end)
    ;(out as BitVector).push(value)
    return true
  },
  encode(column, row, out) {
    out.u8((column as BitVector).get(row) ? 1 : 0)
  },
  text(source, start, end, out) {
    out.u8(boolAt(source, start, end) ? 0x74 : 0x66)
  },
  parse(text, start, end, out) {
    if (end - start !== 1 || (text[start] !== 0x74 && text[start] !== 0x66)) throw new ParseError('bool: neither t nor f')
    out.u8(text[start] === 0x74 ? 1 : 0)
  },
}
