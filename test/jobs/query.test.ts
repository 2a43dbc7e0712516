import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type QueryFormat, queryLake } from '../../src/jobs/query/query.ts'
import { numbers, writeLake } from '../lake/smalllake.ts'

const directory = mkdtempSync(join(tmpdir(), 'ltap-query-test-'))
const lake = join(directory, 'lake')

beforeAll(async () => {
  await writeLake(lake, [
    {
      name: 'orders', columns: ['id', 'total'],
      files: [{ select: numbers(5, 'n AS id, (n * 1.5)::DECIMAL(10,2) AS total'), hidden: [1] }],
    },
    { name: 'many', columns: ['id'], files: [{ select: numbers(50_000) }] },
    { name: 'orders_id_seq', relkind: 'S', columns: ['last_value'], files: [{ select: numbers(1, '5 AS last_value') }] },
    { name: 'pg_class', schema: 'pg_catalog', columns: ['relname'], files: [{ select: numbers(1, "'from the lake' AS relname") }] },
    { name: 'pg_toast_9', schema: 'pg_toast', relkind: 't', columns: ['chunk_id'], files: [{ select: numbers(1, '9 AS chunk_id') }] },
    { name: 't', schema: 'shop', columns: ['id'], files: [{ select: numbers(1) }] },
  ], ['shop', 'postgres'])
})

afterAll(() => rmSync(directory, { recursive: true }))

async function query(sql: string, format: QueryFormat = 'csv', options: { database?: string; lake?: string; timeoutSeconds?: number } = {}): Promise<string> {
  let text = ''
  await queryLake({ lake, sql, format, threads: 2, memoryLimit: '512MB', ...options }, async (piece) => void (text += piece))
  return text
}

describe('tables', () => {
  it('visible rows by bare name, by schema, by database', async () => {
    const ids = 'id\n0\n2\n3\n4\n'
    expect(await query('SELECT id FROM orders')).toBe(ids)
    expect(await query('SELECT id FROM public.ORDERS')).toBe(ids)
    expect(await query('SELECT id FROM "shop_5".public.orders')).toBe(ids)
    expect(await query('SELECT id FROM shop.t')).toBe('id\n0\n')
  })

  it('all tuples in ltap_<schema>', async () => {
    const dead = 'SELECT id, _ltap.xmin, _visible FROM ltap_public.orders WHERE NOT _visible'
    expect(await query(dead)).toBe('id,xmin,_visible\n1,700,false\n')
  })

  it('catalogs, TOAST and sequences when named', async () => {
    expect(await query('SELECT * FROM pg_class')).toBe('relname\nfrom the lake\n')
    expect(await query('SELECT * FROM pg_catalog_2.pg_class')).toBe('relname\nfrom the lake\n')
    expect(await query('SELECT * FROM pg_toast.pg_toast_9')).toBe('chunk_id\n9\n')
    expect(await query('SELECT last_value FROM orders_id_seq')).toBe('last_value\n5\n')
    await expect(query('SELECT * FROM pg_catalog.pg_class')).rejects.toThrow(/write pg_class alone, or "pg_catalog_2".pg_class$/)
    await expect(query('SELECT * FROM "pg_catalog"."pg_proc"')).rejects.toThrow(/pg_catalog is DuckDB's own schema, and the lake's has no table pg_proc$/)
  })

  it('lists of tables', async () => {
    const all = 'schema,name\npublic,many\npublic,orders\nshop,t\n'
    for (const sql of ['SHOW TABLES', 'show /* all */ tables;', 'PRAGMA show_tables', 'pragma show_tables;']) expect(await query(sql)).toBe(all)
    expect(await query('SELECT 1 AS n; SHOW TABLES')).toBe(`n\n1\n\n${all}`)
    expect(await query('SHOW TABLES FROM shop')).toBe('name\nt\n')
    expect(await query('DESCRIBE orders')).toContain('total,"DECIMAL(10,2)"')
  })
})

