/** Virtual generated columns of Postgres 18: what is read of them from the catalogs, against pg_get_expr of the server itself. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCluster } from '../../src/io/cluster.ts'
import { installedMajors, type PostgresServer } from '../../src/server/postgres.ts'
import { VIEWS_NAME } from '../../src/lake/manifest.ts'
import { ltap } from '../cli/streams.ts'
import { transcode } from '../support/lakes.ts'
import { NewestState } from '../support/layeredlake.ts'
import { closeSessions, connect, createCluster } from '../support/oracle.ts'

/** Type and expression of a column each. */
const EXPRESSIONS: readonly (readonly [type: string, expression: string])[] = [
  ['int', 'a + 1'], ['int', '-a'], ['int', 'a * -3'], ['bigint', 'a'], ['bigint', 'big % 7 # 3'], ['int', 'abs(a) + ("Ug ly" - "select")'],
  ['text', "upper(b) || 'x''y\\z'"], ['text', "coalesce(b, 'n', vc)"], ['text', 'a::text'], ['text', "nullif(b, '')"], ['varchar(5)', 'b'], ['char(3)', 'b'], ['text', 'vc'],
  ['text', "b::varchar(4) || 'z'"], ['text', "'foo'::char(2)"], ['text', 'left(b, 2) || right(b, -1)'], ['text', "replace(b, 'ä', E'\\n')"], ['text', 'b COLLATE "C" || b'],
  ['boolean', 'a IS NULL OR b IS NOT NULL AND NOT a > 5'], ['boolean', 'flag IS TRUE'], ['boolean', 'flag IS NOT UNKNOWN'], ['boolean', 'NOT flag'], ['boolean', 'a IS DISTINCT FROM 3'],
  ['boolean', 'a IN (1, 2, 3)'], ['boolean', "b = ANY (ARRAY['x', 'y'])"], ['boolean', 'a <> ALL (arr)'], ['boolean', "b LIKE 'x%' AND b !~~* '%y'"], ['boolean', 'b ~ \'^x\''],
  ['boolean', 'a BETWEEN 1 AND 5'], ['boolean', 'true'], ['int', 'NULL'], ['text', 'NULL::text'],
  ['int', 'CASE WHEN a > 1 THEN 2 WHEN a < 0 THEN 3 ELSE -3 END'], ['text', "CASE b WHEN 'x' THEN 'ex' WHEN 'y' THEN NULL END"], ['int', 'CASE vc WHEN \'x\' THEN 1 ELSE 2 END + 1'],
  ['int', 'CASE WHEN flag THEN CASE WHEN a = 1 THEN 1 ELSE 2 END ELSE 3 END'], ['int', 'greatest(a, 2, least("Ug ly", 9))'], ['numeric(12,1)', 'num * 1.5'], ['numeric', 'num + 2'],
  ['numeric', '1.50 + 1e3 - 0.000 + num'], ['numeric(5,2)', "num::numeric(4,1) / 'NaN'::numeric"], ['float8', 'f * 1.25e10'], ['float8', "f + '-Infinity'::float8"], ['real', 'f'],
  ['date', 'd + 1'], ['date', "'2020-02-29'::date"], ['timestamp(3)', 'ts'], ['timestamp', "ts + '1 day 02:00'::interval"], ['timestamp', "tz AT TIME ZONE 'UTC'"], ['numeric', 'extract(year FROM d)'],
  ['numeric', 'extract(epoch FROM ts)'], ['timestamp', "date_trunc('month', ts)"], ['double precision', "date_part('hour', ts)"], ['time', 'ts::time(0)'],
  ['text', 'substring(b FROM 2 FOR 3)'], ['text', 'substring(b, 2)'], ['text', 'overlay(b PLACING vc FROM 1 FOR 2)'], ['int', "position('x' IN b)"], ['text', "trim(both ' x' from b)"],
  ['text', 'trim(leading from b)'], ['text', 'rtrim(b)'], ['text', "substring(b from '^(.)')"], ['text', "substring(vc from '^(.)')"], ['text', 'lpad(b, 5) || initcap(vc)'],
  ['int[]', 'arr || a'], ['int', 'arr[1]'], ['int[]', 'arr[1:2]'], ['int[]', 'ARRAY[a, 2]'], ['text[]', "'{}'::text[]"], ['text[]', "ARRAY[]::text[]"], ['int[]', "'{1,2}'"], ['bigint[]', 'arr::bigint[]'],
  ['int', 'cardinality(arr || ARRAY[1])'], ['jsonb', "j -> 'a'"], ['text', "j ->> 'a'"], ['jsonb', "j || '{\"k\": [1, null]}'"], ['boolean', "j @> '{\"a\":1}'"], 
  ['jsonb', "j['a']"], ['tsvector', "to_tsvector('english', b)"], ['boolean', "to_tsvector('simple', b) @@ 'x & y'::tsquery"], ['uuid', "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid"],
  ['bytea', "'\\xdead'::bytea"], ['bytea', 'sha256(b::bytea)'], ['bit(4)', "B'1010'"], ['inet', "'10.0.0.1'::inet"],
  ['boolean', "p <@ '((0,0),(1,1))'::box"], ['int4range', "int4range(a, 10, '[]')"], ['text', "split_part(b, ',', 1)"], ['text', 'md5(b)'], ['text', 'repeat(b, length(b)::int)'], ['oid', 'a::oid'],
  ['text', "b || (a)::text || (num)::text"], ['int', '(a + 1) * 2 + (3 - a)'], ['int', 'a & ~7 | 1 << 2'], ['text', "(ROW(a, b)).f1::text"], ['boolean', 'ROW(a, b) = ROW(1, vc)'],
  ['boolean', '(a, b) < (1, vc)'], ['text', 'normalize(b)'], ['boolean', 'b IS NORMALIZED'], ['boolean', "(b, vc) IS NULL"], ['text', "(j #>> '{a,b}')"],
]

