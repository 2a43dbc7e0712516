/**
 * The clusters that benchmarks read: one Postgres 17 data directory per size, made once and kept.
 *
 *     $LTAP_BENCH_DIR/                  default: ltap-bench in the system's temporary folder
 *       smoke-v1.json                   names the data directory; written last, so it is whole
 *       ltap-pg17-XXXXXX/data/
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { EnvironmentError } from '../src/common/errors.ts'
import { type DirectoryCluster, openCluster } from '../src/io/cluster.ts'
import { PostgresServer } from '../src/server/postgres.ts'
import { withClient } from './server.ts'
import { type BenchSize, DATA_VERSION, TABLE_NAMES, type TableName, tableStatements } from './tables.ts'

const MAJOR = 17

/** COPY at its best: a table in shared buffers whole (a scan of more than a quarter of them goes round a small ring instead). */
const SETTINGS: Record<BenchSize, Record<string, string>> = {
  smoke: { shared_buffers: '128MB', autovacuum: 'off', fsync: 'off', max_wal_size: '8GB', jit: 'off' },
  full: { shared_buffers: '2GB', autovacuum: 'off', fsync: 'off', max_wal_size: '8GB', jit: 'off' },
}

export function benchSize(): BenchSize {
  const size = process.env['LTAP_BENCH'] ?? 'smoke'
  if (size !== 'smoke' && size !== 'full') throw new EnvironmentError('bench.size', `LTAP_BENCH is ${size}, not smoke or full`)
  return size
}

/** Tables to measure: all, or the one that LTAP_BENCH_TABLE names. */
export function benchTables(): readonly TableName[] {
  const only = process.env['LTAP_BENCH_TABLE']
  return TABLE_NAMES.filter((name) => only === undefined || name === only)
}

export function benchDir(): string {
  return process.env['LTAP_BENCH_DIR'] ?? join(tmpdir(), 'ltap-bench')
}

/** The data directory of this size, cleanly shut down; made if it is not there. */
export async function benchDataDir(size: BenchSize): Promise<string> {
  const marker = join(benchDir(), `${size}-v${DATA_VERSION}.json`)
  if (existsSync(marker)) {
    const { dataDir } = JSON.parse(readFileSync(marker, 'utf8')) as { dataDir: string }
    if (existsSync(join(dataDir, 'PG_VERSION'))) return dataDir
  }
  process.stderr.write(`making the ${size} tables in ${benchDir()}\n`)
  mkdirSync(benchDir(), { recursive: true })
  const server = await PostgresServer.create({ major: MAJOR, parentDir: benchDir() })
  try {
    // Commits stay synchronous: VACUUM sets no hint bit for a commit whose WAL is not flushed, and the first COPY would change pages.
    await server.start(SETTINGS[size])
    await withClient(server, async (client) => {
      for (const statement of tableStatements(size)) await client.query(statement)
    })
    await server.stop()
  } catch (error) {
    await server.remove()
    throw error
  }
  writeFileSync(`${marker}.new`, JSON.stringify({ dataDir: server.dataDir }))
  renameSync(`${marker}.new`, marker)
  return server.dataDir
}

/** Opens the data directory; one whose server was killed is started and shut down first. */
export async function openBenchCluster(dataDir: string, size: BenchSize): Promise<DirectoryCluster> {
  try {
    return openCluster(dataDir)
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error
    await withServer(dataDir, size, async () => {})
    return openCluster(dataDir)
  }
}

/** A running server on the data directory, stopped at the end. */
export async function withServer<T>(dataDir: string, size: BenchSize, body: (client: pg.Client) => Promise<T>): Promise<T> {
  const server = await PostgresServer.adopt({ dataDir, settings: SETTINGS[size] })
  try {
    await server.start()
    const result = await withClient(server, body)
    await server.stop()
    return result
  } finally {
    await server.remove()
  }
}
