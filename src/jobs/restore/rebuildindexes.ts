import { join } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import { openCluster } from '../../io/cluster.ts'
import { type RestoreTarget, RESTORING } from '../../io/datadir/restoretarget.ts'
import { type ServerUser, preparePostgres, serverUser } from '../../server/postgresbinaries.ts'
import { giveTo } from '../../server/postgresdatadir.ts'
import { runSingleUser, type SessionOutcome } from '../../server/singleuser.ts'
import { hexOf, hexText, identifier, literal } from './sqltext.ts'

export interface RebuildIndexesOptions {
  bindir: string
  prepared: 'commit' | 'rollback' | 'keep' | undefined
  preparedCount: number
  /** As in pg_control: a server that is started without it throws the timestamps away. */
  trackCommitTimestamp: boolean
}

export interface NotRebuilt {
  database: string
  /** `schema.index`; undefined: none of the database. */
  index: string | undefined
  reason: string
}

export interface RebuiltIndexes {
  /** Number of indexes of user tables; those of catalogs are not counted. */
  rebuilt: number
  notRebuilt: NotRebuilt[]
}

/** FirstUnpinnedObjectId (transam.h): REINDEX SYSTEM takes relations below it (IsCatalogRelationOid, catalog.c). */
const FIRST_UNPINNED = 12000
/** Prepared transactions alone hold locks: the server has one session, so waiting would be for ever. */
const LOCK_TIMEOUT_MS = 1000

/**
 * Rebuilds every index by the server's own programs, in sessions of one user, whose settings are ours and none of the state's: prepared transactions
 * are settled first, then the indexes of the catalogs, then all others, each by itself. What cannot be rebuilt is marked as invalid.
 * @throws EnvironmentError postgres.*, restore.prepared, restore.postgres if no database can be opened
 */
export async function rebuildIndexes(target: RestoreTarget, options: RebuildIndexesOptions): Promise<RebuiltIndexes> {
  const user = serverUser()
  // Programs that the user cannot reach where they are get copied into the folder, so the user has to reach that.
  for (const folder of target.folders) giveTo(folder, user)
  const binDir = await preparePostgres(options.bindir, user, join(target.path, RESTORING, 'programs'))
  target.file(`${RESTORING}/postgresql.conf`, settings(options))
  for (const folder of target.folders) giveTo(folder, user)
  return await new Rebuilding(target.path, binDir, user, options).run()
}

function settings({ preparedCount, trackCommitTimestamp }: RebuildIndexesOptions): string {
  const values = {
    fsync: 'off', full_page_writes: 'off', archive_mode: 'off', logging_collector: 'off', log_destination: 'stderr', log_line_prefix: '',
    lc_messages: 'C', log_min_messages: 'warning', log_min_error_statement: 'error', log_error_verbosity: 'default',
    max_prepared_transactions: String(preparedCount + 10),
    track_commit_timestamp: trackCommitTimestamp ? 'on' : 'off', lock_timeout: String(LOCK_TIMEOUT_MS), maintenance_work_mem: '256MB',
  }
  return Object.entries(values).map(([name, value]) => `${name} = '${value}'\n`).join('')
}

interface Index {
  oid: string
  fileNumber: string
  wasValid: boolean
  wasReady: boolean
  isToast: boolean
  schema: string
  name: string
}

class Rebuilding {
  private readonly dataDir: string
  private readonly binDir: string
  private readonly user: ServerUser | undefined
  private readonly options: RebuildIndexesOptions
  private readonly notRebuilt: NotRebuilt[] = []
  private readonly databases: readonly { oid: number; name: string }[]

  constructor(dataDir: string, binDir: string, user: ServerUser | undefined, options: RebuildIndexesOptions) {
    this.dataDir = dataDir
    this.binDir = binDir
    this.user = user
    this.options = options
    this.databases = openCluster(dataDir).databases.filter(({ invalid }) => !invalid)
  }

  async run(): Promise<RebuiltIndexes> {
    const { prepared, preparedCount } = this.options
    if (preparedCount > 0 && prepared !== undefined && prepared !== 'keep') await this.settlePrepared(prepared)
    const usable: string[] = []
    for (const { name } of this.databases) if (await this.rebuildCatalogs(name)) usable.push(name)
    if (usable.length === 0) throw this.noDatabase(this.notRebuilt[0]?.reason)
    let rebuilt = 0
    for (const name of usable) rebuilt += await this.rebuildOthers(name)
    return { rebuilt, notRebuilt: this.notRebuilt }
  }

  /** COMMIT PREPARED and ROLLBACK PREPARED work in the transaction's own database only. */
  private async settlePrepared(how: 'commit' | 'rollback'): Promise<void> {
    const list = `SELECT p.dbid || '|' || ${hexOf('p.gid')} AS ltap FROM pg_catalog.pg_prepared_xact() AS p (transaction, gid, prepared, ownerid, dbid)`
    const found = await this.inAnyDatabase(list)
    for (const { oid, name } of this.databases) {
      const gids = found.filter((row) => row.startsWith(`${oid}|`)).map((row) => hexText(row.split('|')[1]!))
      if (gids.length === 0) continue
      const { errors, crashed } = await this.session(name, gids.map((gid) => `${how.toUpperCase()} PREPARED ${literal(gid)}`), true)
      const reason = crashed ?? [...errors.values()][0]
      if (reason === undefined) continue
      throw new EnvironmentError('restore.prepared', `${how.toUpperCase()} PREPARED failed in database ${name}: ${reason}`, { file: this.dataDir })
    }
    const left = await this.inAnyDatabase(list)
    if (left.length === 0) return
    throw new EnvironmentError('restore.prepared', `${left.length} prepared transactions could not be ended`, { file: this.dataDir })
  }

