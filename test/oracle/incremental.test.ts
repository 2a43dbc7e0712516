/**
 * A lake of layers that grew round by round equals a lake that is made of the same data directory at once: pages, visible rows, names, lengths. The
 * workload changes tables in every way, also without WAL (hint bits), and lets rows become visible without their page changing (prepared transactions).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Lake } from '../../src/engine/lake.ts'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { isPacked, type LayerFile } from '../../src/lake/layer.ts'
import { MAIN_BRANCH } from '../../src/lake/state/names.ts'
import { retainedStates } from '../../src/lake/state/registrations.ts'
import { layeredDifferences, type LayeredRelation, readLayeredLake } from '../support/layeredlake.ts'
import { closeSessions, connect, majors, type Session, withCluster } from '../support/oracle.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount, drawn } from '../support/scope.ts'

const ROUNDS = amount({ quick: 5, sample: 12, all: 30 })
const SETTINGS = { max_prepared_transactions: '5', autovacuum: 'off' }

const SETUP = `
  CREATE TABLE plain (id int, v int, t text);
  CREATE TABLE wide (id int, doc text);
  ALTER TABLE wide ALTER doc SET STORAGE EXTERNAL;
  CREATE UNLOGGED TABLE fleeting (id int);
  CREATE SEQUENCE counter;
  CREATE TYPE mood AS ENUM ('sad', 'happy');
  CREATE TABLE feelings (m mood);
  CREATE TABLE deeds (id int, t text);
  CREATE TABLE parent (id int, day int) PARTITION BY RANGE (day);
  CREATE TABLE parent_1 PARTITION OF parent FOR VALUES FROM (0) TO (100);
  INSERT INTO plain SELECT i, i, repeat('x', 100) FROM generate_series(1, 20000) i;
  INSERT INTO wide SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 100) i;
  INSERT INTO fleeting SELECT generate_series(1, 500); INSERT INTO feelings SELECT 'sad' FROM generate_series(1, 100); INSERT INTO deeds SELECT generate_series(1, 400);
  INSERT INTO parent SELECT i, i % 100 FROM generate_series(1, 1000) i`

/** One database: the others do not change. */
const filter = { databases: ['postgres'], tables: [] }

/** No other statement waits for the locks on its table. */
function prepare(sql: Session, random: Random, round: number): Promise<unknown> {
  const gid = `p${round}_${random.int(1e9)}`
  return sql.script(`BEGIN; INSERT INTO deeds SELECT ${round}, 'prepared' FROM generate_series(1, 200);
    DELETE FROM deeds WHERE ctid IN (SELECT ctid FROM deeds WHERE xmax = 0 LIMIT 3 OFFSET ${random.int(300)}); PREPARE TRANSACTION '${gid}'`)
}

/** What a round may do. */
const STEPS: readonly ((sql: Session, random: Random, round: number) => Promise<unknown>)[] = [
  (sql, random) => sql.exec(`INSERT INTO plain SELECT i, i, repeat('y', 100) FROM generate_series(1, ${1 + random.int(500)}) i`),
  (sql, random) => sql.exec(`UPDATE plain SET v = v + 1 WHERE id = ${random.int(20000)}`),
  (sql, random) => sql.exec(`DELETE FROM plain WHERE id % 97 = ${random.int(97)}`),
  (sql) => sql.script('BEGIN; UPDATE plain SET v = -1 WHERE id < 300; ROLLBACK'),
  (sql) => sql.exec('SELECT count(*) FROM plain'),
  (sql) => sql.exec('VACUUM plain'),
  (sql) => sql.exec('VACUUM (FREEZE) plain'),
  (sql) => sql.exec('VACUUM FULL wide'),
  (sql) => sql.script('TRUNCATE fleeting; INSERT INTO fleeting SELECT generate_series(1, 700)'),
  (sql) => sql.exec('DELETE FROM plain WHERE id > 15000'),
  (sql, random) => sql.exec(`INSERT INTO wide SELECT i, repeat(md5(i::text), 300) FROM generate_series(1, ${1 + random.int(50)}) i`),
  (sql) => sql.exec("SELECT nextval('counter')"),
  (sql, _, round) => sql.script(`ALTER TABLE plain ADD COLUMN c${round} int DEFAULT ${round}; INSERT INTO plain (id) SELECT generate_series(1, 10)`),
  (sql, _, round) => sql.script(`ALTER TABLE plain ADD COLUMN d${round} text; UPDATE plain SET d${round} = 'x' WHERE id < 50`),
  (sql, _, round) => sql.script(`ALTER TABLE wide ADD COLUMN gone${round} int; ALTER TABLE wide DROP COLUMN gone${round}; ALTER TABLE wide RENAME TO wider; ALTER TABLE wider RENAME TO wide`),
  (sql, _, round) => sql.exec(`ALTER TYPE mood ADD VALUE 'm${round}'`),
  (sql, _, round) => sql.script(`CREATE TABLE new${round} AS SELECT generate_series(1, 300) AS i`),
  (sql, _, round) => sql.script(`DROP TABLE IF EXISTS new${round - 1}`),
  (sql, random) => sql.exec(`ALTER TABLE parent ALTER id TYPE ${random.pick(['bigint', 'int'])}`),
  (sql) => sql.exec('SELECT * FROM wide WHERE id = 1 FOR UPDATE'),
  (sql) => sql.exec('SELECT count(*) FROM deeds'),
  prepare,
  prepare,
]

