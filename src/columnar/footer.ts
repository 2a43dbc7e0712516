import { CorruptionError } from '../common/errors.ts'
import { utf8Decode } from '../common/utf8.ts'

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
const DEPTH_MAX = 16
const ROW_GROUP_ROWS_MAX = 0x7fffffff

const TRUE = 1
const FALSE = 2
const BYTE = 3
const I16 = 4
const I32 = 5
const I64 = 6
const DOUBLE = 7
const BINARY = 8
const LIST = 9
const SET = 10
const STRUCT = 12

/** Reads the footer at the end of `bytes`, which may be a whole file or only its tail. Throws CorruptionError('parquet.footer'). */
export function readFooter(bytes: Uint8Array): Footer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const tail = bytes.length - TAIL_LENGTH
  if (tail < 0 || view.getUint32(tail + 4, true) !== MAGIC) damaged('no PAR1 at the end')
  const length = view.getUint32(tail, true)
  if (length > tail) damaged(`${length} bytes of metadata in a file of ${bytes.length}`)
  const reader = new CompactReader(bytes.subarray(tail - length, tail))
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

function damaged(reason: string): never {
  throw new CorruptionError('parquet.footer', reason)
}

/** A cursor; every step is checked against the bytes that are there. */
class CompactReader {
  private readonly bytes: Uint8Array
  private at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Calls `field` with the cursor on each field's value, which it must read or skip. */
  struct(field: (id: number, type: number) => void): void {
    let id = 0
    for (;;) {
      const header = this.byte()
      if (header === 0) return
      id = header >> 4 === 0 ? this.zigzag() : id + (header >> 4)
      field(id, header & 15)
    }
  }

  structs(element: () => void): void {
    const { size, type } = this.listHeader()
    if (type !== STRUCT) damaged(`a list of type ${type} where structs are due`)
    for (let i = 0; i < size; i++) element()
  }

  /** An integer that must be from 0 to 2^53 - 1. */
  count(): number {
    const value = this.zigzag()
    if (value < 0 || !Number.isSafeInteger(value)) damaged(`the count ${value}`)
    return value
  }

  string(): string {
    const length = this.varint()
    const start = this.at
    this.advance(length)
    try {
      return utf8Decode(this.bytes.subarray(start, this.at))
    } catch {
      return damaged('a string that is not UTF-8')
    }
  }

  skip(type: number, depth: number): void {
    if (depth > DEPTH_MAX) damaged('nested too deep')
    if (type === TRUE || type === FALSE) return
    if (type === BYTE) this.advance(1)
    else if (type === I16 || type === I32 || type === I64) this.varint()
    else if (type === DOUBLE) this.advance(8)
    else if (type === BINARY) this.advance(this.varint())
    else if (type === LIST || type === SET) this.skipList(depth)
    else if (type === STRUCT) this.struct((_, fieldType) => this.skip(fieldType, depth + 1))
    else damaged(`thrift type ${type}`)
  }

  private skipList(depth: number): void {
    const { size, type } = this.listHeader()
    const element = type === TRUE || type === FALSE ? BYTE : type
    for (let i = 0; i < size; i++) this.skip(element, depth + 1)
  }

  /** Every element has a byte at least. */
  private listHeader(): { size: number; type: number } {
    const header = this.byte()
    const size = header >> 4 === 15 ? this.varint() : header >> 4
    if (size > this.bytes.length - this.at) damaged(`a list of ${size} in ${this.bytes.length - this.at} bytes`)
    return { size, type: header & 15 }
  }

  private zigzag(): number {
    const value = this.varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** Up to 64 bits; those above 2^53 lose their low ones, which only skipped fields may. */
  private varint(): number {
    let value = 0
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      const byte = this.byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
    return damaged('a varint of more than 10 bytes')
  }

  private byte(): number {
    const byte = this.bytes[this.at++]
    return byte === undefined ? damaged('it ends early') : byte
  }

  private advance(count: number): void {
    if (count > this.bytes.length - this.at) damaged(`${count} bytes where ${this.bytes.length - this.at} are left`)
    this.at += count
  }
}
