import type { UnstoredRelation } from '../../catalog/relations.ts'
import type { VirtualColumn } from '../../catalog/virtualcolumns.ts'
import type { RelationDescriptor } from '../../columnar/filedescriptor.ts'
import { addLaneCounts, type LaneCounts, newLaneCounts } from '../../columnar/lanes.ts'
import type { Compression } from '../../columnar/planfile.ts'
import { type WantedOverflow, withOverflow } from '../../columnar/wantedoverflow.ts'
import { forEachAtMost } from '../../common/atonce.ts'
import type { BlockSet } from '../../common/blockset.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { Oid } from '../../common/ids.ts'
import { type NotShown, valuesNotShown } from '../../lake/notshown.ts'
import { encodeDescription } from '../../lake/relationinfo.ts'
import type { RelationChange } from '../../lake/state/changes.ts'
import type { StateFile } from '../../lake/state/relationlayers.ts'
import { dataKeys, tableFolder } from '../../lake/tablefolder.ts'
import { lakeRelationName } from '../lake.ts'
import type { PlannedRelation } from '../plannedrelations.ts'
import type { CodecModules } from '../tasks/codecs.ts'
import type { LayerResult, PackableResult } from '../tasks/layertask.ts'
import type { SnapshotKey } from '../tasks/snapshots.ts'
import type { ForkTask, SegmentFiles } from '../tasks/forkpages.ts'
import { layerChange, LayerPlanner, type PlannedLayer, type PlanTarget, readable } from './layerplanner.ts'
import { packLayer, type PackWriter } from './packwriter.ts'
import type { PartWriter } from './partwriter.ts'

/** What became of the relations, in sum. */
export interface WrittenRelations {
  relations: number
  /** Databases that relations are of. */
  databases: number
  /** Relations whose blocks are as they were. */
  unchanged: number
  gone: number
  files: number
  /** Relations of which blocks went into packs. */
  packed: number
  /** Number of pages that were read to be compared with the state before. */
  compared: number
  /** Number of pages that were written. */
  blocks: number
  rows: number
  /** Bytes of layer files and the objects beside them. */
  bytes: number
  hiddenRows: number
  lanes: LaneCounts
  damaged: { relation: string; block: number; error: string }[]
  /** Values of new files that are in no column, by relation. */
  notShown: NotShown[]
  /** Relations with bytes behind their last whole block, which no server reads. */
  partialBlocks: { relation: string; bytes: number }[]
  /** Generated columns that no file has. */
  virtualColumns: ({ relation: string } & VirtualColumn)[]
  /** Materialized views that were never filled. */
  notPopulated: string[]
}

export interface RelationWriterOptions {
  compression: Compression
  codecs: CodecModules
  /** Called after each file, and with the blocks of what is unchanged. */
  onBlocks: (blocks: number, relation: string) => void
}

/** Nothing yet. */
export function newCounts(): WrittenRelations {
  return {
    relations: 0, databases: 0, unchanged: 0, gone: 0, files: 0, packed: 0, compared: 0, blocks: 0, rows: 0, bytes: 0,
    hiddenRows: 0, lanes: newLaneCounts(), damaged: [],
    notShown: [], partialBlocks: [], virtualColumns: [], notPopulated: [],
  }
}

/** Where relations are written, and what they are compared with. */
export interface RelationTarget extends PlanTarget {
  snapshot: SnapshotKey
  /** Name of a new object. */
  mint: () => string
  parts: PartWriter
  packs: PackWriter
}

/** Writes what changed of relations since the state before, as layers. */
export class RelationWriter {
  readonly changes: RelationChange[] = []
  /** Full xids that rows of new files depend on. */
  readonly unresolved: Set<number> = new Set()
  readonly losses: Set<string> = new Set()
  readonly counts: WrittenRelations = newCounts()

  private readonly target: RelationTarget
  private readonly options: RelationWriterOptions
  private readonly planner: LayerPlanner
  private readonly databases = new Set<Oid>()

  constructor(target: RelationTarget, options: RelationWriterOptions) {
    this.target = target
    this.options = options
    this.planner = new LayerPlanner(target)
  }

  /** @throws CorruptionError of the first damaged page unless onCorrupt is 'carry'; EnvironmentError store.* */
  async write(planned: PlannedRelation): Promise<void> {
    const key = this.target.before?.take(planned.relation.locator)
    try {
      await this.writeLayer(await this.planner.plan(planned, key))
    } catch (error) {
      if (!(error instanceof CorruptionError && error.code === 'relation.unreadable')) throw error
      this.target.plan.leaveOut(planned.relation, error)
      // What the state before has is not what the relation is now.
      if (key !== undefined) this.changes.push({ relation: { tree: 'layers', key } })
    }
  }

