import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Manifest } from '../../src/lake/manifest.ts'
import { databaseNames, userDatabases } from '../../src/lake/viewnames.ts'
import { createView, viewsFile } from '../../src/lake/views.ts'
import { numbers, type SmallRelation, writeLake } from './smalllake.ts'

const directory = mkdtempSync(join(tmpdir(), 'ltap-views-'))
const home = process.cwd()
let instance: DuckDBInstance
let db: DuckDBConnection

beforeAll(async () => {
  instance = await DuckDBInstance.create(':memory:')
})

afterAll(() => {
  process.chdir(home)
  instance.closeSync()
  rmSync(directory, { recursive: true })
})

async function rows(sql: string): Promise<unknown[][]> {
  return (await (await db.run(sql)).getRowsJson()) as unknown[][]
}

async function firstColumn(sql: string): Promise<unknown[]> {
  return (await rows(sql)).map(([value]) => value)
}

let lakes = 0

/** Writes a lake, goes there and runs its views.sql as stock DuckDB would. */
async function openViews(relations: readonly SmallRelation[], databases?: string[]): Promise<Manifest> {
  const lake = join(directory, `lake${lakes++}`)
  const manifest = await writeLake(lake, relations, databases)
  process.chdir(lake)
  const own = await DuckDBInstance.create(':memory:')
  db = await own.connect()
  await db.run([...viewsFile(manifest)].join(''))
  return manifest
}

/** Views as `ltap query` makes them, absolute paths. */
async function openDetailed(relations: readonly SmallRelation[], folder = `lake${lakes++}`): Promise<void> {
  const lake = join(directory, folder)
  const manifest = await writeLake(lake, relations)
  const names = databaseNames(manifest, userDatabases(manifest)[0]!)
  const own = await DuckDBInstance.create(':memory:')
  db = await own.connect()
  await db.run("CREATE SCHEMA public; CREATE SCHEMA ltap_public; USE public")
  for (const columns of ['overflow', 'physical'] as const) {
    for (const named of names.relations) {
      const { sql, problem } = createView(named, names, { root: `${lake}/`, columns })
      expect(problem).toBeUndefined()
      await db.run(sql!)
    }
  }
}

describe('visible rows', () => {
  it('one file, none hidden; one file, some hidden', async () => {
    await openViews([
      { name: 'plain', columns: ['id'], files: [{ select: numbers(5) }] },
      { name: 'holed', columns: ['id'], files: [{ select: numbers(5), hidden: [0, 3] }] },
      { name: 'empty', columns: ['id'], files: [{ select: numbers(0) }] },
      { name: 'all hidden', columns: ['id'], files: [{ select: numbers(3), hidden: [0, 1, 2] }] },
    ])
    expect(await firstColumn('SELECT id FROM plain')).toEqual(['0', '1', '2', '3', '4'])
    expect(await firstColumn('SELECT id FROM holed')).toEqual(['1', '2', '4'])
    expect(await firstColumn('SELECT id FROM empty')).toEqual([])
    expect(await firstColumn('SELECT id FROM "all hidden"')).toEqual([])
  })

  it('positions count per file', async () => {
    const file = (from: number, hidden: number[]) => ({ select: numbers(4, `n + ${from} AS id`), hidden })
    await openViews([{ name: 't', columns: ['id'], files: [file(0, [0]), file(10, []), file(20, [1, 2]), file(30, [0])] }])
    expect(await firstColumn('SELECT id FROM t ORDER BY id')).toEqual(
      ['1', '2', '3', '10', '11', '12', '13', '20', '23', '31', '32', '33'],
    )
  })

  const awkward = [
    'file_row_number', 'FILE_ROW_NUMBER', 'filename', 'file_index', 'pos', 'file', '_file', '_visible', '_row', '_hidden', '_position',
  ]
  it.each(awkward)(
    'a user column named %s', async (name) => {
      const columns = ['id', name]
      const select = numbers(5, `n AS id, 'v' || n AS "${name}"`)
      await openDetailed([
        { name: 'one', columns, files: [{ select, hidden: [1] }] },
        { name: 'two', columns, files: [{ select, hidden: [1] }, { select, hidden: [0, 4] }] },
      ])
      const visible = [[0, 'v0'], [2, 'v2'], [3, 'v3'], [4, 'v4']].map(([id, text]) => [String(id), text])
      expect(await rows(`SELECT id, "${name}" FROM one`)).toEqual(visible)
      expect(await firstColumn(`SELECT "${name}" FROM two ORDER BY 1`)).toEqual(['v0', 'v1', 'v2', 'v2', 'v3', 'v3', 'v4'])
      expect(await firstColumn(`SELECT "${name}" FROM ltap_public.two ORDER BY 1`)).toHaveLength(10)
    },
  )

  it('a lake in a folder whose name is a glob pattern, a Hive partition, has quotes', async () => {
    const files = [{ select: numbers(3), hidden: [1] }, { select: numbers(2), hidden: [0] }]
    await openDetailed([{ name: 't', columns: ['id'], files }], "id=7/it's [a]*?")
    expect(await firstColumn('SELECT id FROM t ORDER BY id')).toEqual(['0', '1', '2'])
  })

  it('a table without columns has rows', async () => {
    await openViews([{ name: 't', columns: [], files: [{ select: numbers(5), hidden: [2] }] }])
    expect(await firstColumn('SELECT count(*) FROM t')).toEqual(['4'])
  })
})

