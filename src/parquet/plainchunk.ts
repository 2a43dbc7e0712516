import { writeVarint } from '../common/bytereader.ts'
import { ByteWriter } from '../common/bytes.ts'
import { CorruptionError } from '../common/errors.ts'
import { BytesVector, setBits } from '../vector/vector.ts'
import { CompactReader, type Field, fieldOf, I32, integerField, integerOf, structField, writeStruct } from './thrift.ts'

/*
 * A column chunk of byte arrays, PLAIN and not compressed, of an optional top-level column: the way of columns whose values are too large for
 * wasm, where they would be held many times over. Here they are views of what is in memory anyway.
 *
 *   page header | u32 length of the levels | definition levels (RLE, bit width 1) | u32 length, bytes | u32 length, bytes | …
 *
 * A page ends at the first value that takes it beyond PAGE_BYTES; its length is an i32, so a value of 2 GiB does not fit.
 */
const PAGE_BYTES = 1 << 20

const DATA_PAGE = 0
export const PLAIN = 0
export const RLE = 3

/** The chunk's bytes for the first `rows` rows, piece by piece; pieces are good until the vector changes. */
export function* plainChunk(vector: BytesVector, rows: number): Iterable<Uint8Array> {
  for (let first = 0; first < rows; ) {
    let end = first + 1
    for (let bytes = vector.valueLength(first); end < rows && bytes < PAGE_BYTES; end++) bytes += vector.valueLength(end)
    yield* plainPage(vector, first, end)
    first = end
  }
}

/** Values up to so many bytes are joined into one piece; larger ones are views. */
const JOINED_BYTES_MAX = 1 << 16

/** The whole chunk as bytes of its own. */
export function plainChunkBytes(vector: BytesVector, rows: number): Uint8Array {
  const out = new ByteWriter()
  for (const piece of plainChunk(vector, rows)) out.copy(piece)
  return out.take()
}

function* plainPage(vector: BytesVector, first: number, end: number): Iterable<Uint8Array> {
  const levels = encodeLevels(vector, first, end)
  let size = levels.length
  for (let row = first; row < end; row++) if (!vector.isNull(row)) size += 4 + vector.valueLength(row)
  const out = new ByteWriter()
  out.copy(pageHeader(end - first, size))
  out.copy(levels)
  for (let row = first; row < end; row++) {
    if (vector.isNull(row)) continue
    const value = vector.value(row)
    out.u32(value.length)
    if (value.length <= JOINED_BYTES_MAX) {
      out.copy(value)
      continue
    }
    yield out.take()
    out.length = 0
    yield value
  }
  yield out.take()
}

/** PageHeader with its DataPageHeader (parquet.thrift). */
function pageHeader(values: number, size: number): Uint8Array {
  const data = [integerField(1, I32, values), integerField(2, I32, PLAIN), integerField(3, I32, RLE), integerField(4, I32, RLE)]
  return writeStruct([integerField(1, I32, DATA_PAGE), integerField(2, I32, size), integerField(3, I32, size), structField(5, data)])
}

/** Runs of equal levels: a varint of count * 2, and the level as a byte. */
function encodeLevels(vector: BytesVector, first: number, end: number): Uint8Array {
  const out = new ByteWriter()
  out.u32(0)
  for (let row = first; row < end; ) {
    const isNull = vector.isNull(row)
    const from = row
    while (row < end && vector.isNull(row) === isNull) row++
    writeVarint((row - from) * 2, out)
    out.u8(isNull ? 0 : 1)
  }
  out.setU32(0, out.length - 4)
  return out.take()
}

/** Where a chunk's bytes are. */
export interface ChunkSource {
  /** Bytes [start, end), which lie within the chunk. */
  read(start: number, end: number): Uint8Array
}

/** A column chunk whose pages have the form that {@link plainChunk} writes; another writer may have made it. */
export interface PlainPages {
  source: ChunkSource
  rows: number
  /** Where the bytes behind a page's header begin and end in the source, and of how many values they are. */
  pages: readonly { start: number; end: number; values: number }[]
}

/** Page headers have some 20 bytes. */
const HEADER_BYTES = 4 << 10
/** Values are read in portions: small ones behind a gap, larger ones where everything is read. */
const PORTION_MIN = 4 << 10
const PORTION_MAX = 1 << 20

/**
 * Finds the pages of a chunk; undefined if one is of another kind.
 * @throws CorruptionError parquet.row-group, parquet.footer
 */
