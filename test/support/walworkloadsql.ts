/** What one session can make the server write into its WAL: scripts for database `wal`, statement by statement. */

/** Before the base copy: tables whose pages exist when redo starts, some of them all-visible and frozen. */
export const PREPARE = `
  CREATE EXTENSION bloom; CREATE EXTENSION pg_visibility; CREATE EXTENSION pg_surgery;
  CREATE TABLE branches (bid int PRIMARY KEY, bbalance int, filler char(88)) WITH (fillfactor = 40);
  CREATE TABLE tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84)) WITH (fillfactor = 70);
  CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)) WITH (fillfactor = 95);
  CREATE TABLE history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
  INSERT INTO branches SELECT i, 0, '' FROM generate_series(1, 5) i;
  INSERT INTO tellers SELECT i, 1 + i % 5, 0, '' FROM generate_series(1, 50) i;
  INSERT INTO accounts SELECT i, 1 + i % 5, 0, '' FROM generate_series(1, 3000) i;
  CREATE TABLE seen (kind text, id int, a int, v text, PRIMARY KEY (kind, id)) PARTITION BY LIST (kind);
  DO $$ DECLARE kind text; BEGIN
    FOREACH kind IN ARRAY ARRAY['inserted', 'deleted', 'updated', 'hot', 'locked', 'copied', 'moved', 'target', 'toasted', 'chain'] LOOP
      EXECUTE format('CREATE TABLE seen_%1$s PARTITION OF seen FOR VALUES IN (%1$L) WITH (fillfactor = 80)', kind);
      EXECUTE format('INSERT INTO seen SELECT %L, i, i, repeat(md5(i::text), 1 + i %% 5) FROM generate_series(1, 400) i', kind);
    END LOOP; END $$;
  CREATE TABLE tail (id int PRIMARY KEY, v text);
  INSERT INTO tail SELECT i, repeat('t', 300) FROM generate_series(1, 3000) i;
  CREATE TABLE old_rows (id int PRIMARY KEY, n int, v text);
  INSERT INTO old_rows SELECT i, 0, repeat('o', i % 300) FROM generate_series(1, 2000) i;
  CREATE TABLE unhinted (id int, v text);
  CREATE SEQUENCE counted; SELECT nextval('counted') FROM generate_series(1, 40);
  CREATE TABLE to_drop (id int PRIMARY KEY, v text); INSERT INTO to_drop SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 200) i;
  CREATE TABLE to_truncate (id serial PRIMARY KEY, v text); INSERT INTO to_truncate (v) SELECT repeat('x', 500) FROM generate_series(1, 200) i;
  VACUUM (FREEZE);`

