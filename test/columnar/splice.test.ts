/** Column chunks that go around wasm, as those of values of hundreds of megabytes do: here from the first byte on, so that small ones do. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { afterAll, expect, test } from 'vitest'
import { CorruptionError, UnsupportedError } from '../../src/common/errors.ts'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import { takeLargeColumns } from '../../src/parquet/splice.ts'
import { encodeParquet, ParquetEncoder, type RowGroupInput } from '../../src/parquet/parquetwriter.ts'
import { type ColumnType, newVector } from '../../src/vector/columntype.ts'
import { BytesVector } from '../../src/vector/vector.ts'
import { lakeField, pushValue, type Value, valueAt, valueOf } from './lakevalues.ts'
import { duckColumns, writeFresh } from './parquetreaders.ts'

const directory = mkdtempSync(join(tmpdir(), 'ltap-splice-'))
const instance = await DuckDBInstance.create(':memory:')
const db = await instance.connect()

afterAll(() => {
  db.closeSync()
  instance.closeSync()
  rmSync(directory, { recursive: true })
})

const TYPES: ColumnType[] = [
  { kind: 'int' }, { kind: 'string' }, { kind: 'list', element: { kind: 'string' } }, { kind: 'binary' },
  { kind: 'struct', fields: [{ name: 'a', type: { kind: 'string' } }, { name: 'b', type: { kind: 'long' } }] }, { kind: 'string' },
]
const ids = { next: 1 }
const FIELDS = TYPES.map((type, i) => lakeField(`c${i}`, type, ids))

type Columns = Value[][]

/** Row groups of up to 30 rows; every tenth value of string and binary columns is long. */
const GROUPS: fc.Arbitrary<Columns[]> = fc.array(fc.integer({ min: 1, max: 30 }).chain((rows) => fc.tuple(
  ...TYPES.map((type, i) => (i === 0
    ? fc.constant(Array.from({ length: rows }, (_, row): Value => row))
    : fc.array(fc.tuple(valueOf(type), fc.nat(9)).map(([value, long]) => lengthened(value, long === 0)), { minLength: rows, maxLength: rows }))),
)), { minLength: 1, maxLength: 3 })

function lengthened(value: Value, long: boolean): Value {
  return typeof value === 'string' && long ? value[0]! + value.slice(1).repeat(2000) : value
}

function group(columns: Columns): RowGroupInput {
  const vectors = TYPES.map((type, i) => {
    const vector = newVector(type)
    for (const value of columns[i]!) pushValue(vector, value)
    return vector
  })
  return { columns: vectors, rows: columns[0]!.length }
}

async function write(groups: readonly Columns[], largeBytes: number, compression: 'zstd' | 'none'): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  const encoder = new ParquetEncoder(FIELDS, { compression, metadata: { ltap: 'x' }, largeBytes }, (bytes) => void chunks.push(bytes.slice()))
  for (const { columns, rows } of groups.map(group)) await encoder.rowGroup(columns, rows)
  await encoder.finish()
  return Buffer.concat(chunks)
}

function read(file: Uint8Array, ownChunkMin: number): Columns[] {
  const reader = readParquet(file, ownChunkMin)
  expect(reader.fields).toEqual(FIELDS)
  expect(reader.metadata.get('ltap')).toBe('x')
  return Array.from({ length: reader.rowGroups }, (_, index) => {
    const { rows, columns } = reader.readRowGroup(index)
    return columns.map((vector, i) => Array.from({ length: rows }, (__, row) => valueAt(vector, TYPES[i]!, row)))
  })
}

test('every reader reads them as they were, whichever columns of whichever row groups they are', async () => {
  await fc.assert(fc.asyncProperty(GROUPS, fc.constantFrom(0, 200, 20_000), fc.constantFrom('zstd', 'none'), async (groups, largeBytes, compression) => {
    const file = await write(groups, largeBytes, compression)
    for (const ownChunkMin of [0, Infinity]) expect(read(file, ownChunkMin)).toEqual(groups)
    const whole = encodeParquet(FIELDS, { compression, metadata: { ltap: 'x' }, largeBytes }, groups.map(group))
    for (const ownChunkMin of [0, Infinity]) expect(read(whole, ownChunkMin)).toEqual(groups)
    const joined = TYPES.map((_, i) => groups.flatMap((columns) => columns[i]!))
    expect(await duckColumns(db, writeFresh(directory, file), TYPES)).toEqual(joined)
    const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.length) as ArrayBuffer
    const objects = await parquetReadObjects({ file: buffer, compressors, utf8: false, columns: ['c0', 'c3'] })
    expect(objects.map(({ c0 }) => c0 as Value)).toEqual(joined[0])
    expect(objects.map(({ c3 }) => (c3 === null || c3 === undefined ? null : (c3 as Uint8Array).length))).toEqual(
      joined[3]!.map((value) => (value === null ? null : (value as string).length - 1)))
  }), { numRuns: 8 })
})

