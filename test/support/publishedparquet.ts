import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BoundsCollector, type ColumnBounds } from '../../src/columnar/columnbounds.ts'
import type { PublishedColumn } from '../../src/lake/publishedtable.ts'
import type { LakeField } from '../../src/parquet/lakefield.ts'
import { encodeParquet } from '../../src/parquet/parquetwriter.ts'
import { newVector } from '../../src/vector/columntype.ts'
import type { BytesVector, ListVector, StructVector, Vector, WordVector } from '../../src/vector/vector.ts'
import type { Value } from '../columnar/lakevalues.ts'
import { column, type FileMaker } from './publishedtables.ts'

/** Columns of a table for foreign readers: {@link rowValues} says what they are of the number of a row. */
export const READABLE_COLUMNS: readonly PublishedColumn[] = [
  column(1, 'id', { kind: 'long' }),
  column(2, 'word', { kind: 'string' }),
  column(3, 'amount', { kind: 'decimal', precision: 12, scale: 2 }),
  column(4, 'at', { kind: 'timestamp', utc: true }),
  column(5, 'local', { kind: 'timestamp', utc: false }),
  column(6, 'ratio', { kind: 'double' }),
  column(7, 'day', { kind: 'date' }),
  column(8, 'tags', { kind: 'list', element: { kind: 'string' } }, [column(10_001, 'element', { kind: 'string' })]),
  column(9, 'pair', { kind: 'struct', fields: [{ name: 'a', type: { kind: 'int' } }, { name: 'b', type: { kind: 'string' } }] },
    [column(10_002, 'a', { kind: 'int' }), column(10_003, 'b', { kind: 'string' })]),
  column(1_000_000, '_ltap', { kind: 'struct', fields: [{ name: 'block', type: { kind: 'long' } }] }, [column(1_000_001, 'block', { kind: 'long' })]),
]

const EPOCH = 1_600_000_000_123_456n

/** Values of a row, as test/columnar/lakevalues.ts writes them. */
export function rowValues(number: number): Value[] {
  const time = EPOCH + BigInt(number) * 1_000_001n
  return [
    BigInt(number), isNull(number) ? null : `srow ${number}`, BigInt(number * 125 - 100_000), time, time, ratioBits(number), 18_262 + number % 1000,
    [`st${number % 3}`], [number % 7, `sb${number}`], [BigInt(number % 100)],
  ]
}

function ratioBits(number: number): bigint {
  return Buffer.from(Float64Array.of(number / 4).buffer).readBigUInt64LE()
}

function isNull(number: number): boolean {
  return number % 11 === 0
}

function push(vector: Vector, type: PublishedColumn['type'], name: string, number: number): void {
  const long = (value: bigint): void => (vector as WordVector).push2(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)))
  switch (type.kind) {
    case 'long':
      return long(BigInt(name === 'block' ? number % 100 : number))
    case 'timestamp':
      return long(EPOCH + BigInt(number) * 1_000_001n)
    case 'double':
      return long(ratioBits(number))
    case 'decimal': {
      const cents = BigInt(number * 125 - 100_000)
      return (vector as WordVector).push4(...[0n, 32n, 64n, 96n].map((shift) => Number(BigInt.asIntN(32, cents >> shift))) as [number, number, number, number])
    }
    case 'date':
      return (vector as WordVector).push1(18_262 + number % 1000)
    case 'int':
      return (vector as WordVector).push1(number % 7)
    case 'string':
      if (name === 'word' && isNull(number)) return vector.pushNull()
      return (vector as BytesVector).pushAscii(name === 'word' ? `row ${number}` : name === 'b' ? `b${number}` : `t${number % 3}`)
    case 'list':
      push((vector as ListVector).child, type.element, 'element', number)
      return (vector as ListVector).close()
    case 'struct':
      type.fields.forEach((field, i) => push((vector as StructVector).children[i]!, field.type, field.name, number))
      return (vector as StructVector).close()
    default:
      throw new Error(`no values of ${type.kind}`)
  }
}

function fieldOf({ id, physicalName, type, children }: PublishedColumn): LakeField {
  return { id, name: physicalName, type, ...(children && { children: children.map(fieldOf) }) }
}

/** Writes Parquet files below a folder, with the bounds that a lake keeps of them. */
export function parquetMaker(root: string): FileMaker {
  return (key, numbers, columns) => {
    const fields = columns.map(fieldOf)
    const vectors = vectorsOf(fields, numbers)
    const bytes = encodeParquet(fields, { compression: 'zstd', metadata: {} }, [{ columns: vectors, rows: numbers.length }])
    put(root, { key, bytes })
    return { bytes: bytes.length, columns: boundsIn(fields, vectors, numbers.length) }
  }
}

function boundsIn(fields: readonly LakeField[], vectors: readonly Vector[], rows: number): ColumnBounds[] {
  const bounds = new BoundsCollector(fields.slice(0, -1))
  bounds.add(vectors.slice(0, -1), new Uint8Array(rows).fill(1))
  return bounds.finish()
}

/** The bounds that a lake keeps of a file with these rows. */
export function boundsOf(numbers: readonly number[], columns: readonly PublishedColumn[]): ColumnBounds[] {
  const fields = columns.map(fieldOf)
  return boundsIn(fields, vectorsOf(fields, numbers), numbers.length)
}

function vectorsOf(fields: readonly LakeField[], numbers: readonly number[]): Vector[] {
  return fields.map(({ type, name }) => {
    const vector = newVector(type)
    for (const number of numbers) push(vector, type, name, number)
    return vector
  })
}

/** Puts an object of a lake into a folder. */
export function put(root: string, { key, bytes }: { key: string; bytes: Uint8Array }): void {
  const path = join(root, key)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, bytes)
}
