/** `ltap inspect history` on the directory of a server that was killed: formats, limits, refusals. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readU32 } from '../../src/common/bytes.ts'
import { linePointer, linePointerCount, lpOff } from '../../src/page/linepointer.ts'
import { copyDataDir } from '../../src/server/postgresdatadir.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'
import { writeChecked } from '../support/pagedamage.ts'
import { ltap, type Ran } from './streams.ts'

const SQL = `
  CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'old'), (2, NULL); CREATE UNLOGGED TABLE quick (id int); CREATE SEQUENCE counter; CHECKPOINT;
  UPDATE t SET v = 'new "one"' WHERE id = 1; DELETE FROM t WHERE id = 2; VACUUM t; INSERT INTO t VALUES (3, 'a,b')`
const OTHERS = `
  CREATE TABLE large (id int, v text); ALTER TABLE large ALTER v SET STORAGE EXTERNAL;
  INSERT INTO large VALUES (1, repeat('x', 9000)), (2, 'small'), (3, repeat('y', 9000));
  CREATE TABLE pages AS SELECT i AS id, repeat('z', 500) AS v FROM generate_series(1, 40) i;
  CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS n WITH NO DATA`

const major = majors().includes(17) ? 17 : majors().at(-1)!
let work: string
let data: string
let toast: string
let pages: string
let times: Record<string, string | null>[]

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'ltap-inspecthistory-'))
  data = join(work, 'data')
  await withCluster(major, { settings: { track_commit_timestamp: 'on' } }, async (cluster, sql) => {
    await sql.script(OTHERS)
    await sql.script(SQL)
    toast = (await sql.value("SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE relname = 'large'"))!
    pages = (await sql.value("SELECT pg_relation_filepath('pages')"))!
    times = await sql.query(`SELECT id::text, to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US" UTC"') at FROM t ORDER BY id`)
    await closeSessions(cluster)
    await cluster.kill()
    await copyDataDir(cluster.dataDir, data)
  })
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

function history(...options: string[]): Promise<Ran> {
  return ltap(['inspect', 'history', data, 'public.t', '--database', 'postgres', ...options])
}

describe('inspect history', () => {
  test('as JSON', async () => {
    const { code, stdout, stderr } = await history('--json')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const rows = JSON.parse(stdout) as Record<string, unknown>[]
    expect(rows.map(({ ctid, state, from_lsn, columns }) => [ctid, state, from_lsn === 'before', columns])).toEqual([
      ['(0,1)', 'updated', true, { id: '1', v: 'old' }], ['(0,2)', 'deleted', true, { id: '2', v: null }],
      ['(0,2)', 'live', false, { id: '3', v: 'a,b' }], ['(0,3)', 'live', false, { id: '1', v: 'new "one"' }],
    ])
    expect([rows[3]!['from_time'], rows[0]!['to_time'], rows[2]!['from_time']]).toEqual([times[0]!['at'], times[0]!['at'], times[1]!['at']])
    expect(rows[0]).toMatchObject({ from_time: null, dangling: [], problem: null, raw: null, to_lsn: rows[3]!['from_lsn'] })
    expect(rows.map(({ file, xmin, xmax }) => [typeof file, typeof xmin, typeof xmax])).toEqual(rows.map(() => ['number', 'string', 'string']))
    expect([rows[2]!['to_lsn'], rows[2]!['to_time']]).toEqual([null, null])
  })

  test('as CSV and as a table, limited', async () => {
    const csv = (await history('--format', 'csv')).stdout.split('\n')
    expect(csv[0]).toBe('file,ctid,xmin,xmax,state,from_lsn,from_time,to_lsn,to_time,id,v')
    expect(csv[4]).toMatch(/^\d+,"\(0,3\)",\d+,0,live,0\/[0-9A-F]+,[-0-9]{10} [0-9:.]{15} UTC,,,1,"new ""one"""$/)
    expect(csv).toHaveLength(6)
    const table = (await history('--limit', '2')).stdout
    expect(table).toMatch(/^ +file \| ctid +\| +xmin \| xmax \| state +\| from_lsn \| from_time \|/)
    expect(table).toContain('(2 rows)')
  })

  test('written to files, by day', async () => {
    const [json, days] = [join(work, 'history.json'), join(work, 'days')]
    const { code, stdout } = await history('--out', json)
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^4 row versions in 1 file, [\d,]+ bytes: .*history\.json\n$/)])
    const rows = JSON.parse(readFileSync(json, 'utf8')) as Record<string, unknown>[]
    expect(rows.map(({ id, v, state, block, offset }) => [id, v, state, block, offset])).toEqual([
      [1, 'old', 'updated', '0', 1], [2, null, 'deleted', '0', 2], [3, 'a,b', 'live', '0', 2], [1, 'new "one"', 'live', '0', 3]])
    // JSON has a time without zeros at its end, as Postgres writes it.
    const iso = (at: string | null | undefined): string => `${at!.replace(' UTC', '').replace(' ', 'T').replace(/\.?0+$/, '')}+00:00`
    expect(rows.map(({ valid_from, valid_to }) => [valid_from, valid_to])).toEqual([[null, iso(times[0]!['at'])], [null, rows[1]!['valid_to']],
      [iso(times[1]!['at']), null], [iso(times[0]!['at']), null]])
    // What was there before the range has the position where its WAL begins as a bound.
    expect(rows.map(({ from_lsn, from_after, from_upto }) => [from_lsn === null, from_after, from_upto === null])).toEqual([
      [true, null, false], [true, null, false], [false, null, true], [false, null, true]])
    expect(rows[0]!['to_lsn']).toBe(rows[3]!['from_lsn'])
    expect((await history('--out', days, '--partition-by', 'day', '--limit', '3')).stdout).toContain('3 row versions in 2 files')
    expect(readdirSync(days).sort()).toEqual(['__HIVE_DEFAULT_PARTITION__', times[1]!['at']!.slice(0, 10)].map((day) => `day=${day}`).sort())
    const refused = [['--format', 'parquet'], ['--partition-by', 'day'], ['--out', join(work, 'x'), '--format', 'table'], ['--out', join(work, 'x.csv'), '--format', 'json'],
      ['--out', json], ['--out', join(data, 'x')]]
    for (const options of refused) expect((await history(...options)).code, options.join(' ')).toBeGreaterThan(1)
    rmSync(days, { recursive: true })
    rmSync(json)
  })

  test('earlier than the copy, unlogged, a sequence, no table, a folder that was replayed into', async () => {
    expect(await history('--to', '0/1000000')).toMatchObject({ code: 3, stdout: '' })
    const other = (name: string): Promise<Ran> => ltap(['inspect', 'history', data, name, '--database', 'postgres'])
    for (const [name, code] of [['public.quick', 'history.unlogged'], ['public.counter', 'history.sequence'], ['public.none', 'selection.table']]) {
      const ran = await other(name!)
      expect(ran.stderr).toContain(code)
      expect(ran.stdout).toBe('')
    }
    const kept = join(work, 'kept')
    expect((await history('--work', kept)).code).toBe(0)
    expect(existsSync(join(kept, 'PG_VERSION'))).toBe(true)
    expect((await history('--work', kept)).stderr).toContain('history.resumed')
    const usual = process.env['TMPDIR']
    process.env['TMPDIR'] = work
    expect((await history()).code).toBe(0)
    expect((await other('public.none')).code).toBe(3)
    if (usual === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = usual
    expect(readdirSync(work).sort()).toEqual(['data', 'kept'])
  })

  test('a materialized view that was never filled', async () => {
    const { code, stderr } = await ltap(['inspect', 'history', data, 'public.unfilled', '--database', 'postgres'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'ltap: materialized view public.unfilled has not been populated at the end: no server reads it there\n' })
  })

  test('damage, without and with carry', async () => {
    const copy = join(work, 'damaged')
    await copyDataDir(data, copy)
    const ran = (table: string, ...options: string[]): Promise<Ran> => ltap(['inspect', 'history', copy, table, '--database', 'postgres', '--json', ...options])
    const values = ({ stdout }: Ran): Record<string, string | null>[] => (JSON.parse(stdout) as { columns: Record<string, string | null> }[]).map(({ columns }) => columns)

    // The chunks of the first value in the TOAST relation are another value's.
    const chunks = new Uint8Array(readFileSync(join(copy, toast)))
    const items = Array.from({ length: linePointerCount(chunks) }, (_, i) => lpOff(linePointer(chunks, i + 1)) + 24)
    const first = readU32(chunks, items[0]!)
    for (const at of items) if (readU32(chunks, at) === first) new DataView(chunks.buffer).setUint32(at, 4_000_000_000, true)
    writeChecked(join(copy, toast), chunks)
    expect(await ran('public.large')).toMatchObject({ code: 3, stderr: expect.stringMatching(/^ltap: toast.value: missing chunks .*: .*--on-corrupt carry/m) as string })
    const large = await ran('public.large', '--on-corrupt', 'carry')
    expect(values(large)).toEqual([{ id: '1', v: expect.stringMatching(/^\\x0112\w{32}$/) as string }, { id: '2', v: 'small' }, { id: '3', v: 'y'.repeat(9000) }])
    expect(large.code).toBe(3)
    expect(large.stderr).toMatch(/^ltap: toast.value: missing chunks .*attribute v\)\nltap: 1 value whose TOAST chunks are missing: shown as TOAST pointers, \\x…\n$/)

    const heap = readFileSync(join(copy, pages))
    heap.fill(0xee, 8192, 8192 + 24)
    writeFileSync(join(copy, pages), heap)
    expect((await ran('public.pages')).code).toBe(3)
    const rest = await ran('public.pages', '--on-corrupt', 'carry')
    expect(rest).toMatchObject({ code: 3, stderr: expect.stringMatching(/^ltap: page\..*\(relation pages, block 1\)\n$/) as string })
    const left = values(rest).map(({ id }) => Number(id))
    expect(left.length).toBeLessThan(40)
    expect(left).toEqual(expect.arrayContaining([1, 40]))
  })

  test('inspect table of the same directory, with what was deleted', async () => {
    const { stdout } = await ltap(['inspect', 'table', data, 'public.t', '--database', 'postgres', '--wal', join(data, 'pg_wal'), '--dead', '--json'])
    const rows = JSON.parse(stdout) as Record<string, unknown>[]
    expect(rows.map(({ ctid, state, columns }) => [ctid, state, columns])).toEqual([
      ['(0,2)', 'live', { id: '3', v: 'a,b' }], ['(0,3)', 'live', { id: '1', v: 'new "one"' }],
    ])
  })
})
