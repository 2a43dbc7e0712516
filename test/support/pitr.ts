/**
 * Point-in-time recovery as the oracle: a clean base copy, later WAL full of DDL, and servers that recovered the copy up to any record.
 *
 *     <work>/base         a cold copy before the workload
 *     <work>/wal          pg_wal after it
 */
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatWalPosition, type WalPosition, walPosition } from '../../src/common/ids.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { readControlFile } from '../../src/io/datadir/datadir.ts'
import { PostgresServer } from '../../src/server/postgres.ts'
import { copyDataDir } from '../../src/server/postgresdatadir.ts'
import { openWal } from '../../src/io/walsource/walsource.ts'
import type { Manifest } from '../../src/lake/manifest.ts'
import { DdlWorkload } from './ddl.ts'
import { Random } from './random.ts'
import { closeSessions, connect, type Session, withCluster } from './oracle.ts'

export interface PitrCase {
  major: number
  seed: number
  base: string
  wal: string
  /** Ends of all records after the base copy's checkpoint, ascending. */
  ends: WalPosition[]
  /** Server times, each between two commits that are further apart than the clock's grain, with the marks that were committed by then. */
  moments: { time: string; marks: number }[]
  /** A folder to put things into, gone at the end. */
  work: string
  done: Map<string, number>
}

const SETTINGS = {
  wal_keep_size: '4GB', max_wal_size: '8GB', checkpoint_timeout: '1d', max_prepared_transactions: '40', lock_timeout: '2s', wal_level: 'replica',
}

