/** Memory stays bounded whatever a relation's size: the built program on a heap far larger than the limit, and on one huge value. */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { storedBytes } from '../../src/lake/layer.ts'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { heapFile } from '../support/badinput.ts'
import { enlarge, SEGMENT_BLOCKS } from '../support/enlarge.ts'
import { withFolder } from '../support/lakes.ts'
import { NewestState } from '../support/layeredlake.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'
import { drawn } from '../support/scope.ts'

const RUN = resolve(import.meta.dirname, '../../dist/cli/run.js')
const HEAP_BLOCKS = 196_608
const MB = 1024 * 1024
const VALUE_BYTES = 200 * MB
/** The promise: 1 GB and three times the largest value. */
const LIMIT_BYTES = 1024 * MB

let cluster: PostgresServer

beforeAll(async () => {
  cluster = await createCluster(Math.max(...majors()), { initdbArgs: Math.max(...majors()) >= 18 ? ['--no-data-checksums'] : [] })
  const sql = await connect(cluster)
  await sql.script(`
    CREATE TABLE large AS SELECT i AS id, md5(i::text) AS hash, repeat(md5((i * 7)::text), 4) AS text, i::numeric(12,2) / 100 AS price,
      timestamptz '2020-01-01' + i * interval '1 second' AS at, '{"a": 1}'::jsonb AS doc FROM generate_series(1, 40000) i;
    CREATE TABLE value (v text); ALTER TABLE value ALTER v SET STORAGE EXTERNAL;
    INSERT INTO value SELECT repeat(string_agg(md5(i::text), ''), ${VALUE_BYTES / 32 / 64}) FROM generate_series(1, 64) i`)
  await closeSessions(cluster)
  await cluster.stop()
  enlarge(heapFile(cluster.dataDir, 'postgres', 'public.large'), HEAP_BLOCKS)
})

afterAll(() => cluster?.remove())

