/**
 * A lake to which many runs gave small changes of catalogs, a sequence and a TOAST relation: its packs are merged, it says what a new lake says, and
 * everything reads it. A merge that takes an old page is found.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { reachAll } from '../../src/engine/collect.ts'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { readCatalog } from '../../src/engine/statecatalog.ts'
import { BranchWriter } from '../../src/engine/writer.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { collectLake } from '../../src/jobs/lakes/collectlake.ts'
import { FetchedObjects } from '../../src/jobs/lakes/fetchedobjects.ts'
import { openLayeredLake } from '../../src/jobs/lakes/openlake.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { PackWriter } from '../../src/jobs/materialize/packwriter.ts'
import { ByteBudget } from '../../src/jobs/merge/bytebudget.ts'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import { RelationMerger } from '../../src/jobs/merge/relationmerger.ts'
import { JobTasks } from '../../src/jobs/pool.ts'
import { queryLake } from '../../src/jobs/query/query.ts'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { lendStore } from '../../src/jobs/tasks/storereference.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import { isPacked } from '../../src/lake/layer.ts'
import { mergeLayers } from '../../src/lake/state/changes.ts'
import { packObjectKey } from '../../src/lake/state/names.ts'
import { parseRelation, type StateLayer } from '../../src/lake/state/relationlayers.ts'
import type { StateRelation } from '../../src/lake/staterelation.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { destroyHeapFiles, transcode } from '../support/lakes.ts'
import { layeredDifferences, readLayeredLake } from '../support/layeredlake.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'

const filter = { databases: ['postgres'], tables: [] }
const RUNS = 11

/** Packs that the newest state has pages in. */
function packsOf(relations: Iterable<{ relation: StateRelation }>): Set<string> {
  return new Set([...relations].flatMap(({ relation: { layers } }) => layers.flatMap(({ files }) => files.filter(isPacked).map(({ key }) => key))))
}

