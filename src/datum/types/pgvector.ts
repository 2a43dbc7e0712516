import { ByteWriter, readI32, readU16 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import { AsciiReader } from '../text/asciireader.ts'
import { type Codec, ParseError } from '../codec.ts'
import { writeFloat4 } from '../text/floattext.ts'
import { float4Codec } from './float.ts'
import { floatToHalf, halfToFloat } from './half.ts'
import { strictParse } from '../text/strict.ts'
import { textCodec } from '../text/textcodec.ts'
import type { ListVector, WordVector } from '../../vector/vector.ts'

/*
 * pgvector (vector.h, halfvec.h, sparsevec.h), payloads
 *
 *  vector     u16 dimensions | u16 0 | f32 ...
 *  halfvec    u16 dimensions | u16 0 | binary16 ...
 *  sparsevec  i32 dimensions | i32 count | i32 0 | i32 index from 0 ... (count) | f32 ... (count)
 */
const HEADER = 4
const SPARSE_HEADER = 12
const DIMENSIONS_MAX = 0xffff

/** How an element is stored, and its float's bits. */
interface Element {
  size: 2 | 4
  read(source: Uint8Array, at: number): number
  /** Throws ParseError on a float that cannot be stored. */
  write(floatBits: number, out: ByteWriter): void
}

const FLOAT: Element = {
  size: 4,
  read: readI32,
  write: (floatBits, out) => out.u32(floatBits),
}

const HALF: Element = {
  size: 2,
  read: (source, at) => halfToFloat(readU16(source, at)),
  write(floatBits, out) {
    const half = floatToHalf(floatBits)
    if (half === undefined) throw new ParseError('halfvec: no half has this value')
    out.u16(half)
  },
}

function checkDense(source: Uint8Array, start: number, end: number, size: number): void {
  if (end - start < HEADER || end - start !== HEADER + readU16(source, start) * size) {
    throw new CorruptionError('datum.vector', `${end - start} bytes`)
  }
}

function writeHeader(dimensions: number, out: ByteWriter): void {
  if (dimensions > DIMENSIONS_MAX) throw new ParseError('vector: too many dimensions')
  out.u16(dimensions)
  out.u16(0)
}

const scratch = new ByteWriter(4)

function parseFloat4(reader: AsciiReader, stops: string): number {
  const start = reader.at
  reader.until(stops)
  scratch.length = 0
  float4Codec.parse!(reader.text, start, reader.at, scratch)
  return readI32(scratch.bytes, 0)
}

function denseCodec({ size, read, write }: Element): Codec {
  const form = strictParse({
    text(source, start, end, out) {
      checkDense(source, start, end, size)
      out.u8(0x5b)
      for (let at = start + HEADER; at < end; at += size) {
        if (at > start + HEADER) out.u8(0x2c)
        writeFloat4(read(source, at), out)
      }
      out.u8(0x5d)
    },
    parse(text, start, end, out) {
      const reader = new AsciiReader(text, start, end)
      const floats: number[] = []
      reader.expect('[')
      while (!reader.skip(']')) {
        if (floats.length > 0) reader.expect(',')
        floats.push(parseFloat4(reader, ',]'))
      }
      reader.finish()
      writeHeader(floats.length, out)
      for (const floatBits of floats) write(floatBits, out)
    },
  })
  return {
    ...form,
    column: { kind: 'list', element: { kind: 'float' } },
    overflows: false,
    decode(source, start, end, out) {
      checkDense(source, start, end, size)
      const list = out as ListVector<WordVector>
      for (let at = start + HEADER; at < end; at += size) list.child.push1(read(source, at))
      list.close()
      return true
    },
    encode(column, row, out) {
      const list = column as ListVector<WordVector>
      writeHeader(list.end(row) - list.start(row), out)
      for (let i = list.start(row); i < list.end(row); i++) {
        if (list.child.isNull(i)) throw new ParseError('vector: a null element')
        write(list.child.words[i]!, out)
      }
    },
  }
}

/** vector: list<float>, bit for bit. */
export const vectorCodec: Codec = denseCodec(FLOAT)

/** halfvec: list<float>; every half is a float. */
export const halfvecCodec: Codec = denseCodec(HALF)

function sparseText(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const count = end - start < SPARSE_HEADER ? -1 : readI32(source, start + 4)
  const values = start + SPARSE_HEADER + count * 4
  if (count < 0 || end !== values + count * 4) throw new CorruptionError('datum.sparsevec', `${count} elements in ${end - start} bytes`)
  out.u8(0x7b)
  for (let i = 0; i < count; i++) {
    if (i > 0) out.u8(0x2c)
    out.ascii(`${readI32(source, start + SPARSE_HEADER + i * 4) + 1}:`)
    writeFloat4(readI32(source, values + i * 4), out)
  }
  out.ascii(`}/${readI32(source, start)}`)
}

function sparseParse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const reader = new AsciiReader(text, start, end)
  const indices: number[] = []
  const floats: number[] = []
  reader.expect('{')
  while (!reader.skip('}')) {
    if (indices.length > 0) reader.expect(',')
    indices.push(reader.unsigned(0x7fffffff) - 1)
    reader.expect(':')
    floats.push(parseFloat4(reader, ',}'))
  }
  reader.expect('/')
  out.u32(reader.unsigned(0x7fffffff))
  reader.finish()
  out.u32(indices.length)
  out.u32(0)
  for (const index of indices) out.u32(index)
  for (const floatBits of floats) out.u32(floatBits)
}

/** sparsevec: its text, `{1:1.5,3:2}/5`. */
export const sparsevecCodec: Codec = textCodec(strictParse({ text: sparseText, parse: sparseParse }))
