import type { Compression } from '../../columnar/planfile.ts'
import { forEachAtMost } from '../../common/atonce.ts'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { Lake } from '../../engine/lake.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import { readCatalog, type StateCatalog } from '../../engine/statecatalog.ts'
import type { BranchWriter } from '../../engine/writer.ts'
import { stopIfEnding } from '../../io/process/interruption.ts'
import { mergedLayer, type MergePlan, planMerge } from '../../lake/mergeplan.ts'
import { PACK_BYTES, PackCensus, packedFiles, planPackMerge } from '../../lake/packplan.ts'
import { packObjectKey } from '../../lake/state/names.ts'
import { type Merge, mergeLayers } from '../../lake/state/changes.ts'
import { parseRelation } from '../../lake/state/relationlayers.ts'
import { parseStateRelation, type StateRelation } from '../../lake/staterelation.ts'
import type { OnProgress } from '../jobprogress.ts'
import { lakeRelationName } from '../lake.ts'
import { CACHE_BYTES, FetchedObjects } from '../lakes/fetchedobjects.ts'
import { packPageBytes } from '../lakes/packdirectories.ts'
import { PackWriter } from '../materialize/packwriter.ts'
import type { JobTasks } from '../pool.ts'
import type { CodecModules } from '../tasks/codecs.ts'
import type { StoreReference } from '../tasks/storereference.ts'
import { ByteBudget } from './bytebudget.ts'
import { databaseOf, RelationMerger, type WrittenPages } from './relationmerger.ts'

