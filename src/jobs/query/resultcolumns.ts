import type { DuckDBType, DuckDBValue } from '@duckdb/node-api'
import { UnsupportedError } from '../../common/errors.ts'
import { printable } from '../../common/printable.ts'
import { utf8Encode } from '../../common/utf8.ts'
import type { LakeField } from '../../parquet/lakefield.ts'
import type { ColumnType } from '../../vector/columntype.ts'
import type { BitVector, BytesVector, ListVector, StructVector, Vector, WordVector } from '../../vector/vector.ts'
import { valueText } from './duckvalue.ts'
import type { Duck } from './openquery.ts'

/** A column of a Parquet file that a query's result becomes. */
export interface ResultColumn {
  readonly field: LakeField
  /** Appends a value to a vector of the field's type. @returns about how many bytes it takes */
  readonly push: (value: DuckDBValue, vector: Vector) => number
}

type Push = ResultColumn['push']

interface Part {
  readonly type: ColumnType
  readonly push: Push
  readonly children?: readonly (readonly [name: string, part: Part])[]
}

/**
 * How values of DuckDB become Parquet. Whatever has no type there that all readers know is text, as in CSV: uuid, intervals,
 * times with a time zone, bits.
 * @throws UnsupportedError query.type, query.value
 */
export function resultColumns(duck: Duck, names: readonly string[], types: readonly DuckDBType[]): ResultColumn[] {
  let ids = 0
  const fieldOf = (name: string, { type, children }: Part): LakeField => {
    const id = ++ids
    return { name, id, type, ...(children && { children: children.map(([child, part]) => fieldOf(child, part)) }) }
  }
  return types.map((type, i) => {
    const part = partOf(duck, type, names[i]!)
    return { field: fieldOf(names[i]!, part), push: part.push }
  })
}

function partOf(duck: Duck, type: DuckDBType, column: string): Part {
  const id = duck.DuckDBTypeId
  if (type instanceof duck.DuckDBListType || type instanceof duck.DuckDBArrayType) return listPart(partOf(duck, type.valueType, column))
  if (type instanceof duck.DuckDBStructType) {
    return structPart(type.entryNames.map((name, i): [string, Part] => [name, partOf(duck, type.entryTypes[i]!, column)]))
  }
  if (type instanceof duck.DuckDBMapType && type.keyType.typeId === id.VARCHAR) return mapPart(partOf(duck, type.valueType, column))
  if (type instanceof duck.DuckDBDecimalType) return decimalPart(type.width, type.scale, (value) => (value as { value: bigint }).value, column)
  switch (type.typeId) {
    case id.BOOLEAN:
      return PLAIN.boolean
    case id.TINYINT: case id.SMALLINT: case id.INTEGER: case id.UTINYINT: case id.USMALLINT: case id.SQLNULL:
      return PLAIN.int
    case id.UINTEGER: case id.BIGINT:
      return PLAIN.long
    case id.UBIGINT:
      return decimalPart(20, 0, (value) => value as bigint, column)
    case id.HUGEINT: case id.UHUGEINT:
      return decimalPart(38, 0, (value) => value as bigint, column)
    case id.FLOAT:
      return PLAIN.float
    case id.DOUBLE:
      return PLAIN.double
    case id.DATE:
      return { type: { kind: 'date' }, push: orNull(4, (value, vector) => (vector as WordVector).push1((value as { days: number }).days)) }
    case id.TIME:
      return longPart({ kind: 'time' }, microsOf)
    case id.TIMESTAMP:
      return longPart({ kind: 'timestamp', utc: false }, microsOf)
    case id.TIMESTAMP_TZ:
      return PLAIN.timestamptz
    case id.BLOB:
      return { type: { kind: 'binary' }, push: bytesPush((value) => (value as { bytes: Uint8Array }).bytes) }
    case id.VARCHAR: case id.ENUM: case id.UUID: case id.INTERVAL: case id.TIME_TZ: case id.BIT: case id.BIGNUM: {
      const { csv } = valueText(duck, type)
      return { type: { kind: 'string' }, push: bytesPush((value) => utf8Encode(csv(value)!)) }
    }
    default: {
      const advice = `cast it to another type in the query, such as ${printable(column)}::VARCHAR`
      throw new UnsupportedError('query.type', `column ${printable(column)} has type ${String(type)}, which is not written as Parquet: ${advice}`)
    }
  }
}

export type PlainKind = 'boolean' | 'int' | 'long' | 'float' | 'double' | 'timestamptz' | 'string'