/** Bodies of pgbench's TPC-B-like transaction and others, as procedures that commit: no round trip per transaction. */
export const PROCEDURES = `
  CREATE PROCEDURE tpcb(n int, seed float8) LANGUAGE plpgsql AS $$
  DECLARE a int; t int; b int; d int;
  BEGIN
    PERFORM setseed(seed);
    FOR i IN 1..n LOOP
      a := 1 + floor(random() * 3000); t := 1 + floor(random() * 50); b := 1 + floor(random() * 5); d := floor(random() * 10000) - 5000;
      UPDATE accounts SET abalance = abalance + d WHERE aid = a;
      PERFORM abalance FROM accounts WHERE aid = a;
      UPDATE tellers SET tbalance = tbalance + d WHERE tid = t;
      UPDATE branches SET bbalance = bbalance + d WHERE bid = b;
      INSERT INTO history VALUES (t, b, a, d, clock_timestamp(), '');
      IF i % 13 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
    END LOOP;
  END $$;
  CREATE PROCEDURE churn(n int, seed float8) LANGUAGE plpgsql AS $$
  DECLARE k int; size int;
  BEGIN
    PERFORM setseed(seed);
    FOR i IN 1..n LOOP
      k := 1 + floor(random() * 300);
      size := CASE WHEN random() < 0.9 THEN random() * 60 ELSE random() * 1500 END;
      CASE floor(random() * 8)
        WHEN 0 THEN DELETE FROM churned WHERE id = k;
        WHEN 1, 2 THEN
          INSERT INTO churned VALUES (k, i, repeat(chr(97 + i % 26), size)) ON CONFLICT (id) DO UPDATE SET n = excluded.n, v = excluded.v;
        WHEN 3 THEN PERFORM FROM churned WHERE id = k FOR UPDATE SKIP LOCKED;
        WHEN 4 THEN PERFORM FROM churned WHERE id = k FOR KEY SHARE SKIP LOCKED;
        WHEN 5 THEN UPDATE churned SET n = i WHERE id = (SELECT id FROM churned WHERE id >= k ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED);
        WHEN 6 THEN INSERT INTO churned VALUES (k, i, md5(i::text)) ON CONFLICT DO NOTHING;
        ELSE
          BEGIN
            INSERT INTO churned VALUES (k, i, md5(i::text));
          EXCEPTION WHEN unique_violation THEN UPDATE history SET delta = i WHERE aid = k AND tid = 1;
          END;
      END CASE;
      IF i % 11 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
    END LOOP;
  END $$;
  CREATE PROCEDURE many_xids(n int) LANGUAGE plpgsql AS $$
  BEGIN
    FOR i IN 1..n LOOP
      PERFORM pg_current_xact_id();
      COMMIT;
    END LOOP;
  END $$;
  CREATE PROCEDURE many_multixacts(first int, last int) LANGUAGE plpgsql AS $$
  BEGIN
    FOR i IN first..last LOOP
      BEGIN
        PERFORM FROM shared_rows WHERE id = 1 + i % 100 FOR KEY SHARE;
        IF i % 20 > 0 THEN RAISE division_by_zero; END IF;
      EXCEPTION WHEN division_by_zero THEN NULL;
      END;
    END LOOP;
  END $$;
  CREATE TABLE churned (id int PRIMARY KEY, n int, v text) WITH (fillfactor = 85);
  CREATE TABLE shared_rows (id int PRIMARY KEY, a int); INSERT INTO shared_rows SELECT i, i FROM generate_series(1, 100) i`

/** Changes pages whose all-visible bits are set, in every way that clears them; \`seen\` is vacuumed in between. */
export const CLEAR_VISIBLE = `
  INSERT INTO seen SELECT 'inserted', max(id) + 1, 0, 'cleared' FROM seen_inserted;
  DELETE FROM seen_deleted WHERE id % 50 = 0; DELETE FROM seen_deleted WHERE id = (SELECT max(id) FROM seen_deleted);
  UPDATE seen SET v = repeat(v, 2) WHERE kind = 'updated' AND id % 40 = 0;
  UPDATE seen SET id = id + 1000 WHERE kind = 'updated' AND id = (SELECT max(id) FROM seen_updated);
  UPDATE seen SET a = a + 1 WHERE kind = 'hot' AND id % 60 < 2;
  BEGIN; SELECT FROM seen_locked WHERE id % 100 = 3 FOR UPDATE; SELECT FROM seen_locked WHERE id = 30 FOR KEY SHARE; COMMIT;
  BEGIN; SELECT FROM seen_locked WHERE id % 100 = 7 FOR SHARE; SELECT FROM seen_locked WHERE id = 31 FOR NO KEY UPDATE; ROLLBACK;
  INSERT INTO seen SELECT 'copied', i, i, 'many at once' FROM generate_series((SELECT max(id) + 1 FROM seen_copied), (SELECT max(id) + 30 FROM seen_copied)) i;
  UPDATE seen SET kind = 'target', id = id + 10000 + (SELECT max(id) FROM seen_target) WHERE kind = 'moved' AND id % 35 = 0;
  UPDATE seen SET v = (SELECT string_agg(md5((id * i)::text), '') FROM generate_series(1, 300) i) WHERE kind = 'toasted' AND id % 90 = 0;
  BEGIN; DELETE FROM seen_deleted WHERE id = 77; UPDATE seen SET a = 0 WHERE kind = 'hot' AND id = 78; ROLLBACK`

