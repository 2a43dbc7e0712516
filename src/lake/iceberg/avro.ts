import { writeVarint } from '../../common/bytereader.ts'
import { ByteWriter } from '../../common/bytes.ts'
import { assert } from '../../common/errors.ts'
import { sha256 } from '../../common/sha256.ts'
import { utf8Encode } from '../../common/utf8.ts'

/*
 * Avro's object container file (Avro 1.11 specification), as far as Iceberg's manifests need it, without compression:
 *
 *   "Obj" 1 | metadata: map of bytes | 16 bytes of sync marker | block | block | …
 *   block:    long count | long length in bytes | records | sync marker
 *
 * An int or long is a zigzag varint; a string or bytes have their length before them; an array or a map is blocks of (count, items), ended by a
 * count of 0; a union is the index of the branch, then the value; a record is its fields.
 */

/** A schema in Avro's JSON. Members that Avro does not know are Iceberg's: ids of fields and elements. */
export type AvroSchema = 'int' | 'long' | 'boolean' | 'string' | 'bytes' | AvroRecord | AvroArray | readonly ['null', AvroSchema]

export interface AvroRecord {
  readonly type: 'record'
  readonly name: string
  readonly fields: readonly AvroField[]
}

export interface AvroField {
  readonly name: string
  readonly type: AvroSchema
  readonly 'field-id': number
  readonly default?: null
}

interface AvroArray {
  readonly type: 'array'
  readonly items: AvroSchema
  readonly 'element-id'?: number
  readonly logicalType?: 'map'
}

/** What is written by a schema; a member that is absent is null. */
export type AvroValue = number | boolean | string | Uint8Array | null | undefined | readonly AvroValue[] | { readonly [field: string]: AvroValue }

const MAGIC = Uint8Array.of(0x4f, 0x62, 0x6a, 1)
const BLOCK_BYTES = 1 << 16

/** A whole file. Equal arguments give equal bytes: the sync marker is a hash of the metadata. */
export function encodeAvroFile(schema: AvroRecord, metadata: Readonly<Record<string, string>>, records: readonly AvroValue[]): Uint8Array {
  const out = new ByteWriter(1 << 13)
  out.copy(MAGIC)
  const entries = Object.entries({ ...metadata, 'avro.codec': 'null', 'avro.schema': JSON.stringify(schema) })
  writeLong(entries.length, out)
  for (const [key, value] of entries) {
    writeBytes(utf8Encode(key), out)
    writeBytes(utf8Encode(value), out)
  }
  writeLong(0, out)
  const sync = sha256(out.take()).subarray(0, 16)
  out.copy(sync)
  for (let next = 0; next < records.length; ) {
    const block = new ByteWriter()
    const first = next
    while (next < records.length && block.length < BLOCK_BYTES) writeValue(schema, records[next++], block)
    writeLong(next - first, out)
    writeLong(block.length, out)
    out.copy(block.bytes, 0, block.length)
    out.copy(sync)
  }
  return out.take()
}

function writeValue(schema: AvroSchema, value: AvroValue, out: ByteWriter): void {
  if (schema === 'int' || schema === 'long') return writeLong(value as number, out)
  if (schema === 'boolean') return out.u8(value === true ? 1 : 0)
  if (schema === 'string') return writeBytes(utf8Encode(value as string), out)
  if (schema === 'bytes') return writeBytes(value as Uint8Array, out)
  if (isOptional(schema)) {
    const isNull = value === null || value === undefined
    writeLong(isNull ? 0 : 1, out)
    return isNull ? undefined : writeValue(schema[1], value, out)
  }
  if (schema.type === 'array') return writeArray(schema, value as readonly AvroValue[], out)
  for (const { name, type } of schema.fields) writeValue(type, (value as { [field: string]: AvroValue })[name], out)
}

function isOptional(schema: AvroSchema): schema is readonly ['null', AvroSchema] {
  return Array.isArray(schema)
}

function writeArray({ items }: AvroArray, values: readonly AvroValue[], out: ByteWriter): void {
  if (values.length > 0) writeLong(values.length, out)
  for (const value of values) writeValue(items, value, out)
  writeLong(0, out)
}

function writeLong(value: number, out: ByteWriter): void {
  assert(Number.isSafeInteger(value), `${value} is no long`)
  writeVarint(value < 0 ? -value * 2 - 1 : value * 2, out)
}

function writeBytes(bytes: Uint8Array, out: ByteWriter): void {
  writeLong(bytes.length, out)
  out.copy(bytes)
}
