/** The life of a lake of layers: gc, tags, leases and branches, on a lake that grew over states of a real server. */
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import type { CollectReport } from '../../src/jobs/lakes/collectlake.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { isDataFile } from '../../src/lake/tablefolder.ts'
import type { LakeSummary } from '../../src/jobs/inspect/lakesummary.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { type BranchSummary } from '../../src/jobs/lakes/branches.ts'
import type { PinSummary } from '../../src/jobs/lakes/pins.ts'
import { timeText } from '../../src/engine/lakepoint.ts'
import { findPostgres } from '../../src/server/postgresbinaries.ts'
import { ltap, type Ran } from '../cli/streams.ts'
import { closeSessions, connect, createCluster, fewerMajors, withAdopted } from '../support/oracle.ts'
import { SCOPE } from '../support/scope.ts'
import { S3Server } from '../support/s3server.ts'

const [major] = fewerMajors('the life of a lake') as [number]
const URL = 's3://lake/shop'
/** WAL of more than a segment: a restored server begins with the next one. */
const GROWS = 'INSERT INTO t SELECT 1; SELECT pg_switch_wal(); INSERT INTO t SELECT 1; SELECT pg_switch_wal(); INSERT INTO t SELECT 1'
const filter = { databases: ['postgres'], tables: [] }

let folder: string
let cluster: PostgresServer
let original: string
interface State {
  lsn: string
  /** Of row 1. */
  v: string
}

const states: State[] = []

async function takeState(script: string): Promise<void> {
  if (states.length > 0) await cluster.start()
  const sql = await connect(cluster)
  await sql.script(script)
  const [[v]] = await sql.rows('SELECT v FROM t WHERE id = 1') as [[string]]
  await closeSessions(cluster)
  await cluster.stop('fast')
  const { lsn } = await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(original), workers: 0, filter, publish: false })
  states.push({ lsn, v })
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-life-'))
  // A server that runs as another user must be able to enter it.
  chmodSync(folder, 0o755)
  original = join(folder, 'original')
  cluster = await createCluster(major, { settings: { autovacuum: 'off' } })
  await takeState("CREATE TABLE t (id int, v text); INSERT INTO t SELECT i, 'first' FROM generate_series(1, 3000) i")
  await takeState("UPDATE t SET v = 'second'; VACUUM FULL t")
  await takeState("UPDATE t SET v = 'third'; VACUUM FULL t")
  await takeState("UPDATE t SET v = 'fourth'; VACUUM FULL t")
})

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

function timeOf({ states: listed }: LakeSummary, lsn: string): string {
  const { time } = listed.find((state) => state.lsn === lsn)!
  return time === null ? '' : `, ${timeText(time)}`
}

/** Key of a layer file. */
async function anyObject(store: ObjectStore): Promise<string> {
  return [...(await sizes(store)).keys()].find(isDataFile)!
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
  })

  test('by a duration: the last state that is so old stays, and a writer goes on', async () => {
    const lake = copied('duration')
    expect(await json<CollectReport>('gc', lake, '--keep', '10w')).toMatchObject({ dead: 0, branches: [{ kept: 4, gone: 0, undated: 0 }] })
    const { epoch } = await json<LakeSummary>('inspect', 'lake', lake)
    expect(await json<CollectReport>('gc', lake, '--keep', '0s')).toMatchObject({ branches: [{ kept: 1, gone: 3 }] })
    expect(await json<LakeSummary>('inspect', 'lake', lake)).toMatchObject({ epoch, states: [{ lsn: states[3]!.lsn }], store: { orphans: { objects: 0 }, missing: [] } })
    expect(await shown(lake)).toBe('fourth')
  })

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
  })

  test('an object of the newest state that was deleted by hand: nothing goes, the states before it stay', async () => {
    const lake = copied('damaged')
    const store = await openObjectStore(lake)
    const epoch = (key: string): number => Number(/-(\d+)-\d+-[a-z0-9]+\.layer$/.exec(key)![1])
    const files = [...(await sizes(store)).keys()].filter(isDataFile).sort((a, b) => epoch(a) - epoch(b))
    const lost = files.at(-1)!
    await store.delete([lost])
    const before = await sizes(store)
    for (const options of [['--keep', '0s'], ['--keep', '0s', '--dry-run'], []]) {
      await refused(new RegExp(`^ltap: lake\\.missing-object: a state that stays refers to ${lost}, .* nothing was deleted: put the object back`), 'gc', lake, ...options)
      expect(await sizes(store)).toEqual(before)
    }
    for (const { lsn, v } of states.slice(0, 3)) expect(await shown(lake, '--at', lsn)).toBe(v)
    await store.put(lost, (await (await openObjectStore(original)).get(lost))!.bytes)
    expect(await json<CollectReport>('gc', lake, '--keep', '0s')).toMatchObject({ branches: [{ kept: 1, gone: 3 }] })
    expect(await shown(lake)).toBe('fourth')
  })

  test('what it refuses', async () => {
    const lake = copied('refused')
    await refused(/^ltap: lake\.no-branch: /, 'gc', lake, '--branch', 'none')
    await refused(/^ltap: lake\.missing: /, 'gc', `file://${join(folder, 'nothing')}`)
    expect(await json<CollectReport>('gc', lake)).toMatchObject({ dead: 0, branches: [{ kept: 4 }] })
  })
})

