import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exportQuery, type ExportRequest } from '../../src/jobs/query/exportquery.ts'
import type { ExportReport } from '../../src/jobs/query/exportrows.ts'
import { hivePath } from '../../src/jobs/query/hivepath.ts'
import { queryLake } from '../../src/jobs/query/query.ts'
import { numbers, writeLake } from '../lake/smalllake.ts'
import { S3Server } from '../support/s3server.ts'

const directory = mkdtempSync(join(tmpdir(), 'ltap-export-test-'))
const lake = join(directory, 'lake')
const results = join(directory, 'results')
let places = 0

beforeAll(async () => {
  await writeLake(lake, [
    { name: 'orders', columns: ['id', 'total'], files: [{ select: numbers(5, 'n AS id, (n * 1.5)::DECIMAL(10,2) AS total'), hidden: [1] }] },
    { name: 'many', columns: ['id'], files: [{ select: numbers(50_000) }] },
  ])
})

afterAll(() => rmSync(directory, { recursive: true }))

function newPlace(ending = ''): string {
  return join(results, `${places++}${ending}`)
}

async function exported(sql: string, options: Partial<ExportRequest> = {}): Promise<ExportReport> {
  return exportQuery({ lake, sql, out: newPlace(), threads: 2, memoryLimit: '512MB', ...options })
}

async function printed(sql: string, format: 'csv' | 'json' = 'csv'): Promise<string> {
  let text = ''
  await queryLake({ lake, sql, format }, async (piece) => void (text += piece))
  return text
}

/** What a DuckDB of its own says. */
async function stock(sql: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(':memory:')
  try {
    const connection = await instance.connect()
    await connection.run("SET TimeZone = 'UTC'")
    return (await (await connection.run(sql)).getRows()).map((row) => row.map((value) => (value === null ? null : String(value))))
  } finally {
    instance.closeSync()
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile()).sort()
}

const VALUES = `SELECT * FROM (VALUES
  (1, 9007199254740993, 1.50::DECIMAL(38,9), -1.5::DECIMAL(4,1), 'NaN'::DOUBLE, 0.1::FLOAT, TIMESTAMP '2020-01-02 03:04:05.6', TIMESTAMPTZ '0001-01-01 00:00:00+00',
    DATE '2020-02-29', 'a"b', {'x': [1, NULL], 'y': 5::BIGINT}, MAP {'k': 'v', 'l': NULL}, '\\xAB\\x00'::BLOB, true, TIME '24:00:00',
    'b4fd5f16-f2a2-4a71-a6da-d04b03eea574'::UUID, 170141183460469231::HUGEINT, 18446744073709551615::UBIGINT, [['a', NULL], NULL, []]),
  (NULL, -1, -0.000000001, 0.0, '-0'::DOUBLE, 1e20::FLOAT, 'infinity', '-infinity', 'infinity', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (2, 0, 12345678901234567890123456789.123456789::DECIMAL(38,9), 999.9, '-inf'::DOUBLE, 'nan'::FLOAT, '290000-01-01 00:00:00', 'infinity', '-infinity', 'é😀', {'x': [], 'y': NULL},
    MAP {}, ''::BLOB, false, TIME '00:00:00.000001', 'ffffffff-ffff-ffff-ffff-ffffffffffff', -170141183460469231::HUGEINT, 0::UBIGINT, [])
) AS t(i, l, d, d4, f8, f4, ts, tz, da, s, st, m, b, bo, ti, u, h, ub, ll)`

const OTHER_TYPES: Readonly<Record<string, string>> = { UBIGINT: 'DECIMAL(20,0)', HUGEINT: 'DECIMAL(38,0)', UUID: 'VARCHAR' }

