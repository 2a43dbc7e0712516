import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { wasmMemory } from 'parquet-wasm'
import { afterAll, describe, expect, it } from 'vitest'
import type { LakeField } from '../../src/parquet/lakefield.ts'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import { encodeParquet, ParquetEncoder, type ParquetOptions, type RowGroupInput } from '../../src/parquet/parquetwriter.ts'
import { type ColumnType, newVector } from '../../src/vector/columntype.ts'
import { amount } from '../support/scope.ts'
import { columnType, lakeField, LEAVES, pushValue, type Value, valueAt, valueOf } from './lakevalues.ts'
import { duckColumns, quietNaNs, writeFresh } from './parquetreaders.ts'

const OPTIONS: ParquetOptions = { compression: 'zstd', metadata: { ltap: '{"a":"é\\u0000"}' } }
const directory = mkdtempSync(join(tmpdir(), 'ltap-parquet-'))
const instance = await DuckDBInstance.create(':memory:')
const db = await instance.connect()
await db.run("set timezone = 'UTC'")

afterAll(() => {
  db.closeSync()
  instance.closeSync()
  rmSync(directory, { recursive: true })
})

function fieldsOf(types: readonly ColumnType[]): LakeField[] {
  const ids = { next: 1 }
  return types.map((type, i) => lakeField(`c${i}`, type, ids))
}

/** Columns of values → one row group. */
function group(types: readonly ColumnType[], columns: readonly (readonly Value[])[]): RowGroupInput {
  const vectors = types.map((type, i) => {
    const vector = newVector(type)
    for (const value of columns[i]!) pushValue(vector, value)
    return vector
  })
  return { columns: vectors, rows: columns[0]!.length }
}

function read(file: Uint8Array, types: readonly ColumnType[]): Value[][][] {
  const reader = readParquet(file)
  expect(reader.fields).toEqual(fieldsOf(types))
  return Array.from({ length: reader.rowGroups }, (_, index) => {
    const { rows, columns } = reader.readRowGroup(index)
    expect(rows).toBe(reader.rowGroupRows[index])
    return columns.map((vector, i) => {
      expect(vector.length).toBe(rows)
      return Array.from({ length: rows }, (_, row) => valueAt(vector, types[i]!, row))
    })
  })
}

const DEEP: ColumnType = {
  kind: 'list',
  element: {
    kind: 'struct',
    fields: [{ name: 'a', type: { kind: 'int' } }, { name: 'b', type: { kind: 'list', element: { kind: 'string' } } }],
  },
}
const LISTS = LEAVES.map((element): ColumnType => ({ kind: 'list', element }))
const ALL: ColumnType[] = [...LEAVES, ...LISTS, DEEP, { kind: 'map', value: DEEP }]

async function stream(fields: LakeField[], options: ParquetOptions, groups: readonly RowGroupInput[]): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  const encoder = new ParquetEncoder(fields, options, (bytes) => void chunks.push(bytes))
  for (const { columns, rows } of groups) await encoder.rowGroup(columns, rows)
  await encoder.finish()
  return Buffer.concat(chunks)
}