test('row groups of hundreds of rows, with and without large columns: wasm gives its bytes in pieces that end anywhere', async () => {
  const types: ColumnType[] = [{ kind: 'int' }, { kind: 'binary' }, TYPES[4]!]
  const next = { next: 1 }
  const fields = types.map((type, i) => lakeField(`c${i}`, type, next))
  const groups = [400, 3, 20_000, 300, 300, 300, 300, 5, 20_000].map((rows) => types.map((_, i) => Array.from({ length: rows }, (__, row): Value => (
    i === 0 ? row : i === 1 ? `b${String(row).repeat(rows < 1000 ? 200 : 1)}` : [`s${row}`, BigInt(row)]))))
  const chunks: Uint8Array[] = []
  const encoder = new ParquetEncoder(fields, { compression: 'none', metadata: {}, largeBytes: 150_000 }, (bytes) => void chunks.push(bytes.slice()))
  for (const columns of groups) {
    const vectors = types.map((type, i) => {
      const vector = newVector(type)
      for (const value of columns[i]!) pushValue(vector, value)
      return vector
    })
    await encoder.rowGroup(vectors, columns[0]!.length)
  }
  expect(await encoder.finish()).toEqual(groups.map((columns) => columns[0]!.length))
  const file = Buffer.concat(chunks)
  const reader = readParquet(file, 0)
  const found = groups.map((columns, group) => {
    const read = reader.readRowGroup(group)
    return types.map((type, i) => Array.from({ length: columns[0]!.length }, (_, row) => valueAt(read.columns[i]!, type, row)))
  })
  expect(found).toEqual(groups)
  expect(await duckColumns(db, writeFresh(directory, file), types)).toEqual(types.map((_, i) => groups.flatMap((columns) => columns[i]!)))
})

test('a file without large columns is the same byte for byte', async () => {
  await fc.assert(fc.asyncProperty(GROUPS, async (groups) => {
    const [a, b] = [await write(groups, Infinity, 'zstd'), await write(groups, 64 << 20, 'zstd')]
    expect(Buffer.compare(a, b)).toBe(0)
  }), { numRuns: 2 })
})

function readAll(file: Uint8Array): void {
  const reader = readParquet(file, 0)
  for (let group = 0; group < reader.rowGroups; group++) reader.readRowGroup(group)
}

test('damage in such a chunk is refused or read, but nothing else', async () => {
  const groups = fc.sample(GROUPS, { numRuns: 1, seed: 5 })[0]!
  const file = await write(groups, 0, 'none')
  let refused = 0
  // The headers and levels of the first chunk's first page, then here and there.
  for (let at = 4; at < file.length - 8; at += at < 60 ? 1 : Math.ceil(file.length / 30)) {
    const changed = Uint8Array.from(file)
    changed[at]! ^= 0xff
    try {
      readAll(changed)
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      refused++
    }
  }
  expect(refused).toBeGreaterThan(5)
})

test('a footer that says something else is refused or read, but nothing else', async () => {
  const file = await write([[[1], ['sabc'], [[]], ['x'], [null], [null]]] as Columns[], 0, 'none')
  const end = file.length - 8
  const start = end - new DataView(file.buffer, file.byteOffset).getUint32(end, true)
  let refused = 0
  for (let at = start; at < end; at += 3) {
    const changed = Uint8Array.from(file)
    changed[at] = 0x7e
    try {
      readAll(changed)
    } catch (error) {
      if (!(error instanceof CorruptionError) && !(error instanceof UnsupportedError)) throw error
      refused++
    }
  }
  expect(refused).toBeGreaterThan(10)
})

