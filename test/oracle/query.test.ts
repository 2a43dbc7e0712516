import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { describe, expect, it } from 'vitest'
import { queryLake } from '../../src/jobs/query/query.ts'
import { transcodeLake } from '../../src/jobs/transcodelake.ts'
import { VIEWS_NAME } from '../../src/lake/manifest.ts'
import { connect, fewerMajors, withCluster } from '../support/oracle.ts'

const SETUP = `
  CREATE TABLE parts(id int, note text) PARTITION BY RANGE (id);
  CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (1000);
  CREATE TABLE parts_mid(gone int, note text, id int);
  ALTER TABLE parts_mid DROP COLUMN gone;
  ALTER TABLE parts ATTACH PARTITION parts_mid FOR VALUES FROM (1000) TO (2000);
  CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (2000) TO (3000) PARTITION BY LIST (note);
  CREATE TABLE parts_high_x PARTITION OF parts_high FOR VALUES IN ('x');
  CREATE TABLE parts_high_rest PARTITION OF parts_high DEFAULT;
  INSERT INTO parts SELECT n, CASE WHEN n % 3 = 0 THEN 'x' ELSE 'n' || n END FROM generate_series(0, 2999) AS n;
  DELETE FROM parts WHERE id % 7 = 0;
  UPDATE parts SET id = id + 1000 WHERE id % 5 = 0 AND id < 1900;
  CREATE TABLE animal(id int, name text);
  CREATE TABLE bird(wings numeric) INHERITS (animal);
  CREATE TABLE fish(fins int) INHERITS (animal);
  CREATE TABLE flying_fish(speed int) INHERITS (bird, fish);
  INSERT INTO animal VALUES (1, 'animal');
  INSERT INTO bird VALUES (2, 'bird', 'NaN'), (3, 'dead', 2);
  INSERT INTO fish VALUES (4, 'fish', 6);
  INSERT INTO flying_fish VALUES (5, 'flying fish', 1.5, 7, 60);
  DELETE FROM animal WHERE name = 'dead';
  CREATE SCHEMA "Sales";
  CREATE TABLE "Sales"."Order"("Id" int, filename text, file_row_number int);
  CREATE TABLE "Sales"."order"(id int);
  INSERT INTO "Sales"."Order" SELECT n, 'f' || n, -n FROM generate_series(1, 50) AS n;
  DELETE FROM "Sales"."Order" WHERE "Id" > 40;
  INSERT INTO "Sales"."order" VALUES (1);
  CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM parts;
  CREATE TABLE "empty"(id int);
  BEGIN; INSERT INTO animal VALUES (9, 'aborted'); ROLLBACK`

/** What the server is asked, and what the lake is asked for the same rows. */
const QUERIES: readonly [string, string?][] = [
  ['SELECT id, note FROM parts ORDER BY id, note'],
  ['SELECT id, note FROM parts_mid ORDER BY id, note'],
  ['SELECT id, note FROM parts_high ORDER BY id, note'],
  ['SELECT count(*), sum(id) FROM parts WHERE id BETWEEN 500 AND 1500'],
  ['SELECT * FROM animal ORDER BY id', 'SELECT * EXCLUDE (_overflow) FROM animal ORDER BY id'],
  ['SELECT * FROM fish ORDER BY id', 'SELECT * EXCLUDE (_overflow) FROM fish ORDER BY id'],
  ['SELECT wings FROM bird ORDER BY id LIMIT 1', 'SELECT _overflow.wings FROM bird ORDER BY id LIMIT 1'],
  ['SELECT * FROM "Sales"."Order" ORDER BY "Id"', 'SELECT * EXCLUDE (_overflow) FROM Sales."Order_$oid" ORDER BY "Id"'],
  ['SELECT * FROM "Sales"."order"'],
  ['SELECT * FROM totals'],
  ['SELECT count(*) FROM "empty"'],
  ["SELECT relname, relkind FROM pg_class WHERE relname ~ '^parts' ORDER BY relname COLLATE \"C\"",
    "SELECT relname, relkind FROM pg_class WHERE regexp_matches(relname, '^parts') ORDER BY relname"],
]

describe.each(fewerMajors('majors of query'))('Postgres %i', (major) => {
  it('the lake answers as the server does', async () => {
    const lake = mkdtempSync(join(tmpdir(), 'ltap-query-oracle-'))
    try {
      await withCluster(major, {}, async (cluster, admin) => {
        await admin.script('CREATE DATABASE shop')
        const sql = await connect(cluster, 'shop')
        await sql.script(SETUP)
        const oid = (await sql.value(`SELECT '"Sales"."Order"'::regclass::oid::text`))!
        const expected: string[][][] = []
        for (const [query] of QUERIES) expected.push((await sql.rows(query)).map((row) => row.map(String)))
        await cluster.stop('fast')
        await transcodeLake({
          pgdata: cluster.dataDir, lake, workers: 0, compression: 'zstd', profile: 'portable', onCorrupt: 'fail',
        })
        for (const [i, [query, ours = query]] of QUERIES.entries()) {
          expect(await csvRows(lake, ours.replace('$oid', oid)), query).toEqual(expected[i])
        }
        expect(await csvRows(lake, 'SELECT count(*) FROM ltap_public.animal WHERE NOT _visible')).toEqual([['2']])
        expect(await stockRows(lake, 'SELECT id, note FROM parts ORDER BY id, note')).toEqual(expected[0])
        expect(await stockRows(lake, 'SELECT * FROM animal ORDER BY id')).toEqual(expected[4])
      })
    } finally {
      rmSync(lake, { recursive: true })
    }
  })
})

/** Cells of a result whose values have no comma. */
async function csvRows(lake: string, sql: string): Promise<string[][]> {
  let text = ''
  await queryLake({ lake, sql, format: 'csv' }, async (piece) => void (text += piece))
  return text.trimEnd().split('\n').slice(1).map((line) => line.split(','))
}

/** views.sql in DuckDB alone, started in the lake. */
async function stockRows(lake: string, sql: string): Promise<string[][]> {
  const home = process.cwd()
  const instance = await DuckDBInstance.create(':memory:')
  const db = await instance.connect()
  try {
    process.chdir(lake)
    await db.run(readFileSync(VIEWS_NAME, 'utf8'))
    return (await (await db.run(sql)).getRows()).map((row) => row.map(String))
  } finally {
    process.chdir(home)
    db.closeSync()
    instance.closeSync()
  }
}
