/** plan | work | commit: what several workers make in any order is what one process makes. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { commitJob, type CommitReport } from '../../src/jobs/scaleout/commitjob.ts'
import { planLake } from '../../src/jobs/scaleout/planlake.ts'
import { workUnits } from '../../src/jobs/scaleout/workunits.ts'
import { unitLine } from '../../src/lake/job/unit.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { layeredDifferences, readLayeredLake } from '../support/layeredlake.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'
import { stateEntries } from '../support/stateentries.ts'

const [major] = fewerMajors('scale-out') as [number]
const filter = { databases: ['postgres'], tables: [] }
let folder: string
let cluster: PostgresServer

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-scaleout-'))
  cluster = await createCluster(major)
  await (await connect(cluster)).script(`
    CREATE TABLE t (id int, v text, day date);
    INSERT INTO t SELECT i, repeat(md5(i::text), 20), '2026-01-01' FROM generate_series(1, 60000) i;
    UPDATE t SET day = 'infinity' WHERE id = 59999;
    CREATE TABLE docs (id int, doc text); ALTER TABLE docs ALTER doc SET STORAGE EXTERNAL;
    INSERT INTO docs SELECT i, repeat(md5(i::text), 300) FROM generate_series(1, 200) i;
    CREATE TABLE gone AS SELECT 1 AS one; CREATE SEQUENCE s; DELETE FROM docs WHERE id % 7 = 0`)
  await stop()
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

async function stop(): Promise<void> {
  await closeSessions(cluster)
  await cluster.stop('fast')
}

async function plan(store: ObjectStore): Promise<string[]> {
  const { units } = await planLake({ pgdata: cluster.dataDir, store, workers: 0, filter })
  return units.map(unitLine)
}

async function work(store: ObjectStore, lines: readonly string[]): Promise<string[]> {
  const results: string[] = []
  await workUnits({ lines, emit: (line) => void results.push(line), openStore: async () => store, workers: 0 })
  return results
}

async function commit(store: ObjectStore, lines: readonly string[]): Promise<CommitReport> {
  return await commitJob({ lines, openStore: async () => store })
}

/** Two workers, until nothing is left to do. */
async function workAll(store: ObjectStore, units: readonly string[]): Promise<CommitReport> {
  const [odd, even] = await Promise.all([0, 1].map((rest) => work(store, units.filter((_, i) => i % 2 === rest))))
  let results = [...even!, ...odd!].reverse()
  for (;;) {
    const report = await commit(store, results)
    if (report.done !== 'no') return report
    results = [...results, ...await work(store, report.units.map(unitLine))]
  }
}

test('a new lake, and what changed since: equal to one process', async () => {
  const shared = new MemoryObjectStore(systemClock)
  const alone = new MemoryObjectStore(systemClock)
  const units = await plan(shared)
  expect(units.length).toBeGreaterThanOrEqual(2)
  expect(Math.max(...units.map((line) => line.length))).toBeLessThan(2000)
  const first = await workAll(shared, units)
  expect(first).toMatchObject({ done: 'committed', from: null })
  const single = await materializeLake({ pgdata: cluster.dataDir, store: alone, workers: 0, filter })
  if (first.done !== 'committed') return
  // Each unit has a pack of its own, with a directory.
  const { bytes, ...counts } = first.counts
  expect(single).toMatchObject(counts)
  expect(Math.abs(bytes - single.bytes)).toBeLessThan(single.bytes / 100)
  expect(await stateEntries(shared)).toEqual(await stateEntries(alone))
  expect(layeredDifferences(await readLayeredLake(shared), await readLayeredLake(alone))).toEqual([])
  expect(await plan(shared)).toEqual([])

  await cluster.start()
  await (await connect(cluster)).script("UPDATE t SET v = 'new' WHERE id % 5000 = 5; DROP TABLE gone; CREATE TABLE later AS SELECT 2 AS two; SELECT nextval('s')")
  await stop()
  const next = await workAll(shared, await plan(shared))
  expect(next).toMatchObject({ done: 'committed' })
  await materializeLake({ pgdata: cluster.dataDir, store: alone, workers: 0, filter })
  expect(await stateEntries(shared)).toEqual(await stateEntries(alone))
  expect(layeredDifferences(await readLayeredLake(shared), await readLayeredLake(alone))).toEqual([])
})
