/** A workload that makes a server write records of every kind: of index access methods above all, and of all that no table needs. */
import type { PostgresServer } from '../../src/server/postgres.ts'
import { connect } from './oracle.ts'
import { startWaiting } from './workload.ts'

const BTREE = `
  CREATE TABLE bt (k int, d int, t text); CREATE INDEX bt_k ON bt (k); CREATE INDEX bt_d ON bt (d); CREATE INDEX bt_t ON bt (t) WITH (fillfactor = 50);
  INSERT INTO bt SELECT i, i % 5, md5(i::text) FROM generate_series(1, 3000) i;
  INSERT INTO bt SELECT -i, i % 5, md5(i::text) FROM generate_series(1, 1000) i;
  DELETE FROM bt WHERE ctid IN (SELECT ctid FROM bt WHERE k % 7 = 0); VACUUM bt;
  INSERT INTO bt SELECT i, i % 5, md5(i::text) FROM generate_series(7, 900, 14) i;
  DELETE FROM bt WHERE k BETWEEN 500 AND 2700; VACUUM bt; SELECT pg_current_xact_id(); SELECT pg_current_xact_id(); VACUUM bt;
  INSERT INTO bt SELECT i, i % 5, md5(i::text) FROM generate_series(20000, 21500) i;
  CREATE TABLE dead (k int, v int) WITH (fillfactor = 10); CREATE INDEX dead_k ON dead (k); CREATE INDEX dead_v ON dead (v);
  INSERT INTO dead SELECT i, i FROM generate_series(1, 300) i; UPDATE dead SET v = v + 1; UPDATE dead SET v = v + 1;
  SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(k) FROM dead WHERE k > 0; SELECT count(v) FROM dead WHERE v > 0;
  DO $$ BEGIN FOR i IN 1..40 LOOP UPDATE dead SET v = v + 1 WHERE k % 4 = i % 4; PERFORM count(v) FROM dead WHERE v > 0; COMMIT; END LOOP; END $$;
  RESET enable_seqscan; RESET enable_bitmapscan;
  CREATE TABLE deep (t text COLLATE "C"); CREATE INDEX ON deep (t);
  INSERT INTO deep SELECT lpad(i::text, 1200, 'x') FROM generate_series(1, 150) i; DELETE FROM deep WHERE t < lpad('130', 1200, 'x'); VACUUM deep;
  SELECT pg_current_xact_id(); VACUUM deep; INSERT INTO deep SELECT lpad(i::text, 1200, 'y') FROM generate_series(1, 100) i; DELETE FROM deep; VACUUM deep;
  SELECT pg_current_xact_id(); VACUUM deep`

const HASH = `
  CREATE TABLE ha (k int, t text) WITH (fillfactor = 50); CREATE INDEX ha_k ON ha USING hash (k); CREATE INDEX ha_t ON ha USING hash (t);
  INSERT INTO ha SELECT i, md5(i::text) FROM generate_series(1, 3000) i; INSERT INTO ha SELECT 7, 'same' FROM generate_series(1, 1500) i;
  DELETE FROM ha WHERE k = 7 AND ctid IN (SELECT ctid FROM ha WHERE k = 7 LIMIT 1200); VACUUM ha;
  INSERT INTO ha SELECT i, md5(i::text) FROM generate_series(3000, 5000) i; UPDATE ha SET t = t || 'x' WHERE k % 3 = 0; VACUUM ha;
  SET enable_seqscan = off; SET enable_bitmapscan = off;
  CREATE TABLE hd (k int, v int) WITH (fillfactor = 20); CREATE INDEX ON hd USING hash (k); INSERT INTO hd SELECT 1, i FROM generate_series(1, 380) i;
  DELETE FROM hd WHERE v % 2 = 0; SELECT count(*) FROM hd WHERE k = 1; INSERT INTO hd SELECT 1, i FROM generate_series(1, 400) i; RESET enable_seqscan; RESET enable_bitmapscan`

