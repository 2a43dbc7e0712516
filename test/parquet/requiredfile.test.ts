/** Files of required columns against readers that others wrote. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { afterAll, describe, expect, test } from 'vitest'
import { encodeRequiredFile } from '../../src/parquet/requiredfile.ts'
import { Random, TEST_SEED } from '../support/random.ts'

const folder = mkdtempSync(join(tmpdir(), 'ltap-required-'))
afterAll(() => rmSync(folder, { recursive: true }))

const PATH = { name: 'file_path', id: 2147483546 }
const POS = { name: 'pos', id: 2147483545 }
const LONG_PATH = `s3://bucket/${'väry/'.repeat(60)}file.parquet`

const ascending = (count: number, step: () => number): number[] => {
  let at = -1
  return Array.from({ length: count }, () => (at += step()))
}
const random = new Random(TEST_SEED)
const CASES: [string, number[]][] = [
  ['one', [0]], ['one far out', [2 ** 53 - 1]], ['a run', ascending(100_000, () => 1)], ['every third', ascending(70_000, () => 3)],
  ['random gaps', ascending(150_000, () => 1 + random.int(20))], ['huge gaps', ascending(300, () => 1 + random.next() * 4096)],
  ['a block and one', ascending(129, () => 2)], ['a page and one', ascending(65_537, () => 1 + random.int(2))],
  ...Array.from({ length: 10 }, (_, i): [string, number[]] => [`random ${i}`, ascending(1 + random.int(400), () => 1 + (random.chance(80) ? 0 : random.int(2 ** random.int(31))))]),
]

describe.each(CASES)('%s', (_name, values) => {
  const bytes = encodeRequiredFile({ ...PATH, value: LONG_PATH }, { ...POS, values })

  test('hyparquet', async () => {
    const file = bytes.slice().buffer as ArrayBuffer
    const rows = await parquetReadObjects({ file }) as { file_path: string; pos: bigint }[]
    expect(rows.map(({ pos }) => Number(pos))).toEqual(values)
    expect(new Set(rows.map((row) => row.file_path))).toEqual(new Set([LONG_PATH]))
    const { schema, row_groups: [group] } = parquetMetadata(file)
    expect(schema.slice(1).map(({ name, field_id: id, repetition_type: repetition }) => ({ name, id, repetition }))).toEqual([
      { ...PATH, repetition: 'REQUIRED' }, { ...POS, repetition: 'REQUIRED' }])
    expect(group!.columns.map(({ meta_data: meta }) => meta!.statistics)).toEqual([
      { null_count: 0n, min_value: LONG_PATH, max_value: LONG_PATH, is_min_value_exact: true, is_max_value_exact: true },
      { null_count: 0n, min_value: BigInt(values[0]!), max_value: BigInt(values.at(-1)!), is_min_value_exact: true, is_max_value_exact: true }])
  })

  test('DuckDB', async () => {
    const path = join(folder, 'x.parquet')
    writeFileSync(path, bytes)
    const connection = await (await DuckDBInstance.create()).connect()
    const sql = `SELECT count(*), min(file_path), max(file_path), count(DISTINCT file_path), string_agg(pos, ',' ORDER BY file_row_number) FROM read_parquet('${path}', file_row_number = true)`
    expect((await connection.runAndReadAll(sql)).getRows()).toEqual([[BigInt(values.length), LONG_PATH, LONG_PATH, 1n, values.join(',')]])
    connection.closeSync()
  })
})

test('a run costs next to nothing, and random rows less than a bitmap', () => {
  const size = (values: number[]): number => encodeRequiredFile({ ...PATH, value: 's3://b/f.parquet' }, { ...POS, values }).length
  expect(size(ascending(1_000_000, () => 1))).toBeLessThan(60_000)
  expect(size(ascending(100_000, () => 1 + random.int(19)))).toBeLessThan(80_000)
})

test.each([[[]], [[3, 3]], [[4, 3]], [[-1]], [[0.5]], [[2 ** 53]]])('%j is refused', (values) => {
  expect(() => encodeRequiredFile({ ...PATH, value: 'x' }, { ...POS, values })).toThrow('integers that do not ascend')
})
