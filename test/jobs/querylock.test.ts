/** Somebody else's SQL reads the lake and nothing else: every kind of statement, and what was tried against it. */
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as duck from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { queryLake } from '../../src/jobs/query/query.ts'
import { CLOSED_SETTINGS, lockDuckDB } from '../../src/jobs/query/querylock.ts'
import { extractReading } from '../../src/jobs/query/querystatement.ts'
import { relationFolder } from '../../src/lake/manifest.ts'
import { numbers, writeLake } from '../lake/smalllake.ts'

const root = mkdtempSync(join(tmpdir(), 'ltap-querylock-'))
const lake = join(root, 'a [lake] with *')
const places = { lake, cwd: join(root, 'cwd'), tmp: join(root, 'tmp'), home: join(root, 'home'), outside: join(root, 'outside') }
const secret = join(places.outside, 'secret.csv')
const before = { cwd: process.cwd(), TMPDIR: process.env['TMPDIR'], HOME: process.env['HOME'] }
let data = ''

beforeAll(async () => {
  const plain = join(root, 'plain')
  const manifest = await writeLake(plain, [
    { name: 'orders', columns: ['id'], files: [{ select: numbers(5), hidden: [1] }, { select: numbers(5) }] },
    { name: 'other', columns: ['id'], files: [{ select: numbers(5) }] },
  ])
  cpSync(plain, lake, { recursive: true })
  data = join(lake, relationFolder(manifest.relations[0]!), '0000000000.parquet')
  for (const place of [places.cwd, places.tmp, places.home, places.outside]) mkdirSync(place)
  writeFileSync(secret, 'word\nsecret\n')
  cpSync(data, join(places.outside, 'other.parquet'))
  process.chdir(places.cwd)
  Object.assign(process.env, { TMPDIR: places.tmp, HOME: places.home })
})

afterAll(() => {
  process.chdir(before.cwd)
  for (const name of ['TMPDIR', 'HOME'] as const) {
    if (before[name] === undefined) delete process.env[name]
    else process.env[name] = before[name]
  }
  rmSync(root, { recursive: true })
})

/** Every file anywhere we can look, with its bytes. */
function everything(): Record<string, string> {
  const files: Record<string, string> = {}
  for (const place of Object.values(places)) {
    for (const name of readdirSync(place, { recursive: true, encoding: 'utf8' })) {
      const path = join(place, name)
      files[path] = statSync(path).isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : 'folder'
    }
  }
  return files
}

async function query(sql: string): Promise<string> {
  let text = ''
  await queryLake({ lake, sql, format: 'csv', threads: 1 }, async (piece) => void (text += piece))
  return text
}

