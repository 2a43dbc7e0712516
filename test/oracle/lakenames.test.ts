/** Names that DuckDB or a file system takes for others: tables by case, on every verb; lists of hidden rows; what no server would read. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { MANIFEST_NAME, parseManifest, VIEWS_NAME } from '../../src/lake/manifest.ts'
import { type Ran, ltap } from '../cli/streams.ts'
import { transcode } from '../support/lakes.ts'
import { NewestState } from '../support/layeredlake.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'

const SETUP = `
  CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 10) n;
  CREATE TABLE "Orders" AS SELECT n AS "Id", -n AS id FROM generate_series(100, 105) n;
  CREATE TABLE "Items" AS SELECT 1 AS id; CREATE TABLE "Twin" AS SELECT 1 AS id; CREATE TABLE "TWIN" AS SELECT 2 AS id;
  CREATE SCHEMA "Sales"; CREATE SCHEMA sales; CREATE SCHEMA "a.b"; CREATE SCHEMA a;
  CREATE TABLE "Sales".t AS SELECT 'upper' AS v; CREATE TABLE sales.t AS SELECT 'lower' AS v;
  CREATE TABLE "a.b".c AS SELECT 'a.b, c' AS v; CREATE TABLE a."b.c" AS SELECT 'a, b.c' AS v;
  DELETE FROM orders WHERE id > 6; DELETE FROM "Orders" WHERE "Id" = 105;
  CREATE TABLE numbers AS SELECT 1::int2 AS i2, -2::int4 AS i4, 9007199254740993::int8 AS i8, 1.50::numeric(10,2) AS n2, 2.5::numeric AS n, 3.25::money AS m,
    16384::oid AS o, 'pg_class'::regclass AS r, '700'::xid AS x, '5000000000'::xid8 AS x8, 0.1::float4 AS f4, 1e300::float8 AS f8, 'NaN'::float8 AS nan,
    '-Infinity'::float4 AS inf, true AS b;
  CREATE TYPE pair AS ("A" int, a int, b int); CREATE TABLE pairs AS SELECT ROW(1, 2, 3)::pair AS p, ARRAY[ROW(4, 5, 6)::pair] AS list;
  CREATE TABLE twocases AS SELECT ROW(1, 2, 3)::pair AS p, 9 AS a;
  CREATE TABLE threecases (id int, "A" int, a int); INSERT INTO threecases VALUES (1, 2, 3); CREATE TABLE plaincase AS SELECT 4 AS a;
  CREATE MATERIALIZED VIEW filled AS SELECT 1 AS n;
  CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS n WITH NO DATA`

/** Progress may be there on a slow machine; a remark or an error is a line of ltap's. */
const SILENT = expect.not.stringContaining('ltap:') as string

let folder: string
let cluster: PostgresServer
let lake: string
/** The same as a lake of format 1, by the library. */
let oldLake: string
let refusal = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-names-'))
  lake = join(folder, 'lake')
  oldLake = join(folder, 'oldlake')
  cluster = await createCluster(majors().at(-1)!)
  await (await connect(cluster)).script('CREATE DATABASE shop')
  const sql = await connect(cluster, 'shop')
  await sql.script(SETUP)
  refusal = await sql.rows('SELECT * FROM unfilled').then(() => '', (error: Error) => error.message)
  await closeSessions(cluster)
  await cluster.stop()
  expect(await ltap(['transcode', cluster.dataDir, '--lake', lake, '--database', 'shop'])).toMatchObject({ code: 0, stderr: SILENT })
  await transcode(cluster.dataDir, oldLake, { filter: { databases: ['shop'], tables: [] } })
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

async function query(sql: string, of = lake): Promise<string> {
  const { code, stdout, stderr } = await ltap(['query', '--lake', of, '--format', 'csv', sql])
  return code === 0 && !stderr.includes('ltap:') ? stdout : `${code} ${stderr}`
}