describe('round trip', () => {
  it.each([0, 1, 7, 8, 9, 500])('every type, %i rows', async (rows) => {
    const columns = ALL.map((type) => fc.sample(valueOf(type), { numRuns: Math.max(rows, 1), seed: 7 }).slice(0, rows))
    const file = encodeParquet(fieldsOf(ALL), OPTIONS, [group(ALL, columns)])
    expect(read(file, ALL)).toEqual(rows === 0 ? [] : [columns])
    const expected = columns.map((column, i) => column.map((value) => quietNaNs(value, ALL[i]!)))
    expect(await duckColumns(db, writeFresh(directory, file), ALL)).toEqual(expected)
  })

  it('100,000 rows', async () => {
    const types: ColumnType[] = [{ kind: 'long' }, { kind: 'string' }, { kind: 'boolean' }, { kind: 'list', element: { kind: 'int' } }]
    const values = (row: number): Value[] => [
      BigInt(row) * 1_000_000_007n, row % 7 === 0 ? null : `s${row * 31}`, row % 3 === 0,
      row % 5 === 0 ? null : [row, null].slice(0, row % 3),
    ]
    const rows = Array.from({ length: 100_000 }, (_, row) => values(row))
    const columns = types.map((_, i) => rows.map((row) => row[i]!))
    const file = await stream(fieldsOf(types), OPTIONS, [group(types, columns)])
    expect(read(file, types)).toEqual([columns])
    expect(await duckColumns(db, writeFresh(directory, file), types)).toEqual(columns)
  })

  it('random nested columns in random row groups; stream and buffer give the same bytes', async () => {
    const tables = fc.record({
      types: fc.array(columnType, { minLength: 1, maxLength: 4 }),
      sizes: fc.array(fc.nat(20), { maxLength: 4 }),
      compression: fc.constantFrom('zstd', 'snappy', 'none'),
      dictionary: fc.boolean(),
    }).chain(({ types, sizes, ...options }) => {
      const all: ColumnType[] = [{ kind: 'int' }, ...types]
      const columnsOf = (rows: number) => fc.tuple(
        fc.constant(Array.from({ length: rows }, (_, row): Value => row)),
        ...types.map((type) => fc.array(valueOf(type), { minLength: rows, maxLength: rows })),
      )
      return fc.tuple(fc.constant({ all, options }), fc.tuple(...sizes.map(columnsOf)))
    })
    await fc.assert(
      fc.asyncProperty(tables, async ([{ all, options }, groups]) => {
        const { dictionary, compression } = options
        const writing: ParquetOptions = { compression: compression as 'zstd', metadata: { k: 'v' }, dictionary: () => dictionary }
        const inputs = groups.map((columns) => group(all, columns))
        const file = encodeParquet(fieldsOf(all), writing, inputs)
        expect(Buffer.compare(await stream(fieldsOf(all), writing, inputs), file)).toBe(0)
        expect(read(file, all)).toEqual(groups.filter((columns) => columns[0].length > 0))
        const expected = all.map((type, i) => groups.flatMap((columns) => columns[i]!.map((value) => quietNaNs(value, type))))
        expect(await duckColumns(db, writeFresh(directory, file), all)).toEqual(expected)
      }),
      { numRuns: 150 },
    )
  })

  it('a vector that is two columns', () => {
    const types: ColumnType[] = [{ kind: 'long' }, { kind: 'long' }, { kind: 'long' }]
    const column = [1n, 2n, 3n, 4n]
    const one = group(types, [column, column, column])
    const shared = { rows: 4, columns: [one.columns[0]!, one.columns[0]!, one.columns[0]!] }
    expect(read(encodeParquet(fieldsOf(types), OPTIONS, [shared]), types)).toEqual([[column, column, column]])
  })

  it('short vectors are padded, long ones cut', () => {
    const types: ColumnType[] = [{ kind: 'int' }, { kind: 'string' }, DEEP]
    const { columns } = group(types, [[1, 2, 3], ['sa'], [[[1, ['sx']]], [], null, [[2, null]]]])
    const file = encodeParquet(fieldsOf(types), OPTIONS, [{ columns, rows: 2 }])
    expect(read(file, types)).toEqual([[[1, 2], ['sa', null], [[[1, ['sx']]], []]]])
  })

  it('keeps the bits of floats, signalling NaNs too', async () => {
    const types: ColumnType[] = [{ kind: 'float' }, { kind: 'double' }, { kind: 'list', element: { kind: 'float' } }]
    const floats = [0x7f800001, 0xff800001, 0x7fc00000, 0xffffffff, 0x80000000, 1]
    const doubles = [0x7ff0000000000001n, 0xfff0000000000001n, 0x7ff8000000000000n, 0xffffffffffffffffn, 0x8000000000000000n, 1n]
    for (const dictionary of [true, false]) {
      const columns: Value[][] = [floats, doubles, floats.map((bits) => [bits, null])]
      const file = encodeParquet(fieldsOf(types), { ...OPTIONS, dictionary: () => dictionary }, [group(types, columns)])
      expect(read(file, types)).toEqual([columns])
    }
  })
})

