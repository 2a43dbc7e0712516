/** Data directories whose pg_xact or pg_multixact is lost: every row that a real server still gives on them, and no other. */
import { mkdirSync, rmSync, truncateSync, writeFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rebuildLake } from '../../src/jobs/rebuildlake.ts'
import { verifyLake } from '../../src/jobs/verifylake.ts'
import type { LakeRelation, Manifest } from '../../src/lake/manifest.ts'
import { transcode, withFolder } from '../support/lakes.ts'
import { visibleRows } from '../support/lakerows.ts'
import { closeSessions, connect, majors, type Session, withAdopted, withCluster } from '../support/oracle.ts'
import { drawn } from '../support/scope.ts'
import { readControl, setCounters } from '../xact/walrange.ts'

const CLOG = 'pg_xact/0000'

/** The whole cluster takes minutes. */
const ONLY_H = { databases: ['postgres'], tables: ['public.h'] }

type Damage = (pgdata: string) => void

/** How a file of an SLRU goes. */
const LOSSES: Readonly<Record<string, Damage>> = {
  'the segment is missing': (pgdata) => rmSync(join(pgdata, CLOG)),
  'the segment is empty': (pgdata) => truncateSync(join(pgdata, CLOG), 0),
  'the segment ends inside the page': (pgdata) => truncateSync(join(pgdata, CLOG), 100),
  'the page is zeroed': (pgdata) => {
    const bytes = readFileSync(join(pgdata, CLOG))
    writeFileSync(join(pgdata, CLOG), bytes.fill(0, 0, 8192))
  },
}

/** Rows of every kind: frozen, hinted, without hint; inserted, deleted, updated under a lock; committed and not. */
async function fill(sql: Session, other: Session): Promise<void> {
  await sql.script(`
    CREATE TABLE h (id int, v text); VACUUM FREEZE;
    DO $$ BEGIN FOR i IN 1..1600 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$;
    INSERT INTO h SELECT i, repeat('frozen', 10) || i FROM generate_series(1, 300) i; VACUUM FREEZE h;
    INSERT INTO h SELECT i, repeat('hinted', 10) || i FROM generate_series(1001, 1300) i;
    BEGIN; INSERT INTO h SELECT i, 'rolled back, hinted' FROM generate_series(1301, 1310) i; ROLLBACK;
    DELETE FROM h WHERE id IN (1, 2, 1001, 1002);
    SELECT count(*) FROM h`)
  await sql.script(`
    BEGIN; DELETE FROM h WHERE id IN (5, 1005); ROLLBACK;
    DELETE FROM h WHERE id IN (3, 1003);
    INSERT INTO h SELECT i, 'no hint' FROM generate_series(2001, 2100) i;
    BEGIN; INSERT INTO h SELECT i, 'rolled back, no hint' FROM generate_series(2101, 2110) i; ROLLBACK`)
  // By ctid: a scan would prune the old versions.
  const ctids = "'{\"(0,20)\",\"(4,50)\"}'::tid[]"
  await sql.exec(`BEGIN; SELECT * FROM h WHERE ctid = ANY (${ctids}) FOR KEY SHARE`)
  await other.exec(`UPDATE h SET v = 'updated under a lock' WHERE ctid = ANY (${ctids})`)
  await sql.exec('COMMIT')
}

interface Answer {
  rows: Map<string, string>
  /** What the server cannot read. */
  errors: Map<string, string>
}

/** Tuple by tuple: one whose status is lost is an error, and costs no other. */
async function askServer(pgdata: string): Promise<Answer> {
  return withAdopted(pgdata, async (_, sql) => {
    const answer: Answer = { rows: new Map(), errors: new Map() }
    const blocks = Number(await sql.value(`SELECT pg_relation_size('h') / 8192`))
    for (let block = 0; block < blocks; block++) {
      for (let offset = 1; offset <= 200; offset++) {
        const ctid = `(${block},${offset})`
        try {
          for (const [id, v] of await sql.rows(`SELECT id, v FROM h WHERE ctid = '${ctid}'`)) answer.rows.set(ctid, `${id} ${v}`)
        } catch (error) {
          answer.errors.set(ctid, (error as Error).message)
        }
      }
    }
    return answer
  }, { autovacuum: 'off' })
}

function rowsOf(lake: string, manifest: Manifest): Map<string, string> {
  return new Map(visibleRows(lake, tableOf(manifest)).rows.map(({ ctid, values }) => [ctid, `${values[0]} ${String(values[1]).slice(1)}`]))
}

function tableOf({ relations }: Manifest): LakeRelation {
  return relations.find(({ name }) => name === 'h')!
}

function added(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): string[] {
  return [...b].filter(([ctid, row]) => a.get(ctid) !== row).map(([ctid, row]) => `${ctid} ${row}`)
}

/** The versions that were updated under a lock are unknown, all others as before. */
async function expectLostMultixacts(folder: string, copy: (damage: Damage) => Promise<string>, healthy: Answer): Promise<void> {
  const file = `pg_multixact/${folder}/0000`
  const damage: Damage = (pgdata) => rmSync(join(pgdata, file))
  const server = await askServer(await copy(damage))
  expect([...server.errors.values()].every((message) => message.startsWith('could not access status of transaction'))).toBe(true)
  const pgdata = await copy(damage)
  await withFolder(async (lakes) => {
    await expect(transcode(pgdata, join(lakes, 'fail'), { filter: ONLY_H })).rejects.toThrow(
      new RegExp(`^xact\\.multixact-lost: multixact \\d+ needs page 0 of ${file}, which is missing: who updated or locked .*; restore the file from a backup`))
    const lake = join(lakes, 'carry')
    const manifest = await transcode(pgdata, lake, { filter: ONLY_H, onCorrupt: 'carry' })
    expect([...rowsOf(lake, manifest)]).toEqual([...server.rows])
    expect([...server.rows]).toEqual([...healthy.rows])
    expect(tableOf(manifest).lanes.unknownStatus).toBe(2)
    expect(server.errors.size).toBe(2)
    expect(manifest.damage).toEqual([expect.stringContaining(`page 0 of ${file}, which is missing`)])
    expect((await verifyLake({ lake, pgdata, workers: 0 })).differences).toEqual([])
  })
}

