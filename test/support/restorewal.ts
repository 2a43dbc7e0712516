/** Restores from a lake and WAL to points between its states, against servers that recovered there. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { WalPosition } from '../../src/common/ids.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { replayCluster } from '../../src/jobs/replay/replaycluster.ts'
import { openLakeSource, openLakeSourceBefore } from '../../src/jobs/restore/lakesource.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { connect, withAdopted } from './oracle.ts'
import { pgDump } from './pgdump.ts'
import { type PitrCase, withRecovered } from './pitr.ts'
import type { Random } from './random.ts'
import { amcheck, restore } from './restorecheck.ts'

/** A lake with the state of the copy, and one of the replay up to the middle. @returns its folder, and where its states are */
async function lakeOfTwoStates(found: PitrCase): Promise<{ lake: string; states: WalPosition[] }> {
  const [lake, pgdata] = [join(found.work, 'lake'), join(found.work, 'replayed')]
  const store = await openObjectStore(lake)
  const first = await materializeLake({ pgdata: found.base, store, workers: 0 })
  const middle = found.ends[found.ends.length >> 1]!
  await replayCluster({ source: found.base, wal: found.wal, out: pgdata, target: { lsn: middle } })
  await materializeLake({ pgdata, source: found.base, store, workers: 0 })
  rmSync(pgdata, { recursive: true })
  return { lake, states: [Number((await openLakeSource(lake, first.lsn)).lsn), middle] }
}

/** Points before and behind the state in the middle, each by a restore of its own. */
export async function checkRestores(found: PitrCase, random: Random, count: number): Promise<void> {
  const { lake, states } = await lakeOfTwoStates(found)
  const { ends } = found
  const half = ends.length >> 1
  const dumps = new Set<string>()
  for (let i = 0; i < count; i++) {
    const at = i % 2 === 0 ? random.int(half) : half + random.int(ends.length - 1 - half)
    const end = ends[at]!
    const lsn = end + random.int(ends[at + 1]! - end)
    const source = await openLakeSourceBefore(lake, { lsn })
    expect(source.lsn).toBe(BigInt(states[lsn >= states[1]! ? 1 : 0]!))
    const out = join(found.work, 'restored')
    const report = await restore(source, out, { prepared: 'rollback', wal: { wal: found.wal, target: { lsn } } })
    expect(report).toMatchObject({ lsn: BigInt(end), timeline: 2, notRebuilt: [] })
    await withRecovered(found, { lsn: end }, async (server) => {
      expect(await rolledBack(server)).toBe(report.prepared)
      await withAdopted(out, async (ours, sql) => {
        const dump = await pgDump(server, 'postgres')
        expect(await pgDump(ours, 'postgres'), `seed ${found.seed}, record ${at}`).toBe(dump)
        dumps.add(dump)
        await sql.exec('CREATE EXTENSION amcheck')
        expect(await amcheck(sql)).toEqual([])
      })
    })
    rmSync(out, { recursive: true })
    console.log(`Postgres ${found.major}, seed ${found.seed}: restored to record ${at} of ${ends.length}, ${report.prepared} prepared`)
  }
  // A restore that ignored the WAL would give one of two states.
  expect(dumps.size).toBe(count)
}

async function rolledBack(server: PostgresServer): Promise<number> {
  const sql = await connect(server)
  const gids = await sql.rows('SELECT gid FROM pg_prepared_xacts')
  for (const [gid] of gids) await sql.exec(`ROLLBACK PREPARED '${gid}'`)
  return gids.length
}
