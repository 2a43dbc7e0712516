import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { forEachAtMost } from '../common/atonce.ts'
import { type CorruptionError, EnvironmentError, isPositioned } from '../common/errors.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { formatLsn } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { LakeRelation, Manifest } from '../lake/manifest.ts'
import type { DirectoryOptions } from '../io/cluster.ts'
import { type ConsistentDirectory, openConsistentDirectory } from '../io/datadir/consistentdirectory.ts'
import { openDataDirectory, refuseUnsettled } from '../io/datadir/datadir.ts'
import { FolderLock, LOCK_NAME } from '../io/disk/folderlock.ts'
import { breathe, remarkOnEnd, stopIfEnding } from '../io/process/interruption.ts'
import type { OnProgress } from './jobprogress.ts'
import { checkSameState, lakeRelationName } from './lake.ts'
import type { FileOfLake, PackedOfLake } from './lakefile.ts'
import type { OpenLakeOptions } from './lakes/fetchedobjects.ts'
import { type FileToRead, openAnyLake, type OpenedLake } from './lakes/openedlake.ts'
import { JobTasks, type Pool } from './pool.ts'
import { oneTable } from './selection.ts'
import { codecModules, type CodecModules } from './tasks/codecs.ts'
import { RebuildTarget } from '../io/datadir/rebuildtarget.ts'

export interface RebuildLakeOptions extends Pick<DirectoryOptions, 'onCorrupt' | 'major' | 'systemIdentifier' | 'nextXid'>, OpenLakeOptions {
  /** Folder of the lake, or its URL. */
  lake: string
  /** A copy of the data directory; its heap files are overwritten. */
  pgdata: string
  /** Only this database's relations. */
  database?: string
  /** Only this table (`schema.name`, see catalog/tablename.ts) and its TOAST relation. */
  table?: string
  /** Overwrite even the data directory that the lake was read from; default false. */
  force?: boolean
  /** Number of worker threads, or threads that the caller started, as for transcodeLake. */
  workers?: number | Pool
  /** The modules with codecs that the lake was written with, as for transcodeLake. */
  codecs?: readonly string[]
  onProgress?: OnProgress
}

export interface RebuildReport {
  relations: number
  pages: number
  bytes: number
  /** With `carry`: a sentence for each damage of the data directory as a whole, with what ltap did instead. */
  damage: readonly string[]
}

/**
 * Overwrites the heap files of a data directory with pages rebuilt from Parquet alone. The directory must be clean, stopped, of the same
 * cluster and at the same checkpoint; indexes and everything else in it stay as they are.
 * @throws EnvironmentError rebuild.*, lake.*, datadir.*, store.*; CorruptionError if a file does not lead back to its pages
 */
export async function rebuildLake(options: RebuildLakeOptions): Promise<RebuildReport> {
  const lake = await openAnyLake(options.lake, options, ({ major }) => lsnOf(options, major))
  try {
    const { manifest } = lake
    const { damage } = openTarget(manifest, options)
    const pgdata = realpathSync(options.pgdata)
    if (pgdata === manifest.source && !options.force) {
      throw new EnvironmentError('rebuild.source', 'this is the data directory the lake was read from; rebuild into a copy, or say --force', { file: pgdata })
    }
    const relations = chooseRelations(manifest, options)
    const lock = new FolderLock(pgdata, join(pgdata, LOCK_NAME))
    try {
      return { ...await new RebuildJob(options, lake, pgdata, relations).run(), damage }
    } finally {
      await stopIfEnding()
      lock.release()
    }
  } finally {
    lake.close()
  }
}

/** Where the data directory is: of the states of a lake, the one at the same LSN is meant. */
function lsnOf({ pgdata, onCorrupt = 'fail', systemIdentifier, nextXid, major }: RebuildLakeOptions, lakeMajor: PgMajor): string {
  if (onCorrupt === 'fail') openDataDirectory(pgdata)
  refuseUnsettled(pgdata)
  return formatLsn(openConsistentDirectory(pgdata, onCorrupt, { major: major ?? lakeMajor, systemIdentifier, nextXid }).lsn)
}

/**
 * Opens the data directory, which must be the one that the lake was read from. If it has lost pg_control, its pg_wal has to prove that: by the system
 * identifier, and by a shutdown checkpoint at the lake's LSN that no record follows. The caller has to say what pg_wal does not tell.
 */
function openTarget(manifest: Manifest, options: RebuildLakeOptions): ConsistentDirectory {
  const { pgdata, onCorrupt = 'fail', systemIdentifier, nextXid, major = manifest.major } = options
  if (onCorrupt === 'fail') openDataDirectory(pgdata)
  refuseUnsettled(pgdata)
  const files = openConsistentDirectory(pgdata, onCorrupt, { major, systemIdentifier, nextXid })
  checkSameState(manifest, { ...files, ...files.control })
  const { guess } = files
  if (guess?.clean === false) {
    const reason = 'records follow the last checkpoint in its pg_wal, so it is newer than the lake: make a new copy of the data directory'
    throw new EnvironmentError('rebuild.unproven', reason, { file: pgdata })
  }
  if (guess === undefined || guess.clean || systemIdentifier !== undefined) return files
  const reason = 'without pg_control and pg_wal nothing proves that the data directory is of the moment of ' +
    `the lake; if it is a copy of the data directory that the lake was read from, say --system-identifier ${manifest.systemIdentifier}`
  throw new EnvironmentError('rebuild.unproven', reason, { file: pgdata })
}

