/**
 * A server whose tables change in every way, published after each round: every engine reads every table as the server shows it, then and later, and at
 * the end each earlier state as it was.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { collectLake } from '../../src/jobs/lakes/collectlake.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { mergeLake } from '../../src/jobs/merge/mergelake.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, connect, createCluster, majors, type Session } from '../support/oracle.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { endPrepared, filter, fourOf, SETTINGS, SETUP, STEPS } from '../support/rounds.ts'
import { amount, drawn, SCOPE } from '../support/scope.ts'
import { loadZoo } from '../support/zoo.ts'
import { compareWithServer } from './compare.ts'
import { Engine, EngineError, type EngineName, formatsOf, installed, QUICK_ENGINES, SLOW_ENGINES } from './engine.ts'
import { type PublishedPlace, publishedPlace, questionFor } from './publishedlake.ts'
import { refusalOf } from './refusals.ts'
import { type ServerTable, serverTables } from './servertables.ts'

const ROUNDS = amount({ sample: 5, all: 20 })
const VERSIONS = drawn([2, 3] as const, 1, 'versions of Iceberg')
const MAJORS = SCOPE === 'all' ? majors() : drawn(majors(), 1, 'majors of rounds with engines')
const SLOW = installed(drawn(SLOW_ENGINES, 1, 'slow engines'))
const names = [...installed(QUICK_ENGINES), ...SLOW]
const FORMATS = ['iceberg', 'delta'] as const
const DATABASE = 'postgres'

/** Two tables of all types. */
const WIDE = ['zoo.mixed_half_null', 'zoo.mixed_reordered']
const WIDE_STEPS: typeof STEPS = WIDE.flatMap((table): typeof STEPS => [
  (sql, random) => sql.exec(`INSERT INTO ${table} SELECT * FROM ${table} LIMIT ${1 + random.int(20)}`),
  (sql, random) => sql.exec(`DELETE FROM ${table} WHERE ctid::text LIKE '%${random.int(10)})'`),
  (sql, random) => sql.exec(`UPDATE ${table} SET int4 = int4 WHERE ctid::text LIKE '%${random.int(10)})'`),
  (sql) => sql.script(`BEGIN; DELETE FROM ${table}; ROLLBACK`),
  (sql) => sql.script(`BEGIN; INSERT INTO ${table} SELECT * FROM ${table}; ROLLBACK; VACUUM ${table}`),
  (sql, _, round) => sql.exec(`ALTER TABLE ${table} ADD COLUMN added${round} numeric(12,3) DEFAULT ${round}.5`),
  (sql, random) => dropSomeColumn(sql, table, random),
  (sql, _, round) => sql.exec(`ALTER TABLE ${table} RENAME COLUMN text TO text_${round}; ALTER TABLE ${table} RENAME COLUMN varchar TO text; ALTER TABLE ${table} RENAME COLUMN text_${round} TO varchar`),
  (sql, random) => sql.exec(`ALTER TABLE ${table} ALTER int2 TYPE ${random.pick(['int', 'bigint'])}`),
  (sql) => sql.script(`ALTER TABLE ${table} ALTER date TYPE text USING date::text; ALTER TABLE ${table} ALTER date TYPE date USING date::date`),
])
const STEPS_HERE: typeof STEPS = [
  ...STEPS, ...WIDE_STEPS,
  (sql) => sql.script('TRUNCATE plain; INSERT INTO plain SELECT i, i FROM generate_series(1, 40) i'),
  (sql, _, round) => sql.script(`CREATE TABLE parent_${round + 100} PARTITION OF parent FOR VALUES FROM (${round}00) TO (${round}99); INSERT INTO parent VALUES (1, ${round}00), (2, ${round}05)`),
  (sql) => sql.script('DROP TABLE deeds; CREATE TABLE deeds (id int, t text); INSERT INTO deeds SELECT 1, NULL'),
]

async function dropSomeColumn(sql: Session, table: string, random: Random): Promise<void> {
  const columns = (await sql.rows(`SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '${table}'::regclass AND attnum > 0 AND NOT attisdropped
    AND attname NOT IN ('text', 'varchar', 'date', 'int2', 'int4') ORDER BY attnum`)).flat()
  await sql.exec(`ALTER TABLE ${table} DROP COLUMN ${random.pick(columns)!}`)
}

/** A table as it was when it was published. */
interface Moment {
  round: number
  table: ServerTable
  place: PublishedPlace
}

