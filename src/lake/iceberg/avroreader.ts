import * as v from 'valibot'
import { ByteReader } from '../../common/bytereader.ts'
import { UnsupportedError } from '../../common/errors.ts'
import { utf8Decode } from '../../common/utf8.ts'
import { type Persisted, parseJson, refuseDeep, validate } from '../../common/validate.ts'

/*
 * Reads Avro's object container file as avro.ts writes it: without compression, each value by the schema that the file has.
 */

/** A value of a record: a member that is null is undefined, a map of Iceberg is a list of `{key, value}`. */
export type AvroRead = number | boolean | string | Uint8Array | undefined | readonly AvroRead[] | { readonly [field: string]: AvroRead }

/** Reads one value. */
type Reader = (from: ByteReader) => AvroRead

interface SchemaRecord {
  readonly type: 'record'
  readonly fields: readonly { readonly name: string; readonly type: SchemaNode }[]
}
type SchemaNode = string | SchemaRecord | { readonly type: 'array'; readonly items: SchemaNode } | readonly SchemaNode[]

const MAGIC = [0x4f, 0x62, 0x6a, 1]
const SYNC_LENGTH = 16
const NODE: v.GenericSchema<unknown, SchemaNode> = v.lazy((found) => {
  if (typeof found === 'string') return v.string()
  if (Array.isArray(found)) return v.array(NODE)
  return (found as { type?: unknown } | null)?.type === 'array' ? v.object({ type: v.literal('array'), items: NODE }) : RECORD
})
const RECORD: v.GenericSchema<unknown, SchemaRecord> = v.object({ type: v.literal('record'), fields: v.array(v.object({ name: v.string(), type: NODE })) })

/**
 * The records of a file, one after the other.
 * @param persisted whose bytes they are @throws CorruptionError of its code; UnsupportedError of its code for a codec or a type that ltap does not write
 */
export function* decodeAvroFile(bytes: Uint8Array, persisted: Persisted): Generator<{ readonly [field: string]: AvroRead }> {
  const from = new ByteReader(bytes, persisted)
  if (bytes.length < MAGIC.length || MAGIC.some((byte, i) => bytes[i] !== byte)) throw from.fault('does not begin as an Avro file does')
  from.position = MAGIC.length
  const metadata = readMetadata(from)
  const codec = metadata.get('avro.codec') ?? 'null'
  if (codec !== 'null') throw new UnsupportedError(persisted.code, `${persisted.name} is compressed by ${codec}, which ltap does not read`)
  const json = metadata.get('avro.schema') ?? ''
  refuseDeep(json, persisted)
  const read = readerOf(validate(RECORD, parseJson(json, persisted), persisted, 'its schema'), persisted)
  const sync = from.take(SYNC_LENGTH)
  while (from.left > 0) {
    const [count, length] = [readLong(from), readLong(from)]
    // A record of no bytes would be there without end.
    if (count < 0 || count > length || length > from.left) throw from.fault(`has a block of ${count} records in ${length} bytes`)
    const block = new ByteReader(from.take(length), persisted)
    for (let i = 0; i < count; i++) yield read(block) as { readonly [field: string]: AvroRead }
    block.end()
    if (from.take(SYNC_LENGTH).some((byte, i) => byte !== sync[i])) throw from.fault('has another marker behind a block')
  }
}

function readMetadata(from: ByteReader): Map<string, string> {
  const found = new Map<string, string>()
  for (let count = blockCount(from); count > 0; count = blockCount(from)) {
    for (let i = 0; i < count; i++) found.set(readText(from), readText(from))
  }
  return found
}

/** Number of items of an array or a map; a negative count has the length of the block behind it. */
function blockCount(from: ByteReader): number {
  const count = readLong(from)
  if (count < 0) readLong(from)
  // Each item has a byte at least.
  if (Math.abs(count) > from.left) throw from.fault(`has ${Math.abs(count)} items in ${from.left} bytes`)
  return Math.abs(count)
}

function readerOf(node: SchemaNode, persisted: Persisted): Reader {
  if (typeof node !== 'string') {
    if ('fields' in node) return recordReader(node, persisted)
    if ('items' in node) return arrayReader(readerOf(node.items, persisted))
    return unionReader(node.map((branch) => readerOf(branch, persisted)))
  }
  const read = PRIMITIVES[node]
  if (read === undefined) throw new UnsupportedError(persisted.code, `${persisted.name} has values of the Avro type ${node}, which ltap does not read`)
  return read
}

function recordReader({ fields }: SchemaRecord, persisted: Persisted): Reader {
  const readers = fields.map(({ name, type }) => ({ name, read: readerOf(type, persisted) }))
  return (from) => {
    const record: Record<string, AvroRead> = Object.create(null) as Record<string, AvroRead>
    for (const { name, read } of readers) record[name] = read(from)
    return record
  }
}

function arrayReader(item: Reader): Reader {
  return (from) => {
    const items: AvroRead[] = []
    for (let count = blockCount(from); count > 0; count = blockCount(from)) for (let i = 0; i < count; i++) items.push(item(from))
    return items
  }
}

function unionReader(branches: readonly Reader[]): Reader {
  return (from) => {
    const branch = branches[readLong(from)]
    if (branch === undefined) throw from.fault('has a value of a type that its schema does not have')
    return branch(from)
  }
}

const PRIMITIVES: Readonly<Record<string, Reader>> = {
  null: () => undefined, int: readLong, long: readLong, string: readText,
  boolean: (from) => from.u8() !== 0,
  bytes: (from) => from.take(lengthOf(from)),
}

/** A zigzag varint. Of numbers from 2^52 on only positive ones are exact: snapshot ids are such. */
function readLong(from: ByteReader): number {
  const coded = from.varint(2 ** 54)
  return coded % 2 === 0 ? coded / 2 : -(coded + 1) / 2
}

function lengthOf(from: ByteReader): number {
  const length = readLong(from)
  if (length < 0 || length > from.left) throw from.fault(`has a text of ${length} bytes, and ${from.left} follow`)
  return length
}

function readText(from: ByteReader): string {
  const bytes = from.take(lengthOf(from))
  try {
    return utf8Decode(bytes)
  } catch {
    throw from.fault('has text that is not UTF-8')
  }
}