/** Paths that a text may name: `$data` a file of the lake, `$out` a new file, `$secret` a file outside of the lake. */
function filled(sql: string): string {
  return sql.replaceAll('$data', data).replaceAll('$pattern', data.replace(/[[*?]/g, '[$&]')).replaceAll('$out', join(places.outside, 'out'))
    .replaceAll('$secret', secret).replaceAll('$outside', places.outside).replaceAll('$lake', lake).replaceAll('$tmp', places.tmp)
}

const READ_ONLY = /^query.sql: (?:[A-Z_]+|a statement of this text) is refused: a lake is only read \(SELECT, SHOW, DESCRIBE, SUMMARIZE, EXPLAIN\)/
const NO_FUNCTION = /^query.sql: function \w+ is refused: a query reads the lake and nothing else$/
const NO_ACCESS = /^query.sql: (?:Permission Error: Cannot access (?:file|directory)|IO Error: .*disabled|Catalog Error: Table with name .* does not exist)/
const ONE_SELECT = /^query.sql: EXPLAIN takes one SELECT, and must be the only statement$/
const NO_VALUES = /^query.sql: PIVOT without IN \(…\) is refused, since DuckDB creates a type for it: write the values, PIVOT orders ON status IN \('new', 'paid'\)/
const NOT_UNDERSTOOD = /^query.sql: (?:Parser|Syntax|Catalog|Binder|Invalid Input) Error/

/** A text of each kind of statement at least, and what becomes of it: its rows as CSV, or the refusal. */
const STATEMENTS: Readonly<Record<string, readonly (readonly [sql: string, outcome: string | RegExp])[]>> = {
  INVALID: [['SELEKT 1', NOT_UNDERSTOOD], ['', /no SQL statement/], ['/* nothing */ ;', /no SQL statement/]],
  SELECT: [
    ['SELECT count(*) AS n FROM orders', 'n\n9\n'], ['FROM orders SELECT max(id) AS n', 'n\n4\n'], ['VALUES (1)', 'col0\n1\n'],
    ['SELECT 1 AS m; SELECT 2 AS n', 'm\n1\n\nn\n2\n'], ['WITH t AS (FROM range(3)) SELECT sum(range)::INT AS n FROM t', 'n\n3\n'],
    ['SHOW TABLES', 'schema,name\npublic,orders\npublic,other\n'], ['DESCRIBE orders', /^column_name,/], ['SUMMARIZE orders', /^column_name,/], ['DESCRIBE SELECT 1', /^column_name,/],
    ['SHOW ALL TABLES', /^database,/],
    ['SELECT * FROM (PIVOT orders ON id IN (1, 2) USING count(*))', /^1,2\n/],
    ["SELECT DISTINCT file_name = '$data' AS same FROM parquet_metadata('$pattern')", 'same\ntrue\n'],
  ],
  INSERT: [['INSERT INTO orders VALUES (1)', READ_ONLY], ['WITH t AS (SELECT 1) INSERT INTO orders FROM t', READ_ONLY], ['SELECT 1; INSERT INTO orders VALUES (1)', READ_ONLY]],
  UPDATE: [['UPDATE orders SET id = 1', READ_ONLY]],
  EXPLAIN: [
    ['EXPLAIN SELECT count(*) FROM orders', /^explain_key,explain_value\nphysical_plan,/], ['explain analyze SELECT 1', /analyzed_plan/],
    ['-- a comment\nEXPLAIN /* and */ ANALYZE FROM orders', /analyzed_plan/], ['EXPLAIN (FORMAT JSON, ANALYZE) (SELECT 1)', /analyzed_plan/],
    ['EXPLAIN (SELECT 1)', /physical_plan/], ['EXPLAIN SUMMARIZE orders;', /physical_plan/],
    ["EXPLAIN ANALYZE COPY (SELECT 1) TO '$out'", ONE_SELECT], ["EXPLAIN ANALYZE COPY (SELECT 1 AS id) TO '$data' (FORMAT parquet, USE_TMP_FILE false)", ONE_SELECT],
    ["EXPLAIN (ANALYZE) COPY (SELECT 1) TO '$out'", ONE_SELECT], ["EXPLAIN SELECT 1; COPY (SELECT 1) TO '$out'", ONE_SELECT],
    ["EXPLAIN ANALYZE SELECT 1; EXPLAIN ANALYZE COPY (SELECT 1) TO '$out'", ONE_SELECT], ['EXPLAIN ANALYZE CALL enable_logging()', ONE_SELECT],
    ["EXPLAIN/**/ANALYZE/**/COPY (SELECT 1) TO '$out'", ONE_SELECT], ["/* /* */ */ EXPLAIN ANALYZE COPY (SELECT 1) TO '$out'", READ_ONLY],
    ["SELECT 1; EXPLAIN ANALYZE COPY (SELECT 1) TO '$out'", READ_ONLY],
    ['EXPLAIN ANALYZE SELECT * FROM enable_logging()', NO_FUNCTION], ['EXPLAIN', ONE_SELECT], ['EXPLAIN EXPLAIN SELECT 1', ONE_SELECT],
    ['EXPLAIN ANALYZE CREATE TABLE memory.main.t AS SELECT 1', ONE_SELECT], ["EXPLAIN ANALYZE ATTACH '$data' AS z", ONE_SELECT],
  ],
  DELETE: [['DELETE FROM orders', READ_ONLY], ['TRUNCATE orders', READ_ONLY]],
  PREPARE: [["PREPARE v AS COPY (SELECT 1) TO '$out'; EXECUTE v", READ_ONLY]],
  CREATE: [
    ['CREATE TABLE memory.main.t(a int)', READ_ONLY], ['CREATE VIEW v AS SELECT 1', READ_ONLY], ["CREATE SECRET s (TYPE s3)", READ_ONLY],
    ['CREATE PERSISTENT SECRET s (TYPE s3)', READ_ONLY], ['CREATE MACRO f() AS 1', READ_ONLY], ["CREATE TEMP TABLE t AS FROM '$secret'", READ_ONLY],
    ['PIVOT orders ON id USING count(*)', NO_VALUES], ['SELECT * FROM (PIVOT orders ON id USING count(*))', NO_VALUES],
    ['WITH t AS (PIVOT_WIDER orders ON id USING count(*)) FROM t', NO_VALUES], ['CREATE TABLE t AS PIVOT orders ON id USING count(*)', READ_ONLY],
    ['PIVOT orders ON id IN (1, 2) USING count(*)', /^1,2\n/], ['SELECT 1 INTO t', NOT_UNDERSTOOD],
  ],
  CREATE_FUNC: [['CREATE FUNCTION f(a) AS a + 1', READ_ONLY]],
  EXECUTE: [['EXECUTE v', READ_ONLY]],
  ALTER: [['ALTER VIEW orders RENAME TO x', READ_ONLY], ['COMMENT ON VIEW orders IS $$x$$', READ_ONLY]],
  TRANSACTION: [['BEGIN', READ_ONLY], ['COMMIT', READ_ONLY]],
  COPY: [
    ["COPY (SELECT 1) TO '$out'", READ_ONLY], ["COPY (SELECT 1 AS id) TO '$data' (FORMAT parquet, USE_TMP_FILE false)", READ_ONLY],
    ["COPY orders TO '$tmp/x.csv'", READ_ONLY], ["COPY orders TO '/dev/stdout'", READ_ONLY], ["COPY orders FROM '$secret'", READ_ONLY],
    ["SELECT * FROM query('COPY (SELECT 1) TO ''$out''')", NO_FUNCTION], ["FROM (COPY (SELECT 1) TO '$out')", NOT_UNDERSTOOD],
  ],
  ANALYZE: [['ANALYZE', READ_ONLY]],
  VARIABLE_SET: [['SET VARIABLE x = 1', READ_ONLY]],
  DROP: [['DROP VIEW orders', READ_ONLY], ['DROP SCHEMA public CASCADE', READ_ONLY]],
  EXPORT: [["EXPORT DATABASE '$outside/export'", READ_ONLY]],
  PRAGMA: [
    ["PRAGMA table_info('orders')", /^cid,name/], ['PRAGMA table_info(public . "orders");', /^cid,name/],
    ["PRAGMA table_info('orders''); COPY (SELECT 1) TO ''$out''; --')", NOT_UNDERSTOOD],
    ["SELECT * FROM pragma_table_info('or' || 'ders')", /plain text/], ['PRAGMA show_tables', 'schema,name\npublic,orders\npublic,other\n'], ['pragma version;', /^library_version/],
    ["PRAGMA import_database('$outside')", /Permission Error|PRAGMA is refused/], ["PRAGMA copy_database('shop', 'memory')", READ_ONLY],
    ['PRAGMA enable_profiling', READ_ONLY], ["PRAGMA profiling_output='$out'", READ_ONLY], ["PRAGMA log_query_path='$out'", READ_ONLY],
    ["PRAGMA table_info('orders'); COPY (SELECT 1) TO '$out'", /refused|Permission/], ['PRAGMA force_checkpoint', READ_ONLY],
    ["PRAGMA add_parquet_key('k', '0123456789112345')", READ_ONLY], ['PRAGMA enable_verification', READ_ONLY],
  ],
  VACUUM: [['VACUUM', READ_ONLY]],
  CALL: [["CALL enable_profiling(save_location='$out.json', format='json')", READ_ONLY], ['CALL pragma_version()', READ_ONLY]],
  SET: [
    ["SET log_query_path='$out'", /SET is refused.*--memory-limit and --threads/], ["SET profiling_output='$out'", READ_ONLY], ['SET threads=1', READ_ONLY],
    ['SET enable_external_access=true', READ_ONLY], ['RESET lock_configuration', READ_ONLY], ['USE memory', READ_ONLY], ["SET temp_directory='$outside'", READ_ONLY],
    ["SELECT 1; SET log_query_path='$out'", READ_ONLY],
  ],
  LOAD: [['LOAD httpfs', READ_ONLY], ['INSTALL httpfs', READ_ONLY], ["LOAD '$secret'", READ_ONLY]],
  ATTACH: [["ATTACH '$out.db' AS z", READ_ONLY], ["ATTACH '$data' AS z", READ_ONLY], ["ATTACH ':memory:' AS z", READ_ONLY]],
  DETACH: [['DETACH memory', READ_ONLY]],
  MULTI: [["IMPORT DATABASE '$outside'", /refused|Permission Error/]],
  COPY_DATABASE: [['COPY FROM DATABASE shop TO memory', READ_ONLY]],
  UPDATE_EXTENSIONS: [['UPDATE EXTENSIONS', READ_ONLY]],
  MERGE_INTO: [['MERGE INTO orders USING other ON orders.id = other.id WHEN MATCHED THEN DELETE', READ_ONLY]],
}

/** Kinds that no SQL text is of. */
const NO_TEXT = ['RELATION', 'EXTENSION', 'LOGICAL_PLAN']

/** SELECTs that reach for more than the lake. */
const ATTACKS: readonly (readonly [sql: string, outcome: RegExp])[] = [
  ["SELECT * FROM '$secret'", NO_ACCESS], ["FROM '$outside/*.parquet'", NO_ACCESS], ["FROM '$outside/other.parquet'", NO_ACCESS],
  ["FROM read_parquet('$outside/other.parquet')", NO_ACCESS], ["FROM read_parquet(['$pattern', '$outside/other.parquet'])", NO_ACCESS],
  ["FROM read_parquet('$outside/../outside/other.parquet')", NO_ACCESS], ["FROM parquet_metadata('$outside/other.parquet')", NO_ACCESS],
  ["FROM '$lake/ltap.json'", NO_ACCESS], ["FROM '/etc/passwd'", NO_ACCESS], ["FROM 'http://localhost:9/x.parquet'", NO_ACCESS], ["FROM 's3://x/y.parquet'", NO_ACCESS],
  ["FROM read_parquet('https://localhost:9/x.parquet')", NO_ACCESS],
  ...['read_text', 'read_blob', 'read_csv', 'read_csv_auto', 'read_json', 'read_ndjson_objects', 'sniff_csv', 'read_duckdb', 'glob', 'system.main.read_text', '"Read_Text"']
    .map((name) => [`SELECT * FROM ${name}('$secret')`, NO_FUNCTION] as const),
  ["SELECT (SELECT content FROM read_text('$secret'))", NO_FUNCTION], ["SELECT * FROM orders WHERE EXISTS (FROM read_text('$secret'))", NO_FUNCTION],
  ["WITH t AS MATERIALIZED (FROM read_text('$secret')) FROM t", NO_FUNCTION], ["DESCRIBE SELECT * FROM read_text('$secret')", NO_FUNCTION],
  ["SUMMARIZE SELECT * FROM read_text('$secret')", NO_FUNCTION], ["FROM (VALUES (1)) t(a), LATERAL (FROM read_text('$secret'))", NO_FUNCTION],
  ["SELECT * FROM query('FROM read_text(''$secret'')')", NO_FUNCTION], ["SELECT * FROM query_table('orders')", NO_FUNCTION],
  ["SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''$secret'')'))", NO_FUNCTION],
  ["SELECT json_serialize_plan('FROM enable_logging()')", NO_FUNCTION],
  ["SELECT * FROM enable_logging(storage='file', storage_path='$outside/log')", NO_FUNCTION],
  ["SELECT * FROM enable_logging('QueryLog', storage='file', storage_path='$data', storage_normalize=false)", NO_FUNCTION],
  ["SELECT * FROM enable_logging(storage='stdout')", NO_FUNCTION], ['SELECT * FROM truncate_duckdb_logs()', NO_FUNCTION], ["SELECT write_log('x')", NO_FUNCTION],
  ["SELECT * FROM enable_profiling(save_location='$out.json', format='json')", NO_FUNCTION], ['SELECT * FROM checkpoint()', NO_FUNCTION],
  ['SELECT * FROM disable_peg_parser()', NO_FUNCTION], ['SELECT * FROM duckdb_secrets()', NO_FUNCTION], ["SELECT * FROM which_secret('s3://x', 's3')", NO_FUNCTION],
  ["SELECT getenv('HOME')", NOT_UNDERSTOOD], ["SELECT * FROM arrow_scan(1, 2, 3)", NO_FUNCTION], ["SELECT * FROM seq_scan()", NO_FUNCTION],
]

async function outcomeOf(sql: string): Promise<string> {
  return await query(filled(sql)).catch((error: Error) => error.message)
}

describe('every kind of statement', () => {
  it('has a text here, those of the next DuckDB too', () => {
    const kinds = Object.keys(duck.StatementType).filter((name) => /^[A-Z_]+$/.test(name))
    expect([...Object.keys(STATEMENTS), ...NO_TEXT].sort()).toEqual(kinds.sort())
  })

  const texts = [...Object.values(STATEMENTS).flat(), ...ATTACKS]
  it.each(texts)('%s', async (sql, outcome) => {
    const files = everything()
    const found = await outcomeOf(sql)
    expect(everything()).toEqual(files)
    if (typeof outcome === 'string') expect(found).toBe(outcome)
    else expect(found).toMatch(outcome)
    expect(found).not.toContain('secret\n')
  })

  it('a table function is on the list of those that only read, or refused', async () => {
    const { connection, close } = await open([])
    const rows = await (await connection.run("SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type LIKE 'table%'")).getRows()
    const read: string[] = []
    for (const [name] of rows) {
      await extractReading(duck, connection, `SELECT * FROM "${String(name)}"()`).then(() => read.push(String(name)), (error: Error) => expect(error.message).toMatch(NO_FUNCTION))
    }
    close()
    expect(rows.length).toBeGreaterThan(90)
    expect(read.filter((name) => !/^(?:duckdb|pragma|parquet)_/.test(name)).sort()).toEqual([
      'generate_series', 'histogram', 'histogram_values', 'icu_calendar_names', 'json_each', 'json_tree', 'pg_timezone_names', 'range', 'read_parquet', 'repeat',
      'repeat_row', 'summary', 'test_all_types', 'test_vector_types', 'unnest',
    ])
    expect(read).not.toContain('duckdb_secrets')
  })
})

it('what does not fit into memory goes to the folder of the run, which is gone afterwards', async () => {
  const files = everything()
  let rows = 0
  let seen: { name: string; mode: number }[] = []
  const sql = "SELECT hash(range)::VARCHAR || repeat('x', 60) AS h FROM range(1500000) ORDER BY h"
  await queryLake({ lake, sql, format: 'csv', threads: 1, memoryLimit: '60MB' }, async (piece) => {
    rows += piece.split('\n').length
    if (seen.length === 0) seen = readdirSync(places.tmp, { recursive: true, encoding: 'utf8' }).map((name) => ({ name, mode: statSync(join(places.tmp, name)).mode & 0o777 }))
  })
  expect(rows).toBeGreaterThan(1_500_000)
  expect(seen[0]).toEqual({ name: expect.stringMatching(/^ltap-query-\w+$/) as string, mode: 0o700 })
  expect(seen.some(({ name }) => /duckdb_temp/.test(name))).toBe(true)
  expect(everything()).toEqual(files)
})

async function open(files: readonly string[] | undefined): Promise<{ connection: duck.DuckDBConnection; close: () => void }> {
  const instance = await duck.DuckDBInstance.create(':memory:', { ...CLOSED_SETTINGS, temp_directory: places.tmp })
  const connection = await instance.connect()
  if (files !== undefined) await lockDuckDB(connection, files)
  return { connection, close: () => (connection.closeSync(), instance.closeSync()) }
}

describe('with a layer less, something gets through: this test can fail', () => {
  it('without the lock, a file outside of the lake is read', async () => {
    const { connection, close } = await open(undefined)
    const statements = await extractReading(duck, connection, filled("SELECT * FROM '$secret'"))
    expect(await (await (await statements.prepare(0)).run()).getRows()).toEqual([['secret']])
    close()
  })

  it('without the look at statements, a file of the lake is overwritten, also by EXPLAIN', async () => {
    const kept = readFileSync(data)
    for (const explain of ['', 'EXPLAIN ANALYZE ']) {
      const { connection, close } = await open([data])
      await connection.run(filled(`${explain}COPY (SELECT 1 AS id) TO '$data' (FORMAT parquet, USE_TMP_FILE false)`))
      expect(readFileSync(data).equals(kept)).toBe(false)
      writeFileSync(data, kept)
      close()
    }
  })

  it('without the list of functions, a SELECT changes the instance and writes', async () => {
    const { connection, close } = await open([])
    await connection.run(filled("SELECT * FROM enable_logging('QueryLog', storage='file', storage_path='$tmp/log', storage_buffer_size=1)"))
    await connection.run('SELECT 1')
    close()
    expect(existsSync(join(places.tmp, 'log'))).toBe(true)
    rmSync(join(places.tmp, 'log'), { recursive: true })
  })
})
