import { realpathSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Relation, UnstoredRelation } from '../catalog/relations.ts'
import type { TupleDesc } from '../catalog/tupledesc.ts'
import { type ClusterDescriptor, FORMAT_VERSION, type RelationDescriptor, schemaContext, withCodecs } from '../columnar/filedescriptor.ts'
import { addLaneCounts, newLaneCounts } from '../columnar/lanes.ts'
import { relationSchema } from '../columnar/schema.ts'
import { type Compression, fileSets } from '../columnar/planfile.ts'
import { type WantedOverflow, withOverflow } from '../columnar/wantedoverflow.ts'
import { forEachAtMost } from '../common/atonce.ts'
import { BlockSet } from '../common/blockset.ts'
import { CorruptionError } from '../common/errors.ts'
import { formatLsn } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import type { CodecFactory, TypeProfile } from '../datum/typedef.ts'
import {
  dataFileName, hiddenFileName, type LakeRelation, type Manifest, relationFolder,
} from '../lake/manifest.ts'
import { formatManifest } from '../lake/manifestjson.ts'
import { viewsFile } from '../lake/views.ts'
import type { UnknownTransactions } from '../xact/snapshot.ts'
import type { FullXid } from '../xact/transactionstate.ts'
import { type DirectoryCluster, directoryOptions, openCluster } from '../io/cluster.ts'
import { fileError } from '../io/disk/files.ts'
import type { OnProgress } from './jobprogress.ts'
import { lakeRelationName } from './lake.ts'
import { refuseInside, refuseScheme } from '../io/disk/localpath.ts'
import { createFolder } from '../io/disk/create.ts'
import { stopIfEnding } from '../io/process/interruption.ts'
import { JobTasks, type Pool } from './pool.ts'
import { type PlannedRelation, PlannedRelations } from './plannedrelations.ts'
import type { RelationFilter } from './selection.ts'
import { codecModules, type CodecModules, loadCodecs } from './tasks/codecs.ts'
import type { SnapshotKey } from './tasks/snapshots.ts'
import type { SegmentFiles, UnreadableFile } from './tasks/forkpages.ts'
import type { TranscodeResult, TranscodeTask } from './tasks/transcodetask.ts'
import { keepThreadPoolAwake } from '../io/process/threadpool.ts'
import { UnfinishedLake } from './unfinishedlake.ts'
import { LTAP_VERSION } from './version.ts'

export interface TranscodeLakeOptions {
  /** A clean data directory, or what replay made. */
  pgdata: string
  /** What `pgdata` was made from, for the manifest; default: `pgdata` itself. */
  source?: string
  /** An empty or missing folder. */
  lake: string
  filter?: RelationFilter
  /**
   * Worker threads to start, default one for each core; 0 runs everything on this thread. {@link Workers} serve several jobs, and the later ones
   * faster.
   */
  workers?: number | Pool
  /** Compression of the Parquet files; default zstd. */
  compression?: Compression
  /** Default portable. */
  profile?: TypeProfile
  /** On damage: throw an error, which is the default, or carry the damaged bytes and continue; see {@link DirectoryOptions}. */
  onCorrupt?: 'fail' | 'carry'
  unknownTransactions?: UnknownTransactions
  /** With `carry`: the major version of a data directory that has lost PG_VERSION. */
  major?: PgMajor
  /** With `carry`: of one that has lost pg_control; see {@link DirectoryOptions}. */
  systemIdentifier?: bigint
  nextXid?: FullXid
  /**
   * Modules with codecs from outside, for types that no codec of ltap reads: paths or file URLs. Each exports `codecs`, an object with a CodecFactory
   * (`ltap/datum`) under the name of each type.
   */
  codecs?: readonly string[]
  onProgress?: OnProgress
  /** Told what the user should know, as a sentence. */
  onNotice?: (text: string) => void
}

/** Syncs wait for the disk, not for a core. */
const SYNCS_AT_ONCE = 4