describe.each(MAJORS.flatMap((major) => VERSIONS.map((version) => ({ major, version }))))('Postgres $major, Iceberg v$version', ({ major, version }) => {
  const engines = new Map<EngineName, Engine>()
  const random = new Random(TEST_SEED)
  /** By oid; the oldest first. */
  const moments = new Map<number, Moment[]>()
  let folder: string
  let lake: string
  let cluster: PostgresServer

  beforeAll(async () => {
    if (names.length === 0) return
    folder = mkdtempSync(join(tmpdir(), 'ltap-rounds-'))
    chmodSync(folder, 0o755)
    lake = join(folder, 'lake')
    for (const name of names) engines.set(name, new Engine(name))
    cluster = await createCluster(major, { settings: SETTINGS })
    const sql = await connect(cluster)
    await sql.script(SETUP)
    await loadZoo(major, sql)
  })

  afterAll(async () => {
    for (const engine of engines.values()) await engine.stop()
    if (cluster !== undefined) await closeSessions(cluster)
    await cluster?.remove()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  /** What the server shows, then the lake as of it, then the server again. */
  async function publish(): Promise<ServerTable[]> {
    const tables = await serverTables(await connect(cluster))
    await closeSessions(cluster)
    await cluster.stop('fast')
    const report = await materializeLake({
      pgdata: cluster.dataDir, store: await openObjectStore(lake), workers: 0, filter, publish: { icebergVersion: version },
    })
    expect(report).toMatchObject({ publishProblem: null, published: { left: [] } })
    await cluster.start()
    return tables
  }

  /** All engines, for those tables that changed, or were published again. */
  async function compareAll(tables: readonly ServerTable[], round: number): Promise<void> {
    const problems: string[] = []
    for (const table of tables) {
      const place = publishedPlace(lake, DATABASE, table.oid)
      if (place === undefined) {
        problems.push(`${table.schema}.${table.name} is not published`)
        continue
      }
      const last = moments.get(table.oid)?.at(-1)
      if (last !== undefined && last.place.snapshot === place.snapshot && JSON.stringify(last.table.rows) === JSON.stringify(table.rows)
        && JSON.stringify(last.table.columns) === JSON.stringify(table.columns)) continue
      const moment = { round, table, place }
      moments.set(table.oid, [...moments.get(table.oid) ?? [], moment])
      problems.push(...await compareMoment(moment, place))
    }
    expect(problems).toEqual([])
  }

  async function compareMoment({ round, table, place: then }: Moment, now: PublishedPlace): Promise<string[]> {
    const problems: string[] = []
    for (const [name, engine] of engines) {
      // Which tables ClickHouse refuses hangs on the names of their fields: in scope all it is asked for each, in a sample for a part of them.
      const isDrawn = name === 'clickhouse' && round === 0 && (table.oid + TEST_SEED) % amount({ sample: 6, all: 1 }) === 0
      const isAsked = !SLOW.includes(name) || WIDE.includes(`${table.schema}.${table.name}`) || isDrawn
      if (!isAsked) continue
      for (const format of FORMATS.filter((one) => formatsOf(name).includes(one))) {
        const refusal = refusalOf(name, format, { icebergVersion: version, isParent: table.isParent, hasEqualNames: then.hasEqualNames })
        try {
          problems.push(...(await compareWithServer(engine, questionFor(format, now, then), table)).map((problem) => `round ${round}: ${problem}`))
        } catch (error) {
          if (!(error instanceof EngineError)) throw error
          if (refusal === undefined || !refusal.test(error.message)) problems.push(`round ${round}: ${name}, ${format}, ${table.schema}.${table.name}: ${error.message.slice(0, 1000)}`)
        }
      }
    }
    return problems
  }

  test.skipIf(names.length === 0)('tables of all types', async () => {
    await compareAll(await publish(), 0)
  })

  test.skipIf(names.length === 0).each(Array.from({ length: ROUNDS }, (_, i) => i + 1))('round %i', async (round) => {
    const sql = await connect(cluster)
    await endPrepared(sql, random)
    for (const step of fourOf(STEPS_HERE, random)) await step(sql, random, round)
    const isMerged = random.chance(40)
    const tables = await publish()
    if (isMerged) await mergeLake({ lake, all: true, workers: 0 })
    if (random.chance(40)) await collectLake({ lake, keep: '0s' })
    await compareAll(tables, round)
  })

  test.skipIf(names.length === 0)('each earlier state', async () => {
    const problems: string[] = []
    for (const [oid, [...earlier]] of moments) {
      earlier.pop()
      const now = publishedPlace(lake, DATABASE, oid)
      // A table that was dropped is no longer published.
      for (const moment of now === undefined ? [] : earlier) problems.push(...await compareMoment(moment, now!))
    }
    expect(problems).toEqual([])
  })
})
