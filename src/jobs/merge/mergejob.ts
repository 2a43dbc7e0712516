import type { Compression } from '../../columnar/planfile.ts'
import { forEachAtMost } from '../../common/atonce.ts'
import { assert, isPositioned } from '../../common/errors.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { Lake } from '../../engine/lake.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import { readCatalog, type StateCatalog } from '../../engine/statecatalog.ts'
import type { BranchWriter } from '../../engine/writer.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import { isPacked, type LayerFile } from '../../lake/layer.ts'
import { mergedLayer, type MergedLayer, planMerge } from '../../lake/mergeplan.ts'
import { type Merge, mergeLayers } from '../../lake/state/changes.ts'
import { parseRelation } from '../../lake/state/relationlayers.ts'
import { parseStateRelation, type StateRelation } from '../../lake/staterelation.ts'
import type { OnProgress } from '../jobprogress.ts'
import { lakeRelationName } from '../lake.ts'
import { CACHE_BYTES, FetchedObjects } from '../lakes/fetchedobjects.ts'
import type { JobTasks } from '../pool.ts'
import type { CodecModules } from '../tasks/codecs.ts'
import type { StoreReference } from '../tasks/storereference.ts'
import { ByteBudget } from './bytebudget.ts'
import { databaseOf, RelationMerger } from './relationmerger.ts'

/** What merges did. */
export interface MergedRelations {
  /** Relations some of whose layers became fewer. */
  relations: number
  layersBefore: number
  layersAfter: number
  /** Files that were written, with the pages that they have. */
  files: number
  blocks: number
  /** Bytes of the files that were read, and of those that were written with the objects beside them. */
  bytesRead: number
  bytes: number
  commits: number
  /** Relations whose layers stay as they are though they should be merged. */
  left: { relation: string; reason: string }[]
}

export interface MergeJobOptions {
  compression: Compression
  codecs: CodecModules
  /** Until each relation has one layer. */
  all: boolean
  /** Whether a relation is asked for. Default: all. */
  wants?: (relation: StateRelation, database: string | null) => boolean
  onProgress?: OnProgress
  onNotice?: (text: string) => void
}

/** Where a merge works. */
export interface MergePlace {
  lake: Lake
  writer: BranchWriter
  pool: JobTasks
  reference: StoreReference
}

/** A commit has the merges of so many relations, or of so many bytes: a process that is killed loses no more than that. */
const RELATIONS_OF_COMMIT = 256
const BYTES_OF_COMMIT = 8 * 1024 ** 3

/** Nothing yet. */
export function noMerges(): MergedRelations {
  return { relations: 0, layersBefore: 0, layersAfter: 0, files: 0, blocks: 0, bytesRead: 0, bytes: 0, commits: 0, left: [] }
}

/** Merges layers of a branch's newest state, as size tiers say (src/lake/mergeplan.ts). No reader sees a row change. */
export class MergeJob {
  /** So far. */
  readonly merged: MergedRelations = noMerges()
  private readonly place: MergePlace
  private readonly options: MergeJobOptions
  private readonly budget = new ByteBudget(CACHE_BYTES)
  private readonly objects: FetchedObjects
  /** Keys of relations with fewer layers, and of those that cannot have fewer. */
  private readonly done = new Set<string>()
  private readonly failed = new Set<string>()
  private totalBlocks = 0

  constructor(place: MergePlace, options: MergeJobOptions) {
    this.place = place
    this.options = options
    const { onNotice } = options
    // The budget says how much is fetched.
    this.objects = new FetchedObjects(place.lake.ports.store, { cacheBytes: Infinity, ...(onNotice && { onNotice }) })
  }

  /** @throws EnvironmentError commit.*, store.*; CorruptionError of the lake's state */
  async run(): Promise<MergedRelations> {
    try {
      for (;;) {
        const catalog = await readCatalog(this.newest())
        const keys = await this.candidates(catalog)
        if (keys.length === 0) return this.merged
        for (let start = 0; start < keys.length;) start += await this.commitSome(keys.slice(start), catalog)
      }
    } finally {
      this.objects.close()
    }
  }