/**
 * Transcodes a clean or replayed data directory into a lake of format 1: every heap relation as Parquet, then views.sql, then ltap.json, atomically. No verb
 * and no export of the package writes this format any more: it is what tests hold lakes of layers against, and what tests of readers of format 1 read.
 * @throws EnvironmentError datadir.*, lake.*, selection.*; CorruptionError of the first damaged page unless onCorrupt is 'carry'
 */
export async function transcodeLake(options: TranscodeLakeOptions): Promise<Manifest> {
  const cluster = openCluster(options.pgdata, directoryOptions(options))
  refuseScheme(options.lake)
  for (const folder of [options.pgdata, options.source ?? options.pgdata]) refuseInside(options.lake, folder)
  const lake = new UnfinishedLake(options.lake, options.onNotice)
  try {
    const codecs = codecModules(options.codecs ?? [])
    const manifest = await new TranscodeJob(cluster, options, codecs, await loadCodecs(codecs)).run()
    await syncFiles(manifest, options.lake)
    lake.finish(viewsFile(manifest), formatManifest(manifest))
    return manifest
  } catch (error) {
    await stopIfEnding()
    lake.abandon()
    throw error
  }
}

/** Every data file on disk: from then on the manifest may name them. */
async function syncFiles(manifest: Manifest, lake: string): Promise<void> {
  function* paths(): Generator<string> {
    for (const { files } of manifest.relations) {
      for (const { path, hidden } of files) yield* hidden ? [path, hidden.path] : [path]
    }
  }
  const done = keepThreadPoolAwake()
  try {
    await forEachAtMost(SYNCS_AT_ONCE, paths(), (path) => syncFile(join(lake, path)))
  } finally {
    done()
  }
}

async function syncFile(path: string): Promise<void> {
  try {
    const file = await open(path, 'r')
    try {
      await file.datasync()
    } finally {
      await file.close()
    }
  } catch (error) {
    throw fileError(error, path)
  }
}

class TranscodeJob {
  private readonly cluster: DirectoryCluster
  private readonly options: TranscodeLakeOptions
  private readonly codecs: CodecModules
  private readonly extensions: ReadonlyMap<string, CodecFactory>
  private readonly descriptor: ClusterDescriptor
  private readonly pool: JobTasks
  private readonly snapshot: SnapshotKey
  private readonly plan: PlannedRelations
  private readonly losses = new Set<string>()
  private doneBytes = 0
  private readonly totalBytes: number

  constructor(cluster: DirectoryCluster, options: TranscodeLakeOptions, codecs: CodecModules, extensions: ReadonlyMap<string, CodecFactory>) {
    this.cluster = cluster
    this.options = options
    this.codecs = codecs
    this.extensions = extensions
    this.plan = new PlannedRelations(cluster, options)
    this.totalBytes = this.plan.totalBytes
    this.pool = new JobTasks(options.workers)
    this.snapshot = { pgdata: options.pgdata, job: this.pool.job, options: directoryOptions(options) }
    this.descriptor = {
      systemIdentifier: String(cluster.systemIdentifier), major: cluster.major, checksums: cluster.checksums,
      lsn: formatLsn(cluster.lsn), profile: options.profile ?? 'portable',
    }
  }

  async run(): Promise<Manifest> {
    const { plan, pool } = this
    try {
      this.options.onProgress?.(0, this.totalBytes, '')
      const relations = new Array<LakeRelation | undefined>(plan.count)
      // Two more than the pool takes: what is done here for a relation no worker waits for.
      await forEachAtMost(pool.workers + 3, plan.inOrder(), async (planned) => {
        relations[planned.index] = await this.orNotRead(planned.relation, () => this.relation(planned))
      })
      const read = relations.filter((relation) => relation !== undefined)
      if (this.options.filter?.tables.length && read.length === 0) throw plan.nothingToRead()
      const { selection } = plan
      const parents = selection.databases.flatMap((dbOid) => selection.parents(dbOid).map((parent) => this.parent(parent)))
      return this.manifest([...read, ...parents], selection.complete)
    } finally {
      await pool.close()
    }
  }