/** Chains, pruning on access, both passes of VACUUM, freezing, tail truncation; \`lock\` states are in the other scripts. */
export const PRUNE_AND_VACUUM = `
  CREATE TABLE chains (id int PRIMARY KEY, n int, v text) WITH (fillfactor = 60);
  INSERT INTO chains SELECT i, 0, repeat('c', i % 90) FROM generate_series(1, 600) i;
  UPDATE chains SET n = 1 WHERE id % 2 = 0; UPDATE chains SET n = 2 WHERE id % 4 = 0; UPDATE chains SET n = 3 WHERE id % 8 = 0;
  DELETE FROM chains WHERE id % 5 = 0;
  SELECT count(*) FROM chains;
  UPDATE chains SET n = 4, v = v || 'longer' WHERE id % 3 = 0;
  SELECT count(*) FROM chains;
  VACUUM (INDEX_CLEANUP off) chains;
  UPDATE chains SET id = -id WHERE id % 7 = 0;
  VACUUM chains;
  INSERT INTO chains SELECT i, 0, 'reuses line pointers' FROM generate_series(2000, 2200) i;
  BEGIN; UPDATE chains SET n = 9 WHERE id > 2100; DELETE FROM chains WHERE id BETWEEN 2050 AND 2060; ROLLBACK;
  SELECT count(*) FROM chains WHERE n > 3;
  CREATE TABLE whole_rows (id int PRIMARY KEY, v text); ALTER TABLE whole_rows REPLICA IDENTITY FULL;
  INSERT INTO whole_rows SELECT i, repeat('w', i) FROM generate_series(1, 50) i; UPDATE whole_rows SET v = v || 'x' WHERE id % 2 = 0;
  DELETE FROM whole_rows WHERE id % 3 = 0;
  VACUUM (FREEZE) chains;
  DO $$ BEGIN FOR i IN 1..400 LOOP UPDATE chains SET n = i WHERE id = 1 + i % 6; COMMIT; END LOOP; END $$;
  DELETE FROM tail WHERE id > 1200 OR id % 3 = 0; VACUUM tail;
  INSERT INTO tail SELECT i, 'grows again' FROM generate_series(5000, 5400) i; DELETE FROM tail WHERE id > 400; VACUUM tail;
  UPDATE old_rows SET n = 1 WHERE id % 10 = 0; DELETE FROM old_rows WHERE id BETWEEN 300 AND 700; VACUUM (TRUNCATE off) old_rows;
  INSERT INTO old_rows SELECT i, 2, 'new' FROM generate_series(5000, 5600) i; VACUUM (FREEZE) old_rows;
  UPDATE old_rows SET n = 3 WHERE id % 100 = 0; DELETE FROM old_rows; VACUUM old_rows;
  INSERT INTO unhinted SELECT i, repeat('h', 50) FROM generate_series(1, 500) i; CHECKPOINT; SELECT count(*) FROM unhinted;
  DELETE FROM unhinted WHERE id % 2 = 0; CHECKPOINT; SELECT count(*) FROM unhinted; CHECKPOINT; VACUUM unhinted;
  CREATE TABLE wide (id int, ${Array.from({ length: 300 }, (_, i) => `c${i} int`).join(', ')});
  INSERT INTO wide (id, c1, c299) SELECT i, i, i FROM generate_series(1, 60) i; UPDATE wide SET c150 = 1 WHERE id % 3 = 0; UPDATE wide SET c1 = NULL;
  CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES; DELETE FROM no_columns; VACUUM no_columns;
  CREATE TABLE operated (id int, v text); INSERT INTO operated SELECT i, repeat('o', 90) FROM generate_series(1, 400) i; VACUUM (FREEZE) operated;
  SELECT heap_force_kill('operated'::regclass, ARRAY['(0,1)', '(0,2)', '(1,5)']::tid[]); SELECT heap_force_freeze('operated'::regclass, ARRAY['(2,3)']::tid[]);
  UPDATE operated SET v = 'x' WHERE id % 50 = 0; VACUUM operated; SELECT pg_truncate_visibility_map('operated');
  DELETE FROM operated WHERE id % 70 = 0; VACUUM operated;
  ANALYZE; VACUUM; VACUUM (DISABLE_PAGE_SKIPPING) old_rows`

