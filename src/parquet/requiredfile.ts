import { writeVarint } from '../common/bytereader.ts'
import { ByteWriter } from '../common/bytes.ts'
import { assert } from '../common/errors.ts'
import { utf8Encode } from '../common/utf8.ts'
import { footerBytes } from './footer.ts'
import { PLAIN, RLE } from './plainchunk.ts'
import { BINARY, binaryField, emptyField, type Field, I32, I64, integerField, listField, STRUCT, structField, trueField, writeStruct } from './thrift.ts'

/*
 * A Parquet file of two required columns in one row group: a text that is the same in each row, and integers that ascend. Wasm writes optional columns
 * only, and cuts the statistics of texts.
 *
 *   "PAR1" | text: dictionary page, data page | integers: data page, data page, … | footer
 *
 * The text is a dictionary of one value and one run of its index; integers are DELTA_BINARY_PACKED, in which a run of successive ones takes next to
 * nothing. Nothing is compressed.
 */

export interface RequiredField {
  readonly name: string
  readonly id: number
}

const [INT64, BYTE_ARRAY] = [2, 6]
const DELTA_BINARY_PACKED = 5
const RLE_DICTIONARY = 8
const REQUIRED = 0
const UTF8 = 0
const UNCOMPRESSED = 0
const [DATA_PAGE, DICTIONARY_PAGE] = [0, 2]
const MAGIC = Uint8Array.of(0x50, 0x41, 0x52, 0x31)
/** Values of a page of integers. */
const PAGE_VALUES = 1 << 16

/** @param values as many as there are rows, at least one; each from 0 to 2^53 - 1 and greater than the one before */
export function encodeRequiredFile(text: RequiredField & { value: string }, integers: RequiredField & { values: Iterable<number> }): Uint8Array {
  const values = [...integers.values]
  assert(values.length > 0 && values.every((value, i) => Number.isSafeInteger(value) && value > (values[i - 1] ?? -1)), 'integers that do not ascend')
  const out = new ByteWriter(1 << 12)
  out.copy(MAGIC)
  const texts = writeTexts(text, values.length, out)
  const chunks = [texts, writeIntegers(integers, values, out)]
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0)
  const rowGroup = writeStruct([
    listField(1, STRUCT, chunks.map(({ chunk }) => chunk)), integerField(2, I64, bytes), integerField(3, I64, values.length),
    integerField(5, I64, MAGIC.length), integerField(6, I64, bytes),
  ])
  out.copy(footerBytes(writeStruct([
    integerField(1, I32, 1), listField(2, STRUCT, schemaElements(text, integers)), integerField(3, I64, values.length), listField(4, STRUCT, [rowGroup]),
    binaryField(6, utf8Encode('ltap')), listField(7, STRUCT, chunks.map(() => writeStruct([emptyField(1)]))),
  ])))
  return out.take()
}

/** SchemaElements (parquet.thrift) of the root and the two columns. */
function schemaElements(text: RequiredField, integers: RequiredField): Uint8Array[] {
  const required = integerField(3, I32, REQUIRED)
  return [
    writeStruct([binaryField(4, utf8Encode('table')), integerField(5, I32, 2)]),
    writeStruct([
      integerField(1, I32, BYTE_ARRAY), required, binaryField(4, utf8Encode(text.name)), integerField(6, I32, UTF8), integerField(9, I32, text.id),
      structField(10, [emptyField(1)]),
    ]),
    writeStruct([integerField(1, I32, INT64), required, binaryField(4, utf8Encode(integers.name)), integerField(9, I32, integers.id)]),
  ]
}

/** A ColumnChunk of the footer, and how many bytes it has in the file. */
interface WrittenChunk {
  chunk: Uint8Array
  bytes: number
}

function writeTexts({ name, value }: RequiredField & { value: string }, rows: number, out: ByteWriter): WrittenChunk {
  const start = out.length
  const bytes = utf8Encode(value)
  const dictionary = new ByteWriter(bytes.length + 4)
  dictionary.u32(bytes.length)
  dictionary.copy(bytes)
  writePage(out, DICTIONARY_PAGE, structField(7, [integerField(1, I32, 1), integerField(2, I32, PLAIN)]), dictionary)
  const data = out.length
  const indexes = new ByteWriter(16)
  // The bit width of the indexes, then a run: count * 2, and the index in as many bytes as the width takes.
  indexes.u8(1)
  writeVarint(rows * 2, indexes)
  indexes.u8(0)
  writePage(out, DATA_PAGE, dataPageHeader(rows, RLE_DICTIONARY), indexes)
  const size = out.length - start
  const facts = { type: BYTE_ARRAY, min: bytes, max: bytes, dictionary: start }
  return { bytes: size, chunk: columnChunk(name, rows, size, data, [PLAIN, RLE, RLE_DICTIONARY], facts) }
}