function inspect(name: string, ...more: string[]): Promise<Ran> {
  return ltap(['inspect', 'table', cluster.dataDir, name, '--format', 'csv', ...more])
}

describe('names that differ only in case', () => {
  it.each([
    ['SELECT count(*) AS n FROM orders', 'n\n6\n'], ['SELECT count(*) AS n FROM ORDERS', 'n\n6\n'], ['SELECT count(*) AS n FROM public."orders"', 'n\n6\n'],
    ['SELECT count(*) AS n FROM "Items"', 'n\n1\n'], ['SELECT v FROM sales.t', 'v\nlower\n'], ['SELECT v FROM Sales.t', 'v\nlower\n'],
    ['SELECT v FROM "Sales_2".t', 'v\nupper\n'], ['WITH "Orders" AS (SELECT 7 AS n) SELECT n FROM "Orders"', 'n\n7\n'],
    ['SELECT id FROM "TWIN"', 'id\n2\n'],
    ['WITH RECURSIVE "Orders" AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM "Orders" WHERE n < 3) SELECT max(n) AS n FROM "Orders"', 'n\n3\n'],
    ['SELECT x."Id" AS "Id" FROM (SELECT max(id) AS "Id" FROM orders) AS x', 'Id\n6\n'], ['SELECT "Id" AS "Id" FROM (SELECT 7) AS x("Id")', 'Id\n7\n'],
    ['WITH x("Id") AS (SELECT 7 FROM orders LIMIT 1) SELECT "Id" FROM x', 'Id\n7\n'], ["SELECT count(*) AS n FROM 'Items'", 'n\n1\n'],
    ['SELECT count(*) AS "Orders" FROM orders', 'Orders\n6\n'], ['SELECT max(id) AS "Id" FROM orders ORDER BY "Id"', 'Id\n6\n'],
  ])('%s', async (sql, expected) => expect(await query(sql)).toBe(expected))

  it.each([
    ['SELECT * FROM "Orders"', /^3 ltap: query.name: DuckDB takes table "Orders" for another one, whose name differs only in case: write "public"."Orders_\d+"\n$/],
    ['SELECT * FROM public."Orders" AS o', /table "Orders"/], ['DESCRIBE "Orders"', /table "Orders"/], ['EXPLAIN SELECT * FROM "Orders"', /table "Orders"/],
    ['SELECT 1; SELECT (SELECT count(*) FROM "Orders")', /table "Orders"/], ['SELECT * FROM ltap_public."Orders"', /write "ltap_public"."Orders_\d+"/],
    ['SELECT * FROM "Orders" AS "Orders"', /table "Orders"/], ['SELECT count(*) AS "Orders" FROM "Orders"', /table "Orders"/],
    ['WITH "Orders" AS (SELECT * FROM "Orders") SELECT * FROM "Orders"', /table "Orders"/], ["SELECT * FROM 'Orders'", /table "Orders"/],
    ['SELECT * FROM twin', /table "twin" .*: write (?:"public"."T\w+"(?: or )?){2}\n/], ['SELECT * FROM "Twin"', /write "public"."Twin_\d+"/],
    ['PRAGMA table_info("Orders")', /table "Orders"/], ["PRAGMA table_info('Orders')", /table "Orders"/], ['PRAGMA table_info(public."Orders")', /table "Orders"/],
    ["PRAGMA table_info('public.Orders')", /table "Orders"/], ["SELECT * FROM pragma_table_info('Orders')", /table "Orders"/],
    [`SELECT * FROM pragma_table_info('"Orders"')`, /table "Orders"/], ['PRAGMA table_info("Sales".t)', /schema "Sales"/], ['SUMMARIZE "Orders"', /table "Orders"/],
    ['SELECT * FROM "Sales".t', /schema "Sales" .*: write "Sales_2"/], ['SELECT * FROM "ltap_Sales".t', /schema "ltap_Sales" .*: write "ltap_Sales_2"/],
  ])('%s is refused: it would give the rows of another table', async (sql, expected) => expect(await query(sql)).toMatch(expected))

  it('the name that is given instead reads the right one, and the same for columns', async () => {
    const [, name] = /write (\S+)\n/.exec(await query('SELECT * FROM "Orders"'))!
    expect(await query(`SELECT count(*) AS n FROM ${name!}`)).toBe('n\n5\n')
    const [, column] = /column "id" .*: write (\S+)\n/.exec(await query(`SELECT Id FROM ${name!}`))!
    expect(await query(`SELECT min(${column!}) AS n, min("Id") AS m FROM ${name!}`)).toBe('n,m\n-104,100\n')
    for (const sql of [
      `SELECT "id" AS "id" FROM ${name!}`, `SELECT abs("id") AS "id" FROM ${name!} UNION ALL SELECT abs("id") AS "id" FROM ${name!}`,
      `SELECT count(*) FROM ${name!} AS a JOIN ${name!} AS b USING ("id")`, `SELECT * EXCLUDE ("id") FROM ${name!}`,
    ]) expect(await query(sql)).toMatch(/column "id"/)
  })

  it.each([
    'SELECT "a" FROM threecases', 'SELECT o."a" AS r, d.a FROM threecases o, plaincase d', 'SELECT "a" FROM threecases UNION ALL SELECT a FROM plaincase',
    'WITH x AS (SELECT 1 AS a) SELECT o."a" AS v FROM threecases o, x', 'SELECT o."a", (SELECT 5 AS a) FROM threecases o', 'SELECT threecases.a FROM threecases, plaincase',
    'SELECT a FROM plaincase WHERE EXISTS (SELECT 1 FROM threecases WHERE a = 3)', 'SELECT o.a FROM (SELECT * FROM threecases) AS o, plaincase',
    'WITH d AS (SELECT * FROM threecases) SELECT d.a FROM d, plaincase', 'WITH plaincase AS (SELECT * FROM threecases) SELECT plaincase.a FROM plaincase',
    'SELECT x.a FROM plaincase x, LATERAL (SELECT x.a FROM threecases x) y', 'SELECT max("A") AS a FROM threecases GROUP BY a',
  ])('%s is refused: it would give column "A"', async (sql) => expect(await query(sql)).toMatch(/^3 ltap: query.name: DuckDB takes column "a" .*: write "a_3"\n$/))

  it.each([
    ['SELECT "A" AS x, a_3 AS y FROM threecases', 'x,y\n2,3\n'], ['SELECT o.a_3 AS y, d.a FROM threecases o, plaincase d', 'y,a\n3,4\n'],
    ['SELECT plaincase.a FROM plaincase, threecases', 'a\n4\n'],
  ])('%s', async (sql, expected) => expect(await query(sql)).toBe(expected))

  it('PRAGMA table_info describes the table that is asked for', async () => {
    for (const name of ['orders', 'Orders', "'orders'", '"orders"', 'public.orders', 'PUBLIC.ORDERS']) {
      expect(await query(`PRAGMA table_info(${name})`)).toMatch(/^cid,.*\n0,id,INTEGER,.*\n$/)
    }
  })

  it.each([
    ['SELECT p."A" AS n FROM pairs', 'n\n1\n'], ["SELECT p['A'] AS n FROM pairs", 'n\n1\n'], ['SELECT p.a_2 AS n, (p).B AS m FROM pairs', 'n,m\n2,3\n'],
    ['SELECT list[1]."A" AS n FROM pairs', 'n\n4\n'], ['SELECT t.a FROM (SELECT 7 AS a) AS t, orders LIMIT 1', 'a\n7\n'],
    ['SELECT twocases.a FROM twocases', 'a\n9\n'],
  ])('fields of composites: %s', async (sql, expected) => expect(await query(sql)).toBe(expected))

  it.each([
    'SELECT p.a FROM pairs', 'SELECT (p).a FROM pairs', 'SELECT p.A FROM pairs', "SELECT p['a'] FROM pairs", "SELECT struct_extract(p, 'a') FROM pairs",
    'SELECT t.p.a FROM pairs AS t', 'SELECT list[1].a FROM pairs', 'SELECT list_transform(list, x -> x.a) FROM pairs', 'SELECT x.a FROM (SELECT p AS x FROM pairs)',
    'SELECT p.a FROM twocases',
  ])('%s is refused: it would give field "A"', async (sql) => {
    expect(await query(sql)).toMatch(/^3 ltap: query.name: DuckDB takes field "a" for another one, whose name differs only in case: write "a_2"\n$/)
  })

  it('views.sql of a lake of format 1 says so', () => {
    const text = readFileSync(join(oldLake, VIEWS_NAME), 'utf8')
    expect(text).toMatch(/-- table "public"."Orders" is "public"."Orders_\d+" here: "Orders" reads another table, whose name differs only in case\n/)
  })
})

