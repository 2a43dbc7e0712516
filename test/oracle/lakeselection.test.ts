/** What of a cluster the states of a lake take: what its first one took, and no relation leaves it because of a filter. Sources that are refused fence nobody. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Lake } from '../../src/engine/lake.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { BranchWriter } from '../../src/engine/writer.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { materializeInto } from '../../src/jobs/materialize/materializeinto.ts'
import { materializeLake, type MaterializeReport } from '../../src/jobs/materialize/materializelake.ts'
import type { MaterializeLakeOptions } from '../../src/jobs/materialize/materializeoptions.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { heapFile, whilePage } from '../support/badinput.ts'
import { layeredDifferences, readLayeredLake } from '../support/layeredlake.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'

const [major] = fewerMajors('what the states of a lake take') as [number]
const ONE = { databases: ['shop'], tables: ['public.t', 'public.p'] }
const BY_LATER_NAME = { databases: ['store'], tables: [] }
const LESS = { databases: ['shop'], tables: [], exclude: ['public.u', 'pg_catalog.*', 'information_schema.*'] }

let folder: string
let cluster: PostgresServer
/** The cluster as it was: the first, then with other names, then once more. */
const sources: string[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-selection-'))
  cluster = await createCluster(major)
  await (await connect(cluster)).script('CREATE DATABASE shop')
  const sql = await connect(cluster, 'shop')
  await sql.script(`CREATE TABLE t AS SELECT generate_series(1, 1000) AS i; CREATE TABLE u AS SELECT 1 AS i; CREATE TABLE w AS SELECT 2 AS i;
    CREATE TABLE p (i int) PARTITION BY RANGE (i)`)
  await keep()
  const renamed = await connect(cluster, 'shop')
  // t, p and w get names that the filters do not have, or leave out.
  await renamed.script(`ALTER TABLE t RENAME TO other; ALTER TABLE u RENAME TO left_out; ALTER TABLE w RENAME TO u; ALTER TABLE p RENAME TO q;
    CREATE TABLE t AS SELECT 3 AS i`)
  await closeSessions(cluster)
  await (await connect(cluster, 'postgres')).exec('ALTER DATABASE shop RENAME TO store')
  await keep()
  await (await connect(cluster, 'store')).script('DROP TABLE other; DROP TABLE t')
  await keep()
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

async function keep(): Promise<void> {
  await closeSessions(cluster)
  await cluster.stop('fast')
  const copy = join(folder, `source${sources.length}`)
  cpSync(cluster.dataDir, copy, { recursive: true })
  sources.push(copy)
  await cluster.start()
}

const write = (store: MemoryObjectStore, source: number, more: Partial<MaterializeLakeOptions> = {}): Promise<MaterializeReport> =>
  materializeLake({ pgdata: sources[source]!, store, workers: 0, ...more })

/** Names of the tables of users. */
async function tables(store: MemoryObjectStore): Promise<string[]> {
  return [...(await readLayeredLake(store)).values()].map(({ name }) => name).filter((name) => name.startsWith('public.')).sort()
}

test('a further state takes what the first one took, under any name, and another filter is refused', async () => {
  const store = new MemoryObjectStore(systemClock)
  const notices: string[] = []
  const onNotice = (text: string): void => void notices.push(text)
  await write(store, 0, { filter: ONE, onNotice })
  expect(await tables(store)).toEqual(['public.t'])
  const before = await readLayeredLake(store)
  const others = [{ databases: ['store'], tables: [] }, { databases: [], tables: ['public.t'] }, { ...ONE, exclude: ['public.u'] }, { ...ONE, excludeSecrets: true }, LESS]
  for (const filter of others) {
    await expect(write(store, 1, { filter })).rejects.toMatchObject({ code: 'lake.selection', reason: expect.stringContaining(
      'takes --database shop --table public.p --table public.t in each of its states, and this run was given --') as string })
  }
  expect(layeredDifferences(await readLayeredLake(store), before)).toEqual([])

  expect(await write(store, 1, { onNotice })).toMatchObject({ committed: true, gone: 0, notRead: [] })
  expect(notices).toEqual(['the lake in memory: takes what it took when it was made: --database shop --table public.p --table public.t'])
  expect(await tables(store)).toEqual(['public.other', 'public.t'])
  // The same filter in another order is the same one; what was dropped goes.
  expect(await write(store, 2, { filter: { databases: ['shop'], tables: ['public.p', 'public.t', 'public.p'] }, onNotice })).toMatchObject({ gone: 2 })
  expect(notices).toHaveLength(1)
  expect(await tables(store)).toEqual([])
})

test('a table that gets a name that is excluded stays', async () => {
  const store = new MemoryObjectStore(systemClock)
  await write(store, 0, { filter: LESS })
  expect(await tables(store)).toEqual(['public.t', 'public.w'])
  expect(await write(store, 1)).toMatchObject({ committed: true, gone: 0 })
  expect(await tables(store)).toEqual(['public.left_out', 'public.other', 'public.t', 'public.u'])
})

test('a filter for a lake of the whole cluster, and another profile, are refused', async () => {
  const store = new MemoryObjectStore(systemClock)
  await write(store, 0)
  await expect(write(store, 1, { filter: ONE })).rejects.toMatchObject({ code: 'lake.selection', reason: expect.stringContaining('takes the whole cluster in each') as string })
  await expect(write(store, 1, { profile: 'iceberg' })).rejects.toMatchObject({ code: 'lake.profile' })
  expect(await write(store, 1, { profile: 'portable' })).toMatchObject({ committed: true })
})

/** Does something else in the middle of a job, once. */
class DisturbedStore extends MemoryObjectStore {
  disturb: { at: (kind: string, key: string) => boolean; by: () => Promise<unknown> } | undefined

  private async pass(kind: string, key: string): Promise<void> {
    if (this.disturb?.at(kind, key) !== true) return
    const { by } = this.disturb
    this.disturb = undefined
    await by()
  }

  override async get(...args: Parameters<MemoryObjectStore['get']>): ReturnType<MemoryObjectStore['get']> {
    const found = await super.get(...args)
    await this.pass('get', args[0])
    return found
  }

  override async put(...args: Parameters<MemoryObjectStore['put']>): ReturnType<MemoryObjectStore['put']> {
    await this.pass('put', args[0])
    return await super.put(...args)
  }
}

/** Objects that a run puts before its commit. */
const isData = (kind: string, key: string): boolean => kind === 'put' && key.startsWith('ltap/parts/')

test('a run that is refused does not fence the writer that works', async () => {
  const refused: string[] = []
  const refusal = async (job: Promise<unknown>): Promise<void> => void refused.push(await job.then(() => 'done', ({ code }: { code: string }) => code))
  const work = new DisturbedStore(systemClock)
  await write(work, 1, { filter: BY_LATER_NAME })
  work.disturb = { at: isData, by: async () => {
    await refusal(write(work, 0))
    await refusal(write(work, 2, { filter: ONE }))
    await refusal(write(work, 2, { profile: 'iceberg' }))
  } }
  expect(await write(work, 2)).toMatchObject({ committed: true })
  expect(refused).toEqual(['lake.other-lsn', 'lake.selection', 'lake.profile'])
  // The planted fault: one that opens the lake for writing first.
  const planted = new DisturbedStore(systemClock)
  await write(planted, 0, { filter: LESS })
  planted.disturb = { at: isData, by: async () => BranchWriter.open(await Lake.open({ store: planted, clock: systemClock, random: systemRandom }), 'main') }
  await expect(write(planted, 1)).rejects.toMatchObject({ code: 'commit.fenced' })
})

test('what another writer committed between the first look and the epoch is looked at, too', async () => {
  const store = new DisturbedStore(systemClock)
  await write(store, 0, { filter: LESS })
  // The older source was newer than the lake when it looked.
  store.disturb = { at: (kind, key) => kind === 'get' && key.endsWith('/HEAD'), by: () => write(store, 2) }
  await expect(write(store, 1)).rejects.toMatchObject({ code: 'lake.other-lsn' })
  const fresh = new MemoryObjectStore(systemClock)
  await write(fresh, 0, { filter: LESS })
  await write(fresh, 2)
  expect(layeredDifferences(await readLayeredLake(store), await readLayeredLake(fresh))).toEqual([])
  // The same state twice: the second one has nothing to do.
  const same = new DisturbedStore(systemClock)
  await write(same, 0, { filter: LESS })
  same.disturb = { at: (kind, key) => kind === 'get' && key.endsWith('/HEAD'), by: () => write(same, 1) }
  expect(await write(same, 1)).toMatchObject({ committed: false })
})

test('a lake inside the files that are read, or around them, is refused, and nothing is written', async () => {
  const pgdata = join(folder, 'nested/data')
  cpSync(sources[0]!, pgdata, { recursive: true })
  const place = join(folder, 'place')
  mkdirSync(place)
  symlinkSync(place, join(pgdata, 'pg_tblspc/99999'))
  const places = [join(pgdata, 'lake'), `file://${pgdata}/base/lake`, join(place, 'lake'), `file://${place}/a/b`, join(folder, 'nested')]
  for (const lake of places) {
    await expect(materializeInto({ pgdata, lake, workers: 0, filter: ONE }), lake).rejects.toMatchObject({ code: 'path.inside' })
    // What a replay made is read from a backup: that is read, too.
    await expect(materializeInto({ pgdata: sources[1]!, source: pgdata, lake, workers: 0 }), lake).rejects.toMatchObject({ code: 'path.inside' })
  }
  expect([readdirSync(place), existsSync(join(pgdata, 'lake')), existsSync(join(pgdata, 'base/lake')), readdirSync(join(folder, 'nested'))]).toEqual([[], false, false, ['data']])
})

test('a job that fails leaves the objects of a lake in a folder as they were, and two jobs do not write there at once', async () => {
  const lake = join(folder, 'written')
  const into = (pgdata: string): Promise<MaterializeReport> => materializeInto({ pgdata, lake, workers: 0, compression: 'none' })
  const objects = (): string[] => readdirSync(lake, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name)).filter((path) => !path.includes('/branches/')).sort()
  const first = into(sources[0]!)
  await expect(into(sources[0]!)).rejects.toMatchObject({ code: 'folder.locked' })
  expect(await first).toMatchObject({ committed: true, from: null })
  const before = objects()
  const damaged = join(folder, 'damaged')
  cpSync(sources[1]!, damaged, { recursive: true })
  // The smallest heap of users: others are written before it.
  await whilePage(heapFile(damaged, 'store', 'public.t'), 0, (page) => page.fill(0xff, 12, 18), async () => {
    await expect(into(damaged)).rejects.toMatchObject({ name: 'CorruptionError' })
    expect(objects()).toEqual(before)
  })
  expect(await into(damaged)).toMatchObject({ committed: true, gone: 0 })
  expect(objects().length).toBeGreaterThan(before.length)
})