  private manifest(relations: LakeRelation[], complete: boolean): Manifest {
    const { cluster, descriptor } = this
    const relative = (dir: string, relNumber: number): string => `${dir.slice(realpathSync(this.options.pgdata).length + 1)}/${relNumber}`
    return {
      format: FORMAT_VERSION, createdBy: `ltap ${LTAP_VERSION}`, profile: descriptor.profile, systemIdentifier: descriptor.systemIdentifier,
      major: descriptor.major, catalogVersion: cluster.control.catalogVersion, blockSize: BLOCK_SIZE, checksums: descriptor.checksums,
      lsn: descriptor.lsn, timeline: cluster.timeline, source: realpathSync(this.options.source ?? this.options.pgdata), complete,
      databases: cluster.databases.map(({ oid, name, template }) => ({ oid, name, template })),
      relations, orphans: complete ? cluster.orphans().map(({ dir, relNumber }) => relative(dir, relNumber)) : [],
      temporaryFiles: complete ? cluster.temp().length : 0, notRead: this.plan.notRead, ...this.damage(relations),
    }
  }

  /** With `carry` a relation is left out of which the disk does not give a block: there are no bytes that a lake could carry. */
  private async orNotRead(relation: Relation, read: () => Promise<LakeRelation>): Promise<LakeRelation | undefined> {
    try {
      return await read()
    } catch (error) {
      if (!(error instanceof CorruptionError && error.code === 'relation.unreadable')) throw error
      this.plan.leaveOut(relation, error)
      rmSync(join(this.options.lake, this.folderOf(relation)), { recursive: true, force: true })
      return undefined
    }
  }

  private folderOf(relation: Relation): string {
    return relationFolder({ ...relation, ...relation.locator, database: relation.database.oid === 0 ? null : relation.database.name })
  }

  /** Only with `carry`: how the lake was read, and what was lost. */
  private damage(relations: readonly LakeRelation[]): Pick<Manifest, 'unknownTransactions' | 'damage' | 'guessed'> {
    const { onCorrupt, unknownTransactions: policy = 'hide' } = this.options
    if (onCorrupt !== 'carry') return {}
    const rows = relations.reduce((sum, { lanes }) => sum + lanes.unknownStatus, 0)
    const damage = [...new Set([...this.cluster.losses, ...this.losses])].sort()
    return { unknownTransactions: { policy, rows }, ...(damage.length > 0 && { damage }), ...(this.cluster.guessed && { guessed: true as const }) }
  }

  private async relation(planned: PlannedRelation): Promise<LakeRelation> {
    const { relation } = planned
    const { database, schema, name, oid, relkind, persistence, locator, visible, parents, toastRelId } = relation
    const storage = this.cluster.storage(relation)
    const blocks = storage.forks.main ?? 0
    createFolder(join(this.options.lake, this.folderOf(relation)), this.options.lake)
    const fork = { path: storage.path, segments: storage.segments }
    const toast = blocks > 0 ? await this.plan.indexToast(planned, this.pool, this.snapshot) : undefined
    const { descriptor, files } = await this.files(relation, this.describe(relation, blocks), fork, toast)
    const lanes = newLaneCounts()
    for (const file of files) addLaneCounts(lanes, file.lanes)
    return {
      database: database.oid === 0 ? null : database.name, schema, name, oid, relkind, persistence, ...locator, path: storage.relativePath,
      forks: storage.forks, visible, ...(relation.populated ? {} : { populated: false }), toastRelId, parents,
      ...virtualOf(relation), ...this.columnsOf(descriptor),
      files: files.map(({ file }) => file), lanes, ...(storage.trailingBytes > 0 && { trailingBytes: storage.trailingBytes }),
    }
  }

  private describe({ database, schema, name, oid, relkind, locator, desc }: Relation, blocks: number): RelationDescriptor {
    const untyped: TupleDesc = { attributes: [], types: [] }
    return {
      ...locator, database: database.oid === 0 ? null : database.name, schema, name, oid, relkind, blocks, encoding: database.encoding,
      desc: desc ?? untyped,
    }
  }