it('numbers in JSON are as the README says: strings where a JavaScript number may not hold them', async () => {
  const { stdout } = await ltap(['query', '--lake', lake, '--json', 'SELECT * EXCLUDE (_overflow), count(*) OVER () AS rows, sum(i4) OVER () AS sum FROM numbers'])
  expect(JSON.parse(stdout)).toEqual([{
    i2: 1, i4: -2, i8: '9007199254740993', n2: '1.50', n: '2.500000000', m: '3.25', o: '16384', r: '1259', x: '700', x8: '5000000000', f4: 0.1, f8: 1e300,
    nan: 'NaN', inf: '-Infinity', b: true, rows: '1', sum: '-2',
  }])
  const table = await ltap(['inspect', 'table', cluster.dataDir, 'public.numbers', '--json'])
  expect(Object.values((JSON.parse(table.stdout) as { columns: Record<string, unknown> }[])[0]!.columns).every((value) => typeof value === 'string')).toBe(true)
})

describe('a table by name on each verb', () => {
  it.each([
    ['public.orders', 6], ['PUBLIC.ORDERS', 6], ['public.Orders', 5], ['public."Orders"', 5], ['public."Items"', 1], ['"a.b".c', 1], ['a."b.c"', 1],
  ])('%s', async (name, rows) => {
    const table = await inspect(name)
    expect({ ...table, stdout: table.stdout.trimEnd().split('\n').length - 1 }).toEqual({ code: 0, stdout: rows, stderr: SILENT })
    const one = join(folder, `one-${name.replaceAll(/\W/g, '_')}`)
    expect(await ltap(['transcode', cluster.dataDir, '--lake', one, '--database', 'shop', '--table', name])).toMatchObject({ code: 0, stderr: SILENT })
    const tables = (await NewestState.read(one)).manifest.relations.filter(({ relkind }) => relkind === 'r')
    expect(tables).toHaveLength(1)
    writeFileSync(join(cluster.dataDir, tables[0]!.path), new Uint8Array(8192))
    expect(await ltap(['rebuild', '--lake', lake, '--pgdata', cluster.dataDir, '--force', '--table', name])).toMatchObject({ code: 0, stderr: SILENT })
    expect(await ltap(['verify', cluster.dataDir, '--lake', one])).toMatchObject({ code: 0 })
  })

  it.each([
    ['public.items', /there is public."Items": quote a name with upper case letters/], ['a.b.c', /'a.b.c' may be (?:"a.b".c or a."b.c"|a."b.c" or "a.b".c): quote it/],
    ['public.nothing', /there is no table 'public.nothing'; write it as schema.name, quoted as in psql/],
  ])('%s is refused', async (name, message) => {
    expect((await inspect(name)).stderr).toMatch(message)
    const none = join(folder, 'none')
    for (const argv of [['transcode', cluster.dataDir, '--lake', none, '--table', name], ['rebuild', '--lake', lake, '--pgdata', cluster.dataDir, '--force', '--table', name]]) {
      expect(await ltap(argv)).toMatchObject({ code: 3, stderr: expect.stringMatching(message) as string })
      rmSync(none, { recursive: true, force: true })
    }
  })
})

