import { tableFromIPC } from 'apache-arrow'
import { readParquet as readWasmTable, readSchema } from 'parquet-wasm'
import { assert, CorruptionError } from '../common/errors.ts'
import { BytesVector, type Vector } from '../vector/vector.ts'
import { batchVectors } from './arrow.ts'
import { lakeFields } from './arrowschema.ts'
import { fileMetaData, footerBytes, readFooter } from './footer.ts'
import type { LakeField } from './lakefield.ts'
import { findPlainPages, PLAIN, plainChunkBytes, type PlainPages, readPlainChunk, RLE } from './plainchunk.ts'
import {
  type ColumnChunk, fileFields, fileOf, hasDictionary, isUncompressedBytes, MAGIC_BYTES, plainChunkAt, type RowGroupFields, rowGroupsOf,
} from './rowgroups.ts'
import { leavesOf } from './splice.ts'
import type { Field } from './thrift.ts'
import { decodeInWasm } from './wasm.ts'

export interface RowGroup {
  rows: number
  columns: Vector[]
}

/** An opened Parquet file; the row groups are decoded one by one. */
export interface ParquetReader {
  /** All key-values of the footer, the writer's own `ARROW:schema` among them. */
  metadata: ReadonlyMap<string, string>
  fields: readonly LakeField[]
  rows: number
  rowGroups: number
  /** Rows of each row group. */
  rowGroupRows: readonly number[]
  /** Names of the fields without children of which the first row group has a dictionary. */
  dictionaries: ReadonlySet<string>
  /**
   * Decodes row group `index`, from 0; the vectors are the caller's. Throws CorruptionError('parquet.row-group').
   * @param chooseRead tells which values of a large column are wanted; the others are empty. Default: all
   */
  readRowGroup(index: number, chooseRead?: ChooseRead): RowGroup
}

/** Chooses the rows for which a large column `field` is read; `columns` are the columns that are not large. */
export type ChooseRead = (field: number, columns: readonly Vector[]) => (row: number) => boolean

/** Where a file's bytes are. */
export interface ParquetSource {
  readonly length: number
  /** Bytes [start, end), which lie within the length; the caller may change them. */
  read(start: number, end: number): Uint8Array
}

/** Most footers are no longer than this. */
const TAIL_LENGTH = 64 << 10
/** A chunk of byte arrays that is not compressed is read here from this size on, and by wasm below: there it would be held many times over. */
const OWN_CHUNK_MIN = 32 << 20
/** No row group of a lake has more rows: memory is claimed by this number. */
const OWN_CHUNK_ROWS_MAX = 1 << 20

/**
 * Opens a Parquet file; it must not change while it is in use. In memory are its footer and, while it is read, one row group.
 * Throws CorruptionError('parquet.…') for damaged files, UnsupportedError for types that no lake file has. Parquet has no checksums
 * here, so damage inside values may go unseen: it is found by the rebuilt page's CRC. After a panic of the reader, `wasmPanicked()`.
 * @param ownChunkMin see OWN_CHUNK_MIN
 */
export function readParquet(file: Uint8Array | ParquetSource, ownChunkMin: number = OWN_CHUNK_MIN): ParquetReader {
  // Not slice: that of a Buffer is a view.
  const copy = (bytes: Uint8Array): ParquetSource => ({ length: bytes.length, read: (start, end) => new Uint8Array(bytes.subarray(start, end)) })
  const source = file instanceof Uint8Array ? copy(file) : file
  const metaData = readMetaData(source)
  const { rows, rowGroupRows, metadata } = readFooter(footerBytes(metaData))
  const footer = fileFields(metaData)
  const groups = rowGroupsOf(footer)
  for (const group of groups) checkPlaces(group, source.length)
  const schema = decodeInWasm('parquet.schema', () => tableFromIPC(readSchema(fileOf(footer, undefined, [])).intoIPCStream()).schema)
  const fields = lakeFields(schema)
  const readRowGroup = (index: number, chooseRead: ChooseRead = () => () => true): RowGroup => {
    const group = groups[index]
    assert(group !== undefined, `row group ${index} of ${groups.length}`)
    return decodeRowGroup(source, footer, group, { fields, own: findOwnChunks(source, group, fields, ownChunkMin), chooseRead })
  }
  return { metadata, fields, rows, rowGroups: rowGroupRows.length, rowGroupRows, dictionaries: dictionariesOf(groups[0], fields), readRowGroup }
}

