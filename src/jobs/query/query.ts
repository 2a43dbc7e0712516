import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { DuckDBConnection, DuckDBInstance, DuckDBResult, DuckDBValue } from '@duckdb/node-api'
import { EnvironmentError } from '../../common/errors.ts'
import type { Lake } from '../../engine/lake.ts'
import type { LakeDatabase, Manifest } from '../../lake/manifest.ts'
import { databaseNames, userDatabases } from '../../lake/viewnames.ts'
import { createFolder } from '../../io/disk/create.ts'
import { type ValueText, valueText } from './duckvalue.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import { readManifest } from '../lake.ts'
import { CACHE_BYTES, type OpenLakeOptions } from '../lakes/fetchedobjects.ts'
import { openLake, openState, refuseBranch } from '../lakes/openlake.ts'
import { pointOf } from '../lakes/pointof.ts'
import { StateManifest } from '../lakes/statemanifest.ts'
import { refuseMistakenFields } from './queryfields.ts'
import { CLOSED_SETTINGS, lockDuckDB } from './querylock.ts'
import { askedNames, refuseMistakenNames } from './querynames.ts'
import { LogTables } from './logtables.ts'
import { extractReading } from './querystatement.ts'
import { TimeLimit } from './querytimelimit.ts'
import { LakeViews } from './queryviews.ts'
import { StateTables } from './statetables.ts'
import { ScratchFolder } from '../../io/disk/scratchfolder.ts'
import { alignedFormat, type Cells, csvFormat, jsonFormat } from './tabletext.ts'

type Duck = typeof import('@duckdb/node-api')

export type QueryFormat = 'table' | 'csv' | 'json'

export interface QueryRequest extends OpenLakeOptions {
  /** Folder of the lake, or its URL. */
  lake: string
  /** A tag, the LSN of a state, or a time, for the last state at or before it; default: the newest state. */
  at?: string
  /** Name of a database; needed only if the lake has several user databases. */
  database?: string
  /**
   * DuckDB's SQL. It may come from a stranger: it can read the lake and nothing else. The rows of several statements follow each other, with an empty
   * line between.
   */
  sql: string
  /** JSON is one document: it takes one statement. */
  format: QueryFormat
  /** DuckDB's memory_limit, `4GB`; default: its own, 80 % of the machine's. */
  memoryLimit?: string
  threads?: number
  /** The query ends with query.timeout after so many seconds, the time that its reader takes included; default: no limit. */
  timeoutSeconds?: number
}

/** Takes text piece by piece; the next piece comes when the promise resolves. */
export type WriteText = (text: string) => Promise<void>

/** Rows a table's column widths are taken from. */
const TABLE_SAMPLE = 10_000

/**
 * Runs SQL over the rows that were visible at the lake's LSN; schema `ltap_<schema>` shows all tuples with `_ltap` and `_visible`.
 * Rows stream: memory does not grow with the result. Only SELECT and EXPLAIN of one are run, on the lake's files alone; nothing is written
 * but DuckDB's temporary files, into a folder of this call that no other user may enter.
 * @throws EnvironmentError query.*, lake.*, store.*; CorruptionError and UnsupportedError lake.*
 */
export async function queryLake(request: QueryRequest, write: WriteText): Promise<{ rows: number }> {
  const lake = await openLake(request.lake)
  const state = lake && await StateManifest.read(lake, await openState(lake, await pointOf(lake, request.at, request.branch), request.branch))
  const manifest = state?.manifest ?? readFormat1(request)
  const names = databaseNames(manifest, chooseDatabase(manifest, request.database))
  const duck = await importDuck()
  const scratch = new ScratchFolder(join(tmpdir(), 'ltap-query-'), request.onNotice)
  try {
    const own = lake && state && ownTables(lake, state, scratch.path, request)
    const temporary = join(scratch.path, 'duckdb')
    createFolder(temporary)
    const instance = await openDuck(duck, request, temporary)
    try {
      const connection = await instance.connect()
      const limit = new TimeLimit(connection, request.timeoutSeconds)
      try {
        const views = new LakeViews(resolve(request.lake), manifest, names, request.sql, own)
        await views.create(connection)
        for (const sentence of views.lacking) request.onNotice?.(sentence)
        await lockDuckDB(connection, views.files())
        return await runSql({ duck, connection, request, views, limit, write })
      } catch (error) {
        limit.check()
        throw error
      } finally {
        limit.close()
        connection.closeSync()
      }
    } finally {
      instance.closeSync()
    }
  } finally {
    await stopIfEnding()
    scratch.remove()
  }
}

function ownTables(lake: Lake, state: StateManifest, scratch: string, request: QueryRequest): { tables: StateTables; logs: LogTables } {
  const logs = new LogTables(lake, state, scratch, request.cacheBytes ?? CACHE_BYTES)
  return { tables: new StateTables(lake, state, scratch, request), logs }
}

function readFormat1({ lake, at, branch }: QueryRequest): Manifest {
  refuseBranch(lake, branch)
  const manifest = readManifest(resolve(lake))
  if (at === undefined || at === manifest.lsn) return manifest
  throw new EnvironmentError('lake.no-state', `a lake of format 1 has one state, and this one is at LSN ${manifest.lsn}, not at ${at}`, { file: lake })
}