  private async inAnyDatabase(query: string): Promise<string[]> {
    let reason: string | undefined
    for (const { name } of this.databases) {
      const { values, errors, crashed } = await this.session(name, [query], true)
      const problem = crashed ?? [...errors.values()][0]
      if (problem === undefined) return values
      reason = problem
    }
    throw this.noDatabase(reason)
  }

  private noDatabase(reason = 'the state has none'): EnvironmentError {
    return new EnvironmentError('restore.postgres', `the server could not open any database: ${reason}`, { file: this.dataDir })
  }

  /** @returns whether the database can be used */
  private async rebuildCatalogs(database: string): Promise<boolean> {
    const name = identifier(Buffer.from(database).toString('latin1'))
    const { errors, crashed } = await this.session(database, [`REINDEX SYSTEM ${name}`], true)
    const reason = crashed ?? [...errors.values()][0]
    if (reason === undefined) return true
    if (this.options.prepared === 'keep' && reason.includes('lock timeout')) {
      const advice = 'whose indexes must be rebuilt; say --prepared commit or rollback'
      throw new EnvironmentError('restore.prepared', `a prepared transaction holds a lock on a catalog of database ${database}, ${advice}`)
    }
    this.notRebuilt.push({ database, index: undefined, reason })
    return false
  }

  /** @returns how many were rebuilt */
  private async rebuildOthers(database: string): Promise<number> {
    const before = await this.list(database)
    if (before.length === 0) return 0
    // Until it is rebuilt no plan may use an index: a function of another index could look for rows with it. A value out of line is found by one only.
    const others = oids(before.filter(({ isToast }) => !isToast))
    await this.mustRun(database, [`UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid IN (${others})`])
    const failed = new Map<Index, string>()
    for (let pending = before; pending.length > 0;) {
      const { errors, crashed } = await this.session(database, pending.map(reindexStatement))
      const now = new Map((await this.list(database)).map((index) => [index.oid, index.fileNumber]))
      const left = pending.filter((index) => now.get(index.oid) === index.fileNumber)
      // A server that fell took the first one that is left with it.
      const blamed = crashed === undefined ? left : left.slice(0, 1)
      for (const index of blamed) failed.set(index, errors.get(reindexStatement(index)) ?? crashed ?? 'the server did not say why')
      pending = left.slice(blamed.length)
    }
    await this.mark(database, before, failed)
    for (const [{ schema, name, wasValid }, reason] of failed) {
      this.notRebuilt.push({ database, index: `${schema}.${name}`, reason: wasValid ? reason : `it was invalid before: ${reason}` })
    }
    return before.length - failed.size
  }

  /** Indexes that were invalid stay so; those that were not rebuilt become so, and get no entries of new rows. */
  private async mark(database: string, indexes: readonly Index[], failed: ReadonlyMap<Index, string>): Promise<void> {
    const lost = [...failed.keys()].filter(({ isToast }) => !isToast)
    const invalid = indexes.filter((index) => !index.wasValid && !failed.has(index))
    const unready = invalid.filter(({ wasReady }) => !wasReady)
    const statements = [
      ...(invalid.length > 0 ? [`UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid IN (${oids(invalid)})`] : []),
      ...(lost.length + unready.length > 0
        ? [`UPDATE pg_catalog.pg_index SET indisvalid = false, indisready = false WHERE indexrelid IN (${oids([...lost, ...unready])})`] : []),
    ]
    if (statements.length > 0) await this.mustRun(database, statements)
  }

  /** Those that have an entry of their own for each row: of permanent tables that are no catalogs, TOAST relations first. */
  private async list(database: string): Promise<Index[]> {
    const columns = [
      'i.indexrelid', 'c.relfilenode', 'i.indisvalid::int', 'i.indisready::int', "(t.relkind = 't')::int", hexOf('n.nspname'), hexOf('c.relname'),
    ]
    const values = await this.mustRun(database, [`SELECT pg_catalog.concat_ws('|', ${columns.join(', ')}) AS ltap FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'i' AND c.relpersistence = 'p' AND i.indislive AND i.indrelid >= ${FIRST_UNPINNED}
      ORDER BY t.relkind = 't' DESC, i.indexrelid`.replaceAll(/\s*\n\s*/g, ' ')])
    return values.map((value) => {
      const [oid = '', fileNumber = '', valid, ready, toast, schema = '', name = ''] = value.split('|')
      return { oid, fileNumber, wasValid: valid === '1', wasReady: ready === '1', isToast: toast === '1', schema: hexText(schema), name: hexText(name) }
    })
  }

  private async mustRun(database: string, statements: readonly string[]): Promise<string[]> {
    const { values, errors, crashed } = await this.session(database, statements)
    const reason = crashed ?? [...errors.values()][0]
    if (reason !== undefined) throw new EnvironmentError('restore.postgres', `database ${database}: ${reason}`, { file: this.dataDir })
    return values
  }

  private session(database: string, statements: readonly string[], ignoreSystemIndexes = false): Promise<SessionOutcome> {
    const configFile = join(this.dataDir, RESTORING, 'postgresql.conf')
    return runSingleUser({ binDir: this.binDir, dataDir: this.dataDir, configFile, user: this.user, ignoreSystemIndexes }, database, statements)
  }
}

function reindexStatement({ schema, name }: Index): string {
  return `REINDEX INDEX ${identifier(schema)}.${identifier(name)}`
}

function oids(indexes: readonly Index[]): string {
  return indexes.length === 0 ? '0' : indexes.map(({ oid }) => oid).join(', ')
}
