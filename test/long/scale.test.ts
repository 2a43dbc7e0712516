/**
 * Clusters of many things: tables, databases, columns, each with a heap of 200 MB for JavaScript (what node takes beside it, such as Arrow's
 * buffers and WebAssembly, is in the peak that is printed). In scope `all` 20,000 tables, 500 databases, 1,600 columns, a table of 5 GB, a bytea of
 * 1 GB.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { segmentFile } from '../../src/io/datadir/rebuildtarget.ts'
import { heapFile } from '../support/badinput.ts'
import { enlarge, SEGMENT_BLOCKS } from '../support/enlarge.ts'
import { withFolder } from '../support/lakes.ts'
import { closeSessions, connect, majors, type Session, withCluster } from '../support/oracle.ts'
import { amount } from '../support/scope.ts'

const RUN = resolve(import.meta.dirname, '../../dist/cli/run.js')
const TABLES = amount({ sample: 100, all: 20_000 })
const DATABASES = amount({ sample: 8, all: 500 })
const COLUMNS = 1600
const WIDE_ROWS = amount({ sample: 100, all: 2000 })
/** In scope `all` five segments of 1 GB, each full. */
const HEAP_BLOCKS = amount({ sample: SEGMENT_BLOCKS / 8, all: 5 * SEGMENT_BLOCKS })
const SEGMENTS = Math.ceil(HEAP_BLOCKS / SEGMENT_BLOCKS)
const LARGEST_VALUE = amount({ sample: 32 << 20, all: 2 ** 30 - 1 })
/** Locks of one transaction: tables are made in portions. */
const PORTION = 500

interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs a built verb with a small heap, and prints what it took. */
function ltap(...argv: string[]): Ran {
  // A first argument `inspect` would start Node's debugger.
  const script = `const { runCommandLine } = await import(${JSON.stringify(RUN)})
    process.exitCode = await runCommandLine(process.argv.slice(2), process)
    process.stderr.write('\\npeak ' + Math.round(process.resourceUsage().maxRSS / 1024))`
  const started = performance.now()
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script, '--', 'ltap', ...argv], {
    encoding: 'utf8', maxBuffer: 1 << 30, env: { ...process.env, NODE_OPTIONS: '--max-old-space-size=200' },
  })
  const peak = /peak (\d+)$/.exec(stderr)?.[1]
  console.info(`${argv.slice(0, 2).join(' ')}: ${((performance.now() - started) / 1000).toFixed(0)} s, peak ${peak} MB, exit ${status}`)
  return { code: status, stdout, stderr: stderr.replace(/\npeak \d+$/, '') }
}

