/**
 * A data directory that has lost pg_control. What ltap finds out instead is compared with the pg_control that the server wrote; rebuild and verify
 * work on it if pg_wal or the user proves that it is the lake's, and touch no other one.
 */
import { createHash } from 'node:crypto'
import { cpSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { openConsistentDirectory } from '../../src/io/datadir/consistentdirectory.ts'
import { guessControlFile } from '../../src/io/datadir/guesscontrol.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import { ltap, type Ran } from '../cli/streams.ts'
import { destroyHeapFiles, transcode, withFolder } from '../support/lakes.ts'
import { closeSessions, connect, fewerMajors, type Session, withAdopted, withCluster } from '../support/oracle.ts'
import { readControl, setCounters } from '../xact/walrange.ts'

const CONTROL = 'global/pg_control'
const ONLY = ['--database', 'postgres', '--table', 'public.t']

/** Of these a server's pg_control and the guess have the same, where pg_wal ends with the shutdown checkpoint. */
const GUESSED = [
  'systemIdentifier', 'catalogVersion', 'state', 'checkpoint', 'redo', 'timeline', 'nextXid', 'oldestXid', 'nextOid', 'nextMulti', 'nextMultiOffset', 'oldestMulti',
  'checksums', 'walSegmentSize', 'checkpointTime',
] as const

function lose(pgdata: string, ...more: string[]): void {
  for (const name of [CONTROL, ...more]) rmSync(join(pgdata, name), { recursive: true })
}

function hash(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

function filesOf(pgdata: string, { relations }: Manifest): Map<string, string> {
  const stored = relations.filter(({ path, forks }) => path !== '' && (forks.main ?? 0) > 0)
  return new Map(stored.map(({ path }) => [path, hash(join(pgdata, path))]))
}

async function multixacts(server: PostgresServer): Promise<void> {
  const [one, two] = [await connect(server), await connect(server)]
  await one.exec('BEGIN; SELECT * FROM t FOR KEY SHARE')
  await two.exec('BEGIN; SELECT * FROM t FOR KEY SHARE')
  await one.exec('COMMIT')
  await two.exec('COMMIT')
}

/** Rows that know the full id of their transaction. */
async function addRows(sql: Session): Promise<void> {
  for (let i = 0; i < 3; i++) await sql.exec("INSERT INTO t SELECT g, pg_current_xact_id()::text FROM generate_series(1, 20) g")
}

function expectRan({ code, stdout, stderr }: Ran, expected: number, ...patterns: RegExp[]): void {
  expect({ code, text: stdout + stderr }).toMatchObject({ code: expected })
  for (const pattern of patterns) expect(stdout + stderr).toMatch(pattern)
}

describe.each(fewerMajors('majors of lost pg_control'))('a data directory of Postgres %i without pg_control', (major) => {
  test('is rebuilt and verified if it is the one that the lake was read from, and no other is touched', async () => {
    await withFolder((folder) => withCluster(major, { initdbArgs: major >= 18 ? [] : ['-k'] }, async (cluster, sql) => {
      const at = (name: string): string => join(folder, name)
      await sql.script('CREATE TABLE t (id int PRIMARY KEY, x text); CREATE INDEX ON t (x)')
      await sql.exec("INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 3000) g; DELETE FROM t WHERE id % 10 = 0")
      await multixacts(cluster)
      const answer = await sql.value('SELECT md5(string_agg(t::text, chr(10) ORDER BY id)) FROM t')
      await closeSessions(cluster)
      await cluster.stop()
      await cluster.copyDataDir(at('source'))
      const lake = at('lake')
      const manifest = await transcode(at('source'), lake, { filter: { databases: ['postgres'], tables: [] } })
      const truth = readControl(at('source'), major)
      const copy = (name: string, ...lost: string[]): string => {
        cpSync(at('source'), at(name), { recursive: true, preserveTimestamps: true })
        lose(at(name), ...lost)
        return at(name)
      }

      // The oracle: what the server wrote.
      const lost = copy('lost')
      const { control, lsn, clean } = guessControlFile(lost, major as PgMajor)
      expect(clean).toBe(true)
      for (const name of GUESSED) expect(control[name], name).toEqual(truth[name])
      expect(lsn).toBe(openConsistentDirectory(at('source')).lsn)
      const wal = guessControlFile(copy('nowal', 'pg_wal'), major as PgMajor)
      expect(wal.clean).toBeUndefined()
      for (const name of ['nextXid', 'oldestXid', 'nextMulti', 'nextMultiOffset', 'oldestMulti', 'checksums'] as const) {
        // What a server assigned and did not use leaves nothing.
        if (name === 'nextXid') expect(truth.nextXid.low - wal.control.nextXid.low, name).toBeLessThan(10)
        // pg_xact has whole segments.
        else if (name === 'oldestXid') expect(wal.control.oldestXid, name).toBeLessThanOrEqual(truth.oldestXid)
        // Newer releases write where the next multixact begins together with the one before it.
        else if (name === 'nextMulti') expect([0, 1], name).toContain(wal.control.nextMulti - truth.nextMulti)
        else expect(wal.control[name], name).toEqual(truth[name])
      }

      // The same lake as of the whole directory, byte for byte.
      const again = await transcode(lost, at('again'), { onCorrupt: 'carry', filter: { databases: ['postgres'], tables: ['public.t'] } })
      expect(again.relations).toEqual(manifest.relations.filter(({ oid }) => again.relations.some((relation) => relation.oid === oid)))
      expect(again.relations.some(({ name }) => name === 't')).toBe(true)

      const rebuild = (pgdata: string, ...more: string[]): Promise<Ran> => ltap(['rebuild', '--lake', lake, '--pgdata', pgdata, ...more])
      const verify = (pgdata: string, ...more: string[]): Promise<Ran> => ltap(['verify', pgdata, '--lake', lake, ...more])
      destroyHeapFiles(lost, manifest)
      const destroyed = filesOfDamaged(lost, manifest)
      expectRan(await rebuild(lost), 3, /pg_control.*--on-corrupt carry/)
      expect(filesOfDamaged(lost, manifest)).toEqual(destroyed)
      expectRan(await rebuild(lost, '--on-corrupt', 'carry'), 0, /pg_control is missing.*system identifier \d{10,} from WAL.*ends with a shutdown checkpoint/)
      expectRan(await verify(lost), 3, /pg_control.*--on-corrupt carry/)
      expectRan(await verify(lost, '--on-corrupt', 'carry'), 0, /^equal/)
      // A server is content with it, once it has its pg_control again.
      cpSync(join(at('source'), CONTROL), join(lost, CONTROL))
      await withAdopted(lost, async (_, session) => {
        expect(await session.value('SELECT md5(string_agg(t::text, chr(10) ORDER BY id)) FROM t')).toBe(answer)
        await session.exec('SET enable_seqscan = off')
        expect(await session.value("SELECT x FROM t WHERE x = 'row 77'")).toBe('row 77')
      })

      // Without WAL the user has to say which cluster it is.
      const nowal = at('nowal')
      expectRan(await rebuild(nowal, '--on-corrupt', 'carry'), 3, /nothing in the data directory tells .*say --system-identifier \d{10,}/)
      expectRan(await verify(nowal, '--on-corrupt', 'carry'), 3, /say --system-identifier \d{10,}/)
      expectRan(await rebuild(nowal, '--on-corrupt', 'carry', '--system-identifier', '12345'), 3, /has system identifier 12345/)
      destroyHeapFiles(nowal, manifest)
      const known = ['--on-corrupt', 'carry', '--system-identifier', manifest.systemIdentifier]
      expectRan(await rebuild(nowal, ...known), 0, /as it was given/)
      expectRan(await verify(nowal, ...known), 0, /^equal/)

      // The same cluster later: with its WAL, and without.
      await cluster.start()
      const later = await connect(cluster)
      await later.exec("INSERT INTO t SELECT g, 'new' FROM generate_series(5001, 5100) g; CHECKPOINT")
      await closeSessions(cluster)
      await cluster.stop()
      for (const [name, ...wanted] of [['later', '--on-corrupt', 'carry'], ['later-nowal', ...known]] as const) {
        await cluster.copyDataDir(at(name))
        lose(at(name), ...(name === 'later' ? [] : ['pg_wal']))
        const before = filesOf(at(name), manifest)
        expectRan(await rebuild(at(name), ...wanted), 3, /the data directory (?:is at|has a page of)/)
        expect(filesOf(at(name), manifest)).toEqual(before)
      }
      // WAL of somebody else's cluster.
      expectRan(await rebuild(at('later'), '--on-corrupt', 'carry', '--system-identifier', '99'), 3, /pg_wal is of the cluster \d+, not of 99/)
      // A crashed server's directory: its pages are older than its WAL.
      await cluster.start()
      const crashed = await connect(cluster)
      await crashed.exec("INSERT INTO t SELECT g, 'newer' FROM generate_series(6001, 6100) g")
      await closeSessions(cluster)
      await cluster.kill()
      await cluster.copyDataDir(at('crashed'))
      lose(at('crashed'))
      expectRan(await rebuild(at('crashed'), '--on-corrupt', 'carry'), 3, /is at|has a page of|records follow the last checkpoint/)
      // Its pages as the lake has them, and newer WAL: whoever says that it is the lake's is wrong.
      cpSync(at('nowal'), at('ahead'), { recursive: true })
      cpSync(join(at('crashed'), 'pg_wal'), join(at('ahead'), 'pg_wal'), { recursive: true })
      expectRan(await rebuild(at('ahead'), ...known), 3, /rebuild.unproven: records follow the last checkpoint in its pg_wal/)
    }))
  })
})

describe.each(fewerMajors('majors of other clusters'))('a data directory of Postgres %i without pg_control, of another cluster', (major) => {
  test("another cluster's directory is not the lake's", async () => {
    await withFolder((folder) => withCluster(major, {}, (one) => withCluster(major, {}, async (two, sql) => {
      await sql.exec('CREATE TABLE t AS SELECT 1 AS id')
      for (const cluster of [one, two]) {
        await closeSessions(cluster)
        await cluster.stop()
      }
      const lake = join(folder, 'lake')
      const manifest = await transcode(two.dataDir, lake, { filter: { databases: ['postgres'], tables: ['public.t'] } })
      lose(one.dataDir)
      const before = readFileSync(join(one.dataDir, 'base/1/1259'))
      const ran = await ltap(['rebuild', '--lake', lake, '--pgdata', one.dataDir, '--on-corrupt', 'carry'])
      expectRan(ran, 3, new RegExp(`has system identifier \\d+, the lake ${manifest.systemIdentifier}`))
      expect(readFileSync(join(one.dataDir, 'base/1/1259'))).toEqual(before)
    })))
  })
})

function filesOfDamaged(pgdata: string, { relations }: Manifest): (string | undefined)[] {
  return relations.filter(({ path }) => path !== '').map(({ path }) => {
    try {
      return hash(join(pgdata, path))
    } catch {
      return undefined
    }
  })
}

const WRAP_SETTINGS = { autovacuum_freeze_max_age: '2000000000', autovacuum_multixact_freeze_max_age: '2000000000' }

describe.each(fewerMajors('majors whose ids went round'))('transaction ids of Postgres %i that went round, without pg_control', (major) => {
  test('rows have their full transaction ids', async () => {
    await withFolder((folder) => withCluster(major, { settings: WRAP_SETTINGS }, async (cluster, sql) => {
      await sql.exec('CREATE TABLE t (id int, x text)')
      await multixacts(cluster)
      const third = 1_400_000_000
      const end = 0xffffffff - 50
      for (const low of [third, 2 * third, end]) {
        await freezeAll(cluster)
        await closeSessions(cluster)
        await cluster.stop()
        while (!setCounters(cluster.dataDir, major, { nextXid: { low, epoch: 1 }, nextMulti: low, nextMultiOffset: low })) {
          await cluster.start()
          await cluster.stop()
        }
        await cluster.start()
      }
      const session = await connect(cluster)
      // Some of epoch 1, then ids go round, then some of epoch 2.
      await addRows(session)
      await session.exec('DO $$ BEGIN FOR i IN 1..200 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$')
      await addRows(session)
      await session.value('SELECT count(*) FROM t')
      await closeSessions(cluster)
      await cluster.stop()
      const { nextXid, oldestXid } = readControl(cluster.dataDir, major)
      expect(nextXid.epoch).toBe(2)
      expect(oldestXid).toBeGreaterThan(nextXid.low)
      lose(cluster.dataDir)
      const guess = guessControlFile(cluster.dataDir, major as PgMajor)
      expect(guess.control).toMatchObject({ nextXid, oldestXid })
      expect(guess.how).toMatch(/next transaction 2:\d+ from the last checkpoint in pg_wal/)

      let lakes = 0
      const transcodeTo = async (...more: string[]): Promise<[string, Ran]> => {
        const lake = join(folder, `lake${lakes++}`)
        return [lake, await ltap(['transcode', cluster.dataDir, '--lake', lake, '--on-corrupt', 'carry', ...ONLY, ...more])]
      }
      const expectFullXids = async ([lake, ran]: [string, Ran], right = true): Promise<void> => {
        expectRan(ran, 0)
        const query = 'SELECT count(*) AS rows, count(*) FILTER (WHERE _ltap.xmin::text = x) AS same, min(_ltap.xmin) // 4294967296 AS lo, ' +
          'max(_ltap.xmin) // 4294967296 AS hi FROM ltap_public.t WHERE _visible'
        const { stdout } = await ltap(['query', '--lake', lake, '--format', 'csv', query])
        expect(stdout.trim().split('\n')[1]).toBe(right ? '120,120,1,2' : '120,0,0,1')
      }
      await expectFullXids(await transcodeTo())
      // Without WAL nothing has an epoch: the user has to say it.
      rmSync(join(cluster.dataDir, 'pg_wal'), { recursive: true })
      expectRan((await transcodeTo())[1], 3, /transaction ids have wrapped \(pg_xact goes from \d+ to \d+\).*say --next-xid <epoch>:<xid>/)
      await expectFullXids(await transcodeTo('--next-xid', `${nextXid.epoch}:${nextXid.low}`))
      await expectFullXids(await transcodeTo('--next-xid', String(2n * (1n << 32n) + BigInt(nextXid.low))))
      // The planted fault: with another epoch no row has its id.
      await expectFullXids(await transcodeTo('--next-xid', `${nextXid.epoch - 1}:${nextXid.low}`), false)
      expectRan((await transcodeTo('--next-xid', `2:${nextXid.low - 100}`))[1], 3, /--next-xid 2:\d+ is impossible: a transaction before \d+ ran here/)
      expectRan((await transcodeTo('--next-xid', '2'))[1], 2, /write it as epoch:xid/)
    }))
  })
})

async function freezeAll(server: PostgresServer): Promise<void> {
  const sql = await connect(server)
  await sql.exec('UPDATE pg_database SET datallowconn = true')
  for (const database of ['template0', 'template1', 'postgres']) {
    const session = await connect(server, database)
    await session.script('SET vacuum_freeze_min_age = 0; SET vacuum_multixact_freeze_min_age = 0; VACUUM FREEZE')
    await session.close()
  }
  await sql.exec('CHECKPOINT')
}
