/** A real cluster for forged inputs: its lake, a piece of its WAL with the pages that it was written for, and tables of every state of a row. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parsePgMajor } from '../../src/common/pgversion.ts'
import { readControlFile } from '../../src/io/datadir/datadir.ts'
import { materializeInto } from '../../src/jobs/materialize/materializeinto.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { WAL_PAGE_SIZE } from '../../src/wal/pageheader.ts'
import type { ForgedSetup } from './forgedinputs.ts'
import { transcode } from './lakes.ts'
import { closeSessions, connect, type Session } from './oracle.ts'
import { lsnNow, readWal, SEGMENT_SIZE, WAL_CLUSTER } from './walfiles.ts'

export const FORGED_CLUSTER = { ...WAL_CLUSTER, initdbArgs: [...WAL_CLUSTER.initdbArgs, '-k'], settings: { ...WAL_CLUSTER.settings, max_prepared_transactions: '5' } }

const CATALOGS = [
  'pg_class', 'pg_attribute', 'pg_type', 'pg_enum', 'pg_range', 'pg_namespace', 'pg_inherits', 'pg_database', 'pg_am', 'pg_proc', 'pg_depend', 'pg_extension',
]

const TABLES = `
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE DOMAIN price AS numeric(12, 2); CREATE TYPE pair AS (a int, b text, c price);
  CREATE TYPE span AS RANGE (subtype = float8);
  CREATE TABLE wide (id int, b bool, n numeric(10, 2), m numeric, d date, ts timestamptz, t text, j jsonb, a int[], p pair, pp pair[], mo mood, pr price,
    u uuid, r span, mr span_multirange, by bytea, i8 int8, f8 float8, f4 float4, i2 int2, c char(5), x bit(3), iv interval, na name, o oid, pt point);
  INSERT INTO wide SELECT i, i % 2 = 0, i / 7.0, i * 1.234567, '2020-01-01'::date + i, now(), repeat('t', i % 50), jsonb_build_object('k', i), ARRAY[i, i + 1],
    (i, 'x', 1.5)::pair, ARRAY[(i, 'y', 2.5)::pair], 'ok', 9.99, gen_random_uuid(), span(0, i), span_multirange(span(0, i)), '\\x01', i, i / 3.0, i / 3.0, 7,
    'abc', B'101', '1 day', 'n', i, point(i, i) FROM generate_series(1, 1800) i;
  ALTER TABLE wide DROP COLUMN x; ALTER TABLE wide ADD COLUMN late text DEFAULT 'late';
  CREATE TABLE toasted (id int, v text, w text); ALTER TABLE toasted ALTER v SET STORAGE EXTERNAL;
  INSERT INTO toasted SELECT i, repeat(md5(i::text), 300), repeat('compress me', 2000) FROM generate_series(1, 40) i;
  DELETE FROM toasted WHERE id % 5 = 0;
  CREATE TABLE parent (k int, v text) PARTITION BY LIST (k); CREATE TABLE child PARTITION OF parent DEFAULT;
  CREATE TABLE locked (k int PRIMARY KEY, n int); INSERT INTO locked SELECT i, 0 FROM generate_series(1, 300) i;
  CREATE FUNCTION multis(up_to int) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN PERFORM * FROM locked WHERE k <= up_to FOR KEY SHARE;
      FOR i IN 1..up_to LOOP BEGIN UPDATE locked SET n = n + 1 WHERE k = i; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;
  CREATE TABLE outofline (id int, plain text, packed text, bytes bytea);
  ALTER TABLE outofline ALTER plain SET STORAGE EXTERNAL, ALTER bytes SET STORAGE EXTERNAL`

/** What the piece of WAL is of: with images of whole pages first, then without. */
const WORK = `
  SELECT multis(300);
  UPDATE wide SET b = NOT b WHERE id % 9 = 0; DELETE FROM wide WHERE id % 31 = 0;
  SET wal_compression = on; UPDATE toasted SET id = -id WHERE id % 4 = 0; SET wal_compression = off;
  INSERT INTO toasted SELECT i, repeat(md5(i::text), 300), 'w' FROM generate_series(100, 120) i;
  INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 50) i; UPDATE parent SET k = k + 1; TRUNCATE parent;
  CREATE TABLE made AS SELECT i FROM generate_series(1, 100) i; CREATE INDEX ON made (i); ALTER TABLE made ADD COLUMN z int DEFAULT 5; DROP TABLE made;
  CREATE SEQUENCE seq; SELECT nextval('seq') FROM generate_series(1, 40);
  VACUUM wide; VACUUM FREEZE locked; SELECT pg_logical_emit_message(false, 'prefix', 'message'), pg_create_restore_point('point');
  UPDATE wide SET n = 0 WHERE id % 10 = 0; UPDATE locked SET n = 2 WHERE k % 3 = 0; DELETE FROM wide WHERE id % 13 = 0; VACUUM wide;
  BEGIN; INSERT INTO locked VALUES (900, 1); SAVEPOINT a; INSERT INTO locked VALUES (901, 1); ROLLBACK TO a; DELETE FROM locked WHERE k = 7; COMMIT;
  BEGIN; INSERT INTO locked VALUES (1000, 1); SAVEPOINT s; INSERT INTO locked VALUES (1001, 1); RELEASE s; PREPARE TRANSACTION 'gid one';
  BEGIN; INSERT INTO locked VALUES (1002, 1); PREPARE TRANSACTION 'gid two'; COMMIT PREPARED 'gid two';
  BEGIN; INSERT INTO locked VALUES (1003, 1); PREPARE TRANSACTION 'gid three'; ROLLBACK PREPARED 'gid three'`