/** Every other value of the vectors made only when it is written. */
function deferredTwin({ columns, rows }: RowGroupInput): RowGroupInput {
  const twins = columns.map((vector) => {
    if (!(vector instanceof BytesVector)) return vector
    const twin = new BytesVector()
    for (let row = 0; row < rows; row++) {
      if (vector.isNull(row)) twin.pushNull()
      else if (row % 2 === 0) twin.push(vector.view(row))
      else twin.defer(vector.valueLength(row), () => vector.view(row))
    }
    return twin
  })
  return { columns: twins, rows }
}

test('values that are made when they are written give the same bytes, in large columns and in others', async () => {
  await fc.assert(fc.asyncProperty(GROUPS, fc.constantFrom(0, 200, 20_000, Infinity), async (groups, largeBytes) => {
    const chunks: Uint8Array[] = []
    const options = { compression: 'zstd', metadata: { ltap: 'x' }, largeBytes } as const
    const encoder = new ParquetEncoder(FIELDS, options, (bytes) => void chunks.push(bytes.slice()))
    for (const { columns, rows } of groups.map(group).map(deferredTwin)) await encoder.rowGroup(columns, rows)
    await encoder.finish()
    expect(Buffer.compare(Buffer.concat(chunks), await write(groups, largeBytes, 'zstd'))).toBe(0)
    const whole = encodeParquet(FIELDS, options, groups.map(group).map(deferredTwin))
    expect(Buffer.compare(whole, encodeParquet(FIELDS, options, groups.map(group)))).toBe(0)
  }), { numRuns: 8 })
})

test('a deferred value that is taken back leaves nothing, and no column has more than 2 GiB', () => {
  const vector = new BytesVector()
  vector.push(Uint8Array.of(1))
  vector.defer(2, () => Uint8Array.of(2, 3))
  vector.defer(2 ** 31 - 1000, () => new Uint8Array(0))
  expect(() => vector.defer(1000, () => new Uint8Array(1000))).toThrow(UnsupportedError)
  expect(() => vector.push(new Uint8Array(1000))).toThrow(UnsupportedError)
  vector.truncate(2)
  expect([vector.length, vector.laterBytes, vector.valueLength(1), [...vector.value(1)]]).toEqual([2, 2, 2, [2, 3]])
  vector.truncate(1)
  vector.push(Uint8Array.of(4))
  expect([vector.laterBytes, [...vector.value(1)]]).toEqual([0, [4]])
})

test('values of a large column that are not wanted are empty, the others as they were', async () => {
  await fc.assert(fc.asyncProperty(GROUPS, async (groups) => {
    const reader = readParquet(await write(groups, 0, 'zstd'), 0)
    groups.forEach((columns, index) => {
      const wanted = reader.readRowGroup(index, (field, others) => {
        expect(others.length).toBe(FIELDS.length)
        return (row) => (row + field) % 3 !== 0
      })
      const expected = columns.map((values, i) => values.map((value, row) =>
        (value !== null && (TYPES[i]!.kind === 'string' || TYPES[i]!.kind === 'binary') && (row + i) % 3 === 0 ? value.toString()[0]! : value)))
      expect(wanted.columns.map((vector, i) => Array.from({ length: wanted.rows }, (_, row) => valueAt(vector, TYPES[i]!, row)))).toEqual(expected)
    })
  }), { numRuns: 8 })
})

test('of many columns that are not large by themselves the largest go around wasm, until it has little', () => {
  const next = { next: 1 }
  const fields = [50, 10, 60, 40].map((_, i) => lakeField(`c${i}`, { kind: 'binary' }, next))
  const taken = (...megabytes: number[]): number[] => {
    const columns = megabytes.map((size, i) => {
      const vector = new BytesVector()
      // Half of each column only when it is written.
      vector.push(new Uint8Array(size << 19))
      if (i % 2 === 0) vector.push(new Uint8Array(size << 19))
      else vector.defer(size << 19, () => new Uint8Array(size << 19))
      return vector
    })
    return [...takeLargeColumns(fields, columns, 2).large.keys()].sort()
  }
  expect(taken(50, 10, 60, 40)).toEqual([2])
  expect(taken(50, 10, 50, 10)).toEqual([])
  expect(taken(63, 63, 63, 63)).toHaveLength(2)
  expect(taken(64, 1, 1, 1)).toEqual([0])
})
