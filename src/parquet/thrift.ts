import { writeVarint } from '../common/bytereader.ts'
import { ByteWriter } from '../common/bytes.ts'
import { CorruptionError } from '../common/errors.ts'
import { utf8Decode } from '../common/utf8.ts'

/**
 * Thrift's compact protocol, as far as Parquet's footers and page headers need it: a struct is a run of fields, each one byte (id delta << 4 |
 * type, then a zigzag varint id if the delta is 0) and a value, ended by a zero byte. Integers are zigzag varints; a list is (size << 4 | type),
 * size 15 meaning a varint follows.
 */
const DEPTH_MAX = 16

const TRUE = 1
const FALSE = 2
const BYTE = 3
const I16 = 4
export const I32 = 5
export const I64 = 6
const DOUBLE = 7
export const BINARY = 8
export const LIST = 9
const SET = 10
export const STRUCT = 12

/** A field whose value is not read: `bytes` are the value's. */
export interface Field {
  id: number
  type: number
  bytes: Uint8Array
}

export function damaged(reason: string): never {
  throw new CorruptionError('parquet.footer', reason)
}

/** A cursor; every step is checked against the bytes that are there. */
export class CompactReader {
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

  /** The fields of a struct, values unread. */
  fields(): Field[] {
    const fields: Field[] = []
    this.struct((id, type) => {
      const start = this.at
      this.skip(type, 0)
      fields.push({ id, type, bytes: this.bytes.subarray(start, this.at) })
    })
    return fields
  }

  /** How many bytes were read. */
  get position(): number {
    return this.at
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

  /** A list of them. */
  strings(): string[] {
    const { size, type } = this.listHeader()
    if (type !== BINARY) damaged(`a list of type ${type} where strings are due`)
    return Array.from({ length: size }, () => this.string())
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

/** A struct of these fields, ids ascending. */
export function writeStruct(fields: readonly Field[]): Uint8Array {
  const out = new ByteWriter()
  let before = 0
  for (const { id, type, bytes } of fields) {
    const delta = id - before
    if (delta > 0 && delta < 16) {
      out.u8((delta << 4) | type)
    } else {
      out.u8(type)
      writeVarint(id * 2, out)
    }
    out.copy(bytes)
    before = id
  }
  out.u8(0)
  return out.take()
}

/** A field of an integer that is not negative. */
export function integerField(id: number, type: typeof I32 | typeof I64, value: number): Field {
  const out = new ByteWriter(10)
  writeVarint(value * 2, out)
  return { id, type, bytes: out.take() }
}

export function structField(id: number, fields: readonly Field[]): Field {
  return { id, type: STRUCT, bytes: writeStruct(fields) }
}

export function binaryField(id: number, value: Uint8Array): Field {
  const out = new ByteWriter(value.length + 5)
  writeVarint(value.length, out)
  out.copy(value)
  return { id, type: BINARY, bytes: out.take() }
}

/** A field that is true: its type says so. */
export function trueField(id: number): Field {
  return { id, type: TRUE, bytes: new Uint8Array(0) }
}

/** A field of a struct without fields. */
export function emptyField(id: number): Field {
  return structField(id, [])
}

/** A field of a list of integers, of texts or of structs; the elements are encoded already. */
export function listField(id: number, elementType: typeof I32 | typeof BINARY | typeof STRUCT, elements: readonly Uint8Array[]): Field {
  const out = new ByteWriter()
  if (elements.length < 15) {
    out.u8((elements.length << 4) | elementType)
  } else {
    out.u8(0xf0 | elementType)
    writeVarint(elements.length, out)
  }
  for (const element of elements) out.copy(element)
  return { id, type: LIST, bytes: out.take() }
}

export function integerOf(field: Field | undefined): number | undefined {
  return field && new CompactReader(field.bytes).count()
}

/** The structs of a list, each as its fields. */
export function structsOf(field: Field | undefined): Field[][] {
  const structs: Field[][] = []
  if (!field || field.type !== LIST) return damaged('a list is missing')
  const reader = new CompactReader(field.bytes)
  reader.structs(() => structs.push(reader.fields()))
  return structs
}

/** The same fields with one replaced, added in order of ids, or (undefined) without it. */
export function withField(fields: readonly Field[], id: number, field: Field | undefined): Field[] {
  const others = fields.filter((other) => other.id !== id)
  return field ? [...others, field].sort((a, b) => a.id - b.id) : others
}

export function fieldOf(fields: readonly Field[], id: number): Field | undefined {
  return fields.find((field) => field.id === id)
}