describe('_overflow, _ltap and dead rows', () => {
  it('all tuples with _visible, no structure rows', async () => {
    const lp = "CASE n WHEN 1 THEN {'state': 2} WHEN 2 THEN {'state': 1} END"
    await openDetailed([
      {
        name: 't', columns: ['id'], overflow: true,
        files: [{ select: numbers(5, "n AS id, {'id': CASE n WHEN 3 THEN 'NaN' END} AS _overflow"), hidden: [1, 4], lp }],
      },
      { name: 'plain', columns: ['id'], files: [{ select: numbers(3), lp: "CASE n WHEN 1 THEN {'state': 3} END" }] },
    ])
    expect(await rows('SELECT * FROM t WHERE _overflow.id IS NOT NULL')).toEqual([['3', { id: 'NaN' }]])
    expect(await rows('SELECT id, _visible FROM ltap_public.t ORDER BY id')).toEqual([['0', true], ['2', true], ['3', true], ['4', false]])
    expect(await rows('SELECT id, _visible, _ltap."offset" FROM ltap_public.plain')).toEqual([['0', true, 1], ['2', true, 3]])
    expect(await firstColumn('SELECT column_name FROM (DESCRIBE ltap_public.t)')).toEqual(['id', '_overflow', '_ltap', '_visible'])
    expect(await firstColumn('SELECT column_name FROM (DESCRIBE t)')).toEqual(['id', '_overflow'])
  })
})

describe('parents', () => {
  it('a partitioned parent is the union of its descendants by name', async () => {
    await openViews([
      { name: 'p', oid: 100, relkind: 'p', columns: ['a', 'b'] },
      {
        name: 'p1', oid: 101, parents: [100], columns: ['a', 'b'],
        files: [{ select: numbers(2, "n AS a, 'one' || n AS b"), hidden: [0] }],
      },
      { name: 'p2', oid: 102, relkind: 'p', parents: [100], columns: ['b', 'a'] },
      { name: 'p21', oid: 103, parents: [102], columns: ['b', 'a'], files: [{ select: numbers(1, "'two' AS b, 7 AS a") }] },
      { name: 'childless', oid: 104, relkind: 'p', columns: ['a'] },
    ])
    expect(await rows('SELECT * FROM p ORDER BY a')).toEqual([['1', 'one1'], ['7', 'two']])
    expect(await rows('SELECT * FROM p2')).toEqual([['two', 7]])
    expect(await rows('SELECT * FROM childless')).toEqual([])
  })

  it('an inheritance parent shows its own columns, each descendant once', async () => {
    await openDetailed([
      { name: 'a', oid: 200, columns: ['id'], overflow: true, files: [{ select: numbers(1, "1 AS id, {'id': 'x'} AS _overflow") }] },
      { name: 'b', oid: 201, parents: [200], columns: ['id', 'b'], files: [{ select: numbers(1, '2 AS id, true AS b') }] },
      {
        name: 'c', oid: 202, parents: [200], columns: ['c', 'id'], overflow: true,
        files: [{ select: numbers(1, "3 AS id, 'c' AS c, {'c': 'y', 'id': 'z'} AS _overflow") }],
      },
      {
        name: 'd', oid: 203, parents: [201, 202], columns: ['id', 'b', 'c'],
        files: [{ select: numbers(2, "4 AS id, false AS b, 'd' AS c"), hidden: [1] }],
      },
    ])
    expect(await rows('SELECT id, _overflow.id FROM a ORDER BY id')).toEqual([[1, 'x'], [2, null], [3, 'z'], [4, null]])
    expect(await rows('SELECT id, _visible FROM ltap_public.a ORDER BY ALL')).toEqual(
      [[1, true], [2, true], [3, true], [4, false], [4, true]],
    )
    expect(await rows('SELECT id FROM c ORDER BY id')).toEqual([[3], [4]])
  })

  it('a parent whose column has another name in a child has no view, and the file says so', async () => {
    const manifest = await openViews([
      { name: 'p', oid: 300, relkind: 'p', columns: ['a', 'A_2'] },
      { name: 'p1', oid: 301, parents: [300], columns: ['A', 'a_2'], files: [{ select: numbers(1, '1 AS "A", 2 AS a_2') }] },
    ])
    await expect(rows('SELECT * FROM p')).rejects.toThrow(/does not exist/)
    expect([...viewsFile(manifest)].join('')).toContain('-- "public"."p" has no view: its column "a" has another name in "p1"')
  })
})

