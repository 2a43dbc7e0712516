/** How a lake is published: a run that is killed before readers see its snapshots, a lake that is moved, files of others, tables and formats that go and come. */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { createLakeBranch } from '../../src/jobs/lakes/branches.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import { publishLake } from '../../src/jobs/publish/publishlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { CopiedStates } from '../support/copiedstates.ts'
import { failing } from '../support/failingstore.ts'
import { icebergMetadata, icebergRows, publishedFolders } from '../support/icebergtable.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'

const [major] = fewerMajors('majors of publishing') as [number]
const filter = { databases: ['postgres'], tables: [] }

let states: CopiedStates
let folder: string
/** Copies of the data directory, in their order. */
let copies: readonly string[]

beforeAll(async () => {
  states = await CopiedStates.make(major, [
    "CREATE TABLE a (id int, t text); INSERT INTO a SELECT i, 'one' FROM generate_series(1, 500) i; CREATE TABLE b (id int); INSERT INTO b VALUES (1), (2)",
    "UPDATE a SET t = 'two' WHERE id < 10; ALTER TABLE a RENAME TO renamed; DROP TABLE b; CREATE TABLE c (id int); INSERT INTO c VALUES (3)",
  ]);
  ({ folder, copies } = states)
})

afterAll(() => states.remove())

function transcode(lake: string, copy: number, change?: (store: ObjectStore) => ObjectStore): ReturnType<typeof materializeLake> {
  return states.transcode(lake, copy, {}, change)
}

function tables(lake: string): string[] {
  return [...publishedFolders(join(folder, lake)).keys()].sort()
}

async function rows(lake: string, table: string): Promise<string[]> {
  return await icebergRows(icebergMetadata(publishedFolders(join(folder, lake)).get(table)!))
}

test('a run that is killed behind the commit of the lake is completed by the next one, whichever that is', async () => {
  for (const [i, pattern] of [/v1\.metadata\.json$/, /_delta_log\/0{20}\.json$/, /version-hint/, /published\.json$/].entries()) {
    const lake = `killed${i}`
    await expect(transcode(lake, 0, failing(pattern))).rejects.toThrow('killed')
    const { committed, published, publishProblem } = await transcode(lake, 0)
    expect({ committed, left: published.left, publishProblem }, String(pattern)).toEqual({ committed: false, left: [], publishProblem: null })
    expect(tables(lake)).toEqual(['public.a', 'public.b'])
    expect(await rows(lake, 'public.a')).toHaveLength(500)
    expect(readdirSync(join(publishedFolders(join(folder, lake)).get('public.a')!, '_delta_log'))).toEqual(['00000000000000000000.json'])
    expect((await verifyLake({ lake: join(folder, lake), workers: 0 })).differences).toEqual([])
  }
})

