/**
 * What a reader sees who points an engine at folders and files of a lake without the metadata of a table: docs/engines.md has this table. Each engine is
 * asked for the lake, the folder of a table, its folder of data, and for every Parquet file by a glob.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { closeSessions, connect, createCluster, fewerMajors } from '../support/oracle.ts'
import { filter } from '../support/rounds.ts'
import { Engine, EngineError, type EngineName, installed } from './engine.ts'

/** refused: an error; empty: no rows; all: also those that the server does not show. */
type Outcome = 'refused' | 'empty' | 'all'

const PLACES = ['the lake', 'the table', 'its data', 'the table\'s **/*.parquet', 'the lake\'s **/*.parquet'] as const
const EXPECTED: Partial<Record<EngineName, readonly Outcome[]>> = {
  pyarrow: ['refused', 'refused', 'empty', 'empty', 'empty'],
  polars: ['refused', 'refused', 'refused', 'refused', 'refused'],
  duckdb: ['refused', 'refused', 'refused', 'refused', 'refused'],
  spark: ['refused', 'refused', 'refused', 'refused', 'refused'],
  clickhouse: ['refused', 'refused', 'all', 'refused', 'refused'],
}
const ROWS = 100
const names = installed(Object.keys(EXPECTED) as EngineName[])
const [major] = fewerMajors('the naive reader') as [number]

let folder: string
let places: readonly string[]

beforeAll(async () => {
  if (names.length === 0) return
  folder = mkdtempSync(join(tmpdir(), 'ltap-naive-'))
  const lake = join(folder, 'lake')
  const cluster = await createCluster(major)
  try {
    const statements = [`CREATE TABLE t AS SELECT i FROM generate_series(1, ${ROWS}) i`, 'UPDATE t SET i = i', 'DELETE FROM t WHERE i = 1; INSERT INTO t VALUES (1)']
    for (const statement of statements) {
      await (await connect(cluster)).exec(statement)
      await closeSessions(cluster)
      await cluster.stop('fast')
      await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(lake), workers: 0, filter, merge: false })
      await cluster.start()
    }
  } finally {
    await closeSessions(cluster)
    await cluster.remove()
  }
  const table = join(lake, 'postgres', readdirSync(join(lake, 'postgres')).find((name) => name.startsWith('public.t-'))!)
  places = [lake, table, join(table, 'data'), join(table, '**/*.parquet'), join(lake, '**/*.parquet')]
})

afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

test.each(names)('%s', async (name) => {
  const engine = new Engine(name)
  const found: string[] = []
  for (const place of places) {
    found.push(await engine.ask({ format: 'parquet', place }).then(({ rows }) => (rows.length === 0 ? 'empty' : rows.length > ROWS ? 'all' : `${rows.length} rows`), (error: unknown) => {
      if (!(error instanceof EngineError)) throw error
      console.info(`${name}, ${PLACES[found.length]!}: ${error.message.slice(0, 300)}`)
      return 'refused'
    }))
  }
  await engine.stop()
  expect(found).toEqual(EXPECTED[name])
})
