import type { TupleDesc } from '../../catalog/tupledesc.ts'
import type { ClusterDescriptor, RelationDescriptor } from '../../columnar/filedescriptor.ts'
import { addLaneCounts, type LaneCounts, newLaneCounts } from '../../columnar/lanes.ts'
import { type Compression, fileSets } from '../../columnar/planfile.ts'
import { columnFields, grownColumnFields } from '../../columnar/fieldhistory.ts'
import { type WantedOverflow, withOverflow } from '../../columnar/wantedoverflow.ts'
import type { CodecFactory } from '../../datum/typedef.ts'
import { forEachAtMost } from '../../common/atonce.ts'
import { BlockSet } from '../../common/blockset.ts'
import { equalJson } from '../../common/equaljson.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { DirectoryCluster, RelationStorage } from '../../io/cluster.ts'
import { CurrentRelation } from '../../lake/layerorder.ts'
import { areReadAlike } from '../../lake/readalike.ts'
import { encodeDescription, type RelationInfo, relationInfoJson, type TableDescription } from '../../lake/relationinfo.ts'
import { parseStateRelation, type StateRelation } from '../../lake/staterelation.ts'
import type { RelationChange } from '../../lake/state/changes.ts'
import type { PieceRef } from '../../lake/state/page.ts'
import { relationKey, type StateLayer } from '../../lake/state/relationlayers.ts'
import { tableFolder } from '../../lake/tablefolder.ts'
import type { PlannedRelation, PlannedRelations } from '../plannedrelations.ts'
import type { JobTasks } from '../pool.ts'
import type { CodecModules } from '../tasks/codecs.ts'
import type { LayerResult } from '../tasks/layertask.ts'
import type { SnapshotKey } from '../tasks/snapshots.ts'
import type { StoreReference } from '../tasks/storereference.ts'
import type { SegmentFiles, TranscodeTask, UnreadableFile } from '../tasks/transcodetask.ts'
import type { PartWriter } from './partwriter.ts'
import type { PreviousState } from './previousstate.ts'

/** What became of the relations, in sum. */
export interface WrittenRelations {
  relations: number
  /** Relations whose blocks are as they were. */
  unchanged: number
  gone: number
  files: number
  blocks: number
  rows: number
  /** Bytes of layer files and the objects beside them. */
  bytes: number
  hiddenRows: number
  lanes: LaneCounts
  damaged: { relation: string; block: number; error: string }[]
}

export interface RelationWriterOptions {
  compression: Compression
  codecs: CodecModules
  /** The codecs of these modules. */
  extensions: ReadonlyMap<string, CodecFactory>
  onCorrupt: 'fail' | 'carry'
  /** Called after each file, and with the blocks of what is unchanged. */
  onBlocks: (blocks: number, relation: string) => void
}

/** Nothing yet. */
export function newCounts(): WrittenRelations {
  return { relations: 0, unchanged: 0, gone: 0, files: 0, blocks: 0, rows: 0, bytes: 0, hiddenRows: 0, lanes: newLaneCounts(), damaged: [] }
}

/** Where relations are written, and what they are compared with. */
export interface RelationTarget {
  cluster: DirectoryCluster
  descriptor: ClusterDescriptor
  plan: PlannedRelations
  pool: JobTasks
  snapshot: SnapshotKey
  store: ObjectStore
  reference: StoreReference
  /** Name of a new object. */
  mint: () => string
  parts: PartWriter
  before: PreviousState | undefined
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

  constructor(target: RelationTarget, options: RelationWriterOptions) {
    this.target = target
    this.options = options
  }

  /** @throws CorruptionError of the first damaged page unless onCorrupt is 'carry'; EnvironmentError store.* */
  async write(planned: PlannedRelation): Promise<void> {
    const key = this.target.before?.take(planned.relation.locator)
    try {
      await this.writeSince(planned, await this.known(key))
    } catch (error) {
      if (!(error instanceof CorruptionError && error.code === 'relation.unreadable')) throw error
      this.target.plan.leaveOut(planned.relation, error)
      // What the state before has is not what the relation is now.
      if (key !== undefined) this.changes.push({ relation: { tree: 'layers', key } })
    }
  }