describe('the file', () => {
  it('has field ids on all levels, key-values, its creator, PLAIN and dictionary only', async () => {
    const fields = fieldsOf(ALL)
    const columns = ALL.map((type) => fc.sample(valueOf(type), { numRuns: 30, seed: 3 }))
    const file = encodeParquet(fields, OPTIONS, [group(ALL, columns)])
    const metadata = parquetMetadata(file.slice().buffer)
    const flat = (field: LakeField): number[] => [field.id, ...(field.children ?? []).flatMap(flat)]
    const ids = metadata.schema.map((element) => element.field_id).filter((id) => id !== undefined)
    expect(ids).toEqual(fields.flatMap(flat))
    expect(metadata.schema.filter((element) => element.name === 'key_value')).toHaveLength(1)
    expect(metadata.created_by).toBe('ltap')
    expect(readParquet(file).metadata.get('ltap')).toBe(OPTIONS.metadata['ltap'])
    const chunks = metadata.row_groups.flatMap((rowGroup) => rowGroup.columns.map((column) => column.meta_data!))
    expect(new Set(chunks.flatMap((chunk) => chunk.encodings))).toEqual(new Set(['PLAIN', 'RLE', 'RLE_DICTIONARY']))
    expect(chunks.every((chunk) => chunk.codec === 'ZSTD')).toBe(true)
    const without = chunks.filter((chunk) => chunk.statistics?.null_count === undefined).map((chunk) => chunk.path_in_schema.join('.'))
    expect(without).toEqual(['c3', 'c4'])
  })

  it('is read by hyparquet', async () => {
    const types: ColumnType[] = [{ kind: 'int' }, { kind: 'string' }, DEEP]
    const columns: Value[][] = [[1, null, 3], ['sä', null, 's'], [[[1, ['sx', null]], null], [], null]]
    const file = encodeParquet(fieldsOf(types), OPTIONS, [group(types, columns)])
    const rows = await parquetReadObjects({ file: file.slice().buffer, compressors })
    expect(JSON.parse(JSON.stringify(rows, (_, value: unknown) => value ?? null))).toEqual([
      { c0: 1, c1: 'ä', c2: [{ a: 1, b: ['x', null] }, null] },
      { c0: null, c1: null, c2: [] },
      { c0: 3, c1: '', c2: null },
    ])
  })

  it('has exactly the given row groups', async () => {
    const types: ColumnType[] = [{ kind: 'boolean' }, { kind: 'int' }]
    const sizes = [1, 2, 1, 3000, 1, 1_200_000, 1]
    const groups = sizes.map((rows) => group(types, [new Array<Value>(rows).fill(false), new Array<Value>(rows).fill(null)]))
    expect(readParquet(encodeParquet(fieldsOf(types), OPTIONS, groups)).rowGroupRows).toEqual(sizes)
    expect(readParquet(await stream(fieldsOf(types), OPTIONS, groups)).rowGroupRows).toEqual(sizes)
  })

  it('is refused if the writer would merge row groups of nothing but nulls', async () => {
    const types: ColumnType[] = [{ kind: 'int' }]
    const groups = [group(types, [[null]]), group(types, [[null]])]
    expect(() => encodeParquet(fieldsOf(types), OPTIONS, groups)).toThrow('row groups 2, not 1,1')
    await expect(stream(fieldsOf(types), OPTIONS, groups)).rejects.toThrow('row groups 2, not 1,1')
  })
})

