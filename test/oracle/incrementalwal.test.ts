/**
 * A lake that grows along WAL, with a page store that is kept, equals one that is made of the same page store at once; what the page store recorded leaves no
 * changed page out; transactions have the LSN and the time of their commit.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { parseLsn, type WalPosition, walPosition } from '../../src/common/ids.ts'
import { Lake } from '../../src/engine/lake.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { materializeLake, type MaterializeReport } from '../../src/jobs/materialize/materializelake.ts'
import { replayCluster } from '../../src/jobs/replay/replaycluster.ts'
import { parseStatus, statusXid, type TransactionStatus } from '../../src/lake/state/status.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { PageStore } from '../../src/replay/pagestore/pagestore.ts'
import { type LayeredRelation, layeredDifferences, readLayeredLake } from '../support/layeredlake.ts'
import { withFolder } from '../support/lakes.ts'
import { closeSessions, connect, majors, withCluster } from '../support/oracle.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { endPrepared, filter, fourOf, SETTINGS, SETUP, STEPS } from '../support/rounds.ts'
import { amount, drawn } from '../support/scope.ts'

const ROUNDS = amount({ quick: 3, sample: 8, all: 30 })
const WAL_SETTINGS = { ...SETTINGS, wal_level: 'replica', wal_keep_size: '1GB', max_wal_size: '4GB', checkpoint_timeout: '1d', track_commit_timestamp: 'on' }

describe.each(drawn(majors(), 1, 'majors of lakes that grow along WAL'))('Postgres %i', (major) => {
  test(`a lake that grew along WAL equals one that is new, over ${ROUNDS} rounds; seed ${TEST_SEED}`, () => withFolder((folder) =>
    withCluster(major, { settings: WAL_SETTINGS }, async (server, first) => {
      const [base, wal, cache, name] = [join(folder, 'base'), join(folder, 'wal'), join(folder, 'cache'), join(folder, 'cache/ltap/name')]
      const random = new Random(TEST_SEED)
      const [store, scanned] = [await openObjectStore(join(folder, 'lake')), new MemoryObjectStore(systemClock)]
      const notices: string[] = []
      const materialize = (into: ObjectStore): Promise<MaterializeReport> =>
        materializeLake({ pgdata: cache, source: base, wal, store: into, workers: 0, filter, onNotice: (text) => void notices.push(text) })
      const times = new Map<number, string>()
      const replay = async (): Promise<void> => {
        const sql = await connect(server)
        // The last record is on the disk.
        await sql.exec("SELECT pg_logical_emit_message(false, '', ''); CHECKPOINT")
        const lsn = (await sql.value('SELECT pg_current_wal_insert_lsn()'))!
        for (const [xid, time] of await sql.rows(TIMES)) times.set(Number(xid), time!)
        await sql.close()
        cpSync(join(server.dataDir, 'pg_wal'), wal, { recursive: true, force: true })
        await replayCluster({ source: base, wal, out: cache, target: { lsn: walPosition(parseLsn(lsn)!) } })
      }
      await first.script(SETUP)
      await closeSessions(server)
      await server.stop('fast')
      await server.copyDataDir(base)
      await server.start()
      const sums = { compared: 0, all: 0, committed: 0 }
      for (let round = 0; round < ROUNDS; round++) {
        const sql = await connect(server)
        if (round === 1) await sql.exec("COMMIT PREPARED 'first'")
        if (round > 0) await endPrepared(sql, random)
        if (round === 0) await sql.exec('BEGIN; INSERT INTO deeds SELECT -1; UPDATE deeds SET t = 1 WHERE id < 10; PREPARE TRANSACTION \'first\'')
        for (const step of fourOf(STEPS, random)) await step(sql, random, round)
        await sql.close()
        if (random.chance(20)) {
          await server.kill()
          await closeSessions(server)
          await server.start()
        }
        await replay()
        const grown = await materialize(store)
        const own = readFileSync(name)
        // Under another name no state was read from this page store, so every page is compared.
        writeFileSync(name, `scan${round}`)
        const byScan = await materialize(scanned)
        writeFileSync(name, own)
        const fresh = new MemoryObjectStore(systemClock)
        await materializeLake({ pgdata: cache, store: fresh, workers: 0, filter })
        const ours = await readLayeredLake(store)
        expect(layeredDifferences(ours, await readLayeredLake(fresh)), `round ${round}`).toEqual([])
        expect(forgotten(ours, await readLayeredLake(scanned), walPosition(parseLsn(grown.lsn)!)), `round ${round}`).toEqual([])
        sums.committed += await checkStatuses(store, times)
        if (round === 0) continue
        sums.compared += grown.compared
        sums.all += byScan.compared
      }
      expect(notices).toEqual([])
      expect(sums.compared).toBeLessThan(sums.all)
      console.log(`Postgres ${major}, seed ${TEST_SEED}: ${ROUNDS} rounds`, JSON.stringify(sums))
      expect(sums.committed).toBeGreaterThan(0)

      // A planted fault: the page store forgets one block.
      await (await connect(server)).exec('INSERT INTO plain SELECT i, i FROM generate_series(1, 10) i')
      await replay()
      const { changedSince } = PageStore.prototype
      const spy = vi.spyOn(PageStore.prototype, 'changedSince').mockImplementation(function (this: PageStore, mark) {
        const changes = changedSince.call(this, mark)
        return { ...changes, forks: changes.forks.map((fork) => ({ ...fork, smallest: fork.blocks, changed: fork.changed.intersect(BlockSet.range(0, 1)) })) }
      })
      await materialize(store)
      spy.mockRestore()
      const fresh = new MemoryObjectStore(systemClock)
      await materializeLake({ pgdata: cache, store: fresh, workers: 0, filter })
      expect(layeredDifferences(await readLayeredLake(store), await readLayeredLake(fresh))).not.toEqual([])
    })))
})

const TIMES = `SELECT x, (extract(epoch FROM pg_xact_commit_timestamp(x::text::xid)) * 1000000)::bigint
  FROM (SELECT generate_series(greatest(3, txid_current()::int - 2000), txid_current()::int) AS x) AS xids
  WHERE pg_xact_commit_timestamp(x::text::xid) IS NOT NULL`

/** Blocks that a scan found to have changed, and what was recorded did not. */
function forgotten(recorded: Map<string, LayeredRelation>, scanned: Map<string, LayeredRelation>, lsn: WalPosition): string[] {
  const written = (relation: LayeredRelation | undefined): BlockSet => (relation?.relation.layers ?? []).filter((layer) => layer.lsn === lsn)
    .flatMap(({ files }) => files).reduce((all, file) => all.union(file.blocks), BlockSet.EMPTY)
  return [...scanned].flatMap(([key, relation]) => {
    const [theirs, ours] = [written(relation), written(recorded.get(key))]
    const both = theirs.intersect(ours)
    return both.size === theirs.size ? [] : [`${relation.name}: ${theirs.size - both.size} blocks`]
  })
}

/** Each transaction that ended between two states has the LSN of its record, and the server's own time of its commit. @returns how many committed */
async function checkStatuses(store: ObjectStore, times: ReadonlyMap<number, string>): Promise<number> {
  const lake = await Lake.open({ store, clock: systemClock, random: systemRandom })
  const statuses: [number, TransactionStatus][] = []
  const snapshot = await Snapshot.open(lake, 'main')
  await snapshot.scan('status', (key, value) => statuses.push([Number(statusXid({ key })), parseStatus(value, { tree: 'status', key })]))
  let committed = 0
  for (const [xid, status] of statuses) {
    if (status.ended !== 'committed') continue
    committed++
    expect(status).toMatchObject({ time: Number(times.get(xid)) })
  }
  return committed
}