describe('parquet', () => {
  it('has every value of every type, as a stock DuckDB reads it', async () => {
    const { out, ...report } = await exported(VALUES)
    expect(report).toEqual({ format: 'parquet', rows: 3, files: 1, bytes: statSync(join(out, 'part-00000.parquet')).size })
    const texts = 'SELECT COLUMNS(*)::VARCHAR FROM'
    expect(await stock(`${texts} '${out}/*.parquet'`)).toEqual(await stock(`${texts} (${VALUES})`))
    const types = (from: string): string => `SELECT column_name, column_type FROM (DESCRIBE ${from})`
    expect(await stock(types(`FROM '${out}/*.parquet'`))).toEqual((await stock(types(VALUES))).map(([name, type]) => [name, OTHER_TYPES[String(type)] ?? type]))
  })

  it('has text where Parquet has no type that all know, and refuses what a cast must decide', async () => {
    const { out } = await exported("SELECT INTERVAL '1 month -2 days 3.5s' AS i, TIMETZ '10:00:00+02' AS t, '0101'::BIT AS b, 'x'::ENUM('x') AS e, [INTERVAL 1 DAY] AS l")
    expect(await stock(`FROM '${out}/*.parquet'`)).toEqual([['1 month -2 days 00:00:03.5', '10:00:00+02', '0101', 'x', "['1 day']"]])
    for (const [sql, type] of [['TIMESTAMP_NS \'2020-01-01 00:00:00\'', 'TIMESTAMP_NS'], ['MAP {1: 2}', 'MAP\\(INTEGER, INTEGER\\)'], ["union_value(a := 1)", 'UNION\\("a" INTEGER\\)']]) {
      const refused = exported(`SELECT ${sql} AS c`, { out: newPlace() })
      await expect(refused, sql).rejects.toThrow(new RegExp(`^query.type: column c has type ${type}, which is not written as Parquet: cast it to another type in the query, such as c::VARCHAR`))
    }
    await expect(exported("SELECT '1' || repeat('0', 38) AS s, s::HUGEINT AS h")).rejects.toThrow(/^query.value: column h has the number 1\d{38}, and decimals of Parquet have 38 digits/)
    await expect(exported('SELECT row(1, 2) AS r')).rejects.toThrow(/^query.sql: the fields of r have no names: write struct_pack/)
    await expect(printed('SELECT [row(1, 2)] AS r')).rejects.toThrow(/the fields of r have no names/)
  })

  it('columns of one name get others, and no rows give a file with the columns', async () => {
    const { out, rows, files } = await exported('SELECT 1 AS a, 2 AS a WHERE false')
    expect([rows, files]).toEqual([0, 1])
    expect(await stock(`SELECT column_name FROM (DESCRIBE FROM '${out}/*.parquet')`)).toEqual([['a'], ['a:1']])
  })
})

describe('csv and json', () => {
  it('are what is printed', async () => {
    for (const format of ['csv', 'json'] as const) {
      const { out } = await exported(VALUES, { format, out: newPlace(`.${format}`) })
      expect(readFileSync(out, 'utf8')).toBe(await printed(VALUES, format))
      const folder = (await exported('FROM many ORDER BY id', { format, limits: { groupRows: 700, groupBytes: 1e9, bufferedBytes: 1e9, fileBytes: 1e9 } })).out
      expect(readFileSync(join(folder, `part-00000.${format}`), 'utf8')).toBe(await printed('FROM many ORDER BY id', format))
      const none = (await exported('SELECT 1 AS a WHERE false', { format, out: newPlace(`.${format}`) })).out
      expect(readFileSync(none, 'utf8')).toBe(await printed('SELECT 1 AS a WHERE false', format))
    }
  })

  it('csv has arrays and composites as Postgres writes them', async () => {
    const sql = `SELECT [1, NULL] AS a, ['', 'null', 'a b', 'q"\\{', 'plain'] AS t, {'a': NULL, 'b': '', 'c': 'x"\\y z', 'd': ['p q']} AS c, [[1], [2]] AS n, '\\.' AS dot`
    expect(await printed(sql)).toBe('a,t,c,n,dot\n"{1,NULL}","{"""",""null"",""a b"",""q\\""\\\\{"",plain}","(,"""",""x""""\\\\y z"",""{""""p q""""}"")","{{1},{2}}","\\."\n')
  })
})