const GIN = `
  CREATE TABLE gi (id int, a int[]); CREATE INDEX gi_fast ON gi USING gin (a); CREATE INDEX gi_slow ON gi USING gin (a) WITH (fastupdate = off) WHERE id % 4 = 0;
  INSERT INTO gi SELECT i, ARRAY[i % 3, i % 50, i] FROM generate_series(1, 4000) i; VACUUM gi;
  INSERT INTO gi SELECT i, ARRAY[1, 2] FROM generate_series(1, 12000) i; DELETE FROM gi WHERE id % 3 = 0; VACUUM gi;
  INSERT INTO gi SELECT i, ARRAY[1, i % 9] FROM generate_series(1, 3000) i; DELETE FROM gi WHERE id < 9000; VACUUM gi; VACUUM gi;
  INSERT INTO gi SELECT i, ARRAY[i % 3, i] FROM generate_series(1, 500) i; SELECT gin_clean_pending_list('gi_fast')`

const GIST = `
  CREATE TABLE gs (id int, p point, r int4range); CREATE INDEX gs_p ON gs USING gist (p); CREATE INDEX gs_r ON gs USING gist (r);
  INSERT INTO gs SELECT i, point(i % 61, i % 97), int4range(i, i + 9) FROM generate_series(1, 1500) i;
  DELETE FROM gs WHERE id < 1300; VACUUM gs; SELECT pg_current_xact_id(); VACUUM gs; INSERT INTO gs SELECT i, point(i, i), int4range(i, i + 9) FROM generate_series(1, 900) i;
  CREATE TABLE gd (k int, p point) WITH (fillfactor = 30); CREATE INDEX ON gd USING gist (p); INSERT INTO gd SELECT i, point(i % 5, i % 7) FROM generate_series(1, 120) i;
  SET enable_seqscan = off; SET enable_bitmapscan = off;
  DO $$ BEGIN FOR i IN 1..12 LOOP DELETE FROM gd WHERE k % 3 = i % 3; COMMIT; PERFORM count(*) FROM gd WHERE p <@ box '(0,0),(99,99)';
    INSERT INTO gd SELECT i + j, point(j % 5, j % 7) FROM generate_series(1, 60) j; COMMIT; END LOOP; END $$;
  RESET enable_seqscan; RESET enable_bitmapscan;
  CREATE TABLE gc (p point); INSERT INTO gc SELECT point(i, i) FROM generate_series(1, 2000) i; CREATE INDEX ON gc USING gist (p)`

const SPGIST = `
  CREATE TABLE sp (id int, p point, t text); CREATE INDEX sp_p ON sp USING spgist (p); CREATE INDEX sp_t ON sp USING spgist (t);
  INSERT INTO sp SELECT i, point(i % 61, i % 97), md5(i::text) FROM generate_series(1, 2500) i; INSERT INTO sp SELECT i, NULL, NULL FROM generate_series(1, 700) i;
  INSERT INTO sp SELECT i, point(1, 1), repeat('abc', i % 90) || i FROM generate_series(1, 900) i;
  INSERT INTO sp SELECT i, NULL, 'common prefix of many ' || chr(33 + i % 90) || i FROM generate_series(1, 500) i; INSERT INTO sp VALUES (1, NULL, 'comma'), (2, NULL, 'comfort');
  DELETE FROM sp WHERE id % 3 = 0; VACUUM sp; INSERT INTO sp SELECT i, point(i, -i), 'z' || i FROM generate_series(1, 500) i; VACUUM sp; DELETE FROM sp; VACUUM sp;
  CREATE TABLE sr (p point); CREATE INDEX ON sr USING spgist (p); INSERT INTO sr VALUES (point(1, 1)), (NULL); DELETE FROM sr; VACUUM sr`

const BRIN = `
  CREATE TABLE br (b int, t text); CREATE INDEX br_b ON br USING brin (b) WITH (pages_per_range = 1, autosummarize = off); CREATE INDEX br_t ON br USING brin (t) WITH (pages_per_range = 2);
  INSERT INTO br SELECT i, repeat('x', 500) FROM generate_series(1, 3000) i; VACUUM br; UPDATE br SET b = -b, t = 'a' || repeat('y', 400) WHERE b % 20 = 0;
  INSERT INTO br SELECT i, 'z' || repeat('longer', i % 90) FROM generate_series(1, 500) i; SELECT brin_summarize_new_values('br_t');
  SELECT brin_desummarize_range('br_b', 0), brin_desummarize_range('br_t', 4); SELECT brin_summarize_range('br_b', 0); VACUUM br;
  CREATE TABLE brx (b int, t text) WITH (fillfactor = 10); CREATE INDEX ON brx USING brin (b) WITH (pages_per_range = 1); INSERT INTO brx SELECT i, repeat('w', 180) FROM generate_series(1, 6500) i; VACUUM brx`

