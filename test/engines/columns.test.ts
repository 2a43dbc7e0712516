/**
 * Columns whose names engines could take for others: names that crossed, were dropped and came back, are reserved, equal a path or differ in case,
 * and fields of composites whose names crossed, in lists and outside. Every engine shows each table as the server does, and finds the rows that the server
 * finds by each column.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'
import { filter } from '../support/rounds.ts'
import { drawn } from '../support/scope.ts'
import { compareWithServer } from './compare.ts'
import { idsWhere } from './conditions.ts'
import { Engine, EngineError, type EngineName, type Format, formatsOf, installed, QUICK_ENGINES, SLOW_ENGINES } from './engine.ts'
import { publishedPlace, questionFor } from './publishedlake.ts'
import { refusalOf } from './refusals.ts'
import { type ServerTable, serverTables } from './servertables.ts'

const RESERVED = [
  '_file', '_pos', '_deleted', '_spec_id', '_partition', '_row_id', '_last_updated_sequence_number', '_change_type', '_commit_version',
  '_commit_timestamp', '_commit_snapshot_id', '_change_ordinal', '_metadata', '_ltap', '_overflow', '_ltap_xmin', '_overflow_id', 'block', 'offset',
]
/** Each is a state of the lake. */
const STATES = [
  `CREATE TABLE crossed (id int, a int, b int); INSERT INTO crossed SELECT i, i % 3, 100 + i % 5 FROM generate_series(1, 40) i;
   CREATE TABLE swapped AS SELECT * FROM crossed; CREATE TABLE dropped AS SELECT *, a::text AS gone FROM crossed; CREATE TABLE again AS SELECT * FROM crossed;
   CREATE TYPE pair AS (b int, "B" int); CREATE TABLE paths (id int, p pair, "p.b" int, p_b int, "P" int, "id_1" int);
   INSERT INTO paths SELECT i, (i, -i)::pair, i % 4, i % 5, i % 6, i % 7 FROM generate_series(1, 40) i;
   CREATE TABLE reserved (id int, ${RESERVED.map((name) => `"${name}" int`).join(', ')});
   INSERT INTO reserved SELECT i, ${RESERVED.map((_, i) => `i % ${i + 2}`).join(', ')} FROM generate_series(1, 40) i;
   CREATE TYPE spot AS (x int, y int); CREATE TYPE way AS (spot spot, "Spot" spot, spots spot[], "LEN" int);
   CREATE TABLE listed (id int, l spot[], p spot, q spot); INSERT INTO listed SELECT i, ARRAY[(i, -i), (i % 5, NULL)]::spot[], (i, 2 * i)::spot, (3, i)::spot FROM generate_series(1, 40) i;
   CREATE TABLE deep (id int, w way); INSERT INTO deep SELECT i, ((i, 1), (i, 2), ARRAY[(i, 3)]::spot[], i)::way FROM generate_series(1, 40) i;
   CREATE TABLE deeper (id int, w way[]); INSERT INTO deeper SELECT i, ARRAY[((i, 1), (i, 2), ARRAY[(i, 3)]::spot[], i)]::way[] FROM generate_series(1, 40) i;
   CREATE TABLE twice (id int, l spot[], m spot[]); INSERT INTO twice SELECT i, ARRAY[(i, 1)]::spot[], ARRAY[(2, i)]::spot[] FROM generate_series(1, 40) i;
   CREATE TABLE alike (id int, x int, l spot[]); INSERT INTO alike SELECT i, i % 3, ARRAY[(i, 1)]::spot[] FROM generate_series(1, 40) i;
   CREATE TABLE bare (id int, attnum numeric, bytes numeric, r int4range, m int4multirange, k interval[]);
   INSERT INTO bare SELECT i, i / 7.0, 'NaN', int4range(i, i + 2), int4multirange(int4range(i, i + 2)), ARRAY[make_interval(days => i)] FROM generate_series(1, 40) i`,
  `ALTER TABLE crossed RENAME a TO c; ALTER TABLE crossed RENAME b TO a; INSERT INTO crossed VALUES (41, 7, 107);
   ALTER TABLE swapped RENAME a TO x; ALTER TABLE swapped RENAME b TO a; ALTER TABLE swapped RENAME x TO b; INSERT INTO swapped VALUES (41, 7, 107);
   ALTER TABLE dropped DROP a, DROP gone; INSERT INTO dropped VALUES (41, 107);
   ALTER TABLE again DROP a; ALTER TABLE again ADD a int DEFAULT 9; INSERT INTO again VALUES (41, 107, 8);
   ALTER TABLE paths RENAME "P" TO p_p_b; ALTER TABLE paths RENAME p_b TO "P"; INSERT INTO paths VALUES (41, (1, 2), 3, 4, 5, 6);
   DELETE FROM reserved WHERE id < 5;
   ALTER TYPE spot RENAME ATTRIBUTE x TO z; ALTER TYPE spot RENAME ATTRIBUTE y TO x; ALTER TYPE spot RENAME ATTRIBUTE z TO y; ALTER TYPE way RENAME ATTRIBUTE "LEN" TO len;
   ${['listed VALUES (41, ARRAY[(1, 2)]::spot[], (3, 4), (5, 6))', 'deep VALUES (41, ((1, 2), (3, 4), ARRAY[(5, 6)]::spot[], 7)::way)',
    'deeper VALUES (41, ARRAY[((1, 2), (3, 4), ARRAY[(5, 6)]::spot[], 7)]::way[])', 'twice VALUES (41, NULL, ARRAY[(1, 2)]::spot[])', 'alike VALUES (41, 7, NULL)',
  ].map((row) => `INSERT INTO ${row}`).join('; ')}`,
  `ALTER TABLE dropped ADD a text; INSERT INTO dropped VALUES (42, 100, 'back'); ALTER TABLE crossed DROP a; INSERT INTO crossed VALUES (42, 8);
   ALTER TYPE spot RENAME ATTRIBUTE x TO lat; INSERT INTO listed VALUES (42, NULL, NULL, (7, 8)); INSERT INTO deep VALUES (42, NULL); INSERT INTO deeper VALUES (42, NULL);
   ALTER TABLE paths RENAME "P" TO p_b; ALTER TABLE again RENAME a TO "A"; INSERT INTO again VALUES (42, 1, 2)`,
]
/** What engines say to a condition on a column with a dot in its name: the kernel of Delta and the parser of PyIceberg take it for a path. */
const DOTTED: readonly { engine: EngineName, format: Format, says: RegExp }[] = [
  { engine: 'pyiceberg', format: 'iceberg', says: /Expected \{/ },
  { engine: 'duckdb', format: 'delta', says: /unknown column: p\.b_3/ },
  { engine: 'clickhouse', format: 'delta', says: /unknown column: p\.b_3/ },
]
const names = installed([...QUICK_ENGINES, ...drawn(SLOW_ENGINES, 1, 'slow engines for columns')])
const [major] = fewerMajors('columns whose names are others') as [number]

/** A table of a state as the server shows it, and where readers find it. */
interface Found {
  readonly state: number
  readonly table: ServerTable
  readonly place: ReturnType<typeof publishedPlace>
}

let folder: string
const found: Found[] = []

beforeAll(async () => {
  if (names.length === 0) return
  folder = mkdtempSync(join(tmpdir(), 'ltap-columns-'))
  chmodSync(folder, 0o755)
  const cluster = await createCluster(major)
  try {
    for (const [state, statements] of STATES.entries()) {
      const sql = await connect(cluster)
      await sql.script(statements)
      const tables = await serverTables(sql)
      await closeSessions(cluster)
      await cluster.stop('fast')
      const report = await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(join(folder, 'lake')), workers: 0, filter })
      expect(report).toMatchObject({ publishProblem: null, published: { left: [] } })
      await cluster.start()
      for (const table of tables) found.push({ state, table, place: publishedPlace(join(folder, 'lake'), 'postgres', table.oid) })
    }
  } finally {
    await closeSessions(cluster)
    await cluster.remove()
  }
})

afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

test.each(names)('%s', async (name) => {
  const engine = new Engine(name)
  const problems: string[] = []
  for (const { state, table, place } of found) {
    const now = found.findLast((other) => other.table.oid === table.oid)!.place!
    for (const format of formatsOf(name).filter((one) => one === 'iceberg' || one === 'delta')) {
      const question = questionFor(format, now, place)
      const where = `${name}, ${format}, state ${state}`
      try {
        problems.push(...(await compareWithServer(engine, question, table)).map((problem) => `${where}: ${problem}`))
        if (place === now) problems.push(...(await rowsByColumn(engine, question, table)).map((problem) => `${where}: ${problem}`))
      } catch (error) {
        if (!(error instanceof EngineError)) throw error
        if (refusalOf(name, format, { icebergVersion: 2, isParent: false, hasEqualNames: place!.hasEqualNames })?.test(error.message) !== true) problems.push(`${where}, ${table.name}: ${error.message.slice(0, 400)}`)
      }
    }
  }
  await engine.stop()
  expect(problems).toEqual([])
})

/** Asks for the rows that have one value of a column. @returns where the server has others */
async function rowsByColumn(engine: Engine, question: ReturnType<typeof questionFor>, table: ServerTable): Promise<string[]> {
  const problems: string[] = []
  const { columns } = await engine.ask(question)
  for (const [i, { type }] of table.columns.entries()) {
    if (type.oid !== 23 && type.oid !== 25) continue
    const value = table.rows.at(-1)![i + 1]
    if (value === null || value === undefined) continue
    const wanted = table.rows.filter((row) => row[i + 1] === value).map(([, id]) => Number(id)).sort((a, b) => a - b)
    const { name } = columns[i]!
    const dotted = name.includes('.') ? DOTTED.find((refusal) => refusal.engine === engine.name && refusal.format === question.format)?.says : undefined
    const where = `${quoted(name, engine.name)} = ${type.oid === 23 ? value : `'${value}'`}`
    const rows = await idsWhere(engine, question, where).catch((error: unknown) => {
      if (error instanceof EngineError && dotted?.test(error.message) === true) return undefined
      throw error
    })
    if ((rows === undefined) !== (dotted !== undefined)) problems.push(`${table.name}.${name} is no longer refused`)
    if (rows === undefined) continue
    if (JSON.stringify(rows) !== JSON.stringify(wanted)) problems.push(`${table.name}.${name} = ${value}: ${rows.join()} where the server has ${wanted.join()}`)
  }
  return problems
}

function quoted(name: string, engine: EngineName): string {
  return QUOTES_WITH_BACKTICKS.includes(engine) ? `\`${name}\`` : `"${name}"`
}

const QUOTES_WITH_BACKTICKS: readonly EngineName[] = ['spark', 'clickhouse']