describe('statistics', () => {
  const text = (value: string): string => `s${value}`
  const cases: [string, ColumnType, Value[], (value: Value) => string][] = [
    ['string', { kind: 'string' }, [
      text(''), text('a'.repeat(64)), text('a'.repeat(65)), text('\u{10ffff}'.repeat(17)), text('\u{7f}'.repeat(80)),
      text('\u{ffff}'.repeat(40)), text(`${'a'.repeat(63)}\u{7ff}`), text(`${'a'.repeat(62)}\u{d7ff}z`),
      text(`${'z'.repeat(61)}\u{10ffff}!`), text('ä'.repeat(33)), null,
    ], (value) => `'${(value as string).slice(1)}'`],
    ['binary', { kind: 'binary' }, [
      'b', `b${'\xff'.repeat(70)}`, `b${'\xff'.repeat(64)}`, `b\x00${'\xff'.repeat(80)}`, `b${'\x00'.repeat(70)}`, `b\x80`, `b\x7f`, null,
    ], blobLiteral],
    ['uuid', { kind: 'uuid' }, [`b${'\xff'.repeat(16)}`, `b${'\x00'.repeat(16)}`, `b\x80${'\x01'.repeat(15)}`, null], blobLiteral],
    ['double', { kind: 'double' }, [
      0n, 0x8000000000000000n, 0x7ff8000000000000n, 0xfff8000000000001n, 0x7ff0000000000000n, 0xfff0000000000000n, 1n,
      0x8000000000000001n, null,
    ], (value) => doubleLiteral(value as bigint)],
    ['float', { kind: 'float' }, [0, 0x80000000, 0x7fc00000, 0xffc00001, 0x7f800000, 0xff800000, 0x3f800000, 0xbf800000, null],
      (value) => floatLiteral(value as number)],
    ...[9, 18, 30, 38].map((precision): [string, ColumnType, Value[], (value: Value) => string] => [
      `decimal(${precision})`, { kind: 'decimal', precision, scale: 0 },
      [0n, -1n, 1n, 10n ** BigInt(precision) - 1n, 1n - 10n ** BigInt(precision), 255n, -256n, null],
      (value) => `${value}::decimal(${precision},0)`,
    ]),
    ['long', { kind: 'long' }, [-(2n ** 63n), 2n ** 63n - 1n, 0n, -1n, null], (value) => `(${value})::hugeint`],
    ['boolean', { kind: 'boolean' }, [true, false, null], String],
    ['date', { kind: 'date' }, [-719162, 2932896, 0, -1, null], (value) => `(date '1970-01-01' + (${value})::int)`],
  ]

  it.each(cases)('of %s never exclude a value that is there', async (_, type, values, literal) => {
    const types: ColumnType[] = [{ kind: 'int' }, type]
    const singles = values.map((value, i): Value[][] => [[i], [value]])
    const pairs = values.flatMap((a) => values.map((b): Value[][] => [[0, 1], [a, b]]))
    const file = encodeParquet(fieldsOf(types), OPTIONS, [...singles, ...pairs].map((columns) => group(types, columns)))
    const path = writeFresh(directory, file)
    const stored = await duckColumns(db, path, types)
    expect(stored[1]).toEqual([...singles, ...pairs].flatMap((columns) => columns[1]!.map((value) => quietNaNs(value, type))))
    await db.run(`create or replace table copy as select * from read_parquet('${path}')`)
    for (const value of values) {
      if (value === null) continue
      for (const operator of ['=', '<=', '>=', '<', '>', '<>', 'is not distinct from']) {
        const where = `count(*) as n from %s where c1 ${operator} ${literal(value)}`
        const [file, copy] = await Promise.all([`read_parquet('${path}')`, 'copy'].map((from) => count(where.replace('%s', from))))
        expect(file, `${operator} ${literal(value)}`).toBe(copy)
      }
    }
    const nulls = await count('count(*) as n from copy where c1 is null')
    expect(await count(`count(*) as n from read_parquet('${path}') where c1 is null`)).toBe(nulls)
  })

  it('are left out for floats in structs: NaN is not in their bounds', async () => {
    const types: ColumnType[] = [{ kind: 'int' }, { kind: 'struct', fields: [{ name: 'x', type: { kind: 'double' } }] }]
    const file = encodeParquet(fieldsOf(types), OPTIONS, [group(types, [[1, 2], [[0xbff0000000000000n], [0x7ff8000000000000n]]])])
    const path = writeFresh(directory, file)
    expect((await duckColumns(db, path, types))[0]).toEqual([1, 2])
    expect(await count(`count(*) as n from read_parquet('${path}') where c1.x > 0`)).toBe(1n)
  })

  async function count(select: string): Promise<bigint> {
    return (await (await db.run(`select ${select}`)).getRows())[0]![0] as bigint
  }

  function blobLiteral(value: Value): string {
    return `'${Array.from((value as string).slice(1), (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`).join('')}'::blob`
  }

  function doubleLiteral(bits: bigint): string {
    const value = new Float64Array(BigUint64Array.of(bits).buffer)[0]
    return `'${Object.is(value, -0) ? '-0.0' : value}'::double`
  }

  function floatLiteral(bits: number): string {
    const value = new Float32Array(Uint32Array.of(bits).buffer)[0]
    return `'${Object.is(value, -0) ? '-0.0' : value}'::float`
  }
})

