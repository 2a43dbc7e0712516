/**
 * What `ltap query --out` writes goes back into Postgres: COPY reads the CSV into a table of the same columns, and the server finds the same rows. A
 * Parquet file has the same values as the printed rows.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { describe, expect, it } from 'vitest'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { exportQuery } from '../../src/jobs/query/exportquery.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { connect, fewerMajors, withCluster } from '../support/oracle.ts'

/** Types, and values of them that a column of a lake has, in SQL. A hard one of each: what must be quoted, empty, at a border. */
const COLUMNS: Readonly<Record<string, readonly [type: string, ...values: string[]]>> = {
  i2: ['int2', '-32768', '32767'], i4: ['int4', '-2147483648', '0'], i8: ['int8', '9223372036854775807', '-1'],
  n: ['numeric(30,10)', '0.0000000001', '-12345678901234567890.5'], n0: ['numeric(38,0)', '99999999999999999999999999999999999999', '0'],
  f4: ['float4', "'nan'", "'-infinity'"], f8: ['float8', '1e-300', "'nan'"], b: ['bool', 'true', 'false'],
  t: ['text', "''", "E'a,b\"c\\n\\r\\\\d'"], v: ['varchar(20)', "'null'", "'\\.'"], c: ['char(5)', "'ab'", "'é'"],
  by: ['bytea', "'\\x00ff5c22'", "''"], d: ['date', "'0001-01-01'", "'9999-12-31'"], ti: ['time', "'24:00:00'", "'00:00:00.000001'"],
  ts: ['timestamp', "'1999-12-31 23:59:59.999999'", "'0001-01-01 00:00:00'"], tz: ['timestamptz', "'2020-01-01 00:00:00+05:30'", "'1900-01-01 00:00:00Z'"],
  u: ['uuid', "'b4fd5f16-f2a2-4a71-a6da-d04b03eea574'", "'00000000-0000-0000-0000-000000000000'"], j: ['json', `'{"a": [1, null, "x"]}'`, "'null'"],
  jb: ['jsonb', `'{"b": 1.50, "a": "q\\"\\\\"}'`, "'[]'"], ia: ['int4[]', "'{1,NULL,3}'", "'{}'"],
  ta: ['text[]', `ARRAY['', 'null', NULL, 'a b', 'q"\\{}']`, `ARRAY['x']`], ba: ['bool[]', "'{t,f,NULL}'", "'{t}'"],
  na: ['numeric(5,2)[]', "'{1.50,NULL}'", "'{}'"], da: ['date[]', "'{2020-01-01,NULL}'", "'{}'"], tsa: ['timestamptz[]', "'{2020-01-01 00:00:00+00}'", "'{}'"],
  bya: ['bytea[]', "ARRAY['\\x00'::bytea, '\\xff5c'::bytea]", "'{}'"],
  co: ['pair', `ROW(1, 'a "b",(c)\\', ARRAY['p q', NULL])`, "ROW(NULL::int, ''::text, '{}'::text[])"], coa: ['pair[]', `ARRAY[ROW(1, 'x y', NULL)::pair, NULL]`, "'{}'"],
  iv: ['interval', "'1 year -2 days 03:04:05.6'", "'-1 mons'"], ine: ['inet', "'10.0.0.1/8'", "'::1'"], r: ['int4range', "'[1,5)'", "'empty'"],
  tt: ['timetz', "'10:00:00+02'", "'23:59:59.5-12'"], e: ['mood', "'sad, very'", "'ok'"], mo: ['money', '-12.34', '0'], bi: ['varbit', "B'0101'", "B''"],
  pt: ['point', "'(1,2.5)'", "'(0,0)'"], x: ['xml', "'<a>&lt;</a>'", "'<b/>'"],
}

const names = Object.keys(COLUMNS)
const SETUP = `
  CREATE TYPE mood AS ENUM ('sad, very', 'ok');
  CREATE TYPE pair AS (a int, b text, c text[]);
  CREATE TABLE kinds (id int, ${names.map((name) => `${name} ${COLUMNS[name]![0]}`).join(', ')});
  INSERT INTO kinds VALUES (1, ${names.map((name) => COLUMNS[name]![1]).join(', ')});
  INSERT INTO kinds VALUES (2, ${names.map((name) => COLUMNS[name]![2]).join(', ')});
  INSERT INTO kinds VALUES (3);
  CREATE TABLE "One" (a text);
  INSERT INTO "One" VALUES (NULL), (''), (E'\\\\.'), (' x '), ('x');`

describe.each(fewerMajors('majors of exports'))('Postgres %i', (major) => {
  it('takes the CSV of each type with COPY, and has the same rows then; Parquet has them, too', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ltap-export-oracle-'))
    try {
      await withCluster(major, {}, async (cluster, admin) => {
        await admin.script('CREATE DATABASE shop')
        const first = await connect(cluster, 'shop')
        await first.script(SETUP)
        const types = await first.rows("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'kinds'::regclass AND attnum > 0")
        expect(types.length).toBe(names.length + 1)
        await cluster.stop('fast')
        const lake = join(folder, 'lake')
        await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(lake), workers: 0, filter: { databases: ['shop'], tables: [] } })
        const all = 'SELECT * EXCLUDE (_overflow) FROM kinds ORDER BY id'
        const csv = join(folder, 'kinds.csv')
        expect(await exportQuery({ lake, database: 'shop', sql: all, out: csv })).toMatchObject({ rows: 3, files: 1 })
        const parquet = join(folder, 'kinds.parquet')
        await exportQuery({ lake, database: 'shop', sql: all, out: parquet })
        const one = join(folder, 'one.csv')
        await exportQuery({ lake, database: 'shop', sql: 'SELECT a FROM "One"', out: one })
        await cluster.start()
        const sql = await connect(cluster, 'shop')
        await sql.script('CREATE TABLE back (LIKE kinds); CREATE TABLE one (LIKE "One")')
        await sql.copyIn('back', readFileSync(csv), '(FORMAT csv, HEADER)')
        await sql.copyIn('one', readFileSync(one), '(FORMAT csv, HEADER)')
        for (const name of ['id', ...names]) {
          const rows = (table: string): Promise<(string | null)[][]> => sql.rows(`SELECT ${name}::text FROM ${table} ORDER BY id`)
          expect(await rows('back'), name).toEqual(await rows('kinds'))
        }
        expect(await sql.rows('SELECT a FROM one ORDER BY a')).toEqual(await sql.rows('SELECT a FROM "One" ORDER BY a'))
        expect(await texts(parquet)).toEqual(await texts(csv, names.length + 1))
      })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

/** Values that both files have as plain text, by a DuckDB of its own: arrays, composites and intervals are written in other ways. */
async function texts(file: string, columns?: number): Promise<unknown[][]> {
  const plain = names.filter((name) => !/\[\]$|pair|bytea|float|char\(|timestamptz|bool|interval/.test(COLUMNS[name]![0]))
  const from = columns === undefined ? `'${file}'` : `read_csv('${file}', all_varchar = true, header = true, strict_mode = true, allow_quoted_nulls = false)`
  const instance = await DuckDBInstance.create(':memory:')
  try {
    const connection = await instance.connect()
    const list = plain.map((name) => `"${name}"::VARCHAR`).join(', ')
    return (await (await connection.run(`SELECT ${list} FROM ${from} ORDER BY id`)).getRows()).map((row) => row.map(String))
  } finally {
    instance.closeSync()
  }
}