describe('names', () => {
  it('of names that differ in case only the lower one stays', async () => {
    const files = (id: number) => [{ select: numbers(1, `${id} AS id`) }]
    const manifest = await openViews([
      { name: 'Users', oid: 400, columns: ['id'], files: files(1) },
      { name: 'users', oid: 401, columns: ['id'], files: files(2) },
      { name: 'we"ird; -- name\n.x', columns: ['id'], files: files(3) },
      { name: 't', schema: 'Public', columns: ['id'], files: files(4) },
      { name: 't', schema: 'main', columns: ['id'], files: files(5) },
      { name: 'ÄB', oid: 402, columns: ['id'], files: files(6) },
      { name: 'äb', oid: 403, columns: ['id'], files: files(7) },
      { name: 'gone', visible: false, columns: ['id'], files: files(8) },
    ])
    expect(await rows('SELECT * FROM users')).toEqual([[2]])
    expect(await rows('SELECT * FROM "Users_400"')).toEqual([[1]])
    expect(await rows('SELECT * FROM "we""ird; -- name\n.x"')).toEqual([[3]])
    expect(await rows('SELECT * FROM "Public_2".t')).toEqual([[4]])
    expect(await rows('SELECT * FROM main.t')).toEqual([[5]])
    expect(await rows('SELECT * FROM "ÄB", "äb"')).toEqual([[6, 7]])
    await expect(rows('SELECT * FROM gone')).rejects.toThrow(/does not exist/)
    expect([...viewsFile(manifest)].join('')).toContain('-- table "public"."Users" is "public"."Users_400" here')
    expect([...viewsFile(manifest)].join('')).toContain('-- schema "Public" is "Public_2" here')
  })

  it('several databases are catalogs; names that DuckDB or a schema took get a suffix', async () => {
    const table = (database: string, id: number, schema = 'public'): SmallRelation => {
      return { name: 't', database, schema, columns: ['id'], files: [{ select: numbers(1, `${id} AS id`) }] }
    }
    await openViews([table('shop', 1), table('temp', 2), table('a.b', 3), table('a.b', 4, 'A.B')], ['shop', 'temp', 'a.b'])
    expect(await rows('SELECT * FROM shop.public.t, temp_6.public.t')).toEqual([[1, 2]])
    expect(await rows('SELECT * FROM "a.b_7".public.t, "a.b_7"."A.B".t')).toEqual([[3, 4]])
  })

  it('views.sql leaves out catalogs, TOAST and sequences', async () => {
    const files = [{ select: numbers(1) }]
    const manifest = await openViews([
      { name: 'pg_class', schema: 'pg_catalog', columns: ['id'], files },
      { name: 'pg_database', schema: 'pg_catalog', database: null, columns: ['id'], files },
      { name: 'pg_toast_1', schema: 'pg_toast', relkind: 't', columns: ['id'], files },
      { name: 's', relkind: 'S', columns: ['id'], files },
      { name: 'm', relkind: 'm', columns: ['id'], files },
    ])
    expect([...viewsFile(manifest)].join('').match(/CREATE OR REPLACE VIEW .*/g)).toEqual(['CREATE OR REPLACE VIEW "public"."m" AS'])
  })
})

it('filters and projections reach the scans', async () => {
  const select = numbers(1000, 'n AS id, n * 2 AS other')
  await openViews([{ name: 't', columns: ['id', 'other'], files: [{ select, hidden: [1] }, { select, hidden: [2] }, { select }] }])
  const plan = JSON.stringify((await rows('EXPLAIN (FORMAT json) SELECT other FROM t WHERE id = 5'))[0]![1])
  expect(plan.match(/id=5/g)?.length).toBe(2)
  expect(plan).not.toContain('_ltap')
})