function chooseDatabase(manifest: Manifest, wanted: string | undefined): LakeDatabase {
  const users = userDatabases(manifest)
  const list = (databases: readonly LakeDatabase[]): string => databases.map(({ name }) => name).join(', ')
  if (wanted !== undefined) {
    const found = manifest.databases.find(({ name }) => name === wanted)
    if (found) return found
    throw new EnvironmentError('query.database', `the lake has no database '${wanted}', it has: ${list(manifest.databases)}`)
  }
  if (users.length === 1) return users[0]!
  if (users.length > 1) throw new EnvironmentError('query.database', `choose one of the lake's databases with --database: ${list(users)}`)
  const only = manifest.databases.find(({ template }) => !template) ?? manifest.databases[0]
  if (only) return only
  throw new EnvironmentError('query.database', 'the lake has no database')
}

async function importDuck(): Promise<Duck> {
  try {
    return await import('@duckdb/node-api')
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
    if (!missing) throw new EnvironmentError('query.duckdb', `DuckDB does not load: ${firstLine(error)}`)
    throw new EnvironmentError('query.duckdb', "queries run in DuckDB, which is not installed: 'npm install @duckdb/node-api'")
  }
}

async function openDuck(duck: Duck, { memoryLimit, threads }: QueryRequest, temporary: string): Promise<DuckDBInstance> {
  try {
    return await duck.DuckDBInstance.create(':memory:', {
      temp_directory: temporary,
      ...CLOSED_SETTINGS,
      ...(memoryLimit === undefined ? {} : { memory_limit: memoryLimit }),
      ...(threads === undefined ? {} : { threads: String(threads) }),
    })
  } catch (error) {
    const failure = sqlError(error)
    if (memoryLimit === undefined || !failure.message.includes('Failed to set config')) throw failure
    throw new EnvironmentError('query.memory', `DuckDB takes no memory limit '${memoryLimit}'; write it as 4GB or 500MB`)
  }
}

interface RunningQuery {
  duck: Duck
  connection: DuckDBConnection
  request: QueryRequest
  views: LakeViews
  limit: TimeLimit
  write: WriteText
}

/** Runs all statements, one after the other, and writes their rows as they come. */
async function runSql({ duck, connection, request, views, limit, write }: RunningQuery): Promise<{ rows: number }> {
  const { sql, format } = request
  const statements = await explained(views, () => extractReading(duck, connection, sql))
  const asked = askedNames(statements.trees)
  refuseMistakenNames(asked, sql, views.names)
  await refuseMistakenFields(connection, asked, sql, views.names)
  if (format === 'json' && statements.count > 1) {
    const what = `JSON is one document, and these are ${statements.count} statements`
    throw new EnvironmentError('query.statements', `${what}: run them one by one, or as CSV or tables`)
  }
  let rows = 0
  for (let i = 0; i < statements.count; i++) {
    limit.check()
    const result = await explained(views, async () => (await statements.prepare(i)).stream())
    if (i > 0) await write('\n')
    rows += await writeResult(duck, result, format, limit, write)
  }
  return { rows }
}

/** @throws EnvironmentError in place of DuckDB's error */
async function explained<T>(views: LakeViews, body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    throw error instanceof EnvironmentError ? error : sqlError(error, views)
  }
}

async function writeResult(duck: Duck, result: DuckDBResult, format: QueryFormat, limit: TimeLimit, write: WriteText): Promise<number> {
  const texts = result.columnTypes().map((type) => valueText(duck, type))
  const chunks = fetchCells(result, texts.map(({ cell, json }) => (format === 'json' ? json : cell)), limit)
  const sample: Cells[] = []
  while (format === 'table' && sample.length < TABLE_SAMPLE) {
    const { done, value } = await chunks.next()
    if (done) break
    sample.push(...value)
  }
  const names = format === 'json' ? result.deduplicatedColumnNames() : result.columnNames()
  const isNumber = texts.map((text) => text.isNumber)
  const text = format === 'json' ? jsonFormat(names) : format === 'csv' ? csvFormat(names) : alignedFormat(names, isNumber, sample)
  let rows = sample.length
  await write(text.head() + sample.map(text.row).join(''))
  for await (const chunk of chunks) {
    rows += chunk.length
    await write(chunk.map(text.row).join(''))
  }
  await write(text.tail(rows))
  return rows
}

/** Chunks of about 2048 rows. */
async function* fetchCells(result: DuckDBResult, texts: readonly ValueText['cell'][], limit: TimeLimit): AsyncGenerator<Cells[], undefined> {
  for (;;) {
    limit.check()
    let rows: DuckDBValue[][]
    try {
      const chunk = await result.fetchChunk()
      if (chunk === null || chunk.rowCount === 0) return undefined
      rows = chunk.getRows()
    } catch (error) {
      throw sqlError(error)
    }
    yield rows.map((values) => values.map((value, column) => texts[column]!(value)))
  }
}

function sqlError(error: unknown, views?: LakeViews): EnvironmentError {
  const reason = firstLine(error)
  if (views && /^Binder Error: Ambiguous reference .*"pg_catalog"/.test(reason)) {
    return new EnvironmentError('query.sql', views.pgCatalogHint())
  }
  if (views && reason.startsWith('Binder Error')) return new EnvironmentError('query.sql', reason + views.virtualColumnHint(reason))
  const hint = views && /^Catalog Error: .*does not exist/.test(reason) ? ` (${views.hints()})` : ''
  return new EnvironmentError('query.sql', reason + hint)
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!.replace(/^Failed to extract statements: /, '')
}
