/**
 * Point in time: at any LSN inside a workload of DDL with transactions open, prepared and aborted, our lake has the rows that a real server
 * has which was recovered there. test/long has more points.
 */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseTarget } from '../../src/cli/replaytarget.ts'
import { replayCluster } from '../../src/jobs/replay/replaycluster.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { closeSessions, connect, majors } from '../support/oracle.ts'
import { amount, drawn } from '../support/scope.ts'
import { withPitr, withRecovered } from '../support/pitr.ts'
import { checkPoint, checkPoints } from '../support/pitrcheck.ts'

/** The sample draws test/long/pitr, which has more. */
const POINTS = amount({ quick: 1, sample: 2, all: 2 })

describe.each(drawn(majors(), 1, 'majors of pitr'))('the lake at a point in time on Postgres %i', (major) => {
  test(`${POINTS} LSNs, a time, the latest of another timeline; seed ${TEST_SEED}`, () => withPitr(major, { seed: TEST_SEED, rounds: 2 }, async (found) => {
    await checkPoints(found, new Random(TEST_SEED), POINTS)
    const { time, marks } = found.moments[0]!
    await withRecovered(found, { time }, async (server) => {
      const sql = await connect(server)
      expect(await sql.value('SELECT count(*) FROM pit.marks')).toBe(String(marks))
      const then = await checkPoint(found, parseTarget(time), server, { keep: true })
      expect(then.problems.slice(0, 20), `seed ${TEST_SEED}`).toEqual([])
      await goOn(server)
      const wal = join(found.work, 'wal-2')
      cpSync(join(server.dataDir, 'pg_wal'), wal, { recursive: true })
      await server.start()
      const latest = await checkPoint(found, {}, server, { wal })
      expect(latest.problems.slice(0, 20), `seed ${TEST_SEED}`).toEqual([])
      expect(latest.report).toMatchObject({ timeline: 2, resumed: true, from: then.report.lsn })
      // The first timeline went on, too: from there no way leads to the second.
      const out = join(found.work, 'old')
      expect((await replayCluster({ source: found.base, wal: found.wal, out })).timeline).toBe(1)
      await expect(replayCluster({ source: found.base, wal, out })).rejects.toThrow(/replay.timeline/)
    })
  }))
})

/** On its own timeline, with a transaction open when it is killed. */
async function goOn(server: PostgresServer): Promise<void> {
  const [sql, open] = [await connect(server), await connect(server)]
  await sql.script('SET search_path = pit; INSERT INTO marks VALUES (1000); ALTER TABLE marks ADD COLUMN since int DEFAULT 7; VACUUM FULL marks')
  await open.exec('BEGIN; CREATE TABLE pit.never (id int); INSERT INTO pit.never VALUES (1); DELETE FROM pit.plain WHERE id < 50')
  await sql.exec('INSERT INTO pit.plain (id) VALUES (-100000)')
  await server.kill()
  await closeSessions(server)
}