describe('tags and leases', () => {
  test('a tag keeps its state whatever gc is told; a lease does until it is over', async () => {
    const lake = copied('tags')
    const [first, second, third] = states as [State, State, State, State]
    expect((await ltap(['tag', 'create', lake, 'release', '--at', first.lsn])).stdout).toBe(`release: LSN ${first.lsn} of timeline 1${timeOf(await json<LakeSummary>('inspect', 'lake', lake), first.lsn)}\n`)
    expect(await json<PinSummary>('lease', 'create', lake, 'reader', '--at', second.lsn)).toMatchObject({ name: 'reader', lsn: second.lsn, until: null })
    await json('lease', 'create', lake, 'reader', '--at', third.lsn)
    expect(await json<PinSummary>('lease', 'create', lake, 'short', '--at', third.lsn, '--for', '1s')).toMatchObject({ until: expect.any(Number) as unknown })
    expect(await json<PinSummary[]>('lease', 'list', lake)).toMatchObject([{ name: 'reader' }, { name: 'reader' }, { name: 'short' }])
    await setTimeout(1100)
    expect(await json<CollectReport>('gc', lake, '--keep', '0s')).toMatchObject({
      branches: [{ kept: 1, gone: 3, endedLeases: ['short'], pinned: [{ kind: 'tag', name: 'release' }, { kind: 'lease', lsn: second.lsn }, { kind: 'lease', lsn: third.lsn }] }],
    })
    expect(await shown(lake, '--at', 'release')).toBe('first')
    expect(await shown(lake, '--at', second.lsn)).toBe('second')
    // What a tag pins may be pinned again, though the branch does not retain it any more.
    await json('tag', 'create', lake, 'again', '--at', 'release')
    expect(await json<{ deleted: number }>('lease', 'delete', lake, 'reader')).toEqual({ name: 'reader', deleted: 2 })
    await json('tag', 'delete', lake, 'release')
    await json<CollectReport>('gc', lake)
    expect(await shown(lake, '--at', 'again')).toBe('first')
    await refused(/^ltap: lake\.no-state: /, 'query', '--lake', lake, 'SELECT 1', '--at', second.lsn)
    expect(await json<CollectReport>('gc', lake)).toMatchObject({ dead: 0 })
    expect(await ltap(['verify', '--lake', lake])).toMatchObject({ code: 0 })

    await refused(/^ltap: lake\.name-taken: .* has tags of the name again already/, 'tag', 'create', lake, 'again')
    await refused(/^ltap: lake\.name: "A B" is no name/, 'tag', 'create', lake, 'A B')
    await refused(/^ltap: lake\.no-tag: branch main has no tag nothing/, 'tag', 'delete', lake, 'nothing')
  })
})

