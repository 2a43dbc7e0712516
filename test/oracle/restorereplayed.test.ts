/** A data directory made from a state of a lake that WAL was replayed for: it is what a real server has that recovered to the same LSN. */
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseLsn, walPosition } from '../../src/common/ids.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { readControlFile } from '../../src/io/datadir/datadir.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { replayCluster } from '../../src/jobs/replay/replaycluster.ts'
import { openLakeSource } from '../../src/jobs/restore/lakesource.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, connect, fewerMajors, type Session, withAdopted, withCluster } from '../support/oracle.ts'
import { withFolder } from '../support/lakes.ts'
import { pgDump } from '../support/pgdump.ts'
import { withRecovered } from '../support/pitr.ts'
import { amcheck, restore } from '../support/restorecheck.ts'

const SETTINGS = { wal_level: 'replica', wal_keep_size: '1GB', max_wal_size: '4GB', checkpoint_timeout: '1d', max_replication_slots: '10' }
const DATABASES = ['postgres', 'other']

describe.each(fewerMajors('majors of restores of replayed states'))('Postgres %i', (major) => {
  test('a state made of a copy and WAL boots as a server that recovered there', () => withFolder((work) => withCluster(major, { settings: SETTINGS }, async (cluster, sql) => {
    const [base, wal] = [join(work, 'base'), join(work, 'wal')]
    await setUp(cluster, sql)
    await sql.exec("SELECT pg_replication_origin_create('gone'); SELECT pg_replication_origin_advance('gone', '0/77')")
    await closeSessions(cluster)
    await cluster.stop()
    await cluster.copyDataDir(base)
    await cluster.start()
    const lsn = await change(cluster)
    await cluster.kill()
    await closeSessions(cluster)
    cpSync(join(cluster.dataDir, 'pg_wal'), wal, { recursive: true })
    mkdirSync(join(work, 'servers'))
    const found = { major, seed: 0, base, wal, ends: [], moments: [], work: join(work, 'servers'), done: new Map<string, number>() }
    const target = { lsn: walPosition(parseLsn(lsn)!) }

    const store = await openObjectStore(join(work, 'lake'))
    const pgdata = join(work, 'replayed')
    const replayed = await replayCluster({ source: base, wal, out: pgdata, target })
    await materializeLake({ pgdata, source: base, store, workers: 0 })
    const source = await openLakeSource(join(work, 'lake'))
    await expect(restore(source, join(work, 'refused'))).rejects.toThrow(/restore\.prepared: the state has 1 prepared/)
    const bare = join(work, 'bare')
    await restore(source, bare, { postgres: undefined, prepared: 'keep' })
    const out = join(work, 'restored')
    expect(await restore(source, out, { prepared: 'commit' })).toMatchObject({ timeline: 2, prepared: 1, notRebuilt: [] })

    await withRecovered(found, target, async (server) => {
      await server.stop()
      const { nextXid, nextOid, nextMulti, nextMultiOffset, oldestXid, oldestMulti } = readControlFile(server.dataDir, major as PgMajor)
      const theirs = { nextXid, nextOid, nextMulti, nextMultiOffset, oldestXid, oldestMulti }
      expect(readControlFile(bare, major as PgMajor)).toMatchObject(theirs)
      // A planted fault: a counter that is one behind.
      const faulty = { ...source, counters: { ...source.counters!, nextMulti: nextMulti - 1 } }
      await restore(faulty, join(work, 'faulty'), { postgres: undefined, prepared: 'keep' })
      expect(readControlFile(join(work, 'faulty'), major as PgMajor)).not.toMatchObject(theirs)
      await server.start()
      const there = await connect(server, 'other')
      await there.exec("COMMIT PREPARED 'pending'")
      await withAdopted(out, async (ours, restored) => {
        for (const database of DATABASES) expect(await pgDump(ours, database), database).toBe(await pgDump(server, database))
        const theirs = await connect(server)
        expect(await facts(restored)).toEqual(await facts(theirs))
        expect(await restored.value("SELECT count(*) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> ''")).toBe('1')
        // What the settings of the copy say holds for the new server.
        expect(await restored.value('SHOW max_replication_slots')).toBe('10')
        for (const database of DATABASES) expect(await amcheck(await connect(ours, database)), database).toEqual([])
        await restored.exec("INSERT INTO forgotten (t) VALUES ('new'); INSERT INTO facts (id, name) VALUES (-1, 'new')")
        await ours.kill()
        await closeSessions(ours)
        await ours.start()
        expect((await (await connect(ours)).rows('SELECT (SELECT count(*) FROM forgotten), (SELECT name FROM facts WHERE id = -1)'))[0]).toEqual(['0', 'new'])
      })
    })
    expect(replayed.timeline).toBe(1)
  })))
})

