import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, realpathSync, rmSync } from 'node:fs'
import { join, sep } from 'node:path'
import { type CorruptionError, EnvironmentError, isPositioned } from '../common/errors.ts'
import { formatLsn } from '../common/ids.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../common/rel.ts'
import type { LakeRelation, Manifest } from '../lake/manifest.ts'
import { openClusterFiles } from './datadir/clusterfiles.ts'
import { openDataDirectory } from './datadir/datadir.ts'
import { fileError } from './datadir/files.ts'
import type { OnProgress } from './jobprogress.ts'
import { checkSameState, expectedFile, lakeRelationName, readManifest } from './lake.ts'
import { checkLength } from './lakefile.ts'
import { Pool, type Workers } from './pool.ts'
import { oneTable } from './selection.ts'

export interface RebuildLakeOptions {
  lake: string
  /** A copy of the data directory; its heap files are overwritten. */
  pgdata: string
  /** Only this database's relations. */
  database?: string
  /** Only this table (`schema.name`, see catalog/tablename.ts) and its TOAST relation. */
  table?: string
  /** Overwrite even the data directory that the lake was read from. */
  force: boolean
  /** As for transcodeLake. */
  workers: number | Workers
  onProgress?: OnProgress
}

export interface RebuildReport {
  relations: number
  pages: number
  bytes: number
}

/**
 * Overwrites the heap files of a data directory with pages rebuilt from Parquet alone. The directory must be clean, stopped, of the same
 * cluster and at the same checkpoint; indexes and everything else in it stay as they are.
 * @throws EnvironmentError rebuild.*, lake.*, datadir.*; CorruptionError if a file does not lead back to its pages
 */
export async function rebuildLake(options: RebuildLakeOptions): Promise<RebuildReport> {
  const manifest = readManifest(options.lake)
  const { control } = openDataDirectory(options.pgdata)
  checkSameState(manifest, control, formatLsn(openClusterFiles(options.pgdata).lsn))
  const pgdata = realpathSync(options.pgdata)
  if (pgdata === manifest.source && !options.force) {
    throw new EnvironmentError('rebuild.source', 'this is the data directory the lake was read from; rebuild into a copy, or say --force', { file: pgdata })
  }
  const relations = chooseRelations(manifest, options)
  if (!options.force) for (const relation of relations) refuseForeignTablespace(pgdata, relation)
  checkFilesAreThere(options.lake, relations)
  const pages = relations.reduce((sum, { forks }) => sum + (forks.main ?? 0), 0)
  let done = 0
  options.onProgress?.(0, pages * BLOCK_SIZE, '')
  const pool = new Pool(options.workers)
  try {
    for (const relation of relations) resizeSegments(join(pgdata, relation.path), relation.forks.main ?? 0)
    const files = relations.flatMap((relation) => {
      const name = lakeRelationName(relation)
      return relation.files.map((file) => ({ file, name, expected: expectedFile(manifest, relation, file), target: join(pgdata, relation.path) }))
    })
    const results = await Promise.allSettled(files.map(async ({ file, name, expected, target }) => {
      await pool.run('rebuild', { lake: options.lake, path: file.path, crc32: file.crc32, expected, target })
      done += file.blockCount
      options.onProgress?.(done * BLOCK_SIZE, pages * BLOCK_SIZE, name)
    }))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed) throw halfRebuilt(failed.reason)
    for (const relation of relations) syncSegments(join(pgdata, relation.path), relation.forks.main ?? 0)
  } finally {
    await pool.close()
  }
  return { relations: relations.length, pages, bytes: pages * BLOCK_SIZE }
}

/** What is missing or cut is better found before anything is overwritten. @throws CorruptionError lake.file */
function checkFilesAreThere(lake: string, relations: readonly LakeRelation[]): void {
  for (const relation of relations) {
    for (const file of relation.files) checkLength(lake, relation, file, '; nothing was overwritten')
  }
}

function halfRebuilt(error: unknown): unknown {
  if (!isPositioned(error)) return error
  const Same = error.constructor as typeof CorruptionError
  return new Same(error.code, `${error.reason}; the data directory is half overwritten: start no server on it, make a new copy`, error.position)
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

/** A copied pg_tblspc link still leads to the original's files: writing there would destroy them. */
function refuseForeignTablespace(pgdata: string, { path }: LakeRelation): void {
  if (!path.startsWith('pg_tblspc/')) return
  const link = join(pgdata, path.split('/').slice(0, 2).join('/'))
  const target = existsSync(link) ? realpathSync(link) : link
  if (target.startsWith(pgdata + sep)) return
  const reason = `the tablespace lies outside the data directory, at ${target}; if that is a copy as well, say --force`
  throw new EnvironmentError('rebuild.tablespace', reason, { file: link })
}

function segmentsOf(path: string, blocks: number): { file: string; blocks: number }[] {
  const count = Math.max(1, Math.ceil(blocks / SEGMENT_BLOCKS))
  return Array.from({ length: count }, (_, i) => ({
    file: i === 0 ? path : `${path}.${i}`, blocks: Math.min(SEGMENT_BLOCKS, blocks - i * SEGMENT_BLOCKS),
  }))
}

/** Gives every segment its length and removes those beyond. */
function resizeSegments(path: string, blocks: number): void {
  const segments = segmentsOf(path, blocks)
  for (const { file, blocks: length } of segments) onFile(file, 'a', (fd) => ftruncateSync(fd, length * BLOCK_SIZE))
  for (let beyond = segments.length; existsSync(`${path}.${beyond}`); beyond++) rmSync(`${path}.${beyond}`)
}

function syncSegments(path: string, blocks: number): void {
  for (const { file } of segmentsOf(path, blocks)) onFile(file, 'r+', fsyncSync)
}

function onFile(file: string, flags: string, body: (fd: number) => void): void {
  try {
    const fd = openSync(file, flags)
    try {
      body(fd)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw fileError(error, file)
  }
}
