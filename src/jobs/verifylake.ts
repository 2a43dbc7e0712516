import { addLaneCounts, newLaneCounts } from '../columnar/lanes.ts'
import type { Relation } from '../catalog/relations.ts'
import { forEachAtMost } from '../common/atonce.ts'
import { CorruptionError } from '../common/errors.ts'
import { formatLsn } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import type { LakeRelation, Manifest } from '../lake/manifest.ts'
import type { NotRead } from '../lake/notread.ts'
import { valuesNotShown } from '../lake/notshown.ts'
import { type DirectoryCluster, type DirectoryOptions, openCluster } from '../io/cluster.ts'
import { excludedTables, exclusionReason } from './exclusion.ts'
import type { OnProgress } from './jobprogress.ts'
import { checkSameState, lakeRelationName } from './lake.ts'
import type { LakeDifference, LakeReport } from './lakereport.ts'
import { FolderToVerify } from './lakes/foldertoverify.ts'
import type { FileToVerify, LakeToVerify } from './lakes/laketoverify.ts'
import type { OpenLakeOptions } from './lakes/fetchedobjects.ts'
import { openLake, refuseBranch } from './lakes/openlake.ts'
import { readStateAt } from './lakes/statemanifest.ts'
import { StateToVerify } from './lakes/statetoverify.ts'
import { JobTasks, type Pool } from './pool.ts'
import { codecModules, type CodecModules } from './tasks/codecs.ts'
import type { SegmentFiles } from './tasks/forkpages.ts'

export interface VerifyLakeOptions extends Pick<DirectoryOptions, 'onCorrupt' | 'major' | 'systemIdentifier' | 'nextXid'>, OpenLakeOptions {
  /** Folder of the lake, or its URL. */
  lake: string
  /**
   * Without it the lake is audited alone: every page forms back to the CRC it had. Of a lake of format 2 that is every object that any of its states
   * refers to; with a data directory it is the state at the same LSN.
   */
  pgdata?: string
  /** Patterns of tables to leave out, as in {@link RelationFilter}. */
  exclude?: readonly string[]
  /** Number of worker threads, or threads that the caller started, as for transcodeLake. */
  workers?: number | Pool
  /** The modules with codecs that the lake was written with, as for transcodeLake. */
  codecs?: readonly string[]
  onProgress?: OnProgress
}

/** @throws EnvironmentError if there is no lake, or the data directory is another cluster's or in another state */
export async function verifyLake(options: VerifyLakeOptions): Promise<LakeReport> {
  const lake = await openForVerify(options)
  try {
    const { manifest } = lake
    const cluster = options.pgdata === undefined ? undefined : openCluster(options.pgdata, readAs(manifest, options))
    if (cluster) checkSameState(manifest, cluster)
    const pool = new JobTasks(options.workers)
    try {
      return await new VerifyJob(options, lake, cluster, pool).run()
    } finally {
      await pool.close()
    }
  } finally {
    lake.close()
  }
}

async function openForVerify(options: VerifyLakeOptions): Promise<LakeToVerify> {
  const lake = await openLake(options.lake)
  const { pgdata, branch } = options
  if (lake === undefined) {
    refuseBranch(options.lake, branch)
    return new FolderToVerify(options.lake)
  }
  const state = await readStateAt(lake, branch, (newest) => (pgdata === undefined ? undefined : formatLsn(openCluster(pgdata, readAs(newest, options)).lsn)))
  return new StateToVerify(lake, state, options)
}

/** A lake that was read from a damaged data directory is compared with it as it was read. */
function readAs({ unknownTransactions, major }: Manifest, { onCorrupt, systemIdentifier, nextXid, ...given }: VerifyLakeOptions): DirectoryOptions {
  if (unknownTransactions === undefined && onCorrupt !== 'carry') return {}
  return {
    onCorrupt: 'carry', unknownTransactions: unknownTransactions?.policy ?? 'hide', major: given.major ?? major,
    ...(systemIdentifier !== undefined && { systemIdentifier }), ...(nextXid !== undefined && { nextXid }),
  }
}