/** Expressions with a part that ltap does not write as SQL: it gives the stored tree. */
const AS_TREE = ['((ROW(a, b)).f1)::text', '(ROW(a, b) < ROW(1, (vc)::text))', 'NORMALIZE(b)', '(b IS NORMALIZED)', '(ROW(b, vc) IS NULL)']

let folder: string
let cluster: PostgresServer | undefined
let server: { name: string; type: string; expression: string }[] = []
let refused: string[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-virtual-'))
  if (!installedMajors().includes(18)) return
  cluster = await createCluster(18)
  const sql = await connect(cluster)
  await sql.exec(`CREATE TABLE g(a int, b text, "Ug ly" int, "select" int, vc varchar(10), num numeric(10,2), f float8, d date, ts timestamp, tz timestamptz, arr int[], j jsonb,
    flag boolean, big bigint, p point)`)
  refused = []
  for (const [i, [type, expression]] of EXPRESSIONS.entries()) {
    await sql.exec(`ALTER TABLE g ADD COLUMN v${i} ${type} GENERATED ALWAYS AS (${expression}) VIRTUAL`).catch((error: Error) => refused.push(`${expression}: ${error.message}`))
  }
  const long = Array.from({ length: 400 }, (_, i) => `(a + ${i * 7919 % 100_003}) * length(b || 'text ${i} ${i * i}')`).join(' + ')
  await sql.script(`
    ALTER TABLE g ADD COLUMN long int GENERATED ALWAYS AS (${long}) VIRTUAL;
    INSERT INTO g(a, b) VALUES (1, 'x'), (2, 'y');
    ALTER TABLE g ADD COLUMN gone int GENERATED ALWAYS AS (a + 3) VIRTUAL; ALTER TABLE g DROP COLUMN gone;
    CREATE TABLE parts(a int, twice int GENERATED ALWAYS AS (a * 2)) PARTITION BY RANGE (a);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
    INSERT INTO parts VALUES (1), (2)`)
  server = (await sql.query(`SELECT attname AS name, format_type(atttypid, atttypmod) AS type, pg_get_expr(adbin, adrelid) AS expression
    FROM pg_attribute JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = 'g'::regclass AND attgenerated = 'v' ORDER BY attnum`)) as typeof server
  await closeSessions(cluster)
  await cluster.stop()
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

describe.runIf(installedMajors().includes(18))('Postgres 18', () => {
  it('reads types and expressions as the server gives them', () => {
    expect(refused).toEqual([])
    const opened = openCluster(cluster!.dataDir)
    const { oid } = opened.databases.find(({ name }) => name === 'postgres')!
    const found = opened.relations(oid).find(({ name }) => name === 'g')!.virtualColumns
    const expected = server.map((column) => (AS_TREE.includes(column.expression) ? { ...column, expression: expect.stringMatching(/^pg_node_tree: \{/) as string } : column))
    expect(found).toEqual(expected)
    expect(server.length).toBe(EXPRESSIONS.length + 1)
    expect(server.at(-1)!.expression.length).toBeGreaterThan(20_000)
  })

  it('lists them in the state, summary, inspect, views.sql of format 1 and where one is asked for', async () => {
    const lake = join(folder, 'lake')
    const made = await ltap(['transcode', cluster!.dataDir, '--lake', lake, '--table', 'public.parts', '--table', 'public.parts_1'])
    expect(made).toMatchObject({ code: 0 })
    const says = 'generated column "twice" integer is not stored; Postgres computes it as (a * 2)'
    expect(made.stdout).toContain(`virtual column: postgres.public.parts_1: ${says}\n`)
    expect(made.stdout).toContain(`virtual column: postgres.public.parts: ${says}\n`)
    const state = await NewestState.read(lake)
    const old = join(folder, 'old')
    const { relations } = await transcode(cluster!.dataDir, old, { filter: { databases: [], tables: ['public.parts', 'public.parts_1'] } })
    const virtualColumns = [{ name: 'twice', type: 'integer', expression: '(a * 2)' }]
    expect(relations.map((relation) => ({ name: relation.name, columns: relation.columns, virtualColumns: relation.virtualColumns }))).toEqual([
      { name: 'parts_1', columns: ['a'], virtualColumns }, { name: 'parts', columns: ['a'], virtualColumns },
    ])
    for (const relation of state.manifest.relations) {
      const { fields, virtualColumns: described } = await state.description(relation)
      expect({ described, columns: fields.columns.map(({ name }) => name) }, relation.name).toEqual({ described: virtualColumns, columns: ['a'] })
    }
    expect(state.manifest.relations.map(({ name }) => name)).toEqual(['parts_1', 'parts'])
    expect(readFileSync(join(old, VIEWS_NAME), 'utf8')).toContain(`-- "public"."parts": ${says}\n`)
    for (const sql of ['SELECT twice FROM parts', 'SELECT p.twice FROM parts_1 AS p', 'SELECT a FROM parts WHERE twice > 2']) {
      expect((await ltap(['query', '--lake', lake, sql])).stderr).toContain(`(${says})`)
    }
    expect((await ltap(['query', '--lake', lake, 'SELECT nothing FROM parts'])).stderr).not.toContain('generated')
    const table = await ltap(['inspect', 'table', cluster!.dataDir, 'public.parts_1'])
    expect(table).toMatchObject({ code: 0, stderr: expect.stringContaining(`ltap: ${says}\n`) as string })
    expect((await ltap(['verify', cluster!.dataDir, '--lake', lake])).code).toBe(0)
  })
})