/** Rows of every state, some without hint bits: the last statements look at none. */
const STATES = `
  CREATE TABLE states (id int, v text DEFAULT 'v');
  INSERT INTO states SELECT i FROM generate_series(1, 12) i;
  BEGIN; INSERT INTO states VALUES (20); ROLLBACK;
  BEGIN; INSERT INTO states VALUES (21); SAVEPOINT a; INSERT INTO states VALUES (22); ROLLBACK TO a; SAVEPOINT b; INSERT INTO states VALUES (23); COMMIT;
  DELETE FROM states WHERE id = 2; UPDATE states SET v = 'u' WHERE id = 3; BEGIN; DELETE FROM states WHERE id = 4; ROLLBACK;
  BEGIN; SELECT FROM states WHERE id = 5 FOR UPDATE; COMMIT;
  BEGIN; DELETE FROM states WHERE id = 6; SAVEPOINT a; DELETE FROM states WHERE id = 7; INSERT INTO states VALUES (24); PREPARE TRANSACTION 'gid four';
  SELECT multis(60);
  INSERT INTO outofline SELECT i, (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 66 + i * 9) j),
    (SELECT repeat(string_agg(md5((i + j)::text), ''), 2) FROM generate_series(1, 90 + i * 8) j), decode(repeat(md5(i::text), 126 + i * 5), 'hex')
    FROM generate_series(1, 7) i;
  DELETE FROM outofline WHERE id = 5; UPDATE outofline SET id = -id WHERE id = 6; UPDATE outofline SET plain = plain || 'x' WHERE id = 7;
  INSERT INTO states SELECT i FROM generate_series(100, 110) i;
  BEGIN; INSERT INTO states SELECT i FROM generate_series(120, 125) i; ROLLBACK`

/** Few catalog rows: what every input reads. */
const SHRINK = `
  ALTER DATABASE template0 IS_TEMPLATE false; ALTER DATABASE template1 IS_TEMPLATE false; DROP DATABASE template0; DROP DATABASE template1;
  SET allow_system_table_mods = on; SET client_min_messages = error; DROP SCHEMA information_schema CASCADE;
  DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'pg_catalog'::regnamespace LOOP
      EXECUTE format('DROP VIEW IF EXISTS pg_catalog.%I CASCADE', name);
    END LOOP; END $$;
  VACUUM FULL pg_class; VACUUM FULL pg_attribute; VACUUM FULL pg_type; VACUUM FULL pg_depend; VACUUM FULL pg_rewrite`

/** Few relations, with pages in files and in packs, and all their layers. */
const LAYERED = {
  workers: 0, merge: false, filter: { databases: ['postgres'], tables: ['public.wide', 'public.toasted', 'public.locked', 'public.parent', 'public.child'] },
} as const

/** Brings a lake of layers to where the cluster is. @returns a session of the server that goes on */
async function layered(cluster: PostgresServer, lake: string): Promise<Session> {
  await closeSessions(cluster)
  await cluster.stop()
  await materializeInto({ pgdata: cluster.dataDir, lake, ...LAYERED })
  await cluster.start()
  return await connect(cluster)
}

/** A stopped cluster, its lake and a piece of its WAL. */
export async function forgedSetup(cluster: PostgresServer, first: Session, folder: string, seed: number): Promise<ForgedSetup> {
  const major = parsePgMajor(String(cluster.major))
  const { dataDir } = cluster
  await first.script(TABLES)
  const store = join(folder, 'store')
  const sql = await layered(cluster, store)
  await sql.script('CHECKPOINT')
  const base = join(folder, 'base')
  // Nothing else runs: what is in the files is what the checkpoint wrote.
  const kept = ['base', 'global', 'pg_xact', 'pg_multixact', 'pg_twophase', 'pg_tblspc']
  for (const name of kept) cpSync(join(dataDir, name), join(base, name), { recursive: true })
  await sql.script(WORK)
  const end = await lsnNow(sql)
  await sql.script(`${STATES}; ${SHRINK}`)
  const catalogs: { name: string; path: string }[] = []
  for (const name of CATALOGS) catalogs.push({ name, path: (await sql.value(`SELECT pg_relation_filepath('${name}')`))! })
  const dbOid = Number(await sql.value('SELECT oid FROM pg_database WHERE datname = current_database()'))
  await closeSessions(cluster)
  await cluster.stop()
  await materializeInto({ pgdata: dataDir, lake: store, ...LAYERED })
  const lake = join(folder, 'lake')
  await transcode(dataDir, lake)
  const wal = readWal(dataDir, cluster.major, end)
  const start = Math.floor(Number(readControlFile(base, major).redo) / WAL_PAGE_SIZE) * WAL_PAGE_SIZE
  const path = join(folder, 'wal')
  writeFileSync(path, wal.bytes.subarray(start - wal.start, end - wal.start))
  const scratch = (name: string): string => {
    const made = join(folder, 'scratch', name)
    mkdirSync(made, { recursive: true })
    return made
  }
  return {
    major, seed,
    lake: { lake, dataDir, tables: ['wide', 'toasted', 'pg_type', 'locked'], holed: 'locked', scratch: scratch('lake') },
    cluster: { dataDir, dbOid, catalogs, scratch: scratch('cluster') },
    toast: { dataDir, dbOid, table: 'outofline', scratch: scratch('toast') },
    store: { lake: store },
    wal: { path, start, end, timeline: 1, segmentSize: SEGMENT_SIZE, systemIdentifier: String(wal.systemIdentifier), base },
  }
}