describe('a materialized view that was never filled', () => {
  it('is not read, as the server does not', async () => {
    expect(refusal).toBe('materialized view "unfilled" has not been populated')
    expect(await query('SELECT * FROM filled')).toBe('n\n1\n')
    expect(await query('SELECT * FROM unfilled')).toMatch(/^3 ltap: query.sql: Catalog Error: .*materialized view "public"."unfilled" has not been populated: use REFRESH MATERIALIZED VIEW/)
    expect(await query('SELECT count(*) AS n FROM ltap_public.unfilled')).toBe('n\n0\n')
    expect(readFileSync(join(oldLake, VIEWS_NAME), 'utf8')).toMatch(/\n-- materialized view "public"."unfilled" has not been populated: use REFRESH/)
    expect(await inspect('public.unfilled')).toMatchObject({ code: 3, stdout: '', stderr: expect.stringMatching(/materialized view public.unfilled has not been populated/) as string })
    expect(await inspect('public.unfilled', '--dead')).toMatchObject({ code: 0, stderr: SILENT })
    const { stdout } = await ltap(['inspect', 'relations', cluster.dataDir, '--database', 'shop'])
    expect(stdout).toMatch(/\| unfilled +\| matview, not populated /)
    expect(stdout).toMatch(/\| filled +\| matview +\|/)
  })

  it('is in the state and in the manifest as such, and nothing else is', async () => {
    for (const { relations } of [(await NewestState.read(lake)).manifest, parseManifest(readFileSync(join(oldLake, MANIFEST_NAME), 'utf8'))]) {
      expect(relations.filter(({ populated }) => populated !== undefined).map(({ name, populated }) => ({ name, populated }))).toEqual([{ name: 'unfilled', populated: false }])
    }
  })
})