const HEAP = `
  CREATE TABLE he (id int PRIMARY KEY, v text) WITH (fillfactor = 70); INSERT INTO he SELECT i, repeat('h', i % 50) FROM generate_series(1, 500) i;
  UPDATE he SET v = 'hot' WHERE id % 9 = 0; UPDATE he SET id = -id WHERE id % 11 = 0; DELETE FROM he WHERE id % 13 = 0; SELECT count(*) FROM he; VACUUM he;
  BEGIN; SELECT FROM he WHERE id < 9 FOR SHARE; SAVEPOINT a; SELECT FROM he WHERE id < 5 FOR UPDATE; UPDATE he SET v = 'x' WHERE id = 7; ROLLBACK TO a;
    DELETE FROM he WHERE id = 8; COMMIT;
  VACUUM (FREEZE) he; INSERT INTO he VALUES (9000, 'one') ON CONFLICT DO NOTHING; UPDATE he SET v = repeat('w', 900) WHERE id % 3 = 0; VACUUM (FREEZE) he;
  CREATE TABLE tr (id serial PRIMARY KEY, v text); INSERT INTO tr (v) SELECT repeat('long', 3000) FROM generate_series(1, 9);
  TRUNCATE tr RESTART IDENTITY CASCADE; ALTER TABLE tr ALTER v TYPE varchar(90); ANALYZE he; DROP TABLE tr; VACUUM FULL pg_class; CHECKPOINT; UPDATE he SET v = 'after' WHERE id < 90;
  BEGIN; INSERT INTO he VALUES (9001, 'a'); SAVEPOINT s; CREATE TABLE in_2pc (id int); RELEASE s; PREPARE TRANSACTION 'gid of ''text'''; COMMIT PREPARED 'gid of ''text''';
  BEGIN; CREATE TABLE never_2pc (id serial); PREPARE TRANSACTION 'b'; ROLLBACK PREPARED 'b';
  DO $$ BEGIN FOR i IN 1..90 LOOP BEGIN INSERT INTO he VALUES (10000 + i, ''); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;
  DO $$ BEGIN FOR i IN 1..600 LOOP EXECUTE format('COMMENT ON TABLE he IS %L', i); END LOOP; END $$`

const MARKS = `
  SELECT pg_logical_emit_message(true, 'prefix', 'text'), pg_logical_emit_message(false, '', ''); SELECT pg_create_restore_point('a point'); SELECT pg_switch_wal();
  SELECT pg_replication_origin_create('origin'); SELECT pg_replication_origin_session_setup('origin');
  BEGIN; SELECT pg_replication_origin_xact_setup('1F/1234', '2020-02-29 12:34:56.000789+00'); INSERT INTO he VALUES (9100, ''); COMMIT;
  BEGIN; SELECT pg_replication_origin_xact_setup('1F/5678', '1999-12-31 23:59:58.5+00'); INSERT INTO he VALUES (9101, ''); PREPARE TRANSACTION 'o'; COMMIT PREPARED 'o';
  SELECT pg_replication_origin_session_reset(); SELECT pg_replication_origin_advance('origin', '2/3'); SELECT pg_replication_origin_drop('origin');
  CREATE SEQUENCE counter; SELECT nextval('counter') FROM generate_series(1, 40); CREATE UNLOGGED TABLE ul (id serial PRIMARY KEY, v text); DROP TABLE ul;
  CREATE EXTENSION bloom; CREATE TABLE bl (a int, b int); CREATE INDEX ON bl USING bloom (a, b); INSERT INTO bl SELECT i, i FROM generate_series(1, 500) i; CHECKPOINT`

/** Settings under which nothing is recycled, and block data is not replaced by images. */
export const WAL_TEXT_SETTINGS = {
  wal_level: 'logical', track_commit_timestamp: 'on', wal_keep_size: '2GB', max_wal_size: '3GB', full_page_writes: 'off', wal_compression: 'on',
}

