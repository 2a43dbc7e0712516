import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { DuckDBConnection, DuckDBInstance, DuckDBResult, DuckDBType, DuckDBValue } from '@duckdb/node-api'
import { EnvironmentError } from '../../common/errors.ts'
import { printable } from '../../common/printable.ts'
import type { Lake } from '../../engine/lake.ts'
import type { LakeDatabase, Manifest } from '../../lake/manifest.ts'
import { databaseNames, userDatabases } from '../../lake/viewnames.ts'
import { createFolder } from '../../io/disk/create.ts'
import { ScratchFolder } from '../../io/disk/scratchfolder.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import { readManifest } from '../lake.ts'
import { CACHE_BYTES, type OpenLakeOptions } from '../lakes/fetchedobjects.ts'
import { openLake, openState, refuseBranch } from '../lakes/openlake.ts'
import { pointOf } from '../lakes/pointof.ts'
import { StateManifest } from '../lakes/statemanifest.ts'
import { ChangeTables } from './changetables.ts'
import { LogTables } from './logtables.ts'
import { refuseMistakenFields } from './queryfields.ts'
import { CLOSED_SETTINGS, lockDuckDB } from './querylock.ts'
import { askedNames, namesInOtherCase, refuseMistakenNames } from './querynames.ts'
import { extractReading, type ReadingStatements } from './querystatement.ts'
import { TimeLimit } from './querytimelimit.ts'
import { LakeViews } from './queryviews.ts'
import { StateTables } from './statetables.ts'

export type Duck = typeof import('@duckdb/node-api')

/** What is asked of which state of a lake. */
export interface QuerySource extends OpenLakeOptions {
  /** Folder of the lake, or its URL. */
  lake: string
  /** A tag, the LSN of a state, or a time, for the last state at or before it; default: the newest state. */
  at?: string
  /** Name of a database; needed only if the lake has several user databases. */
  database?: string
  /** DuckDB's SQL. It may come from a stranger: it can read the lake and nothing else. */
  sql: string
  /** DuckDB's memory_limit, `4GB`; default: its own, 80 % of the machine's. */
  memoryLimit?: string
  threads?: number
  /** The query ends with query.timeout after so many seconds, the time that its reader takes included; default: no limit. */
  timeoutSeconds?: number
}

/** A DuckDB that is locked, and the statements of a text that only read. None of them has run. */
export interface OpenQuery {
  readonly duck: Duck
  readonly count: number
  /** Runs a statement. @throws EnvironmentError query.* */
  result(index: number): Promise<DuckDBResult>
  /** Rows of a result, in chunks of about 2048. @throws EnvironmentError query.* */
  rows(result: DuckDBResult): AsyncGenerator<DuckDBValue[][], undefined>
}

/**
 * Opens the state's tables in a DuckDB that can read their files and nothing else, and gives `body` the statements of the SQL. Only SELECT and EXPLAIN of one
 * are run; nothing is written but DuckDB's temporary files, into a folder of this call that no other user may enter.
 * @throws EnvironmentError query.*, lake.*, store.*; CorruptionError and UnsupportedError lake.*
 */
