import { footerBytes } from './footer.ts'
import {
  CompactReader, damaged, type Field, fieldOf, I32, I64, integerField, integerOf, listField, STRUCT, structField, structsOf, withField, writeStruct,
} from './thrift.ts'

/** "PAR1" */
export const MAGIC_BYTES: Uint8Array<ArrayBuffer> = Uint8Array.of(0x50, 0x41, 0x52, 0x31)

/* Field ids of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData (parquet.thrift). */
const ROWS = 3
const ROW_GROUPS = 4
const COLUMNS = 1
const TOTAL_BYTE_SIZE = 2
const GROUP_FILE_OFFSET = 5
const GROUP_COMPRESSED_SIZE = 6
const CHUNK_FILE_OFFSET = 2
const META_DATA = 3
/** Offset and length of the offset index and of the column index. */
const INDEXES = [4, 5, 6, 7]
const ENCODINGS = 2
const PATH = 3
const CODEC = 4
const UNCOMPRESSED_SIZE = 6
const COMPRESSED_SIZE = 7
const DATA_PAGE_OFFSET = 9
const INDEX_PAGE_OFFSET = 10
const DICTIONARY_PAGE_OFFSET = 11
const BLOOM_FILTER = [14, 15]

/** A column chunk of a row group: what its ColumnMetaData says, and where it lies in the file. */
export interface ColumnChunk {
  /** Thrift fields of ColumnChunk (parquet.thrift); `meta` has the fields of its ColumnMetaData. */
  fields: Field[]
  meta: Field[]
  start: number
  end: number
}

export interface RowGroupFields {
  fields: Field[]
  rows: number
  columns: ColumnChunk[]
}

/** The fields of FileMetaData. */
export function fileFields(metaData: Uint8Array): Field[] {
  return new CompactReader(metaData).fields()
}

/** @throws CorruptionError parquet.footer */
export function rowGroupsOf(file: readonly Field[]): RowGroupFields[] {
  return structsOf(fieldOf(file, ROW_GROUPS)).map((fields) => {
    const columns = structsOf(fieldOf(fields, COLUMNS)).map((chunk): ColumnChunk => {
      const metaField = fieldOf(chunk, META_DATA)
      if (!metaField) return damaged('a column chunk without metadata')
      const meta = new CompactReader(metaField.bytes).fields()
      const data = required(meta, DATA_PAGE_OFFSET)
      const start = Math.min(data, integerOf(fieldOf(meta, DICTIONARY_PAGE_OFFSET)) || data)
      return { fields: chunk, meta, start, end: start + required(meta, COMPRESSED_SIZE) }
    })
    return { fields, rows: required(fields, ROWS), columns }
  })
}

function required(fields: readonly Field[], id: number): number {
  return integerOf(fieldOf(fields, id)) ?? damaged(`field ${id} is missing`)
}

/** FileMetaData with other row groups. */
export function withRowGroups(file: readonly Field[], groups: readonly RowGroupFields[]): Uint8Array {
  const rows = groups.reduce((sum, group) => sum + group.rows, 0)
  const list = listField(ROW_GROUPS, STRUCT, groups.map(({ fields, columns }) => writeStruct(groupWith(fields, columns))))
  return writeStruct(withField(withField(file, ROWS, integerField(ROWS, I64, rows)), ROW_GROUPS, list))
}

function groupWith(fields: readonly Field[], columns: readonly ColumnChunk[]): Field[] {
  const size = (id: number): number => columns.reduce((sum, { meta }) => sum + required(meta, id), 0)
  const chunks = columns.map(({ fields: chunk, meta }) => writeStruct(withField(chunk, META_DATA, structField(META_DATA, meta))))
  let group = withField(fields, COLUMNS, listField(COLUMNS, STRUCT, chunks))
  group = withField(group, TOTAL_BYTE_SIZE, integerField(TOTAL_BYTE_SIZE, I64, size(UNCOMPRESSED_SIZE)))
  group = withField(group, GROUP_COMPRESSED_SIZE, integerField(GROUP_COMPRESSED_SIZE, I64, size(COMPRESSED_SIZE)))
  return withField(group, GROUP_FILE_OFFSET, integerField(GROUP_FILE_OFFSET, I64, Math.min(...columns.map(({ start }) => start))))
}

/** The metadata of the chunk at another place in a file. It names no indexes and filters, since only the chunk's own bytes are moved. */
export function movedChunk({ fields, meta, start, end }: ColumnChunk, to: number): ColumnChunk {
  const move = (moved: Field[], id: number): Field[] => {
    const offset = integerOf(fieldOf(moved, id))
    return offset === undefined || offset === 0 ? moved : withField(moved, id, integerField(id, I64, offset - start + to))
  }
  const without = (list: Field[], ids: readonly number[]): Field[] => ids.reduce((rest, id) => withField(rest, id, undefined), list)
  return {
    fields: withField(without(fields, INDEXES), CHUNK_FILE_OFFSET, integerField(CHUNK_FILE_OFFSET, I64, 0)),
    meta: [DATA_PAGE_OFFSET, INDEX_PAGE_OFFSET, DICTIONARY_PAGE_OFFSET].reduce(move, without(meta, BLOOM_FILTER)), start: to, end: end - start + to,
  }
}

/** The chunk's place taken by a chunk of {@link plainChunk}; statistics would be those of another chunk. */
export function plainChunkAt({ fields, meta }: ColumnChunk, start: number, size: number, plain: number, rle: number): ColumnChunk {
  const encoding = (value: number): Uint8Array => integerField(0, I32, value).bytes
  const kept = meta.filter(({ id }) => [1, PATH, 5].includes(id))
  const described = [
    listField(ENCODINGS, I32, [encoding(plain), encoding(rle)]), integerField(CODEC, I32, 0), integerField(UNCOMPRESSED_SIZE, I64, size),
    integerField(COMPRESSED_SIZE, I64, size), integerField(DATA_PAGE_OFFSET, I64, start),
  ].reduce((list, field) => withField(list, field.id, field), kept)
  return movedChunk({ fields, meta: described, start, end: start + size }, start)
}

/** Byte arrays, PLAIN or dictionary, not compressed. */
export function isUncompressedBytes({ meta }: ColumnChunk): boolean {
  return integerOf(fieldOf(meta, 1)) === 6 && integerOf(fieldOf(meta, CODEC)) === 0 && fieldOf(meta, DICTIONARY_PAGE_OFFSET) === undefined
}

export function hasDictionary({ meta }: ColumnChunk): boolean {
  return (integerOf(fieldOf(meta, DICTIONARY_PAGE_OFFSET)) ?? 0) > 0
}

/** A file of one row group, or of none. @param chunks the bytes of its chunks */
export function fileOf(file: readonly Field[], group: RowGroupFields | undefined, chunks: readonly Uint8Array[]): Uint8Array {
  const moved: ColumnChunk[] = []
  let at = MAGIC_BYTES.length
  chunks.forEach((bytes, i) => {
    moved.push(movedChunk(group!.columns[i]!, at))
    at += bytes.length
  })
  const footer = footerBytes(withRowGroups(file, group ? [{ ...group, columns: moved }] : []))
  const out = new Uint8Array(at + footer.length)
  out.set(MAGIC_BYTES)
  let to = MAGIC_BYTES.length
  for (const bytes of [...chunks, footer]) {
    out.set(bytes, to)
    to += bytes.length
  }
  return out
}
