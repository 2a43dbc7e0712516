import { BINARY, CompactReader, damaged, I64, LIST } from './thrift.ts'

/**
 * The footer of a Parquet file (apache/parquet-format, parquet.thrift), as far as one must know it before decoding columns.
 * The wasm reader tells none of this without a promise, and its promises panic past every handler on a damaged footer.
 *
 *   "PAR1" row groups … | FileMetaData | u32 length of FileMetaData | "PAR1"
 *
 * FileMetaData is in thrift's compact protocol: a struct is a run of fields, each one byte (id delta << 4 | type, then a zigzag
 * varint id if the delta is 0) and a value, ended by a zero byte. Integers are zigzag varints; a list is (size << 4 | type), size
 * 15 meaning a varint follows.
 */
export interface Footer {
  rows: number
  rowGroupRows: number[]
  metadata: Map<string, string>
  createdBy: string
}

const MAGIC = 0x31524150
const TAIL_LENGTH = 8
const ROW_GROUP_ROWS_MAX = 0x7fffffff

/** Reads the footer at the end of `bytes`, which may be a whole file or only its tail. Throws CorruptionError('parquet.footer'). */
export function readFooter(bytes: Uint8Array): Footer {
  const reader = new CompactReader(fileMetaData(bytes))
  const footer: Footer = { rows: -1, rowGroupRows: [], metadata: new Map(), createdBy: '' }
  reader.struct((id, type) => {
    if (id === 3 && type === I64) footer.rows = reader.count()
    else if (id === 4 && type === LIST) reader.structs(() => footer.rowGroupRows.push(rowGroupRows(reader)))
    else if (id === 5 && type === LIST) reader.structs(() => keyValue(reader, footer.metadata))
    else if (id === 6 && type === BINARY) footer.createdBy = reader.string()
    else reader.skip(type, 0)
  })
  const sum = footer.rowGroupRows.reduce((total, rows) => total + rows, 0)
  if (sum !== footer.rows) damaged(`${footer.rows} rows, but ${sum} in the row groups`)
  return footer
}

function rowGroupRows(reader: CompactReader): number {
  let rows = -1
  reader.struct((id, type) => {
    if (id === 3 && type === I64) rows = reader.count()
    else reader.skip(type, 0)
  })
  if (rows < 0) damaged('a row group without a row count')
  // Arrow's offsets are int32: no writer makes a larger one, and memory is claimed by this number.
  if (rows > ROW_GROUP_ROWS_MAX) damaged(`a row group of ${rows} rows`)
  return rows
}

function keyValue(reader: CompactReader, into: Map<string, string>): void {
  let key: string | undefined
  let value = ''
  reader.struct((id, type) => {
    if (id === 1 && type === BINARY) key = reader.string()
    else if (id === 2 && type === BINARY) value = reader.string()
    else reader.skip(type, 0)
  })
  if (key === undefined || into.has(key)) damaged('a key of the metadata is missing or twice there')
  into.set(key, value)
}

/** The bytes of FileMetaData at the end of a file or of its tail. Throws CorruptionError('parquet.footer'). */
export function fileMetaData(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const tail = bytes.length - TAIL_LENGTH
  if (tail < 0 || view.getUint32(tail + 4, true) !== MAGIC) damaged('no PAR1 at the end')
  const length = view.getUint32(tail, true)
  if (length > tail) damaged(`${length} bytes of metadata in a file of ${bytes.length}`)
  return bytes.subarray(tail - length, tail)
}

/** A file's end: FileMetaData, its length and the magic. */
export function footerBytes(metaData: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(metaData.length + TAIL_LENGTH)
  bytes.set(metaData)
  const view = new DataView(bytes.buffer)
  view.setUint32(metaData.length, metaData.length, true)
  view.setUint32(metaData.length + 4, MAGIC, true)
  return bytes
}