export function findPlainPages(source: ChunkSource, start: number, end: number, rows: number): PlainPages | undefined {
  const pages: PlainPages['pages'][number][] = []
  let row = 0
  for (let at = start; row < rows; ) {
    const reader = new CompactReader(source.read(at, Math.min(at + HEADER_BYTES, end)))
    const page = pageOf(reader.fields())
    if (!page) return undefined
    const first = at + reader.position
    at = first + page.size
    if (row + page.values > rows || at > end || page.size < 4) lost(`a page of ${page.values} values in ${page.size} bytes`)
    pages.push({ start: first, end: at, values: page.values })
    row += page.values
  }
  return { source, rows, pages }
}

/**
 * The values of a chunk.
 * @param isRead whether a row's bytes are wanted; others are empty, and their bytes are passed over
 * @throws CorruptionError parquet.row-group
 */
export function readPlainChunk({ source, rows, pages }: PlainPages, isRead: (row: number) => boolean): BytesVector {
  const vector = new BytesVector()
  vector.reserve(rows)
  let row = 0
  for (const { start, end, values } of pages) {
    const page = new PageReader(source, end)
    const levelsEnd = start + 4 + page.u32(start)
    if (levelsEnd > end) lost('definition levels')
    const present = decodeLevels(source.read(start + 4, levelsEnd), values)
    let at = levelsEnd
    for (let i = 0; i < values; i++, row++) {
      if (present[i] === 1) {
        if (at + 4 > end) lost('a value without length')
        const length = page.u32(at)
        at += 4
        if (at + length > end) lost(`a value of ${length} bytes`)
        if (isRead(row)) vector.data.copy(page.read(at, at + length))
        at += length
        setBits(vector.validity, row, row + 1)
      }
      vector.offsets[row + 1] = vector.data.length
    }
    if (at !== end) lost('bytes behind the values of a page')
  }
  vector.length = rows
  return vector
}

/** A page, read front to back in portions. */
class PageReader {
  private readonly source: ChunkSource
  private readonly limit: number
  private bytes: Uint8Array = new Uint8Array(0)
  private start = 0
  private portion = PORTION_MIN

  constructor(source: ChunkSource, limit: number) {
    this.source = source
    this.limit = limit
  }

  /** Good until the next call. */
  read(start: number, end: number): Uint8Array {
    if (end - start >= PORTION_MAX) return this.source.read(start, end)
    const known = this.start + this.bytes.length
    if (start < this.start || end > known) {
      this.portion = start > known ? PORTION_MIN : Math.min(this.portion * 2, PORTION_MAX)
      this.bytes = this.source.read(start, Math.min(Math.max(start + this.portion, end), this.limit))
      this.start = start
    }
    return this.bytes.subarray(start - this.start, end - this.start)
  }

  u32(at: number): number {
    return readU32(this.read(at, at + 4), 0)
  }
}

/** Undefined for a page that {@link readPlainChunk} does not read. */
function pageOf(header: Field[]): { values: number; size: number } | undefined {
  const kind = integerOf(fieldOf(header, 1))
  const size = integerOf(fieldOf(header, 3))
  const data = fieldOf(header, 5)
  if (kind !== DATA_PAGE || size === undefined || size !== integerOf(fieldOf(header, 2)) || !data) return undefined
  const fields = new CompactReader(data.bytes).fields()
  const values = integerOf(fieldOf(fields, 1))
  const [encoding, levels] = [integerOf(fieldOf(fields, 2)), integerOf(fieldOf(fields, 3))]
  return values !== undefined && values > 0 && encoding === PLAIN && levels === RLE ? { values, size } : undefined
}

/** One byte per level: runs, or groups of 8 that are packed bits. */
function decodeLevels(bytes: Uint8Array, count: number): Uint8Array {
  const levels = new Uint8Array(count)
  const stop = bytes.length
  for (let at = 0, filled = 0; filled < count; ) {
    let header = 0
    for (let scale = 1; ; scale *= 128) {
      if (at >= stop || scale > 2 ** 28) lost('definition levels')
      const byte = bytes[at++]!
      header += (byte & 0x7f) * scale
      if (byte < 0x80) break
    }
    const size = (header & 1) === 0 ? Math.floor(header / 2) : (header >>> 1) * 8
    const packed = (header & 1) === 1
    if (size === 0 || at + (packed ? size / 8 : 1) > stop) lost('definition levels')
    for (let i = 0; i < size && filled < count; i++) levels[filled++] = packed ? (bytes[at + (i >> 3)]! >> (i & 7)) & 1 : bytes[at]!
    at += packed ? size / 8 : 1
  }
  return levels
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

function lost(what: string): never {
  throw new CorruptionError('parquet.row-group', `a column chunk is damaged: ${what}`)
}