  /** Keys of relations whose layers are to be merged now. */
  private async candidates(catalog: StateCatalog): Promise<string[]> {
    const { wants, all } = this.options
    const keys: string[] = []
    await this.newest().scan('layers', (key, value) => {
      if (this.failed.has(key) || hasOneLayer(value)) return
      const relation = parseStateRelation(key, value)
      const plan = planMerge(relation.layers, all)
      if (plan === undefined || wants?.(relation, databaseOf(relation.locator.dbOid, catalog)) === false) return
      keys.push(key)
      for (const { current } of mergedLayer(relation.layers, plan.first).files) this.totalBlocks += current.size
    })
    return keys
  }

  private newest(): Snapshot {
    const { lake, writer: { head } } = this.place
    return Snapshot.of(lake, head, head.state)
  }

  /** Merges some of the relations and commits them together. @returns how many it took */
  private async commitSome(keys: readonly string[], catalog: StateCatalog): Promise<number> {
    const { writer, pool, ...place } = this.place
    const { compression, codecs } = this.options
    const snapshot = this.newest()
    const work = writer.begin()
    const merges: Merge[] = []
    let taken = 0
    let bytes = 0
    const merger = new RelationMerger({
      ...place, pool, snapshot, catalog, objects: this.objects, budget: this.budget, compression, codecs, mint: () => work.name(),
      onFile: (written, bytesRead, relation) => {
        bytes += written.bytes
        this.count(written, bytesRead, relation)
      },
    })
    const next = function* (): Generator<string> {
      while (taken < Math.min(keys.length, RELATIONS_OF_COMMIT) && bytes < BYTES_OF_COMMIT) yield keys[taken++]!
    }
    try {
      await forEachAtMost(pool.workers + 1, next(), async (key) => {
        const merge = await this.mergeOf(key, snapshot, catalog, merger)
        if (merge !== undefined) merges.push(merge)
      })
      if (merges.length > 0) {
        await writer.commit(mergeLayers(merges), work)
        this.merged.commits++
      }
      work.end()
    } catch (error) {
      await stopIfEnding()
      work.end()
      // Others merged the same layers, or their relations are gone: what is left to do is found again.
      if (!(isPositioned(error) && error.code === 'commit.stale')) throw error
    }
    return taken
  }

  /** Undefined for a relation that cannot be merged. */
  private async mergeOf(key: string, snapshot: Snapshot, catalog: StateCatalog, merger: RelationMerger): Promise<Merge | undefined> {
    const entry = { tree: 'layers' as const, key }
    const [value] = await snapshot.get([entry])
    const relation = parseStateRelation(key, value)
    const plan = planMerge(relation.layers, this.options.all)
    if (plan === undefined) return undefined
    const output = await merger.merge(relation, parquetOnly(mergedLayer(relation.layers, plan.first)))
    if ('left' in output) {
      const { reason, position: { file, block } } = output.left
      const where = [...(file === undefined ? [] : [file]), ...(block === undefined ? [] : [`block ${block}`])].join(', ')
      this.failed.add(key)
      this.merged.left.push({
        relation: lakeRelationName({ ...relation.info, database: databaseOf(relation.locator.dbOid, catalog) }),
        reason: where === '' ? reason : `${where}: ${reason}`,
      })
      return undefined
    }
    const inputs = parseRelation(value, entry).layers.slice(plan.first)
    if (!this.done.has(key)) this.merged.relations++
    this.done.add(key)
    this.merged.layersBefore += inputs.length
    this.merged.layersAfter++
    return { relation: entry, inputs, output }
  }

  private count({ blocks, bytes }: { blocks: number; bytes: number }, bytesRead: number, relation: string): void {
    const { merged } = this
    merged.files++
    merged.blocks += blocks
    merged.bytes += bytes
    merged.bytesRead += bytesRead
    this.options.onProgress?.(merged.blocks * BLOCK_SIZE, Math.max(merged.blocks, this.totalBlocks) * BLOCK_SIZE, relation)
  }
}

/** A plan takes no packed files. */
function parquetOnly({ files, ...layer }: MergedLayer<LayerFile>): MergedLayer {
  return {
    ...layer, files: files.map(({ file, current }) => {
      assert(!isPacked(file), `a packed file ${file.key} among those to merge`)
      return { file, current }
    }),
  }
}

/** Most relations have: their entries are not looked at closely. */
function hasOneLayer(value: unknown): boolean {
  const { layers } = value as { layers?: { length?: unknown } }
  return layers?.length === 1
}