export async function withQuery<T>(source: QuerySource, body: (query: OpenQuery) => Promise<T>): Promise<T> {
  const { lake, state, manifest } = await openSource(source)
  const names = databaseNames(manifest, chooseDatabase(manifest, source.database))
  const duck = await importDuck()
  const scratch = new ScratchFolder(join(tmpdir(), 'ltap-query-'), source.onNotice)
  try {
    const own = lake && state && ownTables(lake, state, scratch.path, source)
    const temporary = join(scratch.path, 'duckdb')
    createFolder(temporary)
    const instance = await openDuck(duck, source, temporary)
    try {
      const connection = await instance.connect()
      const limit = new TimeLimit(connection, source.timeoutSeconds)
      try {
        const views = new LakeViews(resolve(source.lake), manifest, names, source.sql, own)
        await views.create(connection)
        for (const sentence of views.lacking) source.onNotice?.(sentence)
        await lockDuckDB(connection, views.files())
        const statements = await readStatements(duck, connection, source, views)
        return await body({
          duck, count: statements.count,
          result: async (index) => {
            limit.check()
            const result = await explained(views, async () => (await statements.prepare(index)).stream())
            result.columnTypes().forEach((type, column) => refuseNameless(type, result.columnName(column)))
            return result
          },
          rows: (result) => fetchRows(result, limit),
        })
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

/** A state of a lake; a lake of format 1 has its manifest alone. */
export interface OpenSource {
  readonly lake: Lake | undefined
  readonly state: StateManifest | undefined
  readonly manifest: Manifest
}

/** @throws EnvironmentError lake.*, store.* */
export async function openSource(source: QuerySource): Promise<OpenSource> {
  const lake = await openLake(source.lake)
  const state = lake && await StateManifest.read(lake, await openState(lake, await pointOf(lake, source.at, source.branch), source.branch))
  return { lake, state, manifest: state?.manifest ?? readFormat1(source) }
}

/** The statements, none of which takes one of the lake's names for another. */
async function readStatements(duck: Duck, connection: DuckDBConnection, { sql, onNotice }: QuerySource, views: LakeViews): Promise<ReadingStatements> {
  const statements = await explained(views, () => extractReading(duck, connection, sql))
  const asked = askedNames(statements.trees)
  refuseMistakenNames(asked, sql, views.names)
  for (const sentence of namesInOtherCase(asked, sql, views.names)) onNotice?.(sentence)
  await refuseMistakenFields(connection, asked, sql, views.names)
  return statements
}

function ownTables(lake: Lake, state: StateManifest, scratch: string, source: QuerySource): { tables: StateTables; logs: LogTables; changes: ChangeTables } {
  const logs = new LogTables(lake, state, scratch, source.cacheBytes ?? CACHE_BYTES)
  return { tables: new StateTables(lake, state, scratch, source), logs, changes: new ChangeTables({ lake, state, scratch, logs }, source) }
}

function readFormat1({ lake, at, branch }: QuerySource): Manifest {
  refuseBranch(lake, branch)
  const manifest = readManifest(resolve(lake))
  if (at === undefined || at === manifest.lsn) return manifest
  throw new EnvironmentError('lake.no-state', `a lake of format 1 has one state, and this one is at LSN ${manifest.lsn}, not at ${at}`, { file: lake })
}

/** @throws EnvironmentError query.database */
export function chooseDatabase(manifest: Manifest, wanted: string | undefined): LakeDatabase {
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

async function openDuck(duck: Duck, { memoryLimit, threads }: QuerySource, temporary: string): Promise<DuckDBInstance> {
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

/** @throws EnvironmentError in place of DuckDB's error */
async function explained<T>(views: LakeViews, body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    throw error instanceof EnvironmentError ? error : sqlError(error, views)
  }
}

/** DuckDB's own library for Node gives one value of a row whose fields have no names. @throws EnvironmentError query.sql */
function refuseNameless(type: DuckDBType, column: string): void {
  const { entryNames = [], entryTypes = [], valueType, keyType } = type as NestedType
  if (entryNames.length > 1 && entryNames.includes('')) {
    throw new EnvironmentError('query.sql', `the fields of ${printable(column)} have no names: write struct_pack(a := 1, b := 2) in place of row(1, 2)`)
  }
  for (const inner of [...entryTypes, valueType, keyType]) if (inner !== undefined) refuseNameless(inner, column)
}

interface NestedType {
  readonly entryNames?: readonly string[]
  readonly entryTypes?: readonly DuckDBType[]
  readonly valueType?: DuckDBType
  readonly keyType?: DuckDBType
}

async function* fetchRows(result: DuckDBResult, limit: TimeLimit): AsyncGenerator<DuckDBValue[][], undefined> {
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
    yield rows
  }
}

function sqlError(error: unknown, views?: LakeViews): EnvironmentError {
  const reason = firstLine(error)
  if (views && /^Binder Error: Ambiguous reference .*"pg_catalog"/.test(reason)) {
    return new EnvironmentError('query.sql', views.pgCatalogHint())
  }
  if (views && reason.startsWith('Binder Error')) {
    return new EnvironmentError('query.sql', reason + (views.virtualColumnHint(reason) || views.systemColumnHint(reason)))
  }
  const hint = views && /^Catalog Error: .*does not exist/.test(reason) ? ` (${views.hints()})` : ''
  return new EnvironmentError('query.sql', reason + hint)
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!.replace(/^Failed to extract statements: /, '')
}