/** Relations that are made, rewritten, moved and dropped. */
export const DDL = `
  CREATE TABLE rewritten (id int PRIMARY KEY, a int, v text, gone text);
  INSERT INTO rewritten SELECT i, i % 7, repeat(md5(i::text), i % 90), 'gone' FROM generate_series(1, 500) i;
  ALTER TABLE rewritten ADD COLUMN c int DEFAULT 42; ALTER TABLE rewritten DROP COLUMN gone;
  UPDATE rewritten SET c = c + 1 WHERE id % 3 = 0;
  ALTER TABLE rewritten ALTER COLUMN a TYPE int8; DELETE FROM rewritten WHERE id % 9 = 0;
  VACUUM FULL rewritten; UPDATE rewritten SET a = 1 WHERE id % 8 = 0;
  CREATE INDEX by_a ON rewritten (a); CLUSTER rewritten USING by_a; UPDATE rewritten SET v = v || 'x' WHERE id < 100;
  CREATE TABLE selected_early AS SELECT * FROM tellers;
  BEGIN; ALTER TABLE rewritten ALTER COLUMN a TYPE text; INSERT INTO rewritten VALUES (9000, 'x', 'y'); ROLLBACK;
  TRUNCATE to_truncate RESTART IDENTITY; INSERT INTO to_truncate (v) SELECT 'after' FROM generate_series(1, 50);
  BEGIN; TRUNCATE to_truncate; INSERT INTO to_truncate (v) VALUES ('undone'); ROLLBACK;
  BEGIN; CREATE TABLE young (id int, v text); INSERT INTO young SELECT i, repeat('y', 3000) FROM generate_series(1, 50) i;
    TRUNCATE young; INSERT INTO young VALUES (1, 'kept'); COMMIT;
  BEGIN; CREATE TABLE never (id int PRIMARY KEY, v text); INSERT INTO never SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 100) i; ROLLBACK;
  BEGIN; SAVEPOINT a; CREATE TABLE lost_with_savepoint (id int PRIMARY KEY, v text); INSERT INTO lost_with_savepoint VALUES (1, repeat('l', 9000));
  ROLLBACK TO a;
    SAVEPOINT b; TRUNCATE young; INSERT INTO young VALUES (2, 'undone'); ROLLBACK TO b; SAVEPOINT c; DROP TABLE selected_early; RELEASE c; COMMIT;
  CREATE INDEX CONCURRENTLY by_v ON rewritten (v); REINDEX INDEX CONCURRENTLY by_v; DROP INDEX CONCURRENTLY by_v;
  DROP TABLE to_drop; CREATE TABLE to_drop (id int PRIMARY KEY, v text); INSERT INTO to_drop VALUES (1, 'another file');
  CREATE MATERIALIZED VIEW sums AS SELECT bid, sum(abalance) AS total FROM accounts GROUP BY bid; CREATE UNIQUE INDEX ON sums (bid);
  UPDATE accounts SET abalance = abalance + bid WHERE aid < 200;
  REFRESH MATERIALIZED VIEW sums; UPDATE accounts SET abalance = 0 WHERE aid < 100; REFRESH MATERIALIZED VIEW CONCURRENTLY sums;
  CREATE TABLE made_as AS SELECT aid, filler FROM accounts WHERE aid <= 300; SELECT * INTO selected FROM tellers;
  CREATE UNLOGGED TABLE unlogged (id serial PRIMARY KEY, v text); INSERT INTO unlogged (v) SELECT repeat('u', 3000) FROM generate_series(1, 30);
  CREATE UNLOGGED TABLE became_logged (id serial PRIMARY KEY, v text); INSERT INTO became_logged (v) SELECT repeat('u', 300) FROM generate_series(1, 300);
  ALTER TABLE became_logged SET LOGGED; INSERT INTO became_logged (v) VALUES ('logged now');
  CREATE TABLE became_unlogged (id int PRIMARY KEY, v text); INSERT INTO became_unlogged SELECT i, 'x' FROM generate_series(1, 300) i;
  ALTER TABLE became_unlogged SET UNLOGGED; INSERT INTO became_unlogged VALUES (1000, 'not logged');
  CREATE TEMP TABLE temporary (id int PRIMARY KEY, v text); INSERT INTO temporary SELECT i, repeat('t', 100) FROM generate_series(1, 300) i;
  DELETE FROM temporary WHERE id < 50;
  CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
  CREATE TABLE to_attach (id int, v text); INSERT INTO to_attach SELECT i, 'a' FROM generate_series(100, 150) i;
  ALTER TABLE parted ATTACH PARTITION to_attach FOR VALUES FROM (100) TO (200); INSERT INTO parted SELECT i, 'p' FROM generate_series(0, 99) i;
  UPDATE parted SET id = id + 100 WHERE id BETWEEN 20 AND 40; ALTER TABLE parted DETACH PARTITION to_attach;
  DO $$ BEGIN FOR i IN 1..60 LOOP EXECUTE format('CREATE TABLE many_%s (id int, v text)', i); END LOOP;
    FOR i IN 1..30 LOOP EXECUTE format('DROP TABLE many_%s', i * 2); END LOOP; END $$;
  VACUUM FULL pg_class; VACUUM FULL pg_attribute; VACUUM FULL pg_proc; CLUSTER pg_type USING pg_type_oid_index; VACUUM FULL pg_database;
  CREATE TABLE after_relmap (id int); INSERT INTO after_relmap VALUES (1); REINDEX TABLE pg_class; VACUUM pg_class; VACUUM (FREEZE) pg_attribute;
  ANALYZE accounts`