/** A lake's relations less those that the patterns take in, which the report lists as not read. */
function withoutExcluded({ relations, notRead }: Manifest, patterns: readonly string[]): Pick<Manifest, 'relations' | 'notRead'> {
  const excluded = excludedTables<LakeRelation | NotRead>([...relations, ...notRead], patterns)
  const toast = new Set(relations.filter((relation) => excluded.has(relation)).map(({ dbOid, toastRelId }) => `${dbOid}/${toastRelId}`))
  const entries = [...excluded].map(([{ database, schema, name, oid, relkind }, pattern]): NotRead =>
    ({ database, schema, name, oid, relkind, why: 'excluded', reason: exclusionReason(pattern) }))
  const isToast = ({ dbOid, relkind, oid }: LakeRelation): boolean => relkind === 't' && toast.has(`${dbOid}/${oid}`)
  return {
    relations: relations.filter((relation) => !excluded.has(relation) && !isToast(relation)),
    notRead: [...notRead.filter((entry) => !excluded.has(entry)), ...entries],
  }
}

/** The relations of one database that the manifest lists as not read, and their TOAST relations. */
function leftOutRelations(relations: readonly Relation[], notRead: ReadonlySet<string>): Set<Relation> {
  const own = relations.filter(({ database, oid }) => notRead.has(notReadKey(databaseName(database), oid)))
  const toast = new Set(own.map(({ toastRelId }) => toastRelId))
  return new Set([...own, ...relations.filter(({ oid }) => toast.has(oid))])
}

function databaseName({ oid, name }: Relation['database']): string | null {
  return oid === 0 ? null : name
}

function notReadKey(database: string | null, oid: number): string {
  return `${oid} ${database ?? ''}`
}

/** Tasks end in any order. */
function byPlace(a: LakeDifference, b: LakeDifference): number {
  const key = ({ relation = '', file = '' }: LakeDifference): string => `${relation}\0${file}`
  return key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : (a.block ?? -1) - (b.block ?? -1)
}

class VerifyJob {
  private readonly options: VerifyLakeOptions
  private readonly lake: LakeToVerify
  private readonly manifest: Manifest
  /** The relations of the lake that are to be verified. */
  private readonly stored: readonly LakeRelation[]
  private readonly pool: JobTasks
  private readonly codecs: CodecModules
  private readonly cluster: DirectoryCluster | undefined
  private readonly report: LakeReport
  private doneBytes = 0
  private totalBytes = 0

  constructor(options: VerifyLakeOptions, lake: LakeToVerify, cluster: DirectoryCluster | undefined, pool: JobTasks) {
    const { manifest } = lake
    this.options = options
    this.lake = lake
    this.manifest = manifest
    this.cluster = cluster
    this.pool = pool
    this.codecs = codecModules(options.codecs ?? [])
    const { relations, notRead } = withoutExcluded(manifest, options.exclude ?? [])
    this.stored = relations.filter(({ relkind }) => relkind !== 'p')
    this.report = {
      equal: true, systemIdentifier: manifest.systemIdentifier, lsn: manifest.lsn, comparedWith: options.pgdata ?? null, relations: 0, files: 0,
      pages: 0, tuples: 0, rows: 0, hiddenRows: 0, lanes: newLaneCounts(),
      forensic: {
        deadTuples: 0, dangling: 0, orphanFiles: manifest.orphans, temporaryFiles: manifest.temporaryFiles, hintContradictions: 0, damagedPages: 0,
        trailingBytes: 0,
      },
      notRead, notShown: valuesNotShown(manifest.relations), damage: [], differing: 0, differences: [],
    }
  }

  async run(): Promise<LakeReport> {
    const { report } = this
    this.totalBytes = this.stored.reduce((sum, { forks }) => sum + (forks.main ?? 0) * BLOCK_SIZE, 0)
    this.options.onProgress?.(0, this.totalBytes, '')
    await forEachAtMost(this.pool.workers + 3, this.inOrder(), ([relation, fork]) => this.relation(relation, fork))
    if (!this.cluster) await this.lake.audit?.(this.pool, this.codecs, report, (difference) => this.differ(difference))
    report.forensic.dangling = report.lanes.dangling
    report.differences.sort(byPlace)
    report.equal = report.differing === 0
    report.damage = this.cluster?.losses ?? []
    return report
  }