  private async writeLayer(layer: PlannedLayer): Promise<void> {
    const { overflow, files } = await this.files(layer)
    const description = await this.target.parts.add(encodeDescription({ ...layer.description, overflow }), layer.known?.description)
    this.countRelation(layer)
    const change = layerChange(layer, description, files)
    if (change !== undefined) this.changes.push(change)
  }

  /** A partitioned table has no pages. */
  addParent({ database, schema, name, virtualColumns }: UnstoredRelation): void {
    this.counts.virtualColumns.push(...virtualColumns.map((column) => ({ relation: `${database.name}.${schema}.${name}`, ...column })))
  }

  /** What the source no longer has. */
  finish(): void {
    const gone = this.target.before?.gone() ?? []
    this.counts.gone = gone.length
    this.counts.bytes += this.target.packs.objects.reduce((sum, { bytes }) => sum + bytes, 0)
    for (const key of gone) this.changes.push({ relation: { tree: 'layers', key } })
  }

  /** All files of a layer, with the columns that have an `_overflow` child in them: the same for all, whichever of them met a value that needs it. */
  private async files(
    layer: PlannedLayer,
  ): Promise<{ overflow: readonly number[]; files: StateFile[] }> {
    const { planned, description, relation: first, storage, files: sets, packed } = layer
    if (sets.length === 0) return { overflow: description.overflow, files: [] }
    const { plan, pool, snapshot } = this.target
    const toast = await plan.indexToast(planned, pool, snapshot)
    let relation = first
    for (;;) {
      const results = new Array<LayerResult | PackableResult | WantedOverflow>(sets.length)
      await forEachAtMost(pool.workers + 1, sets.entries(), async ([i, blocks]) => {
        results[i] = await this.file(relation, storage, toast, { blocks, packed })
      })
      const written = results.flatMap((result) => ('wanted' in result ? [] : [result]))
      if (written.length === results.length) {
        const files: StateFile[] = []
        for (const [i, result] of written.entries()) {
          this.count(result, relation)
          files.push('file' in result ? result.file : await packLayer(this.target.packs, layer.entry, { ...layer.layer, blocks: sets[i]! }, result))
        }
        return { overflow: relation.overflow ?? [], files }
      }
      relation = withOverflow(relation, results.flatMap((result) => ('wanted' in result ? result.wanted : [])))
      for (const { size } of sets) this.options.onBlocks(-size, '')
    }
  }

  private async file(
    relation: RelationDescriptor, fork: SegmentFiles, toast: ForkTask['toast'], { blocks, packed }: { blocks: BlockSet; packed: boolean },
  ): Promise<LayerResult | PackableResult | WantedOverflow> {
    const { pool, snapshot, descriptor, reference, mint, before, onCorrupt } = this.target
    const { compression, codecs } = this.options
    const object = packed ? undefined : dataKeys(before?.folder(relation) ?? tableFolder(relation), mint())
    const result = readable(await pool.run('layer', {
      snapshot, fork: { path: fork.path, segments: fork.segments }, blocks: blocks.runs, relation, cluster: descriptor, compression, codecs, onCorrupt,
      toast, store: reference, ...(object && { object }),
    }))
    this.options.onBlocks(blocks.size, lakeRelationName(relation))
    return result
  }

  private countRelation({ planned: { relation: { populated, virtualColumns } }, relation, storage: { trailingBytes }, isSame, compared }: PlannedLayer): void {
    const { counts } = this
    const name = lakeRelationName(relation)
    counts.relations++
    counts.compared += compared
    if (relation.dbOid !== 0) counts.databases = this.databases.add(relation.dbOid).size
    if (isSame) counts.unchanged++
    if (trailingBytes > 0) counts.partialBlocks.push({ relation: name, bytes: trailingBytes })
    counts.virtualColumns.push(...virtualColumns.map((column) => ({ relation: name, ...column })))
    if (!populated) counts.notPopulated.push(name)
  }

  /** Files of one relation are counted one after the other. */
  private countNotShown({ database, schema, name }: RelationDescriptor, lanes: LaneCounts): void {
    const { notShown } = this.counts
    for (const found of valuesNotShown([{ database, schema, name, lanes }])) {
      const last = notShown.at(-1)
      if (last?.relation !== found.relation) notShown.push(found)
      else for (const kind of ['unreadable', 'missingToast', 'oversized'] as const) last[kind] += found[kind]
    }
  }

  private count(result: LayerResult | PackableResult, relation: RelationDescriptor): void {
    const { counts } = this
    if ('file' in result) counts.files++
    else counts.packed++
    counts.blocks += result.lanes.pages
    counts.rows += result.rows
    counts.bytes += result.bytes
    counts.hiddenRows += result.hiddenRows
    addLaneCounts(counts.lanes, result.lanes)
    this.countNotShown(relation, result.lanes)
    for (const damage of result.damaged) counts.damaged.push({ relation: lakeRelationName(relation), ...damage })
    for (const xid of result.unresolved) this.unresolved.add(xid)
    for (const loss of result.losses) this.losses.add(loss)
  }
}
