/** The life of a lake of layers: gc, tags, leases and branches, on a lake that grew over states of a real server. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import type { CollectReport } from '../../src/jobs/lakes/collectlake.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import type { LakeSummary } from '../../src/jobs/inspect/lakesummary.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { ltap } from '../cli/streams.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'
import { S3Server } from '../support/s3server.ts'

const [major] = fewerMajors('the life of a lake') as [number]
const URL = 's3://lake/shop'
const filter = { databases: ['postgres'], tables: [] }

let folder: string
let cluster: PostgresServer
let original: string
/** LSNs of the states, and `v` of the only row in each. */
const states: { lsn: string; v: string }[] = []

async function takeState(script: string): Promise<void> {
  if (states.length > 0) await cluster.start()
  const sql = await connect(cluster)
  await sql.script(script)
  const [[v]] = await sql.rows('SELECT v FROM t WHERE id = 1') as [[string]]
  await closeSessions(cluster)
  await cluster.stop('fast')
  const { lsn } = await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(original), workers: 0, filter })
  states.push({ lsn, v })
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-life-'))
  original = join(folder, 'original')
  cluster = await createCluster(major, { settings: { autovacuum: 'off' } })
  await takeState("CREATE TABLE t (id int, v text); INSERT INTO t SELECT i, 'first' FROM generate_series(1, 3000) i")
  await takeState("UPDATE t SET v = 'second'; VACUUM FULL t")
  await takeState("UPDATE t SET v = 'third'; VACUUM FULL t")
  await takeState("UPDATE t SET v = 'fourth'; VACUUM FULL t")
}, 300_000)

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

/** A lake of its own, as it was when its states were made. */
function copied(name: string): string {
  const lake = join(folder, name)
  cpSync(original, lake, { recursive: true })
  return lake
}

async function json<T>(...argv: string[]): Promise<T> {
  const { code, stdout, stderr } = await ltap([...argv, '--json'])
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout) as T
}

async function refused(code: RegExp, ...argv: string[]): Promise<void> {
  const ran = await ltap(argv)
  expect(ran.stderr).toMatch(code)
  expect(ran.stderr).toMatch(/^ltap: [^\n]*\n$/)
  expect(ran.code).toBe(3)
}

/** `v` of the row, at a point or in a branch. */
async function shown(lake: string, ...options: string[]): Promise<string> {
  const { code, stdout, stderr } = await ltap(['query', '--lake', lake, 'SELECT v FROM t WHERE id = 1', '--format', 'csv', ...options])
  expect(code, stderr).toBe(0)
  return stdout.trim().split('\n').at(-1)!
}

async function sizes(store: ObjectStore): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  for await (const { key, size } of store.list('')) found.set(key, size)
  return found
}

/** Key of a layer file. */
async function anyObject(store: ObjectStore): Promise<string> {
  return [...(await sizes(store)).keys()].find((key) => key.endsWith('.parquet'))!
}

describe('gc', () => {
  test('states before the last one at or before an LSN go, and what they alone need; a dry run says the same and writes nothing', async () => {
    const lake = copied('gc')
    const store = await openObjectStore(lake)
    const before = await sizes(store)
    const keep = ['gc', lake, '--keep', states[2]!.lsn]
    const dry = await json<CollectReport>(...keep, '--dry-run')
    expect(await sizes(store)).toEqual(before)
    expect(dry).toMatchObject({ dryRun: true, branches: [{ name: 'main', kept: 2, gone: 2, oldest: { lsn: states[2]!.lsn }, pinned: [], endedLeases: [] }] })
    expect(dry.dead).toBeGreaterThan(0)
    expect((await ltap([...keep, '--dry-run'])).stdout).toMatch(new RegExp(`^${lake.replaceAll('.', '\\.')}: a dry run, nothing was written or deleted\n  would go {4}`))

    const done = await json<CollectReport>(...keep)
    expect({ ...done, dryRun: true }).toEqual(dry)
    const after = await sizes(store)
    const sum = (found: Map<string, number>): number => [...found].filter(([key]) => !key.endsWith('/hint') && !key.includes('/HEAD/')).reduce((total, [, size]) => total + size, 0)
    expect(sum(before) - sum(after)).toBe(done.deadBytes)
    await refused(/^ltap: lake\.no-state: .* its oldest one is at LSN/, 'query', '--lake', lake, 'SELECT v FROM t', '--at', states[1]!.lsn)
    for (const { lsn, v } of states.slice(2)) expect(await shown(lake, '--at', lsn)).toBe(v)
    expect(await ltap(['verify', '--lake', lake])).toMatchObject({ code: 0 })
    expect(await json<CollectReport>('gc', lake)).toMatchObject({ dead: 0, leftovers: 0, branches: [{ kept: 2, gone: 0 }] })
  }, 120_000)

  test('by a duration: the last state that is so old stays, and a writer goes on', async () => {
    const lake = copied('duration')
    expect(await json<CollectReport>('gc', lake, '--keep', '10w')).toMatchObject({ dead: 0, branches: [{ kept: 4, gone: 0, undated: 0 }] })
    const { epoch } = await json<LakeSummary>('inspect', 'lake', lake)
    expect(await json<CollectReport>('gc', lake, '--keep', '0s')).toMatchObject({ branches: [{ kept: 1, gone: 3 }] })
    expect(await json<LakeSummary>('inspect', 'lake', lake)).toMatchObject({ epoch, states: [{ lsn: states[3]!.lsn }], store: { orphans: { objects: 0 }, missing: [] } })
    expect(await shown(lake)).toBe('fourth')
  }, 120_000)

  test('in S3, with an upload that a killed program left', async () => {
    const server = await S3Server.start()
    const environment = { AWS_ACCESS_KEY_ID: 'ltapkey', AWS_SECRET_ACCESS_KEY: 'ltapsecret', AWS_ENDPOINT_URL_S3: server.endpoint }
    try {
      for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
      const [from, to] = [await openObjectStore(original), await openObjectStore(URL)]
      for (const key of (await sizes(from)).keys()) await to.put(key, (await from.get(key))!.bytes)
      const upload = to.upload((await anyObject(to)).replace(/-1-\d+-/, '-0-1-'))
      await upload.write(new Uint8Array(9 << 20))
      const dry = await json<CollectReport>('gc', URL, '--keep', states[3]!.lsn, '--dry-run')
      const done = await json<CollectReport>('gc', URL, '--keep', states[3]!.lsn)
      expect({ ...done, dryRun: true }).toEqual(dry)
      expect(done).toMatchObject({ leftovers: 1, branches: [{ kept: 1, gone: 3 }] })
      expect(await shown(URL)).toBe('fourth')
      expect(await json<LakeSummary>('inspect', 'lake', URL)).toMatchObject({ store: { orphans: { objects: 0 }, missing: [], damaged: [] } })
    } finally {
      vi.unstubAllEnvs()
      await server.stop()
    }
  }, 120_000)

  test('what it refuses', async () => {
    const lake = copied('refused')
    await refused(/^ltap: lake\.point: 'soon' is no duration such as 30d/, 'gc', lake, '--keep', 'soon')
    await refused(/^ltap: lake\.no-branch: /, 'gc', lake, '--branch', 'none')
    await refused(/^ltap: lake\.missing: /, 'gc', `file://${join(folder, 'nothing')}`)
    expect(await json<CollectReport>('gc', lake)).toMatchObject({ dead: 0, branches: [{ kept: 4 }] })
  }, 60_000)
})
