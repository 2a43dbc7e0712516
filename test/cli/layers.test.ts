/** `ltap transcode` into an object store, the built program with two threads: again and again, and what it refuses; `ltap merge`. */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { materializeLake, type MaterializeReport } from '../../src/jobs/materialize/materializelake.ts'
import type { LakeSummary } from '../../src/jobs/inspect/lakesummary.ts'
import type { MergeReport } from '../../src/jobs/merge/mergelake.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { layeredDifferences, type LayeredRelation, readLayeredLake } from '../support/layeredlake.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'
import { type S3Call, S3Server } from '../support/s3server.ts'

const PROGRAM = join(resolve(import.meta.dirname, '../..'), 'dist/cli/main.js')
const URL = 's3://lake/shop'
const [major] = fewerMajors('a lake of layers by the command line') as [number]
const filter = { databases: ['postgres'], tables: [] }

let folder: string
let cluster: PostgresServer
let server: S3Server
/** A new lake of the cluster as it is. */
let expected: Map<string, LayeredRelation> | undefined

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-layers-'))
  server = await S3Server.start()
  cluster = await createCluster(major)
  const sql = await connect(cluster)
  await sql.script('CREATE TABLE t (id int, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 150000) i; CREATE TABLE u AS SELECT 1 AS one; VACUUM (FREEZE) t')
  await sql.script('CREATE TABLE "<script>alert(1)</script>" ("""><b>" int); INSERT INTO "<script>alert(1)</script>" VALUES (1)')
  await stop()
})