test('tables that change, are renamed, come and go; the lake is moved; formats are given up and come back', async () => {
  const lake = join(folder, 'life')
  expect((await transcode('life', 0)).published).toMatchObject({ tables: 2, unchanged: 0, gone: 0, left: [] })
  const before = publishedFolders(lake)
  const { 'table-uuid': uuid } = icebergMetadata(before.get('public.a')!)
  expect((await transcode('life', 1)).published).toMatchObject({ tables: 2, unchanged: 0, gone: 1, left: [] })
  const after = publishedFolders(lake)
  expect([...after.keys()].sort()).toEqual(['public.c', 'public.renamed'])
  expect(after.get('public.renamed')).toBe(before.get('public.a'))
  expect(icebergMetadata(after.get('public.renamed')!)['table-uuid']).toBe(uuid)
  expect((await rows('life', 'public.renamed')).filter((row) => row.includes('two'))).toHaveLength(9)
  // Its new files are below the same folder, where Delta looks for them.
  const log = readFileSync(join(after.get('public.renamed')!, '_delta_log/00000000000000000001.json'), 'utf8')
  expect(log).not.toContain('file:')
  const { published: merged } = await mergeLake({ lake, all: true, workers: 0 })
  expect(merged).toMatchObject({ left: [] })
  const { snapshots } = icebergMetadata(after.get('public.renamed')!)
  expect(snapshots.at(-1)!.summary['operation']).toBe('replace')
  expect(await rows('life', 'public.renamed')).toHaveLength(500)

  renameSync(lake, join(folder, 'moved'))
  expect(await publishLake({ lake: join(folder, 'moved') })).toMatchObject({ tables: 2, left: [] })
  expect(await rows('moved', 'public.renamed')).toHaveLength(500)
  expect(await publishLake({ lake: join(folder, 'moved') })).toMatchObject({ tables: 0, unchanged: 2 })

  const table = publishedFolders(join(folder, 'moved')).get('public.c')!
  expect(await publishLake({ lake: join(folder, 'moved'), formats: ['iceberg'] })).toMatchObject({ left: [] })
  expect(readdirSync(join(table, '_delta_log'))).toEqual([])
  expect(await publishLake({ lake: join(folder, 'moved'), formats: [] })).toMatchObject({ gone: 2 })
  expect(tables('moved')).toEqual([])
  expect(await publishLake({ lake: join(folder, 'moved'), formats: ['iceberg', 'delta'], icebergVersion: 3 })).toMatchObject({ tables: 2, left: [] })
  expect(icebergMetadata(table)['format-version']).toBe(3)
  expect(await rows('moved', 'public.renamed')).toHaveLength(500)
  expect((await verifyLake({ lake: join(folder, 'moved'), workers: 0 })).differences).toEqual([])
})

test('a snapshot that another program wrote is not replaced, and named; the state is in the lake', async () => {
  await transcode('foreign', 0)
  const table = publishedFolders(join(folder, 'foreign')).get('public.a')!
  writeFileSync(join(table, 'metadata/v2.metadata.json'), '{}')
  const report = await transcode('foreign', 1)
  expect(report.committed).toBe(true)
  expect(report.publishProblem).toBeNull()
  expect(report.published.left).toEqual([{
    table: expect.stringMatching(/public\.a-\d+$/) as unknown,
    reason: expect.stringMatching(/v2\.metadata\.json is there already, and it is not what ltap wrote: another program wrote to this table/) as unknown,
  }])
  // The other tables are published, and this one waits, for as long as it takes.
  expect(tables('foreign')).toContain('public.c')
  expect((await publishLake({ lake: join(folder, 'foreign') })).left).toHaveLength(1)
  expect(readFileSync(join(table, 'metadata/v2.metadata.json'), 'utf8')).toBe('{}')
  rmSync(join(table, 'metadata/v2.metadata.json'))
  expect((await publishLake({ lake: join(folder, 'foreign') })).left).toEqual([])
  expect(await rows('foreign', 'public.renamed')).toHaveLength(500)
})

test('a branch has tables of its own, over the same files; those of main stay as they are', async () => {
  const lake = join(folder, 'branched')
  await transcode('branched', 0)
  const main = publishedFolders(lake)
  const versions = [...main.values()].map((table) => readFileSync(join(table, 'metadata/version-hint.text'), 'utf8'))
  await createLakeBranch({ lake, name: 'trial', at: 'newest' })
  const { published } = await materializeLake({ pgdata: copies[1]!, store: await openObjectStore(lake), workers: 0, filter, branch: 'trial' })
  expect(published).toMatchObject({ tables: 2, gone: 0, left: [] })
  // Tables that are in packs when the branch is published first do not become those of main.
  await createLakeBranch({ lake, name: 'packed' })
  await materializeLake({ pgdata: copies[1]!, store: await openObjectStore(lake), workers: 0, filter, branch: 'packed', packing: { below: 1000 } })
  await publishLake({ lake, branch: 'packed' })
  expect([...main.values()].map((table) => readFileSync(join(table, 'metadata/version-hint.text'), 'utf8'))).toEqual(versions)
  const branch = join(lake, 'branches/trial')
  const tables = publishedFolders(branch)
  expect([...tables.keys()].sort()).toEqual(['public.c', 'public.renamed'])
  expect((await icebergRows(icebergMetadata(tables.get('public.renamed')!))).filter((row) => row.includes('two'))).toHaveLength(9)
  expect((await icebergRows(icebergMetadata(main.get('public.a')!))).filter((row) => row.includes('two'))).toHaveLength(0)
  const uuids = [main.get('public.a')!, tables.get('public.renamed')!].map((table) => icebergMetadata(table)['table-uuid'])
  expect(uuids[0]).not.toBe(uuids[1])
  expect((await verifyLake({ lake, workers: 0 })).differences).toEqual([])
})