describe.each(fewerMajors('majors of merged packs'))('a lake of many runs, Postgres %i', (major) => {
  let folder: string
  let url: string
  let store: ObjectStore
  let cluster: PostgresServer

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ltap-packmerge-'))
    url = join(folder, 'lake')
    store = await openObjectStore(url)
    cluster = await createCluster(major, { settings: { autovacuum: 'off' } })
  })

  afterAll(async () => {
    await cluster.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  async function run(i: number, merge: boolean): Promise<void> {
    if (i > 0) await cluster.start()
    const session = await connect(cluster)
    if (i === 0) for (const sql of ['CREATE SEQUENCE counter', 'CREATE TABLE docs (id int, doc text)', 'ALTER TABLE docs ALTER doc SET STORAGE EXTERNAL']) await session.exec(sql)
    if (i === 0) await session.exec('CREATE TABLE large AS SELECT i, md5(i::text) FROM generate_series(1, 20000) i')
    await session.exec(`CREATE TABLE t${i} (a int DEFAULT ${i})`)
    await session.exec("SELECT nextval('counter')")
    await session.exec(`INSERT INTO docs VALUES (${i}, repeat('value ${i} ', 400))`)
    if (i % 4 === 3) await session.exec(`DELETE FROM docs WHERE id = ${i - 2}`)
    if (i % 5 === 4) await session.exec('VACUUM docs')
    await closeSessions(cluster)
    await cluster.stop('fast')
    await materializeLake({ pgdata: cluster.dataDir, store, workers: 0, filter, merge })
  }

  test('packs stay few, and the lake equals one that is new', async () => {
    let most = 0
    for (let i = 0; i < RUNS; i++) {
      await run(i, true)
      most = Math.max(most, packsOf((await readLayeredLake(store)).values()).size)
    }
    expect(most).toBeGreaterThan(2)
    // Without merges there would be one of each run.
    expect(most).toBeLessThan(7)
    const fresh = new MemoryObjectStore(systemClock)
    await materializeLake({ pgdata: cluster.dataDir, store: fresh, workers: 0, filter })
    const grown = await readLayeredLake(store)
    expect(layeredDifferences(grown, await readLayeredLake(fresh))).toEqual([])
    const sequence = [...grown.values()].find(({ name }) => name === 'public.counter')!
    expect(sequence.relation.layers.length).toBeLessThan(7)
  })

  test('a merge that takes an old page is found by verify and by a new lake (planted)', async () => {
    const bad = join(folder, 'bad')
    for (let i = RUNS; i < RUNS + 2; i++) await run(i, false)
    cpSync(url, bad, { recursive: true })
    const lake = await openLayeredLake(bad)
    const relation = [...(await readLayeredLake(await openObjectStore(bad))).values()].find(({ name }) => name === 'public.counter')!.relation
    expect(relation.layers.length).toBeGreaterThan(1)
    const writer = await BranchWriter.open(lake, 'main')
    const snapshot = Snapshot.of(lake, writer.head, writer.head.state)
    const catalog = await readCatalog(snapshot)
    const pool = new JobTasks(0)
    const work = writer.begin()
    const packs = new PackWriter(lake.ports.store, () => packObjectKey(work.name()), lake.compressor)
    const { reference, end } = lendStore(lake.ports.store, {})
    const objects = new FetchedObjects(lake.ports.store, {})
    const merger = new RelationMerger({
      lake, pool, snapshot, catalog, packs, reference, objects, budget: new ByteBudget(1 << 30), compression: 'zstd', codecs: [], mint: () => work.name(), onFile: () => {},
    })
    // Each layer has the sequence's only block: the one before the last counts here.
    const file = relation.layers.at(-2)!.files[0]!
    const output = await merger.merge(relation, { smallest: 0, length: 1, files: [{ file, current: file.blocks }] }) as StateLayer
    await packs.finish()
    const [value] = await snapshot.get([relation.entry])
    await writer.commit(mergeLayers([{ relation: relation.entry, inputs: parseRelation(value, relation.entry).layers, output }]), work)
    end()
    objects.close()
    const { equal, differences } = await verifyLake({ lake: bad, pgdata: cluster.dataDir, workers: 0 })
    expect(equal).toBe(false)
    expect(differences).toMatchObject([{ relation: 'postgres.public.counter', block: 0 }])
    const wrong = layeredDifferences(await readLayeredLake(await openObjectStore(bad)), await readLayeredLake(store))
    expect(wrong).toEqual(['public.counter block 0: the pages differ'])
  })

  test.each<[string, RegExp]>([
    ['a pack', /^ltap\/packs\//], ['a file of rows', /\.layer$/], ['a block index', /\.blocks$/], ['descriptions of tables, or files of the cluster', /^ltap\/parts\//],
  ])('%s that was cut off is named by gc, before any state goes, and by verify', async (_, kind) => {
    const bad = join(folder, 'cut')
    cpSync(url, bad, { recursive: true })
    const damaged = await openObjectStore(bad)
    const all = new Map<string, number>()
    for await (const { key, size } of damaged.list('')) if (kind.test(key)) all.set(key, size)
    const needed = new Set<string>()
    await reachAll(await openLayeredLake(bad), (key) => needed.add(key))
    const [key] = [...all].filter(([name]) => needed.has(name)).sort(([, a], [, b]) => b - a)[0]!
    const { bytes } = (await damaged.get(key))!
    await damaged.delete([key])
    await damaged.put(key, bytes.subarray(0, bytes.length - 20))
    const before: string[] = []
    for await (const { key: name } of damaged.list('')) before.push(name)
    await expect(collectLake({ lake: bad, keep: '0s' })).rejects.toThrow(new RegExp(`a state that stays refers to .*${key}.* No state was let go`))
    const after: string[] = []
    for await (const { key: name } of damaged.list('')) after.push(name)
    expect(after).toEqual(before)
    const { differences } = await verifyLake({ lake: bad, workers: 0 })
    expect(differences.some(({ file, reason }) => file === key || reason.includes(key)), JSON.stringify(differences)).toBe(true)
    rmSync(bad, { recursive: true })
  })

  test('ltap merge --all leaves one pack, which everything reads', async () => {
    const before = await readLayeredLake(store)
    const merged = await mergeLake({ lake: url, all: true, workers: 0 })
    expect(merged).toMatchObject({ left: [], packs: 1 })
    const after = await readLayeredLake(store)
    expect(layeredDifferences(before, after)).toEqual([])
    expect(packsOf(after.values()).size).toBe(1)
    for (const { relation: { layers } } of after.values()) expect(layers.length).toBe(1)
    expect(await mergeLake({ lake: url, all: true, workers: 0 })).toMatchObject({ relations: 0, packs: 0 })
    await collectLake({ lake: url, keep: '0s' })
    const keys: string[] = []
    for await (const { key } of store.list('ltap/packs/')) keys.push(key)
    expect(keys).toEqual([...packsOf(after.values())])

    expect(await verifyLake({ lake: url, pgdata: cluster.dataDir, workers: 0 })).toMatchObject({ equal: true, differences: [] })
    expect(await verifyLake({ lake: url, workers: 0 })).toMatchObject({ equal: true, differences: [], store: { orphans: { objects: 0 } } })
    let text = ''
    await queryLake({ lake: url, sql: 'SELECT count(*) AS n, max(length(doc)) AS doc FROM docs', format: 'json', database: 'postgres' }, async (piece) => void (text += piece))
    expect(JSON.parse(text)).toEqual([{ n: String(RUNS + 2 - 3), doc: String(400 * 'value 12 '.length) }])
    const copy = join(folder, 'copy')
    cpSync(cluster.dataDir, copy, { recursive: true })
    const proof = join(folder, 'proof')
    destroyHeapFiles(copy, await transcode(copy, proof, { filter }))
    await rebuildLake({ lake: url, pgdata: copy, workers: 0 })
    expect((await verifyLake({ lake: proof, pgdata: copy, workers: 0 })).differences).toEqual([])
  })
})