/** What merges did. */
export interface MergedRelations {
  /** Relations some of whose layers became fewer. */
  relations: number
  layersBefore: number
  layersAfter: number
  /** Parquet files and packs that were written, with the pages that they have. */
  files: number
  packs: number
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
  /** Until each relation has one layer, and packs and pages of the state have nothing else. */
  all: boolean
  /** Keys of relations whose Parquet files are looked at; packs are looked at in any case. Default: all. */
  changed?: ReadonlySet<string>
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
const READS_AT_ONCE = 8

/** Nothing yet. */
export function noMerges(): MergedRelations {
  return { relations: 0, layersBefore: 0, layersAfter: 0, files: 0, packs: 0, blocks: 0, bytesRead: 0, bytes: 0, commits: 0, left: [] }
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
        const { relations, packs } = await this.candidates(catalog)
        if (relations.length + packs.relations.length === 0) break
        for (let start = 0; start < relations.length;) start += await this.commitSome(relations.slice(start), NO_PACKS, catalog)
        for (let start = 0; start < packs.relations.length;) start += await this.commitSome(packs.relations.slice(start), packs.packs, catalog)
      }
      return this.merged
    } finally {
      this.objects.close()
    }
  }

  /** Keys of relations whose layers are to be merged now: those with Parquet files, and those that lie in packs to merge. */
  private async candidates(catalog: StateCatalog): Promise<{ relations: string[]; packs: { packs: ReadonlySet<string>; relations: string[] } }> {
    const { wants, changed, all } = this.options
    const relations: string[] = []
    const census = new PackCensus()
    await this.newest().scan('layers', (key, value) => {
      if (this.failed.has(key) || hasOneParquetLayer(value)) return
      const relation = parseStateRelation(key, value)
      if (wants?.(relation, databaseOf(relation.locator.dbOid, catalog)) === false) return
      const shares = packedFiles(relation.layers)
      if (shares !== undefined) {
        census.add(key, shares, relation.layers.length > 1)
        return
      }
      const plan = changed?.has(key) === false ? undefined : planMerge(relation.layers, all)
      if (plan === undefined) return
      relations.push(key)
      for (const { current } of mergedLayer(relation.layers, plan.first).files) this.totalBlocks += current.size
    })
    const packs = !all ? census.full() : census.untidy(wants === undefined ? await this.pageBytes(census.keys) : undefined)
    return { relations, packs: { packs, relations: [...census.relationsIn(packs)] } }
  }

  /** Bytes of all pages of each pack; without those that cannot be read. */
  private async pageBytes(packs: readonly string[]): Promise<Map<string, number>> {
    const found = new Map<string, number>()
    await forEachAtMost(READS_AT_ONCE, packs, async (pack) => {
      try {
        found.set(pack, await packPageBytes(this.place.lake.ports.store, pack))
      } catch (error) {
        // Its relations are tried, and say what is wrong with their pages.
        if (!(error instanceof CorruptionError)) throw error
      }
    })
    return found
  }

  private newest(): Snapshot {
    const { lake, writer: { head } } = this.place
    return Snapshot.of(lake, head, head.state)
  }

  /**
   * Merges some of the relations and commits them together.
   * @param from the packs that they leave; empty for relations with Parquet files @returns how many it took
   */
  private async commitSome(keys: readonly string[], from: ReadonlySet<string>, catalog: StateCatalog): Promise<number> {
    const { writer, pool, ...place } = this.place
    const { compression, codecs } = this.options
    const snapshot = this.newest()
    const work = writer.begin()
    const packs = new PackWriter(place.lake.ports.store, () => packObjectKey(work.name()), place.lake.compressor)
    const merges: Merge[] = []
    let taken = 0
    let bytes = 0
    const merger = new RelationMerger({
      ...place, pool, snapshot, catalog, packs, objects: this.objects, budget: this.budget, compression, codecs, mint: () => work.name(),
      onFile: (written, bytesRead, relation) => {
        bytes += written.bytes
        this.count(written, bytesRead, relation)
      },
    })
    // A pack is written by one commit, and a commit writes one pack: else many small ones would become many small ones.
    const [relationsMax, bytesMax] = from.size > 0 ? [Infinity, PACK_BYTES] : [RELATIONS_OF_COMMIT, BYTES_OF_COMMIT]
    const next = function* (): Generator<string> {
      while (taken < Math.min(keys.length, relationsMax) && bytes < bytesMax) yield keys[taken++]!
    }
    try {
      await forEachAtMost(pool.workers + 1, next(), async (key) => {
        const merge = await this.mergeOf(key, from, snapshot, catalog, merger)
        if (merge !== undefined) merges.push(merge)
      })
      await packs.finish()
      if (merges.length > 0) {
        await writer.commit(mergeLayers(merges), work)
        this.merged.commits++
      }
      this.merged.packs += packs.objects.length
      work.end()
    } catch (error) {
      await packs.abort()
      await stopIfEnding()
      work.end()
      // Others merged the same layers, or their relations are gone: what is left to do is found again.
      if (!(isPositioned(error) && error.code === 'commit.stale')) throw error
    }
    return taken
  }

  /** Undefined for a relation that cannot be merged. */
  private async mergeOf(
    key: string, from: ReadonlySet<string>, snapshot: Snapshot, catalog: StateCatalog, merger: RelationMerger,
  ): Promise<Merge | undefined> {
    const entry = { tree: 'layers' as const, key }
    const [value] = await snapshot.get([entry])
    if (value === undefined) return undefined
    const relation = parseStateRelation(key, value)
    const plan = this.planOf(relation, from)
    if (plan === undefined) return undefined
    const output = await merger.merge(relation, mergedLayer(relation.layers, plan.first))
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

  private planOf({ layers }: StateRelation, from: ReadonlySet<string>): MergePlan | undefined {
    const { all } = this.options
    if (from.size === 0) return planMerge(layers, all)
    return all ? { first: 0 } : planPackMerge(layers, from)
  }

  private count({ files, blocks, bytes }: WrittenPages, bytesRead: number, relation: string): void {
    const { merged } = this
    merged.files += files
    merged.blocks += blocks
    merged.bytes += bytes
    merged.bytesRead += bytesRead
    this.options.onProgress?.(merged.blocks * BLOCK_SIZE, Math.max(merged.blocks, this.totalBlocks) * BLOCK_SIZE, relation)
  }
}

const NO_PACKS: ReadonlySet<string> = new Set()

/** Most relations have: their entries are not looked at closely. */
function hasOneParquetLayer(value: unknown): boolean {
  const { layers } = value as { layers?: unknown }
  const [layer, ...more] = Array.isArray(layers) ? layers as { files?: unknown }[] : []
  return layer !== undefined && more.length === 0 && Array.isArray(layer.files) && !(layer.files as object[]).some((file) => 'pack' in file)
}