const HALF_OVERWRITTEN = 'the data directory is half overwritten: start no server on it, make a new copy'

interface Rebuilt {
  relation: LakeRelation
  target: RebuildTarget
}

class RebuildJob {
  private readonly options: RebuildLakeOptions
  private readonly lake: OpenedLake
  private readonly relations: readonly Rebuilt[]
  private readonly codecs: CodecModules

  constructor(options: RebuildLakeOptions, lake: OpenedLake, pgdata: string, relations: readonly LakeRelation[]) {
    this.options = options
    this.lake = lake
    this.codecs = codecModules(options.codecs ?? [])
    this.relations = relations.map((relation) => ({ relation, target: new RebuildTarget(pgdata, relation, options.force ?? false) }))
  }

  async run(): Promise<Omit<RebuildReport, 'damage'>> {
    const pool = new JobTasks(this.options.workers)
    try {
      await this.checkAll(pool)
      return await this.overwrite(pool)
    } finally {
      await pool.close()
    }
  }

  /** Checks every file of the lake and every place in the data directory before the first byte is overwritten. */
  private async checkAll(pool: JobTasks): Promise<void> {
    try {
      for (const { target } of this.relations) {
        target.check()
        await breathe()
      }
      await this.forEachFile(pool, async ({ relation }, { expected }, file) => {
        await pool.run('checkFile', { file, relation: lakeRelationName(relation), expected, codecs: this.codecs })
      })
    } catch (error) {
      throw withRemark(error, 'nothing was overwritten')
    }
  }

  private async overwrite(pool: JobTasks): Promise<Omit<RebuildReport, 'damage'>> {
    const { onProgress, force = false } = this.options
    const pages = this.relations.reduce((sum, { relation: { forks } }) => sum + (forks.main ?? 0), 0)
    let done = 0
    onProgress?.(0, pages * BLOCK_SIZE, '')
    const forget = remarkOnEnd(HALF_OVERWRITTEN)
    try {
      for (const { target } of this.relations) {
        target.resize()
        await breathe()
      }
      await this.forEachFile(pool, async ({ relation, target }, { expected, current, blocks }, file) => {
        await pool.run('rebuild', { file, expected, current, target: target.place, force, codecs: this.codecs })
        done += blocks
        onProgress?.(done * BLOCK_SIZE, pages * BLOCK_SIZE, lakeRelationName(relation))
      })
      for (const { target } of this.relations) {
        target.sync()
        await breathe()
      }
    } catch (error) {
      throw withRemark(error, HALF_OVERWRITTEN)
    } finally {
      forget()
    }
    return { relations: this.relations.length, pages, bytes: pages * BLOCK_SIZE }
  }

  /** After a failure this waits for the tasks that run: no task may still write when the caller reports the error. */
  private async forEachFile(pool: JobTasks, body: (rebuilt: Rebuilt, wanted: FileToRead, file: FileOfLake | PackedOfLake) => Promise<void>): Promise<void> {
    const { relations, lake } = this
    async function* files(): AsyncGenerator<[Rebuilt, FileToRead]> {
      for (const rebuilt of relations) for (const file of await lake.files(rebuilt.relation)) yield [rebuilt, file]
    }
    try {
      await forEachAtMost(pool.workers + 1, files(), async ([rebuilt, wanted]) => {
        const { file, release } = await wanted.open()
        try {
          await body(rebuilt, wanted, file)
        } finally {
          release()
        }
      })
    } finally {
      await stopIfEnding()
    }
  }
}

function withRemark(error: unknown, remark: string): unknown {
  if (!isPositioned(error)) return error
  const Same = error.constructor as typeof CorruptionError
  return new Same(error.code, `${error.reason}; ${remark}`, error.position)
}

function chooseRelations(manifest: Manifest, { database, table }: RebuildLakeOptions): LakeRelation[] {
  const stored = manifest.relations.filter(({ relkind, path }) => relkind !== 'p' && path !== '')
  const inDatabase = database === undefined ? stored : stored.filter((relation) => relation.database === database)
  if (database !== undefined && inDatabase.length === 0) {
    throw new EnvironmentError('rebuild.database', `the lake has no database '${database}'; it has ${manifest.databases.map(({ name }) => name).join(', ')}`)
  }
  if (table === undefined) return inDatabase
  const named = oneTable(inDatabase.filter(({ visible }) => visible), table)
  if (named.length > 1) throw new EnvironmentError('rebuild.table', `several databases have a table '${table}'; name one with --database`)
  const toast = inDatabase.filter(({ relkind, oid, dbOid }) => relkind === 't' && dbOid === named[0]!.dbOid && oid === named[0]!.toastRelId)
  return [...named, ...toast]
}
