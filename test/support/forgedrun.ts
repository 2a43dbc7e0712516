/** Forged inputs of a real cluster, read in a worker thread under a watchdog. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { parsePgMajor } from '../../src/common/pgversion.ts'
import type { PostgresCluster } from '../../src/server/postgres.ts'
import { WAL_PAGE_SIZE } from '../../src/wal/pageheader.ts'
import { compileChild } from './compiledchild.ts'
import type { ForgedSetup } from './forgedinputs.ts'
import { transcode } from './lakes.ts'
import { closeSessions, type Session } from './oracle.ts'
import { lsnNow, readWal, SEGMENT_SIZE, WAL_CLUSTER } from './walfiles.ts'

/** A watchdog, not a measurement: no input takes a hundredth of it. */
const HANG_MS = 240_000
const WAL_BYTES = 256 * WAL_PAGE_SIZE

export const FORGED_CLUSTER = { ...WAL_CLUSTER, initdbArgs: [...WAL_CLUSTER.initdbArgs, '-k'], settings: { ...WAL_CLUSTER.settings, max_prepared_transactions: '5' } }

const CATALOGS = [
  'pg_class', 'pg_attribute', 'pg_type', 'pg_namespace', 'pg_enum', 'pg_range', 'pg_inherits', 'pg_database', 'pg_am', 'pg_proc', 'pg_depend', 'pg_extension',
]

const TABLES = `
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE DOMAIN price AS numeric(12, 2); CREATE TYPE pair AS (a int, b text, c price);
  CREATE TYPE span AS RANGE (subtype = float8);
  CREATE TABLE wide (id int, b bool, n numeric(10, 2), m numeric, d date, ts timestamptz, t text, j jsonb, a int[], p pair, pp pair[], mo mood, pr price,
    u uuid, r span, mr span_multirange, by bytea, i8 int8, f8 float8, f4 float4, i2 int2, c char(5), x bit(3), iv interval, na name, o oid, pt point);
  INSERT INTO wide SELECT i, i % 2 = 0, i / 7.0, i * 1.234567, '2020-01-01'::date + i, now(), repeat('t', i % 50), jsonb_build_object('k', i), ARRAY[i, i + 1],
    (i, 'x', 1.5)::pair, ARRAY[(i, 'y', 2.5)::pair], 'ok', 9.99, gen_random_uuid(), span(0, i), span_multirange(span(0, i)), '\\x01', i, i / 3.0, i / 3.0, 7,
    'abc', B'101', '1 day', 'n', i, point(i, i) FROM generate_series(1, 1800) i;
  ALTER TABLE wide DROP COLUMN x; ALTER TABLE wide ADD COLUMN late text DEFAULT 'late';
  CREATE TABLE toasted (id int, v text, w text); ALTER TABLE toasted ALTER v SET STORAGE EXTERNAL;
  INSERT INTO toasted SELECT i, repeat(md5(i::text), 300), repeat('compress me', 2000) FROM generate_series(1, 40) i;
  DELETE FROM toasted WHERE id % 5 = 0;
  CREATE TABLE parent (k int, v text) PARTITION BY LIST (k); CREATE TABLE child PARTITION OF parent DEFAULT;
  CREATE TABLE locked (k int PRIMARY KEY, n int); INSERT INTO locked SELECT i, 0 FROM generate_series(1, 300) i;
  CREATE FUNCTION multis() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN PERFORM * FROM locked FOR KEY SHARE;
      FOR i IN 1..300 LOOP BEGIN UPDATE locked SET n = n + 1 WHERE k = i; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$`

const WORK = `
  CHECKPOINT;
  SELECT multis();
  UPDATE wide SET b = NOT b WHERE id % 9 = 0; DELETE FROM wide WHERE id % 31 = 0;
  INSERT INTO toasted SELECT i, repeat(md5(i::text), 300), 'w' FROM generate_series(100, 120) i;
  INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 50) i; UPDATE parent SET k = k + 1; TRUNCATE parent;
  CREATE TABLE made AS SELECT i FROM generate_series(1, 100) i; CREATE INDEX ON made (i); ALTER TABLE made ADD COLUMN z int DEFAULT 5; DROP TABLE made;
  CREATE SEQUENCE seq; SELECT nextval('seq') FROM generate_series(1, 40);
  VACUUM wide; VACUUM FREEZE locked; SELECT pg_logical_emit_message(false, 'prefix', 'message'), pg_create_restore_point('point');
  BEGIN; INSERT INTO locked VALUES (1000, 1); SAVEPOINT s; INSERT INTO locked VALUES (1001, 1); RELEASE s; PREPARE TRANSACTION 'gid one';
  BEGIN; INSERT INTO locked VALUES (1002, 1); PREPARE TRANSACTION 'gid two'; COMMIT PREPARED 'gid two'`