/** Values of plain types: boolean, number, bigint (or number), string, `{ micros }` since 1970; null for NULL. */
const PLAIN: Record<PlainKind, Part> = {
  boolean: { type: { kind: 'boolean' }, push: orNull(1, (value, vector) => (vector as BitVector).push(value as boolean)) },
  int: { type: { kind: 'int' }, push: orNull(4, (value, vector) => (vector as WordVector).push1(value as number)) },
  long: longPart({ kind: 'long' }, (value) => BigInt(value as bigint | number)),
  float: { type: { kind: 'float' }, push: orNull(4, (value, vector) => (vector as WordVector).push1(float4Bits(value as number))) },
  double: { type: { kind: 'double' }, push: orNull(8, (value, vector) => pushFloat8(value as number, vector as WordVector)) },
  timestamptz: longPart({ kind: 'timestamp', utc: true }, microsOf),
  string: { type: { kind: 'string' }, push: bytesPush((value) => utf8Encode(value as string)) },
}

/** A column of a plain type, as {@link resultColumns} makes it of values of DuckDB. */
export function plainColumn(name: string, id: number, kind: PlainKind): ResultColumn {
  const { type, push } = PLAIN[kind]
  return { field: { name, id, type }, push }
}

/** A NULL takes a bit and the room of a value. */
function orNull(bytes: number, push: (value: DuckDBValue, vector: Vector) => void): Push {
  return (value, vector) => {
    if (value === null) vector.pushNull()
    else push(value, vector)
    return bytes
  }
}

function bytesPush(bytesOf: (value: DuckDBValue) => Uint8Array): Push {
  return (value, vector) => {
    if (value === null) {
      vector.pushNull()
      return 4
    }
    const bytes = bytesOf(value)
    const into = vector as BytesVector
    into.push(bytes)
    return bytes.length + 4
  }
}

function longPart(type: ColumnType, numberOf: (value: DuckDBValue) => bigint): Part {
  return {
    type, push: orNull(8, (value, vector) => {
      const number = numberOf(value)
      ;(vector as WordVector).push2(wordOf(number, 0n), wordOf(number, 32n))
    }),
  }
}

function microsOf(value: DuckDBValue): bigint {
  return (value as { micros: bigint }).micros
}

function decimalPart(precision: number, scale: number, unscaled: (value: DuckDBValue) => bigint, column: string): Part {
  const limit = 10n ** BigInt(precision)
  return {
    type: { kind: 'decimal', precision, scale },
    push: orNull(16, (value, vector) => {
      const number = unscaled(value)
      if (number >= limit || number <= -limit) {
        const advice = `decimals of Parquet have ${precision} digits: cast it in the query, ${printable(column)}::VARCHAR`
        throw new UnsupportedError('query.value', `column ${printable(column)} has the number ${number}, and ${advice}`)
      }
      ;(vector as WordVector).push4(wordOf(number, 0n), wordOf(number, 32n), wordOf(number, 64n), wordOf(number, 96n))
    }),
  }
}

function wordOf(number: bigint, shift: bigint): number {
  return Number(BigInt.asIntN(32, number >> shift))
}

const float4 = new Float32Array(1)
const float4Word = new Int32Array(float4.buffer)
const float8 = new Float64Array(1)
const float8Words = new Int32Array(float8.buffer)

function float4Bits(value: number): number {
  float4[0] = value
  return float4Word[0]!
}

function pushFloat8(value: number, vector: WordVector): void {
  float8[0] = value
  vector.push2(float8Words[0]!, float8Words[1]!)
}

function listPart(element: Part): Part {
  return {
    type: { kind: 'list', element: element.type }, children: [['element', element]],
    push: (value, vector) => {
      if (value === null) {
        vector.pushNull()
        return 4
      }
      const list = vector as ListVector
      let bytes = 4
      for (const item of (value as { items: readonly DuckDBValue[] }).items) bytes += element.push(item, list.child)
      list.close()
      return bytes
    },
  }
}

function structPart(fields: readonly (readonly [name: string, part: Part])[]): Part {
  return {
    type: { kind: 'struct', fields: fields.map(([name, { type }]) => ({ name, type })) }, children: fields,
    push: (value, vector) => {
      if (value === null) {
        vector.pushNull()
        return fields.length
      }
      const struct = vector as StructVector
      const { entries } = value as { entries: Readonly<Record<string, DuckDBValue>> }
      let bytes = 1
      struct.children.forEach((child, i) => {
        const [name, part] = fields[i]!
        child.padTo(struct.length)
        bytes += part.push(entries[name] ?? null, child)
      })
      struct.close()
      return bytes
    },
  }
}

function mapPart(value: Part): Part {
  const key: Part = { type: { kind: 'string' }, push: bytesPush((text) => utf8Encode(text as string)) }
  return {
    type: { kind: 'map', value: value.type }, children: [['key', key], ['value', value]],
    push: (map, vector) => {
      if (map === null) {
        vector.pushNull()
        return 4
      }
      const list = vector as ListVector<StructVector>
      const [keys, values] = list.child.children
      let bytes = 4
      for (const entry of (map as { entries: readonly { key: DuckDBValue; value: DuckDBValue }[] }).entries) {
        bytes += key.push(entry.key, keys!) + value.push(entry.value, values!)
        list.child.close()
      }
      list.close()
      return bytes
    },
  }
}