describe('partitions', () => {
  it("are folders of Hive's layout, which a stock DuckDB reads", async () => {
    const text = `a/b=c d%':"\\é{}[]^#?*\t`
    const sql = `SELECT CASE id % 3 WHEN 0 THEN $$${text}$$ WHEN 1 THEN 'x' END AS p, (id % 2 = 0) AS "Q r", DATE '2020-01-01' + (id % 2)::INT AS d, id FROM many`
    const { out, rows, files } = await exported(sql, { partitionBy: ['p', 'Q r', 'd'] })
    expect([rows, files]).toEqual([50_000, 6])
    expect([...new Set(filesIn(out).map((name) => name.split('/')[0]))].sort()).toEqual(['p=__HIVE_DEFAULT_PARTITION__', 'p=a%2Fb%3Dc d%25%27%3A%22%5Cé%7B}%5B%5D%5E%23%3F%2A%09', 'p=x'])
    const read = `SELECT id, p, "Q r"::VARCHAR AS q, d::VARCHAR AS d FROM read_parquet('${out}/**/*.parquet', hive_partitioning = true)`
    const count = `SELECT count(*), sum(id), count(p), min(p), max(p), count(DISTINCT (p, q, d)) FROM`
    expect(await stock(`${count} (${read})`)).toEqual([['50000', '1249975000', '33334', text, 'x', '6']])
    expect(await stock(`SELECT p, q, d FROM (${read}) WHERE id IN (0, 1, 2) ORDER BY id`)).toEqual([[text, 'true', '2020-01-01'], ['x', 'false', '2020-01-02'], [null, 'true', '2020-01-01']])
    expect(filesIn(out).every((name) => /\/part-\d{5}\.parquet$/.test(name))).toBe(true)
  })

  it('few rows in memory and few open files: each row is there once, whatever the order', async () => {
    const limits = { groupRows: 500, groupBytes: 1e9, bufferedBytes: 200_000, fileBytes: 4000 }
    for (const format of ['parquet', 'csv', 'json'] as const) {
      const { out, files, rows } = await exported('SELECT id, id % 100 AS k FROM many', { partitionBy: ['k'], limits, format })
      expect(rows).toBe(50_000)
      expect(files).toBeGreaterThan(100)
      expect(filesIn(out).length).toBe(files)
      const from = format === 'parquet' ? `read_parquet('${out}/**/*.parquet')` : format === 'csv' ? `read_csv('${out}/**/*.csv', hive_partitioning = true)` : `read_json('${out}/**/*.json', hive_partitioning = true)`
      expect(await stock(`SELECT count(*), sum(id::INT), bool_and(id::INT % 100 = k) FROM ${from}`)).toEqual([['50000', '1249975000', 'true']])
    }
  })

  it("refuse what Hive's layout cannot say", async () => {
    const refused = (sql: string, partitionBy: string[], reason: RegExp): Promise<void> =>
      expect(exported(sql, { partitionBy }), sql).rejects.toThrow(reason)
    await refused("SELECT '' AS a, 1 AS b", ['a'], /^query.partition: partition column a has an empty text, which a folder's name cannot tell from NULL/)
    await refused("SELECT '__HIVE_DEFAULT_PARTITION__' AS a, 1 AS b", ['a'], /cannot tell from NULL/)
    await refused("SELECT repeat('é', 127) AS a, 1 AS b", ['a'], /has a value whose folder's name is 256 bytes, and 255 are possible/)
    await refused('SELECT [1] AS a, 1 AS b', ['a'], /column a has type INTEGER\[\]: partition by a column of plain values/)
    await refused('SELECT 1 AS a', ['a'], /each column of the result is a partition column/)
    await refused('SELECT 1 AS a, 2 AS b', ['a', 'a'], /named twice/)
    await refused('SELECT 1 AS "A", 2 AS b', ['a'], /no column a for --partition-by; it has "A", whose name differs in case/)
    await refused('SELECT 1 AS a, 2 AS b', ['c'], /no column c for --partition-by; it has: a, b$/)
    expect(hivePath(['..', 'a/b'], ['../..', '.'])).toBe('..=..%2F../a%2Fb=.')
    expect(existsSync(results) && readdirSync(results).filter((name) => name.startsWith('.'))).toEqual([])
  })
})

describe('the place', () => {
  it('is refused where something is, and nothing is touched', async () => {
    const refused = async (out: string, reason: RegExp): Promise<void> => expect(exported('FROM orders', { out }), out).rejects.toThrow(reason)
    const folder = newPlace()
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'mine'), 'x')
    writeFileSync(`${folder}.csv`, 'x')
    symlinkSync(folder, `${folder}-link`)
    await refused(folder, /^query.out: a folder with files is there already, and nothing is written over: name another place, or remove it first/)
    await refused(`${folder}.csv`, /^query.out: a file is there already/)
    await refused(`${folder}.csv/x`, /^file.missing: part of the path is a file, no folder/)
    await refused(`${folder}-link`, /^file.link: a symbolic link/)
    await refused(lake, /^path.inside: the place lies inside of the lake/)
    await refused(join(lake, 'x.parquet'), /^path.inside: /)
    await refused(`file://${lake}/x`, /^path.inside: /)
    await refused('gs://x/y', /^path.scheme: /)
    expect(readFileSync(join(folder, 'mine'), 'utf8') + readFileSync(`${folder}.csv`, 'utf8')).toBe('xx')
    await expect(exported('SELECT 1; SELECT 2')).rejects.toThrow(/^query.statements: one result goes out, and these are 2 statements/)
    await expect(exported('SELECT 1', { out: newPlace('.csv'), format: 'json' })).rejects.toThrow(/^query.out: the name ends in .csv, and the format is json/)
    await expect(exported("COPY (SELECT 1) TO '/dev/null'")).rejects.toThrow(/^query.sql: COPY is refused/)
  })

  it('may be an empty folder or file; only its owner may read what is written', async () => {
    const before = process.umask(0)
    try {
      const folder = newPlace()
      mkdirSync(folder, { recursive: true })
      chmodSync(folder, 0o750)
      await exported('SELECT 1 AS a, 2 AS b', { out: folder, partitionBy: ['a'] })
      expect([folder, join(folder, 'a=1'), join(folder, 'a=1/part-00000.parquet')].map((path) => statSync(path).mode & 0o777)).toEqual([0o750, 0o700, 0o600])
      const made = join(newPlace(), 'deep/er')
      await exported('FROM orders', { out: made })
      expect([made, join(made, '..')].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o700])
      const file = newPlace('.csv')
      writeFileSync(file, '')
      await exported('SELECT 1 AS a', { out: file })
      expect(readFileSync(file, 'utf8')).toBe('a\n1\n')
      expect(statSync(file).mode & 0o777).toBe(0o600)
    } finally {
      process.umask(before)
    }
  })

  it('has nothing after a statement that fails in the middle', async () => {
    for (const ending of ['', '.csv', '.parquet']) {
      const out = newPlace(ending)
      const sql = "SELECT id, CASE WHEN id = 49999 THEN error('late') END AS e FROM many"
      await expect(exported(sql, { out, limits: { groupRows: 1000, groupBytes: 1e9, bufferedBytes: 1e9, fileBytes: 1 } })).rejects.toThrow(/^query.sql: .*late/)
      expect(existsSync(out)).toBe(false)
    }
    expect(readdirSync(results).filter((name) => name.startsWith('.'))).toEqual([])
  })

  it('removes what a killed export left beside it', async () => {
    const left = join(results, '.ltap-out-gone00')
    mkdirSync(left, { recursive: true })
    writeFileSync(join(left, 'lock.pid'), '')
    const notices: string[] = []
    await exported('FROM orders', { onNotice: (text) => void notices.push(text) })
    expect(notices.length + Number(existsSync(left))).toBeGreaterThan(0)
    rmSync(left, { recursive: true, force: true })
  })
})