/** Every index access method: their records must be passed over, their files told from heaps. */
export const INDEXES = `
  CREATE TABLE indexed (id int, t text, r int4range, p point, a int[], b int);
  INSERT INTO indexed SELECT i, md5(i::text), int4range(i, i + 10), point(i, i % 17), ARRAY[i % 7, i % 11], i FROM generate_series(1, 300) i;
  CREATE INDEX ON indexed USING btree (id); CREATE INDEX ON indexed USING hash (t); CREATE INDEX ON indexed USING gin (a);
  CREATE INDEX ON indexed USING gist (r);
  CREATE INDEX ON indexed USING spgist (p); CREATE INDEX ON indexed USING brin (b) WITH (pages_per_range = 1); CREATE INDEX ON indexed USING bloom (id, b);
  INSERT INTO indexed SELECT i, md5(i::text), int4range(i, i + 10), point(i, i % 17), ARRAY[i % 7, i % 11], i FROM generate_series(301, 1500) i;
  UPDATE indexed SET t = t || 'x' WHERE id % 9 = 0; DELETE FROM indexed WHERE id % 4 = 0; VACUUM indexed;
  INSERT INTO indexed SELECT * FROM indexed WHERE id % 3 = 0;
  CHECKPOINT; INSERT INTO indexed SELECT * FROM indexed WHERE id % 5 = 0`

export const SEQUENCES = `
  SELECT nextval('counted') FROM generate_series(1, 100); SELECT setval('counted', 7); SELECT setval('counted', 70, false); SELECT nextval('counted');
  ALTER SEQUENCE counted RESTART WITH 5; SELECT nextval('counted'); ALTER SEQUENCE counted INCREMENT BY 3 CACHE 10; SELECT nextval('counted');
  CREATE SEQUENCE cycled MINVALUE 1 MAXVALUE 5 CYCLE; SELECT nextval('cycled') FROM generate_series(1, 23); CHECKPOINT; SELECT nextval('cycled');
  CREATE SEQUENCE down INCREMENT BY -2 START WITH -1 AS smallint; SELECT nextval('down') FROM generate_series(1, 40);
  BEGIN; SELECT nextval('counted') FROM generate_series(1, 50); CREATE SEQUENCE undone; SELECT nextval('undone'); ROLLBACK; SELECT nextval('counted');
  CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, s serial); INSERT INTO numbered DEFAULT VALUES; INSERT INTO numbered DEFAULT VALUES;
  TRUNCATE numbered RESTART IDENTITY; INSERT INTO numbered DEFAULT VALUES;
  CREATE SEQUENCE dropped; SELECT nextval('dropped'); DROP SEQUENCE dropped`