function dictionariesOf(group: RowGroupFields | undefined, fields: readonly LakeField[]): Set<string> {
  const found = new Set<string>()
  let leaf = 0
  for (const field of fields) {
    const chunk = group?.columns[leaf]
    if (field.children === undefined && chunk && hasDictionary(chunk)) found.add(field.name)
    leaf += leavesOf(field)
  }
  return found
}

function readMetaData(source: ParquetSource): Uint8Array {
  const tail = source.read(Math.max(0, source.length - TAIL_LENGTH), source.length)
  const wanted = tail.length < 8 ? 0 : new DataView(tail.buffer, tail.byteOffset).getUint32(tail.length - 8, true) + 8
  return fileMetaData(wanted <= tail.length || wanted > source.length ? tail : source.read(source.length - wanted, source.length))
}

/** A footer that lies must not make us read a file many times over. */
function checkPlaces({ columns }: RowGroupFields, length: number): void {
  const sum = columns.reduce((total, { start, end }) => total + end - start, 0)
  const misplaced = columns.find(({ start, end }) => start < MAGIC_BYTES.length || end > length)
  if (misplaced || sum > length) throw new CorruptionError('parquet.footer', `column chunks of ${sum} bytes in a file of ${length}`)
}

function decodeRowGroup(
  source: ParquetSource, footer: readonly Field[], group: RowGroupFields,
  { fields, own, chooseRead }: { fields: readonly LakeField[]; own: ReadonlyMap<number, OwnChunk>; chooseRead: ChooseRead },
): RowGroup {
  const { rows } = group
  const rest = { ...group, columns: group.columns.map((chunk, leaf) => own.get(leaf)?.nulls.chunk ?? chunk) }
  const chunks = readChunks(source, group.columns, (leaf) => own.get(leaf)?.nulls.bytes)
  const table = decodeInWasm('parquet.row-group', () => {
    const options = { rowGroups: [0], batchSize: Math.max(rows, 1) }
    return tableFromIPC(readWasmTable(fileOf(footer, rest, chunks), options).intoIPCStream())
  })
  const batch = table.batches[0]
  if (table.batches.length !== 1 || batch === undefined || batch.numRows !== rows || batch.numCols !== fields.length) {
    throw new CorruptionError('parquet.row-group', `${table.numRows} rows where the footer says ${rows}`)
  }
  const columns = batchVectors(batch)
  const large = [...own.values()].map(({ field, pages }) => ({ field, vector: readPlainChunk(pages, chooseRead(field, columns)) }))
  for (const { field, vector } of large) columns[field] = vector
  return { rows, columns }
}

interface OwnChunk {
  field: number
  pages: PlainPages
  /** What wasm reads in its place. */
  nulls: { chunk: ColumnChunk; bytes: Uint8Array }
}

/** Large chunks of columns without children, by leaf. */
function findOwnChunks(
  source: ParquetSource, { columns, rows }: RowGroupFields, fields: readonly LakeField[], ownChunkMin: number,
): Map<number, OwnChunk> {
  const own = new Map<number, OwnChunk>()
  let leaf = 0
  if (rows > OWN_CHUNK_ROWS_MAX) return own
  fields.forEach((field, i) => {
    const chunk = columns[leaf]
    if (field.children === undefined && chunk && chunk.end - chunk.start >= ownChunkMin && isUncompressedBytes(chunk)) {
      const pages = findPlainPages(source, chunk.start, chunk.end, rows)
      if (pages) own.set(leaf, { field: i, pages, nulls: nullsInPlaceOf(chunk, rows) })
    }
    leaf += leavesOf(field)
  })
  return own
}

function nullsInPlaceOf(chunk: ColumnChunk, rows: number): OwnChunk['nulls'] {
  const vector = new BytesVector()
  vector.padTo(rows)
  const bytes = plainChunkBytes(vector, rows)
  return { chunk: plainChunkAt(chunk, MAGIC_BYTES.length, bytes.length, PLAIN, RLE), bytes }
}

/** The chunks' bytes, those that lie together in one read. */
function readChunks(source: ParquetSource, chunks: readonly ColumnChunk[], instead: (leaf: number) => Uint8Array | undefined): Uint8Array[] {
  const read = chunks.filter((_, leaf) => instead(leaf) === undefined)
  const first = Math.min(...read.map(({ start }) => start))
  const last = Math.max(...read.map(({ end }) => end))
  const together = read.length > 0 && last - first <= 2 * read.reduce((sum, { start, end }) => sum + end - start, 0) ? source.read(first, last) : undefined
  return chunks.map(({ start, end }, leaf) => instead(leaf) ?? together?.subarray(start - first, end - first) ?? source.read(start, end))
}