describe('branches', () => {
  test('a branch is made, listed, read by each verb, and deleted; its parent goes on', async () => {
    const lake = copied('branches')
    const [first, second] = states as [State, State]
    const store = await openObjectStore(lake)
    const objects = async (): Promise<string[]> => [...(await sizes(store)).keys()].filter((key) => !key.includes('/HEAD/'))
    const before = await objects()
    expect(await json<BranchSummary>('branch', 'create', lake, 'old', '--at', second.lsn)).toMatchObject({ name: 'old', parent: 'main', from: { lsn: second.lsn }, newest: { lsn: second.lsn }, states: 1 })
    expect(await objects()).toEqual(before)
    await json('branch', 'create', lake, 'older', '--from', 'old')
    expect(await json<BranchSummary[]>('branch', 'list', lake)).toMatchObject([
      { name: 'main', parent: null, states: 4 }, { name: 'old', parent: 'main', newest: { lsn: second.lsn } }, { name: 'older', parent: 'old' }])
    expect((await ltap(['branch', 'list', lake])).stdout).toMatch(/^main: at LSN .*, 4 states\nold: at LSN .*, 1 state, made from main at LSN .*\nolder: at /)

    expect(await shown(lake, '--branch', 'old')).toBe('second')
    await refused(/^ltap: lake\.no-state: /, 'query', '--lake', lake, 'SELECT 1', '--branch', 'old', '--at', first.lsn)
    expect(await ltap(['verify', '--lake', lake, '--branch', 'old'])).toMatchObject({ code: 0 })
    expect(await json<LakeSummary>('inspect', 'lake', lake, '--branch', 'old')).toMatchObject({ branch: 'old', materialized: second.lsn, branches: [{ name: 'older' }] })
    await json('tag', 'create', lake, 'mine', '--branch', 'old')
    expect(await shown(lake, '--branch', 'old', '--at', 'mine')).toBe('second')

    expect(await json<CollectReport>('gc', lake, '--keep', '0s')).toMatchObject({
      branches: [{ name: 'main', kept: 1, pinned: [{ kind: 'branch', name: 'old', lsn: second.lsn }] }, { name: 'old', kept: 1 }, { name: 'older' }],
    })
    expect(await shown(lake, '--branch', 'older')).toBe('second')
    await refused(/^ltap: lake\.branch-used: branch old has branches of its own \(older\): delete them first\n/, 'branch', 'delete', lake, 'old')
    for (const name of ['older', 'old']) await json('branch', 'delete', lake, name)
    expect((await json<CollectReport>('gc', lake)).dead).toBeGreaterThan(0)
    await refused(/^ltap: lake\.no-branch: /, 'query', '--lake', lake, 'SELECT 1', '--branch', 'old')
    expect(await shown(lake)).toBe('fourth')
    // The name is free again.
    await json('branch', 'create', lake, 'old')
    expect(await shown(lake, '--branch', 'old')).toBe('fourth')
    await refused(/^ltap: lake\.name-taken: /, 'branch', 'create', lake, 'old')
    await refused(/^ltap: lake\.name-taken: main is the branch that every lake has/, 'branch', 'create', lake, 'main')
    await refused(/^ltap: lake\.branch-used: branch main is the lake itself/, 'branch', 'delete', lake, 'main')
    await refused(/^ltap: lake\.no-branch: /, 'branch', 'delete', lake, 'none')
    await refused(/^ltap: lake\.no-branch: /, 'transcode', cluster.dataDir, '--lake', lake, '--branch', 'none')
  })

  test.skipIf(SCOPE === 'quick')('a restored server goes on in its branch; what does not fit a line is refused', async () => {
    const lake = join(folder, 'lines')
    const whole = async (pgdata: string, branch?: string): Promise<Ran> =>
      await ltap(['transcode', pgdata, '--lake', `file://${lake}`, ...(branch === undefined ? [] : ['--branch', branch]), '--workers', '1'])
    expect(await whole(cluster.dataDir)).toMatchObject({ code: 0 })
    const forked = await json<LakeSummary>('inspect', 'lake', lake)
    for (const name of ['one', 'two']) await json('branch', 'create', lake, name)
    const restored = async (name: string): Promise<string> => {
      const out = join(folder, name)
      const { code, stderr } = await ltap(['restore', '--lake', lake, '--branch', name, '--out', out, '--postgres', findPostgres(major)!.binDir])
      expect(code, stderr).toBe(0)
      return out
    }
    const goOn = async (server: PostgresServer, script: string): Promise<void> => {
      await (await connect(server)).script(script)
      await closeSessions(server)
      await server.stop('fast')
    }
    const [first, second] = [await restored('one'), await restored('two')]
    await withAdopted(first, (one) => withAdopted(second, async (two) => {
      for (const [name, server] of [['one', one], ['two', two]] as const) {
        await goOn(server, `UPDATE t SET v = '${name}' WHERE id = 1`)
        expect(await whole(server.dataDir, name)).toMatchObject({ code: 0 })
      }
      expect([await shown(lake, '--branch', 'one'), await shown(lake, '--branch', 'two'), await shown(lake)]).toEqual(['one', 'two', 'fourth'])
      expect(await ltap(['verify', one.dataDir, '--lake', lake, '--branch', 'one'])).toMatchObject({ code: 0 })
      expect(await json<BranchSummary[]>('branch', 'list', lake)).toMatchObject([
        { name: 'main', newest: { timeline: 1 } }, { name: 'one', from: { lsn: forked.materialized, timeline: 1 }, newest: { timeline: 2 }, states: 2 }, { name: 'two' }])
      // Both are on a timeline 2 that begins at one LSN, and are two servers.
      await two.start()
      await goOn(two, GROWS)
      const elsewhere = await whole(two.dataDir, 'one')
      expect(elsewhere.code).toBe(3)
      expect(elsewhere.stderr).toMatch(/^ltap: lake\.timeline: .* has the same number and another history: /)
      expect(await whole(two.dataDir, 'two')).toMatchObject({ code: 0 })
      // The parent goes on, past the point where they left it: neither line fits the other.
      await cluster.start()
      await goOn(cluster, 'INSERT INTO t SELECT 1 FROM generate_series(1, 100)')
      expect(await whole(cluster.dataDir)).toMatchObject({ code: 0 })
      const left = await whole(two.dataDir)
      expect(left.code).toBe(3)
      expect(left.stderr).toMatch(/^ltap: lake\.timeline: .* was left at LSN/)
      await cluster.start()
      await goOn(cluster, GROWS)
      const parent = await whole(cluster.dataDir, 'one')
      expect(parent.code).toBe(3)
      expect(parent.stderr).toMatch(/^ltap: lake\.timeline: .* is no ancestor of it: /)
      expect(await ltap(['verify', '--lake', lake])).toMatchObject({ code: 0 })
    }))
  })
})
