/** Clusters to restore and questions to what was restored. */
import { restoreCluster, type RestoreOptions, type RestoreReport } from '../../src/jobs/restore/restorecluster.ts'
import type { RestoreSource } from '../../src/jobs/restore/restoresource.ts'
import { findPostgres, type PostgresServer } from '../../src/server/postgres.ts'
import { connect, type Session } from './oracle.ts'
import { directorySource } from './restoredirectory.ts'

/** From a stopped data directory, or from what is made of it. */
export function restore(from: string | RestoreSource, out: string, options: Partial<RestoreOptions> = {}): Promise<RestoreReport> {
  const source = typeof from === 'string' ? directorySource(from) : from
  return restoreCluster(source, { out, postgres: findPostgres(source.major)!.binDir, ...options })
}

/** Tables with indexes of every access method, in four databases and two tablespaces. */
export async function fill(cluster: PostgresServer, sql: Session): Promise<void> {
  const space = await cluster.makeDir('space')
  await sql.script(`
    CREATE TABLESPACE elsewhere LOCATION '${space}';
    CREATE DATABASE other;
    CREATE DATABASE "third ""db""" TABLESPACE elsewhere;
    CREATE EXTENSION amcheck; CREATE EXTENSION bloom; CREATE EXTENSION pg_trgm;
    CREATE TABLE facts (id int PRIMARY KEY, name text UNIQUE, tags int[], at int4range, place point, big text);
    INSERT INTO facts SELECT i, 'name ' || i, ARRAY[i % 7, i % 11], int4range(i, i + 3), point(i, i % 13),
      CASE WHEN i % 50 = 0 THEN (SELECT string_agg(md5((i * k)::text), '') FROM generate_series(1, 200) k) END FROM generate_series(1, 2000) i;
    ALTER TABLE facts ALTER big SET STORAGE EXTERNAL;
    CREATE INDEX facts_hash ON facts USING hash (name);
    CREATE INDEX facts_gin ON facts USING gin (tags);
    CREATE INDEX facts_trgm ON facts USING gin (name gin_trgm_ops);
    CREATE INDEX facts_gist ON facts USING gist (at);
    CREATE INDEX facts_spgist ON facts USING spgist (place);
    CREATE INDEX facts_brin ON facts USING brin (id);
    CREATE INDEX facts_bloom ON facts USING bloom (id);
    CREATE TABLE words (w text PRIMARY KEY); INSERT INTO words SELECT 'name ' || i FROM generate_series(1, 60) i; ANALYZE words;
    CREATE FUNCTION known(text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
      BEGIN RETURN (SELECT count(*) FROM public.words WHERE w = $1); END $$;
    CREATE INDEX "odd ""name""
of \\ an index" ON facts (known(name)) WHERE id < 100;
    ALTER TABLE facts ADD EXCLUDE USING gist (at WITH =);
    UPDATE facts SET name = name || '!' WHERE id % 3 = 0; DELETE FROM facts WHERE id % 17 = 0;
    CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (500) TABLESPACE elsewhere;
    CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (500) TO (1000);
    INSERT INTO parted SELECT i, 'p' || i FROM generate_series(0, 999) i;
    CREATE INDEX ON parted (id);
    CREATE MATERIALIZED VIEW seen AS SELECT id, v FROM parted WHERE id % 2 = 0; CREATE UNIQUE INDEX ON seen (id);
    CREATE SEQUENCE counter START 10; SELECT nextval('counter');
    CREATE UNLOGGED TABLE forgotten (id serial PRIMARY KEY, t text) TABLESPACE elsewhere;
    INSERT INTO forgotten (t) SELECT repeat('x', 5000) FROM generate_series(1, 10);
    CREATE INDEX ON forgotten USING gin (t gin_trgm_ops);
    SELECT lo_from_bytea(0, decode(repeat('ab', 5000), 'hex'));
    CREATE TABLE twice (a int); INSERT INTO twice VALUES (1), (1)`)
  await sql.exec('CREATE UNIQUE INDEX CONCURRENTLY never_valid ON twice (a)').catch(() => {})
  for (const database of ['template1', 'other', 'third "db"']) {
    const there = await connect(cluster, database)
    await there.script(`CREATE EXTENSION amcheck; CREATE TABLE mine (id int PRIMARY KEY, t text);
      INSERT INTO mine SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 300) i`)
  }
}

/** Conditions that an index answers, one for each access method. */
const BY_INDEX = [
  "name = 'name 100'", 'tags @> ARRAY[3, 4]', "name LIKE '%ame 19%'", 'at && int4range(50, 60)', "place <@ box '(0,0),(50,50)'", 'id BETWEEN 70 AND 90',
  'id = 77', 'known(name) = 1 AND id < 100',
]

/** Rows by a scan of an index, and by a scan of the heap: two lines for each condition. */
export async function indexAnswers(sql: Session): Promise<string[]> {
  const answers: string[] = []
  for (const condition of BY_INDEX) {
    for (const scan of ['enable_seqscan', 'enable_indexscan']) {
      await sql.exec(`RESET ALL; SET ${scan} = off; ${scan === 'enable_seqscan' ? '' : 'SET enable_bitmapscan = off'}`)
      answers.push(`${condition} ${await sql.value(`SELECT string_agg(id::text, ',' ORDER BY id) FROM facts WHERE ${condition}`)}`)
    }
  }
  await sql.exec('RESET ALL')
  return answers
}

/** Every index and every heap of a database by amcheck; what it says. */
export async function amcheck(sql: Session): Promise<string[]> {
  const indexes = await sql.rows(`
    SELECT i.indexrelid, i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relkind = 'i' AND c.relam = 403 AND c.relpersistence <> 't' AND i.indisvalid ORDER BY 1`)
  const problems: string[] = []
  for (const [oid, name] of indexes) {
    await sql.exec(`SELECT bt_index_parent_check(${oid}, true, true)`).catch((error: Error) => problems.push(`${name}: ${error.message}`))
  }
  const heaps = await sql.rows(`SELECT oid, relname FROM pg_class WHERE relkind IN ('r', 't', 'm') AND relpersistence <> 't'`)
  for (const [oid, name] of heaps) {
    for (const row of await sql.rows(`SELECT * FROM verify_heapam(${oid}, check_toast => true)`)) problems.push(`${name}: ${JSON.stringify(row)}`)
  }
  return problems
}
