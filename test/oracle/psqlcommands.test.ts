/** `\d` and its kin answer from the lake as psql does from the server: names, kinds, types; names that differ only in case are said. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { ltap } from '../cli/streams.ts'
import { connect, fewerMajors, withCluster } from '../support/oracle.ts'

const SETUP = `
  CREATE SCHEMA "Sales"; CREATE SCHEMA ext;
  CREATE TYPE ext.mood AS ENUM ('ok');
  CREATE TABLE orders (id bigint, gone int, total numeric(10,2), tags text[], code varchar(20), c char(3), at timestamp(3) with time zone, m ext.mood, ms ext.mood[], "Odd ""name" interval, v2 varbit(7));
  ALTER TABLE orders DROP COLUMN gone;
  CREATE TABLE "Orders" (id int);
  CREATE TABLE "Alone" (id int);
  INSERT INTO "Alone" VALUES (1);
  CREATE TABLE "Sales".parts (id int, "A" int, a text) PARTITION BY RANGE (id);
  CREATE TABLE "Sales".parts_1 PARTITION OF "Sales".parts FOR VALUES FROM (0) TO (9);
  CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM orders;
  CREATE SEQUENCE numbers;
  CREATE DATABASE other;`

/** What psql asks of the server for \d. */
const RELATIONS = `SELECT nspname, relname, CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'm' THEN 'materialized view' ELSE 'sequence' END
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'm', 'S') AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  ORDER BY nspname COLLATE "C", relname COLLATE "C"`
const COLUMNS = `SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`

describe.each(fewerMajors('majors of psql commands'))('Postgres %i', (major) => {
  it('lists what the server lists', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ltap-psql-'))
    try {
      await withCluster(major, {}, async (cluster, admin) => {
        await admin.script('CREATE DATABASE shop')
        const sql = await connect(cluster, 'shop')
        await sql.script(SETUP)
        const relations = await sql.rows(RELATIONS)
        const columns = await sql.rows(COLUMNS)
        await cluster.stop('fast')
        const lake = join(folder, 'lake')
        await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(lake), workers: 0, filter: { databases: ['shop'], tables: [] } })
        const ask = (text: string, ...more: string[]): ReturnType<typeof ltap> => ltap(['query', '--lake', lake, '--database', 'shop', ...more, text])
        const list = async (text: string): Promise<string[][]> => {
          const { code, stdout, stderr } = await ask(text, '--json')
          expect([code, stderr], text).toEqual([0, ''])
          return (JSON.parse(stdout) as Record<string, string>[]).map((row) => Object.values(row))
        }
        expect((await list('\\d')).map((row) => row.slice(0, 3))).toEqual(relations)
        const tables = relations.filter(([, , kind]) => kind!.endsWith('table'))
        expect((await list('\\dt+ ;')).map((row) => row.slice(0, 3))).toEqual(tables)
        expect((await list('\\dt')).find(([, name]) => name === 'Orders')![3]).toMatch(/^"Orders_\d+"$/)
        expect((await list('\\dt "Sales".*')).map(([, name]) => name)).toEqual(['parts', 'parts_1'])
        expect((await list('\\dm')).map(([, name]) => name)).toEqual(['totals'])
        expect((await list('\\ds num*')).map(([, name]) => name)).toEqual(['numbers'])
        expect((await list('\\dn')).map(([name]) => name)).toEqual(['Sales', 'public'])
        expect((await list('\\dtS pg_class')).map(([schema]) => schema)).toEqual(['pg_catalog'])
        expect((await list('\\l')).map(([name]) => name)).toEqual(expect.arrayContaining(['other', 'postgres', 'shop', 'template1']))
        expect((await list('\\d orders')).map((row) => row.slice(2, 4))).toEqual(columns)
        expect((await list('\\d "Sales".parts')).map((row) => row.slice(2))).toEqual([['id', 'integer', '"id"'], ['A', 'integer', expect.stringMatching(/^"A/)], ['a', 'text', expect.stringMatching(/^"a/)]])
        const { stdout } = await ask('\\d orders')
        expect(stdout).toMatch(/^ schema \| table {2}\| column +\| type +\| in SQL\n-+[^]* public \| orders \| id +\| bigint/)
        const refused = async (text: string, reason: RegExp): Promise<void> => {
          const { code, stderr } = await ask(text)
          expect([code, stderr], text).toEqual([3, expect.stringMatching(reason)])
        }
        await refused('\\d ORDER', /^ltap: query.name: no table of database shop is called ORDER; /)
        await refused('\\d ALONE', /there is public."Alone": quote a name with upper case letters\n$/)
        await refused('\\dx', /^ltap: query.sql: \\dx is no command that ltap knows: \\d, \\dt, /)
        expect(await ltap(['query', '--lake', lake, '--out', join(folder, 'x.csv'), '\\dt'])).toMatchObject({ code: 2 })
        // A name that Postgres would not find is said; one that it finds is not.
        expect(await ask('SELECT count(*) AS n FROM alone', '--format', 'csv')).toEqual({
          code: 0, stdout: 'n\n1\n', stderr: 'ltap: "alone" is read as "Alone", whose name differs in case: in Postgres write "Alone", with quotes\n',
        })
        expect((await ask('SELECT count(*) AS n FROM "Alone" JOIN ORDERS ON true')).stderr).toBe('')
        await refused('SELECT xmin FROM orders', /\(system columns are in _ltap of the tables of all row versions: SELECT _ltap.xmin FROM "ltap_public"."orders" WHERE _visible\)/)
        expect(await ask('SELECT _ltap.block, _ltap."offset", _ltap.cid, _ltap.xmin > 0 AS x FROM "ltap_public"."Alone" WHERE _visible', '--format', 'csv')).toMatchObject({
          code: 0, stdout: expect.stringMatching(/^block,offset,cid,x\n0,1,0?,true\n$/) as string,
        })
      })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