describe.each(drawn(majors(), 1, 'majors of lostxact'))('lost transaction status on Postgres %i', (major) => {
  test('pg_xact and pg_multixact', async () => {
    await withFolder(async (folder) => {
      await withCluster(major, { initdbArgs: major >= 18 ? [] : ['-k'] }, async (cluster, sql) => {
        await fill(sql, await connect(cluster))
        await closeSessions(cluster)
        await cluster.stop()
        // The next transactions are on other segments: the server starts without the first ones.
        const { nextXid } = readControl(cluster.dataDir, major)
        expect(nextXid.low).toBeGreaterThan(2300)
        const counters = { nextXid: { low: (1 << 20) + 1000, epoch: 0 }, nextMulti: 2048 * 32 + 10, nextMultiOffset: 1636 * 32 + 10 }
        while (!setCounters(cluster.dataDir, major, counters)) {
          await cluster.start()
          await cluster.stop()
        }
        let copies = 0
        const copy = async (damage: Damage): Promise<string> => {
          const to = join(folder, `copy${copies++}`)
          await cluster.copyDataDir(to)
          damage(to)
          return to
        }
        const healthy = await askServer(await copy(() => {}))
        expect(healthy.errors.size).toBe(0)
        const healthyLake = join(folder, 'healthy')
        const before = await transcode(cluster.dataDir, healthyLake, { filter: ONLY_H })
        expect([...rowsOf(healthyLake, before)]).toEqual([...healthy.rows])

        for (const folder of ['offsets', 'members']) await expectLostMultixacts(folder, copy, healthy)

        const lost = await askServer(await copy(LOSSES['the segment is missing']!))
        expect(lost.errors.size).toBeGreaterThan(100)
        expect([...lost.errors.values()].every((message) => message.startsWith('could not access status of transaction'))).toBe(true)
        // What the disk does not give is lost, too; a folder in its place gives an error of the same kind.
        const unreadable = await copy((pgdata) => {
          rmSync(join(pgdata, CLOG))
          mkdirSync(join(pgdata, CLOG))
        })
        await expect(transcode(unreadable, join(folder, 'fail-unreadable'), { filter: ONLY_H })).rejects.toMatchObject({ name: 'EnvironmentError', code: 'file.error' })
        const carried = await transcode(unreadable, join(folder, 'unreadable'), { filter: ONLY_H, onCorrupt: 'carry' })
        expect([...rowsOf(join(folder, 'unreadable'), carried)]).toEqual([...lost.rows])
        expect(carried.damage).toEqual([expect.stringMatching(/^page 0 of pg_xact\/0000 cannot be read \(a folder where a file is expected\): whether transactions 3 to 32767/)])

        for (const [name, damage] of Object.entries(LOSSES)) {
          const pgdata = await copy(damage)
          const say = (what: string): string => `${name}: ${what}`
          await expect(transcode(pgdata, join(folder, `fail-${name}`), { filter: ONLY_H }), say('fail')).rejects.toThrow(
            /^xact\.clog-lost: page 0 of pg_xact\/0000 (is missing|ends after \d+ of 8192 bytes|is all zeros): whether transactions 3 to 32767 committed is lost .*; restore the file from a backup/)
          const [hidden, shown] = [join(folder, `hide-${name}`), join(folder, `show-${name}`)]
          const manifest = await transcode(pgdata, hidden, { filter: ONLY_H, onCorrupt: 'carry' })
          // What the server gives, and nothing else: the hint bits are the same.
          expect([...rowsOf(hidden, manifest)], say('rows')).toEqual([...lost.rows])
          const { lanes, files } = tableOf(manifest)
          expect(lanes.pageImages, say('pages carried')).toBe(0)
          expect(files.flatMap(({ damaged }) => damaged), say('damaged pages')).toEqual([])
          expect(lanes.unknownStatus, say('unknown')).toBe(lost.errors.size)
          expect(manifest.unknownTransactions!.policy).toBe('hide')
          expect(manifest.unknownTransactions!.rows).toBeGreaterThanOrEqual(lost.errors.size)
          expect(manifest.damage, say('damage')).toEqual([expect.stringMatching(/^page 0 of pg_xact\/0000 .* transactions 3 to 32767/)])
          const all = await transcode(pgdata, shown, { filter: ONLY_H, onCorrupt: 'carry', unknownTransactions: 'show' })
          expect(added(rowsOf(shown, all), lost.rows), say('shown')).toEqual([])
          expect(new Set(added(lost.rows, rowsOf(shown, all)).map((row) => row.split(' ')[0])), say('shown')).toEqual(new Set(lost.errors.keys()))
          for (const lake of [hidden, shown]) {
            expect((await verifyLake({ lake, pgdata, workers: 0 })).differences, say('verify')).toEqual([])
            await rebuildLake({ lake, pgdata, force: true, workers: 0 })
            expect((await verifyLake({ lake, pgdata, workers: 0 })).differences, say('rebuild')).toEqual([])
          }
        }
      })
    })
  })
})