describe('several statements', () => {
  it('each gives its rows, an empty line between them', async () => {
    expect(await query('SELECT 1 AS a; SELECT 2 AS b, NULL AS c WHERE false;\n FROM orders SELECT max(id) AS m')).toBe('a\n1\n\nb,c\n\nm\n4\n')
    expect(await query('SELECT 1 AS a; SELECT 22 AS b', 'table')).toBe(' a\n---\n 1\n(1 row)\n\n  b\n----\n 22\n(1 row)\n')
    expect((await query('SELECT id FROM many; SELECT id FROM many')).split('\n').length).toBe(2 * 50_001 + 2)
  })

  it('JSON takes one: it is one document', async () => {
    expect(JSON.parse(await query('SELECT 1 AS a;', 'json'))).toEqual([{ a: 1 }])
    await expect(query('SELECT 1; SELECT 2', 'json')).rejects.toMatchObject({ code: 'query.statements', message: expect.stringMatching(/2 statements/) as string })
  })

  it('one that fails does not take away what came before', async () => {
    const pieces: string[] = []
    const running = queryLake({ lake, format: 'csv', sql: "SELECT 1 AS a; SELECT 'x'::INT" }, async (piece) => void pieces.push(piece))
    await expect(running).rejects.toMatchObject({ code: 'query.sql' })
    expect(pieces.join('')).toMatch(/^a\n1\n/)
  })
})

describe('a limit of time', () => {
  const endless = 'SELECT count(*) FROM range(1000000000) a, range(1000000) b'

  it.each([
    ['before the first row', endless], ['in a later statement', `SELECT 1; ${endless}`],
    ['between rows', 'SELECT a.range FROM range(1000000000) a, range(1000000) b WHERE (a.range + b.range) % 100000 = 0'],
    ['while it is explained', `EXPLAIN ANALYZE ${endless}`],
  ])('ends it %s', async (_where, sql) => {
    await expect(queryLake({ lake, sql, format: 'csv', threads: 1, timeoutSeconds: 0.3 }, async () => {}))
      .rejects.toMatchObject({ code: 'query.timeout', message: expect.stringMatching(/was ended after 0.3 s: give it more with --timeout/) as string })
  })

  it('counts the time that the reader of the rows takes', async () => {
    const slow = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 60))
    await expect(queryLake({ lake, sql: 'SELECT id FROM many', format: 'csv', timeoutSeconds: 0.2 }, slow)).rejects.toMatchObject({ code: 'query.timeout' })
  })

  it('leaves a query alone that is done before', async () => {
    expect(await query('SELECT count(*) AS n FROM orders', 'csv', { timeoutSeconds: 600 })).toBe('n\n4\n')
  })
})