function writeIntegers({ name }: RequiredField, values: readonly number[], out: ByteWriter): WrittenChunk {
  const start = out.length
  for (let first = 0; first < values.length; first += PAGE_VALUES) {
    const page = new ByteWriter()
    const end = Math.min(first + PAGE_VALUES, values.length)
    writeDeltas(values, first, end, page)
    writePage(out, DATA_PAGE, dataPageHeader(end - first, DELTA_BINARY_PACKED), page)
  }
  const size = out.length - start
  const [min, max] = [plainInt64(values[0]!), plainInt64(values.at(-1)!)]
  return { bytes: size, chunk: columnChunk(name, values.length, size, start, [RLE, DELTA_BINARY_PACKED], { type: INT64, min, max }) }
}

/** A ColumnChunk with its ColumnMetaData (parquet.thrift); statistics are exact. */
function columnChunk(
  name: string, rows: number, bytes: number, dataPage: number, encodings: readonly number[],
  { type, min, max, dictionary }: { type: number; min: Uint8Array; max: Uint8Array; dictionary?: number },
): Uint8Array {
  const path = new ByteWriter()
  const text = utf8Encode(name)
  writeVarint(text.length, path)
  path.copy(text)
  return writeStruct([integerField(2, I64, dictionary ?? dataPage), structField(3, [
    integerField(1, I32, type), listField(2, I32, encodings.map((encoding) => integerField(0, I32, encoding).bytes)), listField(3, BINARY, [path.take()]),
    integerField(4, I32, UNCOMPRESSED), integerField(5, I64, rows), integerField(6, I64, bytes), integerField(7, I64, bytes), integerField(9, I64, dataPage),
    ...(dictionary === undefined ? [] : [integerField(11, I64, dictionary)]),
    structField(12, [integerField(3, I64, 0), binaryField(5, max), binaryField(6, min), trueField(7), trueField(8)]),
  ])])
}

function dataPageHeader(values: number, encoding: number): Field {
  return structField(5, [integerField(1, I32, values), integerField(2, I32, encoding), integerField(3, I32, RLE), integerField(4, I32, RLE)])
}

/** Required columns have no levels: a page is its header and its values. */
function writePage(out: ByteWriter, type: number, header: Field, values: ByteWriter): void {
  out.copy(writeStruct([integerField(1, I32, type), integerField(2, I32, values.length), integerField(3, I32, values.length), header]))
  out.copy(values.bytes, 0, values.length)
}

function plainInt64(value: number): Uint8Array {
  const out = new ByteWriter(8)
  out.i64(BigInt(value))
  return out.take()
}

const BLOCK_VALUES = 128
const MINIBLOCKS = 4
const MINIBLOCK_VALUES = BLOCK_VALUES / MINIBLOCKS

/**
 * DELTA_BINARY_PACKED (parquet-format, Encodings.md) of values [first, end):
 *
 *     128 | 4 | count | first value, then blocks of 128 deltas: least delta | 4 bit widths | 4 * 32 differences to the least delta
 *
 * Numbers are varints, signed ones zigzag; a miniblock is packed from the lowest bit on. Miniblocks that no value is in have width 0 and no bytes.
 */
function writeDeltas(values: readonly number[], first: number, end: number, out: ByteWriter): void {
  for (const number of [BLOCK_VALUES, MINIBLOCKS, end - first, values[first]! * 2]) writeVarint(number, out)
  for (let at = first + 1; at < end; at += BLOCK_VALUES) {
    const deltas = values.slice(at, Math.min(at + BLOCK_VALUES, end)).map((value, i) => value - values[at + i - 1]!)
    const least = Math.min(...deltas)
    writeVarint(least * 2, out)
    const rests = deltas.map((delta) => delta - least)
    const miniblocks = Array.from({ length: MINIBLOCKS }, (_, i) => rests.slice(i * MINIBLOCK_VALUES, (i + 1) * MINIBLOCK_VALUES))
    const widths = miniblocks.map((miniblock) => bitWidth(Math.max(0, ...miniblock)))
    for (const width of widths) out.u8(width)
    miniblocks.forEach((miniblock, i) => packBits(miniblock, widths[i]!, out))
  }
}

function bitWidth(value: number): number {
  let width = 0
  for (let rest = value; rest >= 1; rest = Math.floor(rest / 2)) width++
  return width
}

/** 32 values of `width` bits; those that are missing are 0. */
function packBits(values: readonly number[], width: number, out: ByteWriter): void {
  const start = out.length
  out.zeros((MINIBLOCK_VALUES / 8) * width)
  values.forEach((value, i) => {
    let rest = value
    for (let bit = i * width; rest > 0; ) {
      const room = 8 - (bit & 7)
      const low = rest % 2 ** room
      out.bytes[start + (bit >>> 3)]! |= low << (bit & 7)
      rest = (rest - low) / 2 ** room
      bit += room
    }
  })
}