  private async writeSince(planned: PlannedRelation, known: StateRelation | undefined): Promise<void> {
    const { locator } = planned.relation
    const storage = this.target.cluster.storage(planned.relation)
    const described = await this.describe(planned, known)
    const isAlike = known !== undefined && described.isReadAlike && known.info.visible === planned.relation.visible
    const changed = await this.changedBlocks(storage, isAlike ? known : undefined)
    const length = storage.forks.main ?? 0
    const files = await this.files(planned, described, storage, changed)
    const { description } = files
    const info = this.info(planned, storage, await this.descriptionRef(description, known))
    const lengthBefore = known === undefined ? 0 : new CurrentRelation(known.layers).length
    const isSame = isAlike && changed.size === 0 && length === lengthBefore
    this.counts.relations++
    if (isSame) this.counts.unchanged++
    const layer: StateLayer = {
      lsn: this.target.descriptor.lsn, smallest: isAlike ? Math.min(lengthBefore, length) : 0, length, files: files.results.map(({ file }) => file),
    }
    if (isSame && equalJson(known.info, info)) return
    const relation = known?.entry ?? relationKey(locator, this.target.descriptor.lsn)
    this.changes.push({ relation, info: relationInfoJson(info), ...(isSame ? {} : { layer }) })
  }

  /** What the source no longer has. */
  finish(): void {
    const gone = this.target.before?.gone() ?? []
    this.counts.gone = gone.length
    for (const key of gone) this.changes.push({ relation: { tree: 'layers', key } })
  }

  private async known(key: string | undefined): Promise<StateRelation | undefined> {
    if (key === undefined) return undefined
    const [value] = await this.target.before!.snapshot.get([{ tree: 'layers', key }])
    return parseStateRelation(key, value)
  }

  /** The blocks that must be written: without WAL each is compared with what the lake knows of it. */
  private async changedBlocks({ path, segments, forks }: RelationStorage, known: StateRelation | undefined): Promise<BlockSet> {
    const blocks = forks.main ?? 0
    if (known === undefined || blocks === 0) return BlockSet.range(0, blocks)
    const current = new CurrentRelation(known.layers).files.filter((file) => file.current.size > 0)
    const { reference, descriptor: { checksums }, pool } = this.target
    return BlockSet.ofRuns(readable(await pool.run('changedBlocks', {
      fork: { path, segments }, store: reference, checksums, onCorrupt: this.options.onCorrupt,
      known: current.map(({ file: { index }, current: { runs } }) => ({ index, current: runs })),
    })))
  }

  private async describe({ relation }: PlannedRelation, known: StateRelation | undefined): Promise<Described> {
    const { desc = UNTYPED, database: { encoding }, virtualColumns, oid, locator } = relation
    const sameTable = known ?? await this.known(this.target.before?.table(locator.dbOid, oid))
    const before = sameTable && await this.target.before!.description(sameTable.info.description)
    const { major, profile } = this.target.descriptor
    const context = { major, profile, encoding, desc, displayScales: {}, pageFlags: 0, extensions: this.options.extensions }
    const { history: fields, rewrite } = grownColumnFields(before?.fields, context)
    const overflow = before === undefined ? [] : before.overflow.filter((attnum) => fields.columns.some((field) => field.attnum === attnum))
    const description: TableDescription = { encoding, desc, fields, overflow, virtualColumns }
    return { description, isReadAlike: before !== undefined && !rewrite && areReadAlike(before, description) }
  }

  private async descriptionRef(description: TableDescription, known: StateRelation | undefined): Promise<PieceRef> {
    return await this.target.parts.add(encodeDescription(description), known?.info.description)
  }

