import { readI32, readU16 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { type Codec, ParseError } from '../codec.ts'
import { parseSigned64, writeSigned64 } from '../text/integertext.ts'
import { checkPayload } from './payload.ts'
import type { WordVector } from '../../vector/vector.ts'

/* int2, int4, int8 (int.c, int8.c): two's complement, little-endian. */

const words = new Int32Array(2)

/** Parses a number that fits one word; the low word has its bits. */
function parseWord(type: string, text: Uint8Array, start: number, end: number): number {
  parseSigned64(text, start, end, words)
  if (words[1] !== words[0]! >> 31) throw new ParseError(`${type}: out of range`)
  return words[0]!
}

/** int2 ↔ int. */
export const int2Codec: Codec = {
  column: { kind: 'int' },
  overflows: false,
  decode(source, start, end, out) {
    checkPayload('int2', source, start, end, 2)
    ;(out as WordVector).push1((readU16(source, start) << 16) >> 16)
    return true
  },
  encode(column, row, out) {
    const value = (column as WordVector).words[row]!
    if (value << 16 >> 16 !== value) throw new CorruptionError('datum.int2', `column value ${value}`)
    out.u16(value)
  },
  text(source, start, end, out) {
    checkPayload('int2', source, start, end, 2)
    const value = (readU16(source, start) << 16) >> 16
    writeSigned64(out, value, value >> 31)
  },
  parse(text, start, end, out) {
    const value = parseWord('int2', text, start, end)
    if (value << 16 >> 16 !== value) throw new ParseError('int2: out of range')
    out.u16(value)
  },
}

/** int4 ↔ int. */
export const int4Codec: Codec = {
  column: { kind: 'int' },
  overflows: false,
  decode(source, start, end, out) {
    checkPayload('int4', source, start, end, 4)
    ;(out as WordVector).push1(readI32(source, start))
    return true
  },
  encode(column, row, out) {
    out.u32((column as WordVector).words[row]!)
  },
  text(source, start, end, out) {
    checkPayload('int4', source, start, end, 4)
    const value = readI32(source, start)
    writeSigned64(out, value, value >> 31)
  },
  parse(text, start, end, out) {
    out.u32(parseWord('int4', text, start, end))
  },
}

/** int8 ↔ long. */
export const int8Codec: Codec = {
  column: { kind: 'long' },
  overflows: false,
  decode(source, start, end, out) {
    checkPayload('int8', source, start, end, 8)
    ;(out as WordVector).push2(readI32(source, start), readI32(source, start + 4))
    return true
  },
  encode(column, row, out) {
    const values = (column as WordVector).words
    out.u32(values[row * 2]!)
    out.u32(values[row * 2 + 1]!)
  },
  text(source, start, end, out) {
    checkPayload('int8', source, start, end, 8)
    writeSigned64(out, readI32(source, start), readI32(source, start + 4))
  },
  parse(text, start, end, out) {
    parseSigned64(text, start, end, words)
    out.u32(words[0]!)
    out.u32(words[1]!)
  },
}
