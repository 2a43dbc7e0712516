import { type ByteWriter, readF64, readI32, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { AsciiReader } from '../text/asciireader.ts'
import { type Codec, ParseError } from '../codec.ts'
import { writeFloat8 } from '../text/floattext.ts'
import { float8Codec } from './float.ts'
import { strictParse } from '../text/strict.ts'
import { textCodec } from '../text/textcodec.ts'

/*
 * cube (contrib/cube/cubedata.h), payload: u32 number of dimensions, bit 31: a point; then f64 for each dimension, and if it is no point
 * again for the opposite corner
 */
const POINT_BIT = 0x80000000
const HEADER = 4
/** CUBE_MAX_DIM */
const DIMENSIONS_MAX = 100

function cubeText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const header = end - start < HEADER ? DIMENSIONS_MAX + 1 : readU32(source, start)
  const dimensions = header & ~POINT_BIT
  const corner = start + HEADER
  const opposite = corner + dimensions * 8
  const isPoint = header >= POINT_BIT
  if (dimensions > DIMENSIONS_MAX || end !== (isPoint ? opposite : opposite + dimensions * 8)) {
    throw new CorruptionError('datum.cube', `header 0x${header.toString(16)} of ${end - start} bytes`)
  }
  cornerText(source, corner, opposite, out)
  if (isPoint || sameCorner(source, corner, opposite)) return
  out.u8(0x2c)
  cornerText(source, opposite, end, out)
}

function cornerText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  out.u8(0x28)
  for (let at = start; at < end; at += 8) {
    if (at > start) out.ascii(', ')
    writeFloat8(readI32(source, at), readI32(source, at + 4), out)
  }
  out.u8(0x29)
}

/** A cube without the bit, as before 9.4, whose corners are equal prints as a point. */
function sameCorner(source: Uint8Array, corner: number, opposite: number): boolean {
  for (let at = corner; at < opposite; at += 8) if (readF64(source, at) !== readF64(source, at + opposite - corner)) return false
  return true
}

function cubeParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const reader = new AsciiReader(text, start, end)
  const from = out.length
  out.u32(0)
  const dimensions = cornerParse(reader, out)
  const isPoint = reader.done
  if (!isPoint) {
    reader.expect(',')
    if (cornerParse(reader, out) !== dimensions) throw new ParseError('cube: corners of different dimensions')
  }
  reader.finish()
  out.setU32(from, isPoint ? POINT_BIT | dimensions : dimensions)
}

function cornerParse(reader: AsciiReader, out: ByteWriter): number {
  reader.expect('(')
  let dimensions = 0
  for (; !reader.skip(')'); dimensions++) {
    if (dimensions > 0) reader.expect(', ')
    const start = reader.at
    reader.until(',)')
    float8Codec.parse!(reader.text, start, reader.at, out)
  }
  return dimensions
}

/** cube: its text. */
export const cubeCodec: Codec = textCodec(strictParse({ text: cubeText, parse: cubeParse }))