async function setUp(cluster: PostgresServer, sql: Session): Promise<void> {
  const space = await cluster.makeDir('space')
  await sql.script(`
    CREATE TABLESPACE elsewhere LOCATION '${space}'; CREATE DATABASE other TABLESPACE elsewhere; CREATE EXTENSION amcheck;
    CREATE TABLE facts (id int PRIMARY KEY, name text); INSERT INTO facts SELECT i, 'name ' || i FROM generate_series(1, 2000) i;
    CREATE INDEX ON facts USING hash (name); CREATE TABLE words (w text); INSERT INTO words SELECT name FROM facts;
    CREATE SEQUENCE counter; CREATE UNLOGGED TABLE forgotten (id serial PRIMARY KEY, t text) TABLESPACE elsewhere`)
  await (await connect(cluster, 'other')).script('CREATE EXTENSION amcheck; CREATE TABLE mine (id int PRIMARY KEY, t text); INSERT INTO mine SELECT generate_series(1, 300)')
}

/** What pg_dump does not say. */
async function facts(sql: Session): Promise<unknown[]> {
  return [
    await sql.rows('SELECT local_id, external_id, remote_lsn FROM pg_replication_origin_status ORDER BY 1'),
    await sql.rows('SELECT count(*) FROM forgotten'),
    await sql.rows('SELECT gid FROM pg_prepared_xacts'),
    await sql.rows("SELECT last_value, is_called FROM counter"),
    await sql.rows('SELECT id, xmin, xmax, ctid FROM facts ORDER BY id'),
  ]
}

/** Changes of every kind that a checkpoint says something of, then some that come too late. @returns where the state is */
async function change(cluster: PostgresServer): Promise<string> {
  const sql = await connect(cluster)
  await sql.script(`CREATE TABLE there (id int PRIMARY KEY) TABLESPACE elsewhere;
    INSERT INTO there SELECT generate_series(1, 1000);
    INSERT INTO forgotten (t) VALUES ('lost'); CREATE UNLOGGED TABLE forgotten2 (id int PRIMARY KEY) TABLESPACE elsewhere; INSERT INTO forgotten2 SELECT generate_series(1, 9);
    SELECT pg_replication_origin_create('one'); SELECT pg_replication_origin_create('two'); SELECT pg_replication_origin_drop('gone');
    SELECT pg_replication_origin_advance('one', '7/7'); SELECT pg_replication_origin_session_setup('two');
    BEGIN; SELECT pg_replication_origin_xact_setup('AAAA/BBBB', now()); INSERT INTO there VALUES (-1); COMMIT;
    BEGIN; SELECT pg_replication_origin_xact_setup('AAAA/CCCC', now()); INSERT INTO there VALUES (-2); PREPARE TRANSACTION 'soon'; COMMIT PREPARED 'soon'`)
  await sql.close()
  const [one, two] = [await connect(cluster), await connect(cluster)]
  await one.exec('BEGIN; SELECT id FROM facts WHERE id < 100 FOR SHARE')
  await two.exec('BEGIN; SELECT id FROM facts WHERE id < 50 FOR SHARE; INSERT INTO facts (id, name) VALUES (-5, \'never\'); CREATE TABLE never (id int PRIMARY KEY)')
  const other = await connect(cluster, 'other')
  await other.exec("BEGIN; CREATE TABLE prepared (id int); INSERT INTO prepared SELECT generate_series(1, 50); UPDATE mine SET t = 'prepared' WHERE id < 20; PREPARE TRANSACTION 'pending'")
  await one.script("COMMIT; SELECT nextval('counter'); UPDATE facts SET name = name || '+' WHERE id % 7 = 0 AND id > 100; VACUUM words")
  const lsn = (await one.value('SELECT pg_current_wal_insert_lsn()'))!
  await one.exec("DELETE FROM facts WHERE id > 500; SELECT pg_replication_origin_advance('one', '8/8'); SELECT nextval('counter'); DROP TABLE there")
  await two.exec('COMMIT')
  await other.script("ROLLBACK PREPARED 'pending'; SELECT pg_switch_wal()")
  return lsn
}