test('a table that goes into packs is no longer found; a part that was not read leaves its parent as it was', async () => {
  const lake = join(folder, 'packing')
  await transcode('packing', 0)
  const { published } = await materializeLake({ pgdata: copies[1]!, store: await openObjectStore(lake), workers: 0, filter, packing: { below: 1000 } })
  expect(published).toMatchObject({ packed: 2, left: [] })
  expect(tables('packing')).toEqual([])
  expect(await publishLake({ lake, formats: ['iceberg'], icebergVersion: 3 })).toMatchObject({ packed: 2 })
  await expect(publishLake({ lake, icebergVersion: 2 })).rejects.toThrow('no way back to 2')
})

test('a killed withdrawal is done once more; a lake in a folder with a blank is read', async () => {
  await transcode('with a blank', 0)
  await expect(transcode('with a blank', 1, failing(/never/, { listed: /metadata/ }))).rejects.toThrow('killed')
  await transcode('with a blank', 1)
  expect(tables('with a blank')).toEqual(['public.c', 'public.renamed'])
  expect(icebergMetadata(publishedFolders(join(folder, 'with a blank')).get('public.c')!)).toHaveProperty('location', expect.stringContaining('/with a blank/') as unknown)
})

test('snapshots that are no longer listed take their metadata files with them', async () => {
  await transcode('window', 0)
  await transcode('window', 1)
  const lake = join(folder, 'window')
  const table = publishedFolders(lake).get('public.renamed')!
  expect(icebergMetadata(table).snapshots).toHaveLength(2)
  expect(await publishLake({ lake, window: { snapshots: 1 } })).toMatchObject({ left: [] })
  expect(icebergMetadata(table).snapshots).toHaveLength(1)
  expect(existsSync(join(table, 'metadata/v1.metadata.json'))).toBe(false)
  expect(await rows('window', 'public.renamed')).toHaveLength(500)
})

test('a database that is a copy of another one, under its old name, has folders of its own', async () => {
  const server = await createCluster(major, { settings: { autovacuum: 'off' } })
  const lake = join(folder, 'copied')
  try {
    const state = async (): Promise<void> => {
      await closeSessions(server)
      await server.stop('fast')
      const { published } = await materializeLake({ pgdata: server.dataDir, store: await openObjectStore(lake), workers: 0 })
      expect(published.left).toEqual([])
      await server.start()
    }
    await (await connect(server)).exec('CREATE DATABASE shop')
    await (await connect(server, 'shop')).script("CREATE TABLE orders (id int, t text); INSERT INTO orders SELECT i, 'first' FROM generate_series(1, 100) i")
    await state()
    const sql = await connect(server)
    await sql.exec('ALTER DATABASE shop RENAME TO shop_old')
    await sql.exec('CREATE DATABASE shop TEMPLATE shop_old')
    await (await connect(server, 'shop')).exec('DELETE FROM orders WHERE id > 49')
    await state()
    await (await connect(server, 'shop_old')).exec("UPDATE orders SET t = 'later' WHERE id = 1")
    await state()
    const found = readdirSync(lake, { recursive: true, encoding: 'utf8' }).filter((name) => /^shop.*version-hint\.text$/.test(name)).map((name) => join(lake, name, '../..'))
    const counts = await Promise.all(found.map(async (table) => (await icebergRows(icebergMetadata(table))).length))
    expect(counts.sort((a, b) => a - b)).toEqual([49, 100])
  } finally {
    await closeSessions(server)
    await server.remove()
  }
})
