/**
 * Point in time: at any LSN inside a workload of DDL with transactions open, prepared and aborted, our lake has the rows that a real server
 * has which was recovered there. test/long has more points.
 */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseTarget } from '../../src/cli/replaytarget.ts'
import { Random } from '../support/ddlvalues.ts'
import { closeSessions, connect, majors } from '../support/oracle.ts'
import { withPitr, withRecovered } from '../support/pitr.ts'
import { checkPoint } from '../support/pitrcheck.ts'

const POINTS = 2
const SEED = Number(process.env['LTAP_TEST_SEED'] ?? Math.floor(Math.random() * 1e9))

describe.each(majors())('the lake at a point in time on Postgres %i', (major) => {
  test(`any LSN, a time, another timeline; seed ${SEED}`, () => withPitr(major, { seed: SEED, rounds: 3 }, async (found) => {
    const random = new Random(SEED)
    for (let i = 0; i < POINTS; i++) {
      const at = random.int(found.ends.length - 1)
      const end = found.ends[at]!
      // Anywhere before the end of the next record.
      const lsn = end + random.int(found.ends[at + 1]! - end)
      await withRecovered(found, { lsn: end }, async (server) => {
        const { problems, ...counts } = await checkPoint(found, { lsn }, server)
        console.log(`Postgres ${major}, record ${at} of ${found.ends.length}:`, JSON.stringify(counts))
        expect(problems.slice(0, 20), `seed ${SEED}, record ${at}`).toEqual([])
        expect(counts.values).toBeGreaterThan(1000)
        expect(counts.report.records).toBe(at + 2)
      })
    }
  }))

  test('a time, and the latest of another timeline', () => withPitr(major, { seed: SEED, rounds: 2 }, async (found) => {
    const { time, marks } = found.moments[0]!
    await withRecovered(found, { time }, async (server) => {
      const sql = await connect(server)
      expect(await sql.value('SELECT count(*) FROM pit.marks')).toBe(String(marks))
      const then = await checkPoint(found, parseTarget(time), server)
      console.log(`Postgres ${major}, ${time}:`, JSON.stringify(then))
      expect(then.problems.slice(0, 20), `seed ${SEED}`).toEqual([])
      const wal = join(found.work, 'wal-2')
      // What the server wrote since is on its own timeline; the old one went on, too.
      await sql.script('SET search_path = pit; INSERT INTO marks VALUES (1000); ALTER TABLE marks ADD COLUMN since int DEFAULT 7; VACUUM FULL marks')
      const open = await connect(server)
      await open.exec('BEGIN; CREATE TABLE pit.never (id int); INSERT INTO pit.never VALUES (1); DELETE FROM pit.plain WHERE id < 50')
      await sql.exec('INSERT INTO pit.plain (id) VALUES (-100000)')
      await server.kill()
      await closeSessions(server)
      cpSync(join(server.dataDir, 'pg_wal'), wal, { recursive: true })
      await server.start()
      const latest = await checkPoint(found, {}, server, wal)
      console.log(`Postgres ${major}, latest of timeline ${latest.report.timeline}:`, JSON.stringify(latest))
      expect(latest.problems.slice(0, 20), `seed ${SEED}`).toEqual([])
      expect(latest.report.timeline).toBe(2)
      expect(latest.report.records).toBeGreaterThan(then.report.records)
      rmSync(wal, { recursive: true })
    })
  }))
})