describe('ParquetEncoder', () => {
  const types: ColumnType[] = [{ kind: 'int' }]
  const input = (): RowGroupInput => group(types, [Array.from({ length: 1000 }, (_, i) => i)])

  it('reports a failed delivery and goes on working for the next file', async () => {
    const encoder = new ParquetEncoder(fieldsOf(types), OPTIONS, () => Promise.reject(new Error('disk full')))
    const { columns, rows } = input()
    const writing = async (): Promise<void> => {
      for (let i = 0; i < 5; i++) await encoder.rowGroup(columns, rows)
      await encoder.finish()
    }
    await expect(writing()).rejects.toThrow('disk full')
    expect(readParquet(await stream(fieldsOf(types), OPTIONS, [input()])).rows).toBe(1000)
  })

  it.each([0, 1, 2])('can be aborted after %i row groups', async (count) => {
    const encoder = new ParquetEncoder(fieldsOf(types), OPTIONS, () => {})
    const { columns, rows } = input()
    for (let i = 0; i < count; i++) await encoder.rowGroup(columns, rows)
    await encoder.abort()
    await encoder.abort()
  })

  it('can be aborted when the first row group is a bug', async () => {
    const encoder = new ParquetEncoder(fieldsOf(types), OPTIONS, () => {})
    await expect(encoder.rowGroup([newVector({ kind: 'string' })], 1)).rejects.toThrow('ltap bug')
    await encoder.abort()
  })

  it('waits for a slow delivery', async () => {
    let running = 0
    const encoder = new ParquetEncoder(fieldsOf(types), OPTIONS, async () => {
      expect(++running).toBe(1)
      await new Promise((resolve) => setTimeout(resolve, 5))
      running--
    })
    const { columns, rows } = input()
    for (let i = 0; i < 5; i++) await encoder.rowGroup(columns, rows)
    expect(await encoder.finish()).toEqual([1000, 1000, 1000, 1000, 1000])
    expect(running).toBe(0)
  })

  it('leaves no memory behind in wasm', async () => {
    const columns = group(types, [Array.from({ length: amount({ quick: 20_000, sample: 200_000, all: 200_000 }) }, (_, i) => Math.imul(i, 2654435761))])
    const once = async (): Promise<void> => {
      const file = await stream(fieldsOf(types), OPTIONS, [columns, columns])
      readParquet(file).readRowGroup(1)
      readParquet(encodeParquet(fieldsOf(types), OPTIONS, [columns, columns])).readRowGroup(0)
    }
    for (let i = 0; i < 5; i++) await once()
    const before = wasmMemory().buffer.byteLength
    for (let i = 0; i < 50; i++) await once()
    expect(wasmMemory().buffer.byteLength).toBe(before)
  })
})
