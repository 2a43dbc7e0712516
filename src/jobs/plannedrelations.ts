import type { Relation } from '../catalog/relations.ts'
import { CorruptionError, EnvironmentError } from '../common/errors.ts'
import type { Oid } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import type { DirectoryCluster } from '../io/cluster.ts'
import { type NotRead, notReadText } from '../lake/notread.ts'
import type { JobTasks } from './pool.ts'
import { type KnownRelations, type RelationFilter, type Selection, selectRelations } from './selection.ts'
import type { SnapshotKey } from './tasks/snapshots.ts'
import type { ForkTask } from './tasks/forkpages.ts'
import type { SegmentFiles } from './tasks/forkpages.ts'

/** One relation to write. */
export interface PlannedRelation {
  relation: Relation
  /** Its place in the order of the catalogs. */
  index: number
  /** The TOAST relations of its database by their oids. */
  toastRelations: ReadonlyMap<Oid, Relation>
}

/** The main fork of a TOAST relation. */
export interface ToastFork {
  relationId: Oid
  fork: SegmentFiles
  /** Path of segment 0, relative to the data directory. */
  relativePath: string
  blocks: number
}

/** The relations of one database to write: how large the heap of each is, in the order of the catalogs. */
interface DatabasePlan {
  dbOid: Oid
  /** How many relations come before it. */
  firstIndex: number
  /** Blocks; -1: damaged and left out. */
  blocks: number[]
  count: number
  totalBlocks: number
}

export interface PlanOptions {
  filter?: RelationFilter | undefined
  /** What a lake has that was made with the filter. */
  known?: KnownRelations | undefined
  onCorrupt?: 'fail' | 'carry' | undefined
}

/** The relations of a cluster that a job writes, and what it leaves out. */
export class PlannedRelations {
  readonly selection: Selection
  /** Whatever leaves a relation out says so here. */
  get notRead(): readonly NotRead[] {
    return this.found
  }

  readonly count: number
  /** Bytes of their main forks. */
  readonly totalBytes: number
  private readonly found: NotRead[] = []
  private readonly cluster: DirectoryCluster
  private readonly options: PlanOptions
  private readonly plans: readonly DatabasePlan[]

  /** @throws EnvironmentError selection.*; CorruptionError relation.* unless options.onCorrupt is 'carry' */
  constructor(cluster: DirectoryCluster, options: PlanOptions) {
    this.cluster = cluster
    this.options = options
    this.selection = selectRelations(cluster, options.filter, options.known)
    this.found.push(...this.selection.notRead)
    this.plans = this.plan()
    this.count = this.plans.reduce((sum, { count }) => sum + count, 0)
    this.totalBytes = this.plans.reduce((sum, { totalBlocks }) => sum + totalBlocks * BLOCK_SIZE, 0)
    // What a lake has may all be gone, of a newer source.
    const mayBeEmpty = options.known !== undefined && !this.found.some(({ why }) => why === 'damaged')
    if (options.filter?.tables.length && this.count === 0 && !mayBeEmpty) throw this.nothingToRead()
  }

  /**
   * The largest database first, and in each the largest relations: the end of the work is then small pieces that keep every worker busy. The catalogs
   * of a database are read when its turn comes.
   */
  *inOrder(): Generator<PlannedRelation> {
    for (const { dbOid, firstIndex, blocks, count } of [...this.plans].sort((a, b) => b.totalBlocks - a.totalBlocks)) {
      if (count === 0) continue
      const toast = this.cluster.relations(dbOid).filter(({ relkind, visible }) => relkind === 't' && visible)
      const toastRelations = new Map(toast.map((relation) => [relation.oid, relation]))
      const sound = this.selection.relations(dbOid).map((relation, i) => ({ relation, blocks: blocks[i]! })).filter(({ blocks: length }) => length >= 0)
      const planned = sound.map(({ relation, blocks: length }, i) => ({ relation, index: firstIndex + i, toastRelations, length }))
      yield* planned.sort((a, b) => b.length - a.length)
    }
  }

  /** The main fork of the TOAST relation of a relation; undefined without one that can be read. */
  toastOf({ relation, toastRelations }: PlannedRelation): ToastFork | undefined {
    const toast = relation.toastRelId === 0 ? undefined : toastRelations.get(relation.toastRelId)
    if (!toast) return undefined
    try {
      const { path, relativePath, segments, forks } = this.cluster.storage(toast)
      return { relationId: toast.oid, fork: { path, segments }, relativePath, blocks: forks.main ?? 0 }
    } catch (error) {
      if (this.options.onCorrupt !== 'carry' || !(error instanceof CorruptionError)) throw error
      return undefined
    }
  }

  /** The same, with the index of its chunks. */
  async indexToast(planned: PlannedRelation, pool: JobTasks, snapshot: SnapshotKey): Promise<ForkTask['toast']> {
    const toast = this.toastOf(planned)
    if (!toast) return undefined
    const { relationId, fork, blocks } = toast
    const index = blocks > 0 ? await pool.run('toastIndex', { snapshot, fork, onCorrupt: this.options.onCorrupt ?? 'fail' }) : { parts: [] }
    return { relationId, fork, index }
  }

  /** With `carry` the relation counts as not read. @throws the error itself without, or if it is no damage */
  leaveOut({ database, schema, name, oid, relkind }: Relation, error: unknown): void {
    if (this.options.onCorrupt !== 'carry' || !(error instanceof CorruptionError)) throw error
    this.found.push({ database: database.oid === 0 ? null : database.name, schema, name, oid, relkind, why: 'damaged', reason: error.message })
  }

  private plan(): DatabasePlan[] {
    let firstIndex = 0
    return this.selection.databases.map((dbOid) => {
      const blocks = this.selection.relations(dbOid).map((relation) => this.blocksOf(relation))
      const sound = blocks.filter((count) => count >= 0)
      const plan = { dbOid, firstIndex, blocks, count: sound.length, totalBlocks: sound.reduce((sum, count) => sum + count, 0) }
      firstIndex += plan.count
      return plan
    })
  }

  /** With `carry` a relation whose files are missing or damaged is left out, and that is said. */
  private blocksOf(relation: Relation): number {
    try {
      return this.cluster.storage(relation).forks.main ?? 0
    } catch (error) {
      this.leaveOut(relation, error)
      return -1
    }
  }

  /** The error if the tables that were asked for have no relation that can be read. */
  nothingToRead(): EnvironmentError {
    const parents = this.selection.databases.flatMap((dbOid) => this.selection.parents(dbOid))
    const texts = [
      ...this.notRead.map(notReadText),
      ...parents.map(({ database, schema, name }) => `${database.name}.${schema}.${name}: a partitioned table: its rows are in its partitions; name these`),
    ]
    return new EnvironmentError('selection.nothing', `no relation that was asked for has pages that can be read: ${texts.join('; ')}`)
  }
}
