/**
 * Memory stays bounded on values that go through wasm: lists, maps, structs and texts of `_overflow`. Stored bytes say little of what they take there: a
 * null of an array is one bit, a uuid's text 36 bytes. Each table has one page of such values, or small pages whose lists have nearly no bytes.
 */
import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { withFolder } from '../support/lakes.ts'
import { NewestState } from '../support/layeredlake.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'
import { drawn } from '../support/scope.ts'

const RUN = resolve(import.meta.dirname, '../../dist/cli/run.js')
/** The promise: 1 GB, and four times the 512 MiB that values of one page may ask of the encoder. */
const LIMIT_BYTES = (1 << 30) + 4 * (512 << 20)

interface Values {
  name: string
  type: string
  query: string
  /** Default external: out of line, not compressed. */
  storage?: 'plain'
  rows: number
  /** Values that have no room. */
  oversized: number
}

const many = (count: number, value: string): string => `SELECT ${value} FROM generate_series(1, ${count}) i`

const TABLES: Values[] = [
  { name: 'numbers', type: 'int4[]', query: 'SELECT array_agg(i * 7) FROM generate_series(1, 1000000) i, generate_series(1, 60) k GROUP BY k', rows: 60, oversized: 0 },
  { name: 'nulls', type: 'int4[]', query: many(20, 'array_fill(NULL::int4, ARRAY[20000000])'), rows: 20, oversized: 17 },
  { name: 'longest', type: 'int4[]', query: many(1, 'array_fill(NULL::int4, ARRAY[134217727])'), rows: 1, oversized: 1 },
  { name: 'letters', type: '"char"[]', query: many(100, `array_fill('a'::"char", ARRAY[2400000])`), rows: 100, oversized: 78 },
  { name: 'words', type: 'text[]', query: many(100, "array_fill('a'::text, ARRAY[300000])"), rows: 100, oversized: 0 },
  { name: 'uuids', type: 'uuid[]', query: many(75, "array_fill('5b0d7f5c-1e0b-4c58-8b3f-0d8c7a9d5f6e'::uuid, ARRAY[200000])"), rows: 75, oversized: 42 },
  { name: 'numerics', type: 'numeric(38, 9)[]', query: many(100, 'array_fill(1::numeric, ARRAY[200000])'), rows: 100, oversized: 0 },
  { name: 'structs', type: 'pair', query: many(100, '(repeat(md5(i::text), 37500), repeat(md5((-i)::text), 37500))::pair'), rows: 100, oversized: 0 },
  // Two dimensions: texts of `_overflow`.
  {
    name: 'squares', type: 'int4[]', query: 'SELECT array_agg(ARRAY[i * 7, -i]) FROM generate_series(1, 500000) i, generate_series(1, 60) k GROUP BY k', rows: 60,
    oversized: 30,
  },
  // Each row is small.
  { name: 'sparse', type: 'text[]', query: many(20_000, 'array_fill(NULL::text, ARRAY[15000])'), storage: 'plain', rows: 20_000, oversized: 0 },
  { name: 'flags', type: 'bool[]', query: many(20_000, 'array_fill(true, ARRAY[6000])'), storage: 'plain', rows: 20_000, oversized: 0 },
]

let cluster: PostgresServer
/** Each takes half a minute. */
const DRAWN = drawn(TABLES.map(({ name }) => name), 1, 'tables of nested values')

beforeAll(async () => {
  cluster = await createCluster(Math.max(...majors()))
  const sql = await connect(cluster)
  await sql.exec('CREATE TYPE pair AS (a text, b text)')
  for (const { name, type, query, storage = 'external' } of TABLES) {
    if (DRAWN.includes(name)) await sql.script(`CREATE TABLE ${name} (v ${type}); ALTER TABLE ${name} ALTER v SET STORAGE ${storage}; INSERT INTO ${name} ${query}`)
  }
  await closeSessions(cluster)
  await cluster.stop()
})

afterAll(() => cluster?.remove())

/** Runs the built program in a process of its own. */
function ltap(...argv: string[]): void {
  const script = `
    const { runCommandLine } = await import(${JSON.stringify(`file://${RUN}`)})
    process.exitCode = await runCommandLine(process.argv.slice(2), process)
    console.error('peak ' + process.resourceUsage().maxRSS)`
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script, '--', 'ltap', ...argv], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringMatching(/peak \d+\n$/) as string })
  const peak = Number(/peak (\d+)\n$/.exec(stderr)![1]) * 1024
  console.info(`${argv[0]}: ${Math.round(peak / 1e6)} MB at most`)
  expect(peak).toBeLessThan(LIMIT_BYTES)
}

test.each(TABLES.filter(({ name }) => DRAWN.includes(name)))('$name', ({ name, rows, oversized }) => withFolder(async (folder) => {
  const lake = join(folder, 'lake')
  ltap('transcode', cluster.dataDir, '--lake', lake, '--database', 'postgres', '--table', `public.${name}`, '--workers', '2')
  // What cannot be read back is not equal.
  ltap('verify', cluster.dataDir, '--lake', lake, '--workers', '2')
  const { lanes } = (await NewestState.read(lake)).relation(name)
  expect({ tuples: lanes.tuples, oversized: lanes.oversized }).toEqual({ tuples: rows, oversized })
}))