/** No step twice: what it makes in a round is there then. */
function fourOf<T>(steps: readonly T[], random: Random): T[] {
  const left = [...steps]
  return Array.from({ length: 4 }, () => left.splice(random.int(left.length), 1)[0]!)
}

/** Those of earlier rounds end, in one way or the other: rows of pages that nobody touches become visible, or stay hidden. */
async function endPrepared(sql: Session, random: Random): Promise<void> {
  for (const [gid] of await sql.rows('SELECT gid FROM pg_prepared_xacts')) {
    if (random.chance(60)) await sql.exec(`${random.chance(60) ? 'COMMIT' : 'ROLLBACK'} PREPARED '${gid}'`)
  }
}

/** Merges layers: neither the newest state nor an earlier one says anything else than before. */
async function checkMerge(
  folder: string, store: ObjectStore, before: Map<string, LayeredRelation>, random: Random,
): Promise<{ after: Map<string, LayeredRelation>; layers: number }> {
  const lake = await Lake.open({ store, clock: systemClock, random: systemRandom })
  const states = (await lake.runHead(MAIN_BRANCH, retainedStates)).filter(({ sequence }) => sequence > 0)
  const { sequence } = random.pick(states)
  const older = await readLayeredLake(store, { sequence })
  const all = random.chance(50)
  const merged = await mergeLake({ lake: folder, all, workers: 0 })
  expect(merged.left).toEqual([])
  const after = await readLayeredLake(store)
  expect(layeredDifferences(before, after)).toEqual([])
  expect(layeredDifferences(older, await readLayeredLake(store, { sequence }))).toEqual([])
  const isPackedIn = ({ files }: { files: readonly LayerFile[] }): boolean => files.some(isPacked)
  if (all) for (const { relation: { layers } } of after.values()) if (!layers.some(isPackedIn)) expect(layers.length).toBe(1)
  return { after, layers: merged.layersBefore }
}

describe.each(drawn(majors(), 1, 'majors of incremental lakes'))('Postgres %i', (major) => {
  test(`a lake that grew equals one that is new, over ${ROUNDS} rounds`, () => withCluster(major, { settings: SETTINGS }, async (server, first) => {
    const folder = mkdtempSync(join(tmpdir(), 'ltap-incremental-'))
    const random = new Random(TEST_SEED)
    const store = await openObjectStore(join(folder, 'lake'))
    const sums = { unchanged: 0, blocks: 0, newBlocks: 0, open: 0, merged: 0 }
    try {
      await first.script(SETUP)
      for (let round = 0; round < ROUNDS; round++) {
        if (round > 0) {
          await server.start()
          const sql = await connect(server)
          await endPrepared(sql, random)
          for (const step of fourOf(STEPS, random)) await step(sql, random, round)
        }
        await closeSessions(server)
        await server.stop('fast')
        const grown = await materializeLake({ pgdata: server.dataDir, store, workers: 0, filter })
        expect(grown.from === null).toBe(round === 0)
        const fresh = new MemoryObjectStore(systemClock)
        const made = await materializeLake({ pgdata: server.dataDir, store: fresh, workers: 0, filter })
        let ours = await readLayeredLake(store)
        if (round > 0 && (random.chance(30) || round === ROUNDS - 1)) {
          const { after, layers } = await checkMerge(join(folder, 'lake'), store, ours, random)
          sums.merged += layers
          ours = after
        }
        expect(layeredDifferences(ours, await readLayeredLake(fresh)), `round ${round}`).toEqual([])
        if (round === 0) continue
        sums.unchanged += grown.unchanged
        sums.merged += grown.merged.layersBefore
        expect(grown.mergeProblem).toBeNull()
        expect(grown.merged.left).toEqual([])
        sums.blocks += grown.blocks
        sums.newBlocks += made.blocks
        for (const { relation: { layers } } of ours.values()) sums.open = Math.max(sums.open, layers.length)
      }
      // It wrote what changed, not all, and several layers of one relation.
      expect(sums.unchanged).toBeGreaterThan(50 * (ROUNDS - 1))
      expect(sums.blocks).toBeLessThan(sums.newBlocks * 0.6)
      expect(sums.open).toBeGreaterThan(1)
      expect(sums.merged).toBeGreaterThan(1)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }))
})