describe('formats', () => {
  const values = `SELECT * FROM (VALUES
    (1, 9007199254740993, 1.50::DECIMAL(38,9), 'NaN'::DOUBLE, 0.1::FLOAT, TIMESTAMP '2020-01-02 03:04:05.6',
      TIMESTAMPTZ '0001-01-01 00:00:00+00',
      DATE '2020-02-29', 'a"b', {'x': [1, NULL], 'y': 5::BIGINT}, MAP {'k': 'v'}, '\\xAB'::BLOB, true),
    (NULL, -1, -0.000000001, '-0'::DOUBLE, 1e20::FLOAT, 'infinity', '-infinity', 'infinity', '', NULL, NULL, NULL, NULL)
  ) AS t(i, l, d, f8, f4, ts, tz, da, s, st, m, b, bo)`

  it('csv', async () => {
    expect((await query(values)).split('\n')).toEqual([
      'i,l,d,f8,f4,ts,tz,da,s,st,m,b,bo',
      '1,9007199254740993,1.500000000,NaN,0.1,2020-01-02 03:04:05.6,0001-01-01 00:00:00+00,2020-02-29,"a""b",' +
        '"(""{1,NULL}"",5)","{""k"":""v""}",\\xab,true',
      ',-1,-0.000000001,-0,1e+20,infinity,-infinity,infinity,"",,,,',
      '',
    ])
  })

  it('json', async () => {
    const rows = JSON.parse(await query(values, 'json')) as unknown[]
    expect(rows).toEqual([
      {
        i: 1, l: '9007199254740993', d: '1.500000000', f8: 'NaN', f4: 0.1, ts: '2020-01-02T03:04:05.6', tz: '0001-01-01T00:00:00+00:00',
        da: '2020-02-29', s: 'a"b', st: { x: [1, null], y: '5' }, m: { k: 'v' }, b: '\\xab', bo: true,
      },
      {
        i: null, l: '-1', d: '-0.000000001', f8: -0, f4: 1e20, ts: 'infinity', tz: '-infinity', da: 'infinity', s: '', st: null, m: null,
        b: null, bo: null,
      },
    ])
    expect(JSON.parse(await query('SELECT 1 AS a, 2 AS a WHERE false', 'json'))).toEqual([])
    expect(JSON.parse(await query('SELECT 1 AS a, 2 AS a', 'json'))).toEqual([{ a: 1, 'a:1': 2 }])
  })

  it('table', async () => {
    expect(await query("SELECT id, total, 'größe 漢' AS note FROM orders LIMIT 2", 'table')).toBe(
      ' id | total | note\n----+-------+----------\n  0 |  0.00 | größe 漢\n  2 |  3.00 | größe 漢\n(2 rows)\n',
    )
    expect(await query("SELECT 'a\nb' || chr(27) AS x, NULL::VARCHAR AS y", 'table')).toBe(
      ' x        | y\n----------+------\n a\\nb\\x1b | NULL\n(1 row)\n',
    )
  })

  it('every row of a result of many chunks, once', async () => {
    const ids = Array.from({ length: 50_000 }, (_, id) => String(id))
    expect((await query('SELECT id FROM many')).trimEnd().split('\n').slice(1)).toEqual(ids)
    expect((JSON.parse(await query('SELECT id FROM many', 'json')) as { id: string }[]).map(({ id }) => id)).toEqual(ids)
    const table = (await query('SELECT id FROM many', 'table')).split('\n')
    expect(table.slice(2, -2).map((line) => line.trim())).toEqual(ids)
    expect(table.at(-2)).toBe('(50000 rows)')
  })
})

describe('refusals, one line each', () => {
  it.each([
    ['SELECT * FROM nothing', /^query.sql: Catalog Error: .*\(tables of shop: orders, many, shop.t; database "shop" is "shop_5" here\)$/],
    ['SELEKT', /^query.sql: Parser Error/],
    ['', /^query.sql: the text has no SQL statement$/],
    [' -- nothing', /^query.sql: the text has no SQL statement$/],
    ['SELECT 1; CREATE TABLE x(a int)', /CREATE is refused: a lake is only read/],
    ["COPY (SELECT 1) TO 'x.csv'", /COPY is refused/],
    ["SELECT error('while\nrunning')", /^query.sql: Invalid Input Error: while$/],
  ])('%s', async (sql, message) => {
    const failure = await query(sql).catch((error: Error) => error)
    expect(failure).toMatchObject({ name: 'EnvironmentError', message: expect.stringMatching(message) })
  })

  it('a folder that is no lake, a database that is not there, a choice to make', async () => {
    await expect(query('SELECT 1', 'csv', { lake: directory })).rejects.toThrow(/the folder is not a lake: it has neither ltap\/format.json nor ltap.json/)
    await expect(query('SELECT 1', 'csv', { database: 'x' })).rejects.toThrow(/no database 'x', it has: template1, shop, postgres/)
    const two = join(directory, 'two')
    const files = [{ select: numbers(1) }]
    await writeLake(two, ['a', 'b'].map((database) => ({ name: 't', database, columns: ['id'], files })), ['a', 'b'])
    await expect(query('SELECT 1', 'csv', { lake: two })).rejects.toThrow(/with --database: a, b/)
    expect(await query('SELECT id FROM t', 'csv', { lake: two, database: 'b' })).toBe('id\n0\n')
  })

  it('a data file that is gone', async () => {
    const broken = join(directory, 'broken')
    await writeLake(broken, [{ name: 't', columns: ['id'], files: [{ select: numbers(1) }] }])
    rmSync(join(broken, 'data'), { recursive: true })
    await expect(query('SELECT * FROM t', 'csv', { lake: broken })).rejects.toThrow(/^lake.file: the file is missing/)
  })
})