function json(ran: Ran): unknown {
  expect({ code: ran.code, stderr: ran.code === 0 ? '' : ran.stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(ran.stdout)
}

describe.each(majors().slice(-1))('many of everything, Postgres %i', (major) => {
  test(`${TABLES} tables`, async () => {
    await withCluster(major, {}, async (server, sql) => withFolder(async (folder) => {
      for (let first = 1; first <= TABLES; first += PORTION) {
        await sql.exec(`do $$ begin for i in ${first}..${Math.min(first + PORTION - 1, TABLES)} loop
          execute format('create table t%s (id int primary key, v text)', i); execute format('insert into t%s values (%s, %L)', i, i, i); end loop; end $$`)
      }
      await closeSessions(server)
      // A crash: all that made the tables is in the WAL alone, or may be.
      await server.kill()
      await checkReplay(server.dataDir, folder)
      await server.start()
      await server.stop()
      const lake = join(folder, 'lake')
      const listed = json(ltap('inspect', 'relations', server.dataDir, '--database', 'postgres', '--json')) as { schema: string; kind: string }[]
      expect(listed.filter(({ schema, kind }) => schema === 'public' && kind === 'table')).toHaveLength(TABLES)
      expect(json(ltap('transcode', server.dataDir, '--lake', lake, '--database', 'postgres', '--workers', '2', '--json'))).toMatchObject({ notRead: [] })
      expect(json(ltap('verify', server.dataDir, '--lake', lake, '--workers', '2', '--json'))).toMatchObject({ equal: true })
      expect(json(ltap('query', '--lake', lake, '--json', `select v from t${TABLES}`))).toEqual([{ v: String(TABLES) }])
      expect(json(ltap('inspect', 'table', server.dataDir, `public.t${TABLES - 1}`, '--json'))).toMatchObject([{ columns: { v: String(TABLES - 1) } }])
    }))
  })

  test(`${DATABASES} databases`, async () => {
    await withCluster(major, {}, async (server, sql) => withFolder(async (folder) => {
      await sql.exec('create database d1')
      const first = await connect(server, 'd1')
      await first.exec('create table t (a int); insert into t values (7)')
      await first.close()
      for (let i = 2; i <= DATABASES; i++) await sql.exec(`create database d${i} template d1${major >= 15 ? ' strategy file_copy' : ''}`)
      await closeSessions(server)
      await server.stop()
      const lake = join(folder, 'lake')
      const listed = json(ltap('inspect', 'relations', server.dataDir, '--json')) as { database: string | null; name: string }[]
      expect(listed.filter(({ name }) => name === 't')).toHaveLength(DATABASES)
      expect(new Set(listed.map(({ database }) => database)).size).toBe(DATABASES + 4)
      expect(json(ltap('transcode', server.dataDir, '--lake', lake, '--table', 'public.t', '--workers', '2', '--json')))
        .toMatchObject({ databases: DATABASES, relations: DATABASES, tuples: DATABASES })
      expect(json(ltap('verify', server.dataDir, '--lake', lake, '--workers', '2', '--json'))).toMatchObject({ equal: true })
      expect(json(ltap('query', '--lake', lake, '--database', `d${DATABASES}`, '--json', 'select a from t'))).toEqual([{ a: 7 }])
    }))
  })

  test(`${COLUMNS} columns`, async () => {
    await withCluster(major, {}, async (server, sql) => withFolder(async (folder) => {
      const columns = Array.from({ length: COLUMNS }, (_, i) => `c${i + 1} int2`).join(', ')
      await sql.exec(`create table wide (${columns})`)
      await sql.exec(`insert into wide select ${Array.from({ length: COLUMNS }, (_, i) => `(n + ${i}) % 7`).join(', ')} from generate_series(1, ${WIDE_ROWS}) n`)
      await closeSessions(server)
      await server.stop()
      const lake = join(folder, 'lake')
      const only = ['--database', 'postgres', '--table', 'public.wide', '--workers', '2', '--json']
      expect(json(ltap('transcode', server.dataDir, '--lake', lake, ...only))).toMatchObject({ tuples: WIDE_ROWS })
      expect(json(ltap('verify', server.dataDir, '--lake', lake, '--workers', '2', '--json'))).toMatchObject({ equal: true })
      const sum = Array.from({ length: WIDE_ROWS }, (_, n) => (n + 1 + COLUMNS - 1) % 7).reduce((a, b) => a + b, 0)
      expect(json(ltap('query', '--lake', lake, '--json', `select sum(c${COLUMNS})::int as s from wide`))).toEqual([{ s: sum }])
    }))
  })

  test(`a table of ${HEAP_BLOCKS} blocks`, async () => {
    await withCluster(major, { initdbArgs: major >= 18 ? ['--no-data-checksums'] : [] }, async (server, sql) => withFolder(async (folder) => {
      await sql.script(`CREATE TABLE large AS SELECT i AS id, md5(i::text) AS hash, repeat(md5((i * 7)::text), 4) AS text, i::numeric(12,2) / 100 AS price,
        timestamptz '2020-01-01' + i * interval '1 second' AS at, CASE WHEN i % 9 > 0 THEN '{"a": 1}'::jsonb END AS doc FROM generate_series(1, 40000) i;
        DELETE FROM large WHERE id % 13 = 0`)
      await closeSessions(server)
      await server.stop()
      const file = heapFile(server.dataDir, 'postgres', 'public.large')
      enlarge(file, HEAP_BLOCKS)
      const [lake, copy] = [join(folder, 'lake'), join(folder, 'copy')]
      const only = ['--database', 'postgres', '--table', 'public.large', '--workers', '2', '--json']
      const written = json(ltap('transcode', server.dataDir, '--lake', lake, ...only)) as { rows: number; hiddenRows: number }
      expect(written).toMatchObject({ pages: HEAP_BLOCKS })
      expect(json(ltap('verify', server.dataDir, '--lake', lake, '--workers', '2', '--json'))).toMatchObject({ equal: true })
      expect(json(ltap('query', '--lake', lake, '--json', 'select count(*)::int as n from large'))).toEqual([{ n: written.rows - written.hiddenRows }])
      await server.copyDataDir(copy)
      const target = heapFile(copy, 'postgres', 'public.large')
      for (let segment = 0; segment < SEGMENTS; segment++) rmSync(segmentFile(target, segment))
      json(ltap('rebuild', '--lake', lake, '--pgdata', copy, '--workers', '2', '--json'))
      for (let segment = 0; segment < SEGMENTS; segment++) expectSameHeap(segmentFile(file, segment), segmentFile(target, segment))
      expect(existsSync(segmentFile(target, SEGMENTS))).toBe(false)
    }))
  })

  test(`a bytea of ${LARGEST_VALUE} bytes, or as near as the server allows`, async () => {
    await withCluster(major, {}, async (server, sql) => withFolder(async (folder) => {
      await sql.exec('CREATE TABLE value (v bytea)')
      const bytes = await insertLargest(sql)
      const [expected] = await sql.query('SELECT octet_length(v)::text AS n, md5(v) AS m FROM value')
      await closeSessions(server)
      await server.stop()
      const lake = join(folder, 'lake')
      const only = ['--database', 'postgres', '--table', 'public.value', '--workers', '2', '--json']
      expect(json(ltap('transcode', server.dataDir, '--lake', lake, ...only))).toMatchObject({ lanes: { native: expect.any(Number) as number, oversized: 0 } })
      expect(json(ltap('verify', server.dataDir, '--lake', lake, '--workers', '2', '--json'))).toMatchObject({ equal: true })
      console.info(`${bytes} bytes`)
      expect(json(ltap('query', '--lake', lake, '--json', 'select octet_length(v)::varchar as n, md5(v) as m from value'))).toEqual([expected])
    }))
  })
})

/** Replay of WAL that makes many relations. */
async function checkReplay(source: string, folder: string): Promise<void> {
  const out = join(folder, 'replayed')
  const { records } = json(ltap('replay', source, '--out', out, '--json')) as { records: number }
  expect(records).toBeGreaterThan(TABLES * 10)
  const listed = json(ltap('inspect', 'relations', out, '--database', 'postgres', '--json')) as { schema: string; kind: string }[]
  expect(listed.filter(({ schema, kind }) => schema === 'public' && kind === 'table')).toHaveLength(TABLES)
  for (const n of [1, TABLES]) {
    expect(json(ltap('inspect', 'table', out, `public.t${n}`, '--json'))).toMatchObject([{ columns: { id: String(n), v: String(n) } }])
  }
  await rm(out, { recursive: true })
}

/** Tuples are formed in memory of at most 1 GB, their header included. */
async function insertLargest(sql: Session): Promise<number> {
  for (let size = LARGEST_VALUE; ; size -= 8) {
    try {
      await sql.exec(`INSERT INTO value SELECT convert_to(repeat('0123456789abcde', ${Math.floor(size / 15)}) || repeat('f', ${size % 15}), 'UTF8')`)
      return size
    } catch (error) {
      if (!/invalid memory alloc request|requested length too large|out of memory/.test(String(error)) || size < LARGEST_VALUE - 400) throw error
    }
  }
}

/** Byte for byte: the server filled each page once and pruned no page, so canonical(page) leaves nothing out. */
function expectSameHeap(file: string, rebuilt: string): void {
  expect({ file, status: spawnSync('cmp', [file, rebuilt], { encoding: 'utf8' }).stdout }).toEqual({ file, status: '' })
}