describe('lists of hidden rows, of format 1', () => {
  it('have a name that is no data file to engines that pass over _ names', () => {
    const files = readdirSync(join(oldLake, 'data'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.parquet'))
    const lists = files.filter((name) => name.endsWith('.hidden.parquet'))
    expect(lists.length).toBeGreaterThan(2)
    expect(lists.every((name) => /\/_\d{10}\.hidden\.parquet$/.test(name))).toBe(true)
    expect(files.filter((name) => !lists.includes(name)).every((name) => /\/\d{10}\.parquet$/.test(name))).toBe(true)
  })

  it('of ltap 0.1.0 have names without it: such a lake is read, verified and rebuilt', async () => {
    const old = join(folder, 'old')
    cpSync(oldLake, old, { recursive: true })
    const manifest = join(old, MANIFEST_NAME)
    const text = readFileSync(manifest, 'utf8')
    writeFileSync(manifest, text.replaceAll(/\/_(\d{10}\.hidden\.parquet)/g, '/$1'))
    for (const name of readdirSync(join(old, 'data'), { recursive: true, encoding: 'utf8' }).filter((path) => /\/_\d+\.hidden\.parquet$/.test(path))) {
      renameSync(join(old, 'data', name), join(old, 'data', name.replace('/_', '/')))
    }
    expect(existsSync(join(old, 'data'))).toBe(true)
    expect(readFileSync(manifest, 'utf8')).not.toBe(text)
    expect(await query('SELECT count(*) AS n FROM orders', old)).toBe('n\n6\n')
    for (const argv of [['verify', cluster.dataDir, '--lake', old], ['verify', '--lake', old]]) expect(await ltap(argv)).toMatchObject({ code: 0, stderr: SILENT })
  })
})