describe('an object store', () => {
  it('gets whole objects, _SUCCESS last; what is there is not written over', async () => {
    const server = await S3Server.start()
    const before = { ...process.env }
    try {
      Object.assign(process.env, { AWS_ENDPOINT_URL: server.endpoint, AWS_ACCESS_KEY_ID: 'ltapkey', AWS_SECRET_ACCESS_KEY: 'ltapsecret' })
      const keys = (): string[] => server.calls.filter(({ method }) => method === 'PUT').map(({ key }) => key)
      const sql = "SELECT id, 'a/b c' AS k FROM orders"
      const report = await exported(sql, { out: 's3://lake/out/', partitionBy: ['k'] })
      expect(report).toMatchObject({ rows: 4, files: 1 })
      expect(keys()).toEqual(['out/_ltap_unfinished', 'out/k=a%2Fb c/part-00000.parquet', 'out/_SUCCESS'])
      await expect(exported(sql, { out: 's3://lake/out' })).rejects.toThrow(/^query.out: objects are there already, and nothing is written over/)
      await expect(exported('FROM orders', { out: 's3://lake/out/_SUCCESS/x' })).resolves.toMatchObject({ rows: 4 })
      expect(await exported('FROM orders', { out: 's3://lake/dir/my orders.csv' })).toMatchObject({ format: 'csv' })
      await expect(exported('FROM orders', { out: 's3://lake/dir/my orders.csv' })).rejects.toThrow(/^query.out: objects are there already/)
      await expect(exported("SELECT error('late') FROM orders", { out: 's3://lake/failed' })).rejects.toThrow(/late/)
      expect(await exported('FROM orders', { out: 's3://lake/failed' })).toMatchObject({ rows: 4 })
    } finally {
      for (const name of ['AWS_ENDPOINT_URL', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) {
        if (before[name] === undefined) delete process.env[name]
        else process.env[name] = before[name]
      }
      await server.stop()
    }
  })
})