/** Runs the workload and gives what is left of it to `body`. */
export function withPitr<T>(
  major: number, options: { seed: number; rounds: number; checksums?: boolean }, body: (found: PitrCase) => Promise<T>,
): Promise<T> {
  const { seed, rounds, checksums = true } = options
  const initdbArgs = checksums ? ['--data-checksums'] : major >= 18 ? ['--no-data-checksums'] : []
  return withCluster(major, { settings: SETTINGS, initdbArgs }, async (cluster, sql) => {
    const work = mkdtempSync(join(tmpdir(), `ltap-pitr-${major}-`))
    try {
      chmodSync(work, 0o755)
      const [base, wal] = [join(work, 'base'), join(work, 'wal')]
      const ddl = new DdlWorkload(new Random(seed))
      await sql.script(PREPARE)
      await ddl.open(cluster, true)
      await ddl.run(20)
      await closeSessions(cluster)
      await endPrepared(cluster)
      await cluster.stop()
      await cluster.copyDataDir(base)
      await cluster.start()
      const moments = await runPitrWorkload(cluster, ddl, rounds)
      await cluster.kill()
      await closeSessions(cluster)
      cpSync(join(cluster.dataDir, 'pg_wal'), wal, { recursive: true })
      return await body({ major, seed, base, wal, work, moments, ends: recordEnds(base, wal, major), done: ddl.done })
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  })
}

async function endPrepared(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  for (const [gid] of await sql.rows('SELECT gid FROM pg_prepared_xacts')) await sql.exec(`ROLLBACK PREPARED '${gid}'`)
  await closeSessions(cluster)
}

function recordEnds(base: string, wal: string, major: number): WalPosition[] {
  const { redo, systemIdentifier } = readControlFile(base, major as PgMajor)
  const source = openWal(wal, { start: walPosition(redo), exact: true, major: major as PgMajor, systemIdentifier })
  const ends: WalPosition[] = []
  for (let record = source.read(); record !== undefined; record = source.read()) ends.push(record.endLsn)
  source.close()
  return ends.slice(1)
}

const PREPARE = `
  CREATE SCHEMA pit; SET search_path = pit;
  CREATE TABLE marks (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp());
  CREATE TABLE plain (id int PRIMARY KEY, v text); INSERT INTO plain SELECT i, repeat(md5(i::text), i % 90) FROM generate_series(1, 400) i;
  CREATE TABLE parts (k int, v text) PARTITION BY LIST (k); CREATE TABLE parts_0 PARTITION OF parts FOR VALUES IN (0);
  CREATE SEQUENCE counter; CREATE TYPE mood AS ENUM ('good', 'bad');
  CREATE TABLE long_open (id int PRIMARY KEY, n int); INSERT INTO long_open SELECT i, i FROM generate_series(1, 300) i`

/** What is done to a table of its own, `%`, in one transaction, with changes before and after. */
const CHANGES: readonly string[] = [
  "ALTER TABLE % ADD COLUMN added text DEFAULT 'a default'",
  'ALTER TABLE % ADD COLUMN volatile float8 DEFAULT random()',
  'ALTER TABLE % DROP COLUMN n',
  'ALTER TABLE % ALTER COLUMN n TYPE text USING n::text',
  'ALTER TABLE % ALTER COLUMN v TYPE text',
  'ALTER TABLE % ALTER COLUMN n TYPE bigint',
  'ALTER TABLE % RENAME COLUMN v TO renamed',
  'ALTER TABLE % RENAME TO %_renamed; CREATE TABLE % (LIKE %_renamed)',
  'TRUNCATE %',
  'CLUSTER % USING %_pkey',
  'DROP TABLE %; CREATE TABLE % (id int, other date)',
  'DROP TABLE %; CREATE TABLE % (id int PRIMARY KEY, v text)',
  'ALTER TABLE pit.parts ATTACH PARTITION % FOR VALUES IN (#)',
  'ALTER TABLE % SET (fillfactor = 50); ALTER TABLE % ALTER COLUMN v SET STORAGE EXTERNAL',
  'CREATE MATERIALIZED VIEW %_view AS SELECT * FROM %; CREATE INDEX ON % (v)',
  'ALTER TABLE % SET SCHEMA public; ALTER TABLE public.% SET SCHEMA pit',
]

const ENDS = ['COMMIT', 'ROLLBACK', 'PREPARE'] as const

const REWRITTEN = ['marks', 'pg_catalog.pg_attribute', 'pg_catalog.pg_class', 'pg_catalog.pg_type', 'pg_catalog.pg_depend', 'pg_catalog.pg_authid']

/** One transaction per kind of change and way to end, several of them open at any time, one open all the time. */
async function runPitrWorkload(cluster: PostgresServer, ddl: DdlWorkload, rounds: number): Promise<{ time: string; marks: number }[]> {
  const sql = await connect(cluster)
  await sql.exec('SET search_path = pit')
  // Later some are locked by transactions that stay open.
  for (const table of REWRITTEN) await sql.exec(`VACUUM FULL ${table}`)
  const long = await connect(cluster)
  await long.exec(`SET search_path = pit; BEGIN; UPDATE long_open SET n = -n WHERE id < 100; ALTER TABLE long_open ADD COLUMN late text DEFAULT 'late';
    INSERT INTO long_open SELECT i, i, 'own' FROM generate_series(1000, 1100) i; CREATE TABLE long_new AS SELECT * FROM plain`)
  await ddl.open(cluster, false)
  const { done } = ddl
  const moments: { time: string; marks: number }[] = []
  // The base has its time in whole seconds: no moment of that second is certainly behind it.
  await sql.exec('SELECT pg_sleep(1.01 - (extract(epoch FROM clock_timestamp()) % 1)::float)')
  let number = 0
  for (let round = 0; round < rounds; round++) {
    for (const [i, end] of ENDS.entries()) {
      for (let k = 0; k < CHANGES.length; k += ENDS.length) {
        const change = CHANGES[(k + i + round) % CHANGES.length]!
        await changeTable(cluster, sql, change, end, `t${++number}`, number)
      }
    }
    await ddl.run(12)
    await sql.exec(`INSERT INTO marks VALUES (${round})`)
    await sql.exec('SELECT pg_sleep(0.02)')
    moments.push({ time: (await sql.value('SELECT clock_timestamp()'))!, marks: round + 1 })
    await sql.exec('SELECT pg_sleep(0.02)')
    await sql.exec("SET lock_timeout = '100ms'")
    for (const table of REWRITTEN) {
      // Some of these, some of the time, are locked by a transaction that stays.
      await sql.exec(`VACUUM ${round % 2 === 0 ? 'FULL' : '(FREEZE)'} ${table}`).then(() => `vacuum ${table}`, () => `no vacuum ${table}`)
        .then((what) => done.set(what, (done.get(what) ?? 0) + 1))
    }
    await sql.exec('RESET lock_timeout')
    await sql.exec('VACUUM (FREEZE) plain')
    await long.exec(`UPDATE long_open SET n = n + 1 WHERE id % 5 = ${round % 5}; SAVEPOINT s${round}; INSERT INTO long_open VALUES (${5000 + round}, 0); ROLLBACK TO s${round}`)
    if (round % 2 === 1) await sql.exec('CHECKPOINT')
  }
  await long.exec('COMMIT')
  await sql.exec(`INSERT INTO marks VALUES (${rounds}); SELECT pg_switch_wal()`)
  return moments
}

async function changeTable(cluster: PostgresServer, sql: Session, change: string, end: (typeof ENDS)[number], table: string, number: number): Promise<void> {
  const fill = change.includes('ATTACH') ? `(k int, v text); INSERT INTO ${table} SELECT ${number}, i FROM generate_series(1, 50) i`
    : `(id int PRIMARY KEY, n int, v varchar(40)); INSERT INTO ${table} SELECT i, i, repeat('v', i % 40) FROM generate_series(1, 120) i`
  await sql.exec(`CREATE TABLE ${table} ${fill}`)
  const session = await connect(cluster)
  await session.exec('SET search_path = pit')
  await session.exec(`BEGIN; DELETE FROM ${table} WHERE v LIKE '%vvvvv'; ${change.replaceAll('%', table).replaceAll('#', String(number))}`)
  await session.exec(`SELECT nextval('counter'); UPDATE plain SET v = v || 'x' WHERE id = ${number}`)
  await sql.exec(`INSERT INTO plain SELECT 1000 * ${number} + i, 'during ${table}' FROM generate_series(1, 5) i`)
  // Tables that are empty or of other columns, too.
  await session.exec(`SAVEPOINT s; INSERT INTO ${table} (${change.includes('ATTACH') ? 'k' : 'id'}) VALUES (${number})`).catch(() => session.exec('ROLLBACK TO s'))
  await session.exec(end === 'PREPARE' ? `PREPARE TRANSACTION '${table}'` : end)
  await session.close()
  if (end !== 'PREPARE') return
  // Some stay prepared, some end later, under other changes.
  await sql.exec(`INSERT INTO plain VALUES (${-number}, 'prepared ${table}')`)
  if (number % 3 < 2 || change.includes('ATTACH')) await sql.exec(`${number % 3 === 0 ? 'ROLLBACK' : 'COMMIT'} PREPARED '${table}'`)
}

/** How a server is told where to stop. */
export type PitrTarget = { lsn: WalPosition } | { time: string }

/** A server that recovered the base copy up to the target and was promoted: it runs while `body` does. */
export async function withRecovered<T>(found: PitrCase, target: PitrTarget, body: (server: PostgresServer) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(found.work, 'server-'))
  const dataDir = join(dir, 'data')
  chmodSync(dir, 0o755)
  await copyDataDir(found.base, dataDir)
  cpSync(found.wal, join(dataDir, 'pg_wal'), { recursive: true })
  writeFileSync(join(dataDir, 'recovery.signal'), '')
  const stop: Record<string, string> = 'time' in target ? { recovery_target_time: target.time }
    : { recovery_target_lsn: formatWalPosition(target.lsn), recovery_target_inclusive: 'off' }
  const server = await PostgresServer.adopt({
    dataDir,
    settings: {
      ...SETTINGS, fsync: 'off', autovacuum: 'off', hot_standby: 'off', restore_command: 'false', ...stop, recovery_target_action: 'promote',
      DateStyle: 'ISO,MDY', IntervalStyle: 'postgres', TimeZone: 'UTC', bytea_output: 'hex', extra_float_digits: '1', lc_monetary: 'C',
    },
  })
  try {
    await server.start()
    return await body(server)
  } finally {
    await closeSessions(server)
    await server.remove()
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Relations that only one side has, of databases in the lake. */
export async function missingRelations(server: PostgresServer, manifest: Manifest, databases: string[]): Promise<string[]> {
  const theirs: string[] = []
  for (const database of databases) {
    const sql = await connect(server, database)
    const rows = await sql.rows(`SELECT current_database() || '.' || nspname || '.' || relname || ' ' || relkind::text FROM pg_class c
      JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm', 'S', 't', 'p') AND relpersistence <> 't' AND NOT relisshared`)
    theirs.push(...rows.map(([name]) => name!))
    await sql.close()
  }
  const ours = manifest.relations.filter(({ visible, database }) => visible && database !== null && databases.includes(database))
    .map(({ database, schema, name, relkind }) => `${database}.${schema}.${name} ${relkind}`)
  const only = (a: string[], b: string[], who: string): string[] => a.filter((name) => !b.includes(name)).map((name) => `${name}: only ${who} has it`)
  return [...only(ours, theirs, 'the lake'), ...only(theirs, ours, 'the server')]
}