afterAll(async () => {
  await cluster?.remove()
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function stop(): Promise<void> {
  await closeSessions(cluster)
  await cluster.stop('fast')
  expected = undefined
}

interface Ended {
  code: number
  stdout: string
  stderr: string
}

/** Not by spawnSync: the S3 server is in this process. */
function transcode(pgdata: string, place: string, ...args: string[]): Promise<Ended> {
  return ltap('transcode', pgdata, '--lake', place, '--database', 'postgres', ...args)
}

function ltap(...args: string[]): Promise<Ended> {
  const environment = { AWS_ACCESS_KEY_ID: 'ltapkey', AWS_SECRET_ACCESS_KEY: 'ltapsecret', AWS_ENDPOINT_URL_S3: server.endpoint }
  return new Promise((done) => {
    const argv = [PROGRAM, ...args, ...(args[0] === 'inspect' ? [] : ['--workers', '2'])]
    execFile(process.execPath, argv, { env: { ...process.env, ...environment } }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

async function written(ended: Promise<Ended>): Promise<MaterializeReport> {
  const { code, stdout, stderr } = await ended
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout) as MaterializeReport
}

/** What the server was asked, but for the last write of HEAD and what followed it. An upload of one part is a PUT. */
function askedBeforeHead(): Record<string, number> {
  const end = server.calls.findLastIndex(({ method, key }) => method === 'PUT' && key.endsWith('/main/HEAD'))
  return countedBy(server.calls.slice(0, end).map((call): [string, number] => [kindOf(call), 1]))
}

function kindOf({ method, key, query }: S3Call): string {
  if (key === '') return method === 'GET' ? 'list' : method === 'POST' ? 'delete' : 'head'
  return method === 'PUT' || query.has('uploads') || query.has('uploadId') ? 'put' : method.toLowerCase()
}

function toldBy({ made }: LakeSummary['states'][number]): Record<string, number> {
  return countedBy(Object.entries(made!.requests).map(([kind, count]) => [kind === 'upload' ? 'put' : kind, count]))
}

function countedBy(counts: readonly (readonly [string, number])[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const [kind, count] of counts) sums[kind] = (sums[kind] ?? 0) + count
  return sums
}

async function statesOf(): Promise<LakeSummary['states']> {
  return (JSON.parse((await ltap('inspect', 'lake', URL, '--json')).stdout) as LakeSummary).states
}

/** The lake has what a new one of the data directory has. */
async function checkLake(pgdata: string): Promise<void> {
  expected ??= await readFreshLake(pgdata)
  const credentials = { accessKeyId: 'ltapkey', secretAccessKey: 'ltapsecret' }
  const store = await openObjectStore(URL, { endpoint: server.endpoint, credentials, environment: {} })
  expect(layeredDifferences(await readLayeredLake(store), expected)).toEqual([])
}

async function readFreshLake(pgdata: string): Promise<Map<string, LayeredRelation>> {
  const store = new MemoryObjectStore(systemClock)
  await materializeLake({ pgdata, store, workers: 0, filter })
  return readLayeredLake(store)
}

/** What is written with HEAD or behind it. */
const BEHIND_HEAD = /HEAD$|\.metadata\.json$|version-hint\.text$|\/_delta_log\/|published\.json$/

test('a cluster goes into an object store, and what changes follows; older, other and foreign places are refused', async () => {
  server.calls.length = 0
  const first = await written(transcode(cluster.dataDir, URL, '--json'))
  // Worker threads wrote the data with connections of their own.
  const asked = askedBeforeHead()
  const [made] = await statesOf()
  expect(made!.made!.kind).toBe('layers+published')
  expect(toldBy(made!)).toEqual(asked)
  expect(made!.dollars).toBeCloseTo(((asked['put']! + asked['list']! + 1) * 0.005 + (asked['get']! + asked['head']!) * 0.0004) / 1000, 12)
  const stored = [...server.objects].reduce((sum, [key, { bytes }]) => sum + (BEHIND_HEAD.test(key) ? 0 : bytes.length), 0)
  expect(made!.made!.bytesUp).toBeGreaterThanOrEqual(stored)
  expect(made!.made!.bytesUp).toBeLessThan(stored + 10_000)
  expect(first).toMatchObject({ url: URL, major, from: null, committed: true })
  expect(first.blocks).toBeGreaterThan(1000)
  const old = join(folder, 'old')
  cpSync(cluster.dataDir, old, { recursive: true })
  const again = await transcode(cluster.dataDir, URL)
  expect(again).toMatchObject({ code: 0, stdout: `${URL} has Postgres ${major} at ${first.lsn} already: nothing to do\n` })

  await cluster.start()
  await (await connect(cluster)).script("UPDATE t SET v = 'new' WHERE id = 5; DROP TABLE u")
  await stop()
  const next = await written(transcode(cluster.dataDir, URL, '--json'))
  expect(next).toMatchObject({ from: first.lsn, committed: true, gone: 1 })
  expect(next.unchanged).toBeGreaterThan(50)
  expect(next.blocks).toBeLessThan(first.blocks / 10)
  await checkLake(cluster.dataDir)

  const older = await transcode(old, URL)
  expect(older.code).toBe(3)
  expect(older.stderr).toMatch(/^ltap: lake\.other-lsn: .* is at LSN .*, which is newer: bring a newer copy, or more WAL \(--wal\)\n$/)
  const elsewhere = await transcode(old, 's3://nobucket/x')
  expect(elsewhere.code).toBe(3)
  expect(elsewhere.stderr).toMatch(/^ltap: store\.missing-bucket: .*\n$/)
  const other = await createCluster(major)
  try {
    await other.stop('fast')
    const refused = await transcode(other.dataDir, URL)
    expect(refused.code).toBe(3)
    expect(refused.stderr).toMatch(/^ltap: lake\.other-cluster: .* name another place for a lake of this cluster\n$/)
  } finally {
    await other.remove()
  }
  await checkLake(cluster.dataDir)
})

test('inspect lake writes a page, and reads no file of data', async () => {
  const page = join(folder, 'lake.html')
  server.calls.length = 0
  expect(await ltap('inspect', 'lake', URL)).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/\ntable: postgres\.public\.<script>alert\(1\)<\/script>: 1 page, /) as string })
  expect(server.calls.filter(({ key }) => /\.(?:layer|pack)$/.test(key))).toEqual([])
  expect((await ltap('inspect', 'lake', URL, '--html', page)).code).toBe(0)
  const data = server.calls.filter(({ key }) => /\.(?:layer|pack)$/.test(key))
  expect(data.length).toBeGreaterThan(0)
  for (const { method, headers } of data) {
    expect(method).toBe('GET')
    expect(headers.range).toMatch(/^bytes=-\d{1,5}$/)
  }
  const text = readFileSync(page, 'utf8')
  expect(text).toContain('postgres.public.&#60;script&#62;alert(1)&#60;/script&#62;')
  expect(text).toContain('&#34;&#62;&#60;b&#62;')
  expect(text).not.toMatch(/<script|<b>/)
  expect(statSync(page).mode & 0o777).toBe(0o600)
  // A page may be written again, another file not.
  expect((await ltap('inspect', 'lake', URL, '--html', page)).code).toBe(0)
  writeFileSync(page, 'mine')
  expect(await ltap('inspect', 'lake', URL, '--html', page)).toMatchObject({ code: 3, stdout: '', stderr: expect.stringMatching(/^ltap: file\.exists: .*name another one .*\n$/) as string })
  expect(readFileSync(page, 'utf8')).toBe('mine')
  expect((await ltap('inspect', 'lake', URL, '--price-put', 'x')).code).toBe(2)
})

test('layers are merged, by their tiers or all, and the lake says the same', async () => {
  const merged = JSON.parse((await ltap('merge', URL, '--json')).stdout) as MergeReport
  expect(merged).toMatchObject({ url: URL, relations: 0, commits: 0, left: [] })
  server.calls.length = 0
  const { code, stdout } = await ltap('merge', URL, '--all', '--table', 'public.t', '--json')
  const asked = askedBeforeHead()
  const last = (await statesOf()).at(-1)!
  expect(last.made!.kind).toBe('merge+published')
  expect(toldBy(last)).toEqual(asked)
  const one = JSON.parse(stdout) as MergeReport
  expect(code).toBe(0)
  expect(one).toMatchObject({ relations: 1, layersBefore: 2, layersAfter: 1, commits: 1, left: [] })
  expect(one.blocks).toBeGreaterThan(1000)
  await checkLake(cluster.dataDir)
  expect(await ltap('merge', URL, '--all')).toMatchObject({ code: 0, stderr: '' })
  await checkLake(cluster.dataDir)
  expect(await ltap('merge', URL, '--all')).toMatchObject({ code: 0, stdout: expect.stringMatching(/no layers to merge\n/) as string })
  const none = await ltap('merge', URL, '--table', 'public.none')
  expect(none).toMatchObject({ code: 3, stderr: expect.stringMatching(/^ltap: selection\.table: the lake has no table public\.none: .*\n$/) as string })
  expect((await ltap('verify', '--lake', URL)).code).toBe(0)
})

test('a folder by its URL; the next run needs only the path', async () => {
  const lake = join(folder, 'lake')
  const report = await written(transcode(cluster.dataDir, `file://${lake}`, '--json'))
  expect(report.committed).toBe(true)
  expect((await transcode(cluster.dataDir, lake)).stdout).toMatch(/already: nothing to do/)
})