/** Runs the built program in a process of its own; returns its peak of resident memory in bytes. */
function peakOf(...argv: string[]): number {
  const script = `
    const { runCommandLine } = await import(${JSON.stringify(`file://${RUN}`)})
    const code = await runCommandLine(process.argv.slice(2), process)
    if (code !== 0) process.exit(code)
    console.error('peak ' + process.resourceUsage().maxRSS)`
  // Its first argument must not be `inspect`: Node would start its debugger.
  const args = ['--input-type=module', '-e', script, '--', 'ltap', ...argv]
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringMatching(/peak \d+\n$/) as string })
  const peak = Number(/peak (\d+)\n$/.exec(stderr)![1]) * 1024
  console.log(`${argv[0]} ${argv.find((text) => text.startsWith('public.')) ?? ''}: ${Math.round(peak / 1e6)} MB at most`)
  return peak
}

function large(type: string, value: string, storage = 'EXTERNAL'): string {
  return `(v ${type}); ALTER TABLE $ ALTER v SET STORAGE ${storage}; INSERT INTO $ SELECT ${value} FROM generate_series(1, 64) i LIMIT 1`
}

/** Each value alone in its table. Their bytes do not compress, where it matters, since zstd works through copies. */
const VALUES: { name: string; database?: string; sql: string; bytes: number; oversized?: true }[] = [
  { name: 'value', sql: '', bytes: VALUE_BYTES },
  { name: 'bytea520', sql: large('bytea', "convert_to(repeat(string_agg(md5(i::text), ''), 253906), 'UTF8')"), bytes: 520 * 1e6 },
  { name: 'text720', sql: large('text', "repeat(string_agg(md5(i::text), ''), 351562)"), bytes: 720 * 1e6 },
  { name: 'gigabyte', sql: large('text', "repeat('x', 1073741600)", 'EXTENDED'), bytes: 1073741600 },
  { name: 'latin', database: 'latin', sql: large('text', 'repeat(chr(233), 600000000)', 'EXTENDED'), bytes: 2 * 600 * 1e6 },
  { name: 'document', sql: large('jsonb', "jsonb_build_object('k', repeat('abc', 66666666))", 'EXTENDED'), bytes: 200 * 1e6 },
  { name: 'list', sql: large('text[]', "ARRAY[repeat('abc', 100000000)]", 'EXTENDED'), bytes: 300 * 1e6, oversized: true },
]

/** One of them in a sample: each takes a minute. */
const DRAWN = drawn(['zstd', 'none', 'documents', ...VALUES.map(({ name }) => name)], 1, 'memory limits')

test.each(DRAWN.filter((name) => name === 'zstd' || name === 'none'))('a heap of 1.6 GB, compression %s', async (compression) => {
  await withFolder(async (folder) => {
    const lake = join(folder, 'lake')
    const table = ['--database', 'postgres', '--table', 'public.large']
    expect(statSync(`${heapFile(cluster.dataDir, 'postgres', 'public.large')}.1`).size).toBe((HEAP_BLOCKS - SEGMENT_BLOCKS) * 8192)
    expect(peakOf('transcode', cluster.dataDir, '--lake', lake, ...table, '--workers', '2', '--compression', compression)).toBeLessThan(LIMIT_BYTES)
    expect(peakOf('verify', cluster.dataDir, '--lake', lake, '--workers', '2')).toBeLessThan(LIMIT_BYTES)
    const copy = join(folder, 'copy')
    await cluster.copyDataDir(copy)
    rmSync(`${heapFile(copy, 'postgres', 'public.large')}.1`)
    expect(peakOf('rebuild', '--lake', lake, '--pgdata', copy, '--workers', '2')).toBeLessThan(LIMIT_BYTES)
    expect(peakOf('verify', copy, '--lake', lake, '--workers', '2')).toBeLessThan(LIMIT_BYTES)
    expect(peakOf('inspect', 'table', copy, 'public.large', '--limit', '200000', '--format', 'csv')).toBeLessThan(LIMIT_BYTES)
  })
})

test.each(VALUES.filter(({ name }) => DRAWN.includes(name)))('one value: $name', async ({ name, database = 'postgres', sql, bytes, oversized }) => {
  if (sql !== '') {
    await cluster.start()
    const create = `CREATE DATABASE ${database} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`
    if (database !== 'postgres') await (await connect(cluster)).exec(create)
    await (await connect(cluster, database)).script(`CREATE TABLE ${name} ${sql.replaceAll('$', name)}`)
    await closeSessions(cluster)
    await cluster.stop()
  }
  await withFolder(async (folder) => {
    const lake = join(folder, 'lake')
    expect(peakOf('transcode', cluster.dataDir, '--lake', lake, '--database', database, '--table', `public.${name}`, '--workers', '2'))
      .toBeLessThan(LIMIT_BYTES + 3 * bytes)
    expect(peakOf('verify', cluster.dataDir, '--lake', lake, '--workers', '2')).toBeLessThan(LIMIT_BYTES + 3 * bytes)
    const state = await NewestState.read(lake)
    const { lanes } = state.relation(name)
    expect({ native: lanes.native, oversized: lanes.oversized }).toEqual({ native: oversized ? 0 : 1, oversized: oversized ? 1 : 0 })
    if (!oversized) return
    const [found] = await state.files(state.relation(name))
    expect(readParquet(readFileSync(join(lake, found!.file.key))).fields.map((field) => field.name)).toContain('_overflow')
  })
})

/** Some 150 rows are on one page: the values of a page are not in memory together. */
const DOCUMENT_BYTES = 2 * 1e6

test.runIf(DRAWN.includes('documents'))('a lake file of more than 2 GiB', async () => {
  await cluster.start()
  await (await connect(cluster)).script(`
    CREATE TABLE documents (v text); ALTER TABLE documents ALTER v SET STORAGE EXTERNAL;
    INSERT INTO documents SELECT repeat(md5(i::text), 62500) FROM generate_series(1, 1100) i`)
  await closeSessions(cluster)
  await cluster.stop()
  await withFolder(async (folder) => {
    const lake = join(folder, 'lake')
    const table = ['--database', 'postgres', '--table', 'public.documents', '--compression', 'none']
    expect(peakOf('transcode', cluster.dataDir, '--lake', lake, ...table, '--workers', '2'))
      .toBeLessThan(LIMIT_BYTES + 3 * DOCUMENT_BYTES)
    const state = await NewestState.read(lake)
    expect((await state.files(state.relation('documents'))).map(({ file }) => storedBytes(file) > 2 ** 31)).toEqual([true])
    expect(peakOf('verify', cluster.dataDir, '--lake', lake, '--workers', '2')).toBeLessThan(LIMIT_BYTES + 3 * DOCUMENT_BYTES)
  })
})