  /** All files of a relation, with the descriptor that is in them: one schema for all, whichever of them met a value that widens it. */
  private async files(
    relation: Relation, first: RelationDescriptor, fork: SegmentFiles, toast: TranscodeTask['toast'],
  ): Promise<{ descriptor: RelationDescriptor; files: TranscodeResult[] }> {
    const sets = fileSets(BlockSet.range(0, first.blocks))
    for (let descriptor = first; ; ) {
      const results = new Array<TranscodeResult | WantedOverflow | UnreadableFile>(sets.length)
      await forEachAtMost(this.pool.workers + 1, sets.entries(), async ([i, blocks]) => {
        results[i] = await this.file(relation, descriptor, fork, toast, blocks)
      })
      for (const result of results) {
        if ('unreadable' in result) throw new CorruptionError('relation.unreadable', result.unreadable.reason, result.unreadable.position)
      }
      const files = results.flatMap((result) => ('file' in result ? [result] : []))
      if (files.length === results.length) return { descriptor, files }
      descriptor = withOverflow(descriptor, results.flatMap((result) => ('wanted' in result ? result.wanted : [])))
      this.doneBytes -= first.blocks * BLOCK_SIZE
    }
  }

  private async file(
    relation: Relation, descriptor: RelationDescriptor, fork: SegmentFiles, toast: TranscodeTask['toast'], blocks: BlockSet,
  ): Promise<TranscodeResult | WantedOverflow | UnreadableFile> {
    const folder = relationFolder(descriptor)
    const { lake, compression = 'zstd', onCorrupt = 'fail' } = this.options
    const firstBlock = blocks.runs[0]?.first ?? 0
    const result = await this.pool.run('transcode', {
      snapshot: this.snapshot, fork, blocks: blocks.runs, relation: descriptor, visible: relation.visible, cluster: this.descriptor, compression, onCorrupt,
      lake, path: `${folder}/${dataFileName(firstBlock)}`, hiddenPath: `${folder}/${hiddenFileName(firstBlock)}`, toast, codecs: this.codecs,
    })
    if ('losses' in result) for (const loss of result.losses) this.losses.add(loss)
    this.doneBytes += blocks.size * BLOCK_SIZE
    this.options.onProgress?.(this.doneBytes, this.totalBytes, lakeRelationName(descriptor))
    return result
  }

  /** A partitioned parent has no pages, but queries ask for it: its schema is in the manifest. */
  private parent({ database, schema, name, oid, parents, desc, virtualColumns }: UnstoredRelation): LakeRelation {
    const descriptor: RelationDescriptor = {
      spcOid: 0, dbOid: database.oid, relNumber: 0, database: database.name, schema, name, oid, relkind: 'p', blocks: 0,
      encoding: database.encoding, desc,
    }
    return {
      database: database.name, schema, name, oid, relkind: 'p', persistence: 'p', spcOid: 0, dbOid: database.oid, relNumber: 0, path: '', forks: {},
      visible: true, toastRelId: 0, parents, ...virtualOf({ virtualColumns }), ...this.columnsOf(descriptor), files: [], lanes: newLaneCounts(),
    }
  }

  private columnsOf(given: RelationDescriptor): { columns: string[]; overflow: boolean } {
    const relation = withCodecs(given, this.descriptor, this.extensions)
    const schema = relationSchema(schemaContext({ ...this.descriptor, relation, displayScales: {}, pageFlags: 0 }, this.extensions))
    return { columns: schema.columns.map(({ name }) => name), overflow: schema.overflow !== undefined }
  }
}

/** Lakes of clusters without virtual columns have no such member. */
function virtualOf({ virtualColumns }: Pick<Relation, 'virtualColumns'>): Pick<LakeRelation, 'virtualColumns'> {
  return virtualColumns.length > 0 ? { virtualColumns } : {}
}

