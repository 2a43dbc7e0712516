import { ByteWriter, readI32 } from '../../common/bytes.ts'
import { type Codec, ParseError } from '../codec.ts'
import { exactParse, sameBytes } from '../text/exactparse.ts'
import { writeFloat4, writeFloat8 } from '../text/floattext.ts'
import { checkPayload } from './payload.ts'
import type { WordVector } from '../../vector/vector.ts'

/*
 * float4, float8 (float.c): IEEE little-endian. Bits travel as words: a JavaScript number would quieten signalling NaNs.
 */
const FORM = /^(?:-?\d[\d.]*(?:e[+-]\d{2,3})?|NaN|-?Infinity)$/

const doubles = new Float64Array(1)
const doubleWords = new Int32Array(doubles.buffer)
const floats = new Float32Array(1)
const floatWords = new Int32Array(floats.buffer)
const again = new ByteWriter(32)

function float8Text(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  checkPayload('float8', source, start, end, 8)
  writeFloat8(readI32(source, start), readI32(source, start + 4), out)
}

function scanFloat8(input: string, out: ByteWriter): void {
  if (!FORM.test(input)) throw new ParseError('float8: not a number')
  doubles[0] = Number(input)
  // float8in gives one NaN; the bits of others are the raw lane's.
  out.u32(input === 'NaN' ? 0 : doubleWords[0]!)
  out.u32(input === 'NaN' ? 0x7ff80000 : doubleWords[1]!)
}

function float4Text(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  checkPayload('float4', source, start, end, 4)
  writeFloat4(readI32(source, start), out)
}

function float4Parse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (end - start > 20 || start < 0 || end > text.length) throw new ParseError('float4: not a number')
  let input = ''
  for (let i = start; i < end; i++) input += String.fromCharCode(text[i]!)
  if (!FORM.test(input)) throw new ParseError('float4: not a number')
  floats[0] = Number(input)
  const nearest = input === 'NaN' ? 0x7fc00000 : floatWords[0]!
  // Rounding twice, to double and then to float, can end on the neighbour.
  for (const bits of [nearest, nearest - 1, nearest + 1]) {
    again.length = 0
    writeFloat4(bits, again)
    if (sameBytes(again, text, start, end)) {
      out.u32(bits)
      return
    }
  }
  throw new ParseError('float4: not its canonical text')
}

/** float4 ↔ float, bit for bit. */
export const float4Codec: Codec = {
  column: { kind: 'float' },
  overflows: false,
  decode(source, start, end, out) {
    checkPayload('float4', source, start, end, 4)
    ;(out as WordVector).push1(readI32(source, start))
    return true
  },
  encode(column, row, out) {
    out.u32((column as WordVector).words[row]!)
  },
  text: float4Text,
  parse: float4Parse,
}

/** float8 ↔ double, bit for bit. */
export const float8Codec: Codec = {
  column: { kind: 'double' },
  overflows: false,
  decode(source, start, end, out) {
    checkPayload('float8', source, start, end, 8)
    ;(out as WordVector).push2(readI32(source, start), readI32(source, start + 4))
    return true
  },
  encode(column, row, out) {
    const words = (column as WordVector).words
    out.u32(words[row * 2]!)
    out.u32(words[row * 2 + 1]!)
  },
  text: float8Text,
  parse: exactParse('float8', float8Text, scanFloat8),
}