  /** The largest database first, and in each the largest relations. The catalogs of a database are read when its turn comes. */
  private *inOrder(): Generator<[LakeRelation, SegmentFiles | undefined]> {
    const byDatabase = new Map<number, LakeRelation[]>((this.cluster?.readableOids() ?? []).map((oid) => [oid, []]))
    for (const relation of this.stored) {
      const others = byDatabase.get(relation.dbOid)
      if (others) others.push(relation)
      else byDatabase.set(relation.dbOid, [relation])
    }
    const order = [...byDatabase].map(([dbOid, relations]) => ({ dbOid, relations, blocks: relations.reduce((sum, { forks }) => sum + (forks.main ?? 0), 0) }))
    const notRead = new Set(this.report.notRead.map(({ database, oid }) => notReadKey(database, oid)))
    for (const { dbOid, relations } of order.sort((a, b) => b.blocks - a.blocks)) {
      const sources = this.sources(dbOid, relations, notRead)
      for (const relation of relations.sort((a, b) => (b.forks.main ?? 0) - (a.forks.main ?? 0))) yield [relation, sources.get(relation)]
    }
  }

  /** The files of each relation of the lake in one database, and as differences the relations that only one side has. */
  private sources(dbOid: number, stored: readonly LakeRelation[], notRead: ReadonlySet<string>): Map<LakeRelation, SegmentFiles> {
    const found = new Map<LakeRelation, SegmentFiles>()
    if (!this.cluster) return found
    const lake = new Map(stored.map((relation) => [relation.path, relation]))
    const relations = this.cluster.readableOids().includes(dbOid) ? this.cluster.relations(dbOid) : []
    const leftOut = leftOutRelations(relations, notRead)
    for (const relation of relations) {
      const relativePath = this.cluster.relativePath(relation)
      const twin = lake.get(relativePath)
      if (twin) {
        lake.delete(relativePath)
        const source = this.source(relation, twin)
        if (source) found.set(twin, source)
      } else if (this.manifest.complete && !leftOut.has(relation)) {
        this.differ({ relation: `${relation.database.name}.${relation.schema}.${relation.name}`, reason: `${relativePath} is not in the lake` })
      }
    }
    for (const relation of lake.values()) this.differ({ relation: lakeRelationName(relation), reason: `${relation.path} is not in the data directory` })
    return found
  }

  /** Undefined if the files of the data directory are damaged: then the lake's file is audited alone. */
  private source(relation: Relation, twin: LakeRelation): SegmentFiles | undefined {
    try {
      const { path, segments, forks } = this.cluster!.storage(relation)
      const [here = 0, there = 0] = [forks.main, twin.forks.main]
      if (here !== there) this.differ({ relation: lakeRelationName(twin), reason: `${here} blocks in the data directory, ${there} in the lake` })
      return { path, segments }
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      this.differ({ relation: lakeRelationName(twin), reason: `the data directory is damaged: ${error.message}` })
      return undefined
    }
  }

  private async relation(relation: LakeRelation, fork: SegmentFiles | undefined): Promise<void> {
    const { report } = this
    report.relations++
    report.forensic.trailingBytes += relation.trailingBytes ?? 0
    addLaneCounts(report.lanes, relation.lanes)
    const { files, problems } = await this.lake.relation(relation)
    for (const problem of problems) this.differ({ relation: lakeRelationName(relation), ...problem })
    await forEachAtMost(this.pool.workers + 1, files, (file) => this.file(relation, file, fork))
  }

  private async file(relation: LakeRelation, file: FileToVerify, fork: SegmentFiles | undefined): Promise<void> {
    const { report, options } = this
    const where = { relation: lakeRelationName(relation), file: file.name }
    report.files++
    const { pgdata } = options
    const source = fork && pgdata !== undefined ? { snapshot: { pgdata, job: this.pool.job, options: readAs(this.manifest, options) }, fork } : undefined
    const { result, damaged } = await file.run(this.pool, source, this.codecs)
    report.forensic.damagedPages += damaged
    report.pages += result.pages
    report.tuples += result.tuples
    report.rows += result.rows
    report.hiddenRows += result.hidden
    report.forensic.deadTuples += result.dead
    report.forensic.hintContradictions += result.hintContradictions
    report.differing += result.differing
    report.differences.push(...result.differences.map((difference) => ({ ...where, ...difference })))
    this.doneBytes += file.blocks * BLOCK_SIZE
    options.onProgress?.(this.doneBytes, this.totalBytes, where.relation)
  }

  private differ(difference: LakeDifference): void {
    this.report.differing++
    this.report.differences.push(difference)
  }
}