/** A stopped cluster, its lake and a piece of its WAL. */
export async function forgedSetup(cluster: PostgresCluster, sql: Session, folder: string, seed: number): Promise<ForgedSetup> {
  await sql.script(TABLES)
  const start = await lsnNow(sql)
  await sql.script(WORK)
  const end = await lsnNow(sql)
  const catalogs: (string | null)[] = []
  for (const name of CATALOGS) catalogs.push(await sql.value(`SELECT pg_relation_filepath('${name}')`))
  const dbOid = Number(await sql.value('SELECT oid FROM pg_database WHERE datname = current_database()'))
  await closeSessions(cluster)
  await cluster.stop()
  const lake = join(folder, 'lake')
  const scratch = join(folder, 'scratch')
  mkdirSync(scratch)
  const manifest = await transcode(cluster.dataDir, lake)
  const names = ['wide', 'toasted', 'pg_type', 'locked']
  const files = manifest.relations.filter(({ name, database }) => names.includes(name) && database === 'postgres').map((relation) => relation.files[0]!.path)
  const wal = readWal(cluster.dataDir, cluster.major, end)
  const from = Math.floor(start / WAL_PAGE_SIZE) * WAL_PAGE_SIZE
  const path = join(folder, 'wal')
  writeFileSync(path, wal.bytes.subarray(from - wal.start, Math.min(from + WAL_BYTES, end) - wal.start))
  return {
    major: parsePgMajor(String(cluster.major)), seed, dataDir: cluster.dataDir, catalogs: catalogs.map(String), dbOid, lake, files, scratch,
    wal: { path, start: from, timeline: 1, segmentSize: SEGMENT_SIZE, systemIdentifier: String(wal.systemIdentifier) },
  }
}

export interface ForgedReport {
  /** By kind: refused, accepted. */
  counts: Record<string, { refused: number; accepted: number }>
  /** Input and what went wrong. */
  faults: string[]
}

const CHILD = `
import { parentPort, workerData } from 'node:worker_threads'
import { ForgedInputs } from './test/support/forgedinputs.js'
const { setup, from, to, shared } = workerData
const inputs = new ForgedInputs(setup)
const at = new Int32Array(shared)
for (let n = from; n < to; n++) {
  Atomics.store(at, 0, n)
  let outcome
  try {
    outcome = await inputs.run(n)
  } catch (error) {
    outcome = 'fault: ' + String(error?.stack ?? error).slice(0, 1500)
  }
  parentPort.postMessage({ n, kind: ForgedInputs.kindOf(n), outcome })
}
Atomics.store(at, 0, to)
`

/** Inputs of one thread: after panics of the Parquet reader its memory is leaked. */
const CHUNK = 400

export async function runForged(setup: ForgedSetup, folder: string, count: number): Promise<ForgedReport> {
  const report: ForgedReport = { counts: {}, faults: [] }
  const root = join(folder, 'child')
  mkdirSync(root)
  const script = compileChild(root, ['test/support/forgedinputs.ts'], CHILD)
  for (let from = 0; from < count; ) from = await runChunk(setup, script, from, Math.min(from + CHUNK, count), report)
  return report
}

/** @returns the input to go on with */
async function runChunk(setup: ForgedSetup, script: string, from: number, to: number, report: ForgedReport): Promise<number> {
  const shared = new SharedArrayBuffer(4)
  const at = new Int32Array(shared)
  const worker = new Worker(script, { workerData: { setup, from, to, shared } })
  let ended = false
  let seen = from - 1
  worker.on('message', ({ n, kind, outcome }: { n: number; kind: string; outcome: string }) => {
    seen = n
    const counts = (report.counts[kind] ??= { refused: 0, accepted: 0 })
    if (outcome === 'refused' || outcome === 'accepted') counts[outcome]++
    else report.faults.push(`input ${n}, ${kind}: ${outcome}`)
  })
  const over = new Promise<void>((resolve) => {
    worker.on('error', (error) => report.faults.push(`input ${Atomics.load(at, 0)}: the thread ended: ${String(error)}`))
    worker.on('exit', () => {
      ended = true
      resolve()
    })
  })
  let last = -1
  let since = Date.now()
  while (!ended) {
    await Promise.race([over, sleep(1000)])
    const now = Atomics.load(at, 0)
    if (now !== last) [last, since] = [now, Date.now()]
    if (ended || Date.now() - since < HANG_MS) continue
    report.faults.push(`input ${now}: no end after ${HANG_MS / 1000} s`)
    await worker.terminate()
    return now + 1
  }
  return seen + 1 < to && Atomics.load(at, 0) < to ? Math.max(seen, Atomics.load(at, 0)) + 1 : to
}