  private info({ relation }: PlannedRelation, { relativePath, trailingBytes }: RelationStorage, description: PieceRef): RelationInfo {
    const { schema, name, oid, relkind, persistence, visible, populated, toastRelId, parents } = relation
    return {
      schema, name, oid, relkind, persistence, path: relativePath, visible, ...(!populated && { populated }), toastRelId, parents,
      ...(trailingBytes > 0 && { trailingBytes }), description,
    }
  }

  /** All files of a layer, with the description that is in them: one schema for all, whichever of them met a value that widens it. */
  private async files(
    planned: PlannedRelation, { description: first }: Described, storage: RelationStorage, changed: BlockSet,
  ): Promise<{ description: TableDescription; results: LayerResult[] }> {
    if (changed.size === 0) return { description: first, results: [] }
    const { plan, pool, snapshot } = this.target
    const toast = await plan.indexToast(planned, pool, snapshot)
    const sets = fileSets(changed)
    let relation = this.relationDescriptor(planned, first, storage.forks.main ?? 0)
    for (;;) {
      const results = new Array<LayerResult | WantedOverflow>(sets.length)
      await forEachAtMost(pool.workers + 1, sets.entries(), async ([i, blocks]) => {
        results[i] = await this.file(relation, storage, toast, blocks)
      })
      const written = results.flatMap((result) => ('file' in result ? [result] : []))
      if (written.length === results.length) {
        for (const result of written) this.count(result, relation)
        return { description: { ...first, overflow: relation.overflow ?? [] }, results: written }
      }
      relation = withOverflow(relation, results.flatMap((result) => ('wanted' in result ? result.wanted : [])))
      this.options.onBlocks(-changed.size, '')
    }
  }

  private async file(
    relation: RelationDescriptor, fork: SegmentFiles, toast: TranscodeTask['toast'], blocks: BlockSet,
  ): Promise<LayerResult | WantedOverflow> {
    const { pool, snapshot, descriptor, reference, mint } = this.target
    const { compression, codecs, onCorrupt } = this.options
    const name = `${tableFolder(relation)}/data/${mint()}`
    const result = readable(await pool.run('layer', {
      snapshot, fork: { path: fork.path, segments: fork.segments }, blocks: blocks.runs, relation, cluster: descriptor, compression, codecs, onCorrupt,
      toast,       store: reference, key: `${name}.parquet`, indexKey: `${name}.blocks`,
    }))
    this.options.onBlocks(blocks.size, relationName(relation))
    return result
  }

  private count(result: LayerResult, relation: RelationDescriptor): void {
    const { counts } = this
    counts.files++
    counts.blocks += result.lanes.pages
    counts.rows += result.rows
    counts.bytes += result.bytes
    counts.hiddenRows += result.hiddenRows
    addLaneCounts(counts.lanes, result.lanes)
    for (const damage of result.damaged) counts.damaged.push({ relation: relationName(relation), ...damage })
    for (const xid of result.unresolved) this.unresolved.add(xid)
    for (const loss of result.losses) this.losses.add(loss)
  }

  private relationDescriptor({ relation }: PlannedRelation, { desc, fields, overflow }: TableDescription, blocks: number): RelationDescriptor {
    const { database, schema, name, oid, relkind, locator } = relation
    return {
      ...locator, database: database.oid === 0 ? null : database.name, schema, name, oid, relkind, blocks, encoding: database.encoding, desc,
      fields: columnFields(fields), ...(overflow.length > 0 && { overflow }),
    }
  }
}

/** @throws CorruptionError relation.unreadable for a block that the disk does not give */
function readable<T extends object>(result: T | UnreadableFile): T {
  if ('unreadable' in result) throw new CorruptionError('relation.unreadable', result.unreadable.reason, result.unreadable.position)
  return result
}

const UNTYPED: TupleDesc = { attributes: [], types: [] }

interface Described {
  description: TableDescription
  /** Files of the state before say of their rows what the table says now. */
  isReadAlike: boolean
}

function relationName({ database, schema, name }: RelationDescriptor): string {
  return `${database === null ? '' : `${database}.`}${schema}.${name}`
}