/** Where unlogged sequences exist (15). */
export const UNLOGGED_SEQUENCES = `
  CREATE UNLOGGED SEQUENCE unlogged_counter; SELECT nextval('unlogged_counter'); CREATE UNLOGGED SEQUENCE logged_later;
  SELECT nextval('logged_later') FROM generate_series(1, 5); ALTER SEQUENCE logged_later SET LOGGED; SELECT nextval('logged_later');
  ALTER SEQUENCE cycled SET UNLOGGED; SELECT nextval('cycled')`

/** Values in TOAST tables that come, change and go. */
export const TOAST = `
  CREATE TABLE toasted (id int PRIMARY KEY, n int, v text, w text); ALTER TABLE toasted ALTER COLUMN w SET STORAGE EXTERNAL;
  INSERT INTO toasted SELECT i, 0, (SELECT string_agg(md5((g * i)::text), '') FROM generate_series(1, i * 3) g), repeat('w',
  i * 60) FROM generate_series(1, 60) i;
  UPDATE toasted SET n = 1 WHERE id % 3 = 0; UPDATE toasted SET v = v || 'changed' WHERE id % 4 = 0; DELETE FROM toasted WHERE id % 5 = 0;
  BEGIN; UPDATE toasted SET w = w || w; ROLLBACK; VACUUM toasted; UPDATE toasted SET w = NULL WHERE id > 40; VACUUM (FREEZE) toasted;
  INSERT INTO toasted SELECT i, 2, NULL, repeat('n', 9000) FROM generate_series(100, 120) i; VACUUM FULL toasted; DELETE FROM toasted; VACUUM toasted;
  SELECT lo_from_bytea(9001, decode(repeat('ab', 9000), 'hex')); SELECT lo_put(9001, 3000, 'in the middle'); SELECT lo_from_bytea(9002, 'short');
  SELECT lo_unlink(9002);
  VACUUM pg_largeobject`

/** Prepared transactions that end again; those left open are in the workload of workload.ts. */
export const TWO_PHASE = `
  CREATE TABLE two_phase (id int PRIMARY KEY, v text); INSERT INTO two_phase SELECT i, 'row' FROM generate_series(1, 30) i;
  BEGIN; INSERT INTO two_phase VALUES (100, 'a'); SAVEPOINT s; DELETE FROM two_phase WHERE id = 1; RELEASE s; CREATE TABLE made_by_2pc (id int);
  PREPARE TRANSACTION 'wal a';
  BEGIN; DROP TABLE IF EXISTS rewritten; UPDATE two_phase SET v = 'b' WHERE id = 2; PREPARE TRANSACTION 'wal b';
  BEGIN; CREATE TABLE undone_by_2pc (id int, v text); INSERT INTO undone_by_2pc VALUES (1, repeat('x', 9000)); PREPARE TRANSACTION 'wal c';
  COMMIT PREPARED 'wal a'; CHECKPOINT; ROLLBACK PREPARED 'wal c'; COMMIT PREPARED 'wal b'`

/** Records with no effect on pages, and those that say what the server is set to. */
export const MARKS = `
  SELECT pg_logical_emit_message(true, 'wal', 'transactional'); SELECT pg_logical_emit_message(false, 'wal', repeat('not transactional', 1000));
  SELECT pg_create_restore_point('in the middle'); SELECT pg_switch_wal(); SELECT pg_replication_origin_create('elsewhere');
  SELECT pg_replication_origin_session_setup('elsewhere');
  BEGIN; SELECT pg_replication_origin_xact_setup('0/1234', now()); INSERT INTO history VALUES (0, 0, 0, 0, now(), 'from elsewhere'); COMMIT;
  SELECT pg_replication_origin_session_reset(); SELECT pg_replication_origin_advance('elsewhere', '0/2345'); SELECT pg_replication_origin_drop('elsewhere')`