/** Everything: about 2 s, 260,000 records. Ends with all of the WAL on disk. */
export async function writeEveryText(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  for (const script of [BTREE, HASH, GIN, GIST, SPGIST, BRIN]) await sql.script(script)
  await writeTexts(cluster)
  // More transactions than a page of pg_xact and one of pg_commit_ts have, and oids.
  await sql.script(`CREATE TABLE one (id int); DO $$ BEGIN FOR i IN 1..33000 LOOP
      BEGIN INSERT INTO one VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;
    SELECT count(lo_create(0)) FROM generate_series(1, 8300); ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf(); SELECT pg_sleep(0.1);
    UPDATE he SET v = 'image'; CHECKPOINT; INSERT INTO one VALUES (1); SELECT count(*) FROM he; INSERT INTO gi SELECT i, ARRAY[1, i] FROM generate_series(1, 90) i;
    VACUUM; CHECKPOINT; SELECT pg_switch_wal()`)
  await sql.close()
}

/** What needs no index but btree. Prepared transactions must be allowed. */
export async function writeTexts(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  for (const script of [HEAP, MARKS]) await sql.script(script)
  await locksOfSeveral(cluster)
  await checkpointsAmidSubxacts(cluster)
  const strategies = cluster.major === 14 ? [''] : ['STRATEGY wal_log', 'STRATEGY file_copy']
  for (const strategy of strategies) await sql.script(`CREATE DATABASE another ${strategy}; DROP DATABASE another`)
  const dir = await cluster.makeDir('table spacé')
  await sql.script(`CREATE TABLESPACE moved LOCATION '${dir}'; CREATE TABLE in_space (id int) TABLESPACE moved;
    DROP TABLE in_space; DROP TABLESPACE moved`)
  await sql.close()
}

/** Multixacts, and locks on a row that was updated since. */
async function locksOfSeveral(cluster: PostgresServer): Promise<void> {
  const [a, b, c] = [await connect(cluster), await connect(cluster), await connect(cluster)]
  await a.script('CREATE TABLE lo (id int PRIMARY KEY, v int); INSERT INTO lo SELECT i, i FROM generate_series(1, 20) i; BEGIN; SELECT FROM lo WHERE id < 9 FOR KEY SHARE')
  await b.script('BEGIN; SELECT FROM lo WHERE id < 5 FOR SHARE; UPDATE lo SET v = 0 WHERE id = 7; SELECT FROM lo WHERE id = 8 FOR NO KEY UPDATE')
  await c.script('BEGIN; SELECT FROM lo WHERE id = 7 FOR KEY SHARE')
  const waiting = await startWaiting(cluster, c, 'SELECT FROM lo WHERE id = 8 FOR SHARE')
  await b.exec('COMMIT')
  await waiting.done
  const old = await connect(cluster)
  await old.script('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM lo')
  await a.exec('COMMIT')
  await c.script('COMMIT; UPDATE lo SET v = v + 1 WHERE id BETWEEN 10 AND 12; BEGIN; UPDATE lo SET v = v + 1 WHERE id BETWEEN 10 AND 12')
  await a.script('BEGIN; SELECT FROM lo WHERE id = 13 FOR UPDATE')
  await old.script('SELECT FROM lo WHERE id = 10 FOR KEY SHARE; COMMIT')
  await c.exec('COMMIT')
  for (const session of [a, b, c, old]) await session.close()
}

/** XLOG_RUNNING_XACTS with transactions, some of their subtransactions, and too many of them. */
async function checkpointsAmidSubxacts(cluster: PostgresServer): Promise<void> {
  const [sql, other] = [await connect(cluster), await connect(cluster)]
  for (const count of [2, 70]) {
    const nested = Array.from({ length: count }, (_, i) => `SAVEPOINT s${i}; INSERT INTO lo VALUES (${count * 1000 + i}, 0);`).join(' ')
    await other.exec(`BEGIN; ${nested}`)
    await sql.exec('CHECKPOINT')
    await other.exec('COMMIT')
  }
  await sql.close()
  await other.close()
}
