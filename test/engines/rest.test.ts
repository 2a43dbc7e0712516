/** Engines that are given one URL: through `ltap catalog` each reads every table as the server shows it, the newest state and an earlier one. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { S3Options } from '../../src/io/objectstore/s3settings.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { type ServedCatalog, serveCatalog } from '../../src/jobs/catalog/servecatalog.ts'
import { materializeLake, type MaterializeReport } from '../../src/jobs/materialize/materializelake.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { installedServers, KEYS, type RealServer, startServer } from '../conformance/servers.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'
import { drawn, SCOPE } from '../support/scope.ts'
import { loadZoo } from '../support/zoo.ts'
import { compareWithServer } from './compare.ts'
import { Engine, EngineError, type EngineName, formatsOf, installed, QUICK_ENGINES, type Question } from './engine.ts'
import { type ServerTable, serverTables } from './servertables.ts'

const VERSIONS = drawn([2, 3] as const, 1, 'versions of Iceberg in the catalog')
const [MAJOR] = SCOPE === 'all' ? majors().slice(-1) : drawn(majors(), 1, 'majors of the catalog with engines')
const S3 = installedServers()[0]
const STORES = drawn(['folder', ...(S3 === undefined ? [] : ['S3'])], 1, 'stores of the catalog')
const names = installed([...QUICK_ENGINES, 'spark']).filter((name) => formatsOf(name).includes('rest'))
const DATABASE = 'postgres'
/** Engines that ask a catalog for the files of a scan. DuckDB 1.5.5 does not. */
const PLANNERS: readonly EngineName[] = ['pyiceberg', 'spark']
const TOKEN = 'a-token-of-the-test-of-engines'
const SETUP = `
  CREATE SCHEMA "Odd näme.x"; CREATE TABLE "Odd näme.x"."a/b %20.c" (id int, "Spalte ü" text); INSERT INTO "Odd näme.x"."a/b %20.c" SELECT i, 'v' || i FROM generate_series(1, 500) i;
  CREATE TABLE parent (id int, k int) PARTITION BY RANGE (k); CREATE TABLE parent_1 PARTITION OF parent FOR VALUES FROM (0) TO (100);
  CREATE TABLE parent_2 PARTITION OF parent FOR VALUES FROM (100) TO (200); INSERT INTO parent SELECT i, i % 200 FROM generate_series(1, 2000) i;
  CREATE TABLE plain AS SELECT i AS id, md5(i::text) AS word FROM generate_series(1, 5000) i; CREATE TABLE empty (id int)`
const CHANGES = `
  DELETE FROM plain WHERE id % 3 = 0; UPDATE parent SET k = k + 7 WHERE id % 11 = 0 AND k < 90; DELETE FROM "Odd näme.x"."a/b %20.c" WHERE id > 400;
  INSERT INTO plain SELECT i, 'new' FROM generate_series(10001, 10100) i; INSERT INTO empty VALUES (1); CREATE TABLE late AS SELECT 1 AS one`

describe.skipIf(names.length === 0).each(STORES.flatMap((place) => VERSIONS.map((version) => ({ place, version }))))('a lake in a $place, Iceberg v$version', ({ place, version }) => {
  const engines = new Map<EngineName, Engine>()
  let folder: string
  let cluster: PostgresServer
  let server: RealServer | undefined
  let lake: string
  let storeOptions: S3Options = {}
  let catalog: ServedCatalog
  let plans = 0
  let before: { tables: ServerTable[]; lsn: string }
  let now: { tables: ServerTable[]; lsn: string }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ltap-rest-'))
    chmodSync(folder, 0o755)
    lake = join(folder, 'lake')
    if (place === 'S3') {
      server = await startServer(S3!)
      storeOptions = { endpoint: server.endpoint, region: 'us-east-1', credentials: KEYS }
      lake = 's3://lake/shop'
    }
    for (const name of names) engines.set(name, new Engine(name))
    cluster = await createCluster(MAJOR!)
    const sql = await connect(cluster)
    await sql.script(SETUP)
    await loadZoo(MAJOR!, sql)
    before = await published()
    await (await connect(cluster)).script(CHANGES)
    now = await published()
    writeFileSync(join(folder, 'tokens'), `${TOKEN}\n`)
    catalog = await serveCatalog({ lake, storeOptions, port: 0, tokenFile: join(folder, 'tokens'), onAnswer: ({ url }) => { if (url.endsWith('/plan')) plans++ } })
  })

  afterAll(async () => {
    for (const engine of engines.values()) await engine.stop()
    await catalog?.close()
    if (cluster !== undefined) await closeSessions(cluster)
    await cluster?.remove()
    await server?.stop()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  async function published(): Promise<{ tables: ServerTable[]; lsn: string }> {
    const tables = await serverTables(await connect(cluster))
    await closeSessions(cluster)
    await cluster.stop('fast')
    const report: MaterializeReport = await materializeLake({
      pgdata: cluster.dataDir, store: await openObjectStore(lake, storeOptions), workers: 0, filter: { databases: [DATABASE], tables: [] },
      publish: { icebergVersion: version },
    })
    expect(report).toMatchObject({ publishProblem: null, published: { left: [] } })
    await cluster.start()
    return { tables, lsn: report.lsn }
  }

  function question({ schema, name }: ServerTable, warehouse = DATABASE): Question {
    const { accessKeyId: key, secretAccessKey: secret } = KEYS
    return {
      format: 'rest', place: catalog.url, warehouse, table: [schema, name], token: TOKEN,
      ...(server && { s3: { endpoint: server.endpoint, key, secret, region: 'us-east-1' } }),
    }
  }

  describe.each(names)('%s', (name) => {
    const problemsOf = async (tables: readonly ServerTable[], warehouse: string, planning?: 'server'): Promise<string[]> => {
      const problems: string[] = []
      for (const table of tables) {
        try {
          problems.push(...await compareWithServer(engines.get(name)!, { ...question(table, warehouse), ...(planning && { planning }) }, table))
        } catch (error) {
          if (!(error instanceof EngineError)) throw error
          problems.push(`${table.schema}.${table.name}: ${error.message.slice(0, 600)}`)
        }
      }
      return problems
    }
    test('every table is as the server shows it', async () => expect(await problemsOf(now.tables, DATABASE)).toEqual([]))
    test('at the LSN before, too', async () => expect(await problemsOf(before.tables.filter(({ schema }) => schema !== 'zoo'), `${DATABASE}@${before.lsn}`)).toEqual([]))
    test.skipIf(!PLANNERS.includes(name))('every table, with scans that the catalog plans', async () => {
      plans = 0
      expect(await problemsOf(now.tables, DATABASE, 'server')).toEqual([])
      expect(plans).toBeGreaterThanOrEqual(now.tables.length)
      expect(await problemsOf(before.tables.filter(({ schema }) => schema !== 'zoo'), `${DATABASE}@${before.lsn}`, 'server')).toEqual([])
    })
    test('a table that is not there, a wrong token', async () => {
      await expect(engines.get(name)!.ask({ ...question(now.tables[0]!), table: ['public', 'nothing'] })).rejects.toThrow(EngineError)
      await expect(engines.get(name)!.ask({ ...question(now.tables[0]!), token: `${TOKEN}x` })).rejects.toThrow(EngineError)
    })
    test('planted: a row that the server has not', async () => {
      const plain = now.tables.find((table) => table.name === 'plain')!
      expect(await problemsOf([{ ...plain, rows: plain.rows.slice(1) }], DATABASE)).toHaveLength(1)
    })
  })
})
