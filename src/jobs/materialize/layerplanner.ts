import type { TupleDesc } from '../../catalog/tupledesc.ts'
import type { ClusterDescriptor, RelationDescriptor } from '../../columnar/filedescriptor.ts'
import { grownColumnFields } from '../../columnar/fieldhistory.ts'
import { fileSets } from '../../columnar/planfile.ts'
import type { CodecFactory } from '../../datum/typedef.ts'
import { BlockSet } from '../../common/blockset.ts'
import { equalJson } from '../../common/equaljson.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import type { DirectoryCluster, RelationStorage } from '../../io/cluster.ts'
import { isPacked, type LayerFile } from '../../lake/layer.ts'
import { CurrentRelation } from '../../lake/layerorder.ts'
import { areReadAlike } from '../../lake/readalike.ts'
import { describedRelation, type RelationInfo, relationInfoJson, type TableDescription } from '../../lake/relationinfo.ts'
import { parseStateRelation, type StateRelation } from '../../lake/staterelation.ts'
import type { RelationChange } from '../../lake/state/changes.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import type { PieceRef } from '../../lake/state/page.ts'
import { relationKey, type StateFile, type StateLayer } from '../../lake/state/relationlayers.ts'
import type { PlannedRelation, PlannedRelations } from '../plannedrelations.ts'
import type { JobTasks } from '../pool.ts'
import type { StoreReference } from '../tasks/storereference.ts'
import type { UnreadableFile } from '../tasks/forkpages.ts'
import type { PackingRule } from './packingrule.ts'
import type { PreviousState } from './previousstate.ts'
import type { RecordedChanges } from './recordedchanges.ts'
import type { TreeFields } from './treefields.ts'

/** Where relations are read, and what they are compared with. */
export interface PlanTarget {
  cluster: DirectoryCluster
  descriptor: ClusterDescriptor
  plan: PlannedRelations
  pool: JobTasks
  reference: StoreReference
  before: PreviousState | undefined
  /** Fields of tables in partition and inheritance trees. */
  trees: TreeFields
  /** What changed since the state before, where that is recorded; without it pages are compared. */
  changes?: RecordedChanges | undefined
  /** Codecs from outside, by typname. */
  extensions: ReadonlyMap<string, CodecFactory>
  onCorrupt: 'fail' | 'carry'
  packing: PackingRule
}

/** What changed of one relation: all but the files that say how its blocks are now. */
export interface PlannedLayer {
  readonly planned: PlannedRelation
  /** Names its entry in the state. */
  readonly entry: EntryKey
  /** What the state before says of it; undefined for a new relation. */
  readonly known: RelationInfo | undefined
  readonly info: Omit<RelationInfo, 'description'>
  /** As far as no value is known that is not readable as its column's type. */
  readonly description: TableDescription
  /** Its pages go into a pack, not into Parquet files. */
  readonly packed: boolean
  /** The layer without its files. */
  readonly layer: Omit<StateLayer, 'files'>
  /** Number of pages that were read to be compared. */
  readonly compared: number
  /** True if no block is to be written: its pages are as they were. */
  readonly isSame: boolean
  readonly storage: RelationStorage
  readonly relation: RelationDescriptor
  /** The blocks of each file that is to be written. */
  readonly files: readonly BlockSet[]
}

/** Finds out what of relations is to be written. */
export class LayerPlanner {
  private readonly target: PlanTarget

  constructor(target: PlanTarget) {
    this.target = target
  }

  /**
   * @param key of the relation in the state before
   * @throws CorruptionError of the first damaged page unless onCorrupt is 'carry', relation.unreadable; EnvironmentError store.*
   */
  async plan(planned: PlannedRelation, key: string | undefined): Promise<PlannedLayer> {
    const { descriptor: { lsn }, cluster, packing } = this.target
    const known = await this.known(key)
    const storage = cluster.storage(planned.relation)
    const described = await this.describe(planned, known)
    const length = storage.forks.main ?? 0
    const before = new CurrentRelation(known?.layers ?? [])
    const packed = packing.isPacked(planned.relation, length)
    const isAlike = known !== undefined && described.isReadAlike && known.info.visible === planned.relation.visible && !changesForm(before, packed)
    const { smallest, within } = isAlike ? this.recorded(planned.relation.locator, before.length, length) : { smallest: 0, within: BlockSet.EMPTY }
    const changed = (await this.changedBlocks(storage, before, within)).union(BlockSet.range(smallest, length - smallest))
    return {
      planned, storage, entry: known?.entry ?? relationKey(planned.relation.locator, lsn), known: known?.info, info: infoOf(planned, storage),
      description: described.description, layer: { lsn, smallest, length }, compared: within.size,
      packed, isSame: isAlike && changed.size === 0 && length === before.length,
      relation: relationDescriptor(planned, described.description, length), files: changed.size === 0 ? [] : fileSets(changed),
    }
  }

  private async known(key: string | undefined): Promise<StateRelation | undefined> {
    if (key === undefined) return undefined
    const [value] = await this.target.before!.snapshot.get([{ tree: 'layers', key }])
    return parseStateRelation(key, value)
  }

  /** The smallest length since the state before, and the blocks below it that may have changed: all of them, unless changes were recorded. */
  private recorded(locator: RelFileLocator, before: number, length: number): { smallest: number; within: BlockSet } {
    const { changes } = this.target
    const change = changes?.of(locator)
    // A length that differs without a recorded change would be a fault of the record, so it is not believed.
    if (changes === undefined || (change === undefined && before !== length)) {
      const smallest = Math.min(before, length)
      return { smallest, within: BlockSet.range(0, smallest) }
    }
    const smallest = Math.min(change?.smallest ?? length, before, length)
    return { smallest, within: (change?.changed ?? BlockSet.EMPTY).intersect(BlockSet.range(0, smallest)) }
  }

  /** Those of `within` that are not as the lake knows them. */
  private async changedBlocks({ path, segments }: RelationStorage, known: CurrentRelation<LayerFile>, within: BlockSet): Promise<BlockSet> {
    if (within.size === 0) return BlockSet.EMPTY
    const current = known.files.filter((file) => file.current.size > 0)
    const { reference, descriptor: { checksums }, pool, onCorrupt } = this.target
    return BlockSet.ofRuns(readable(await pool.run('changedBlocks', {
      fork: { path, segments }, store: reference, checksums, onCorrupt, within: within.runs,
      known: current.map(({ file: { index }, current: { runs } }) => ({ index, current: runs })),
    })))
  }

  private async describe({ relation }: PlannedRelation, known: StateRelation | undefined): Promise<Described> {
    const { desc = UNTYPED, database: { encoding }, virtualColumns, oid, locator } = relation
    const sameTable = known ?? await this.known(this.target.before?.table(locator.dbOid, oid))
    const before = sameTable && await this.target.before!.description(sameTable.info.description)
    const { descriptor: { major, profile }, extensions, trees } = this.target
    const context = { major, profile, encoding, desc, displayScales: {}, pageFlags: 0, extensions }
    const { history: fields, rewrite } = (relation.desc && trees.of(locator.dbOid, oid)) ?? grownColumnFields(before?.fields, context)
    const overflow = before === undefined ? [] : before.overflow.filter((attnum) => fields.columns.some((field) => field.attnum === attnum))
    const description: TableDescription = { encoding, desc, fields, overflow, virtualColumns }
    return { description, isReadAlike: before !== undefined && !rewrite && areReadAlike(before, description) }
  }
}

/** A relation has one form: when it becomes large, or small again, all of its blocks are written. */
function changesForm({ files }: CurrentRelation<LayerFile>, toPacked: boolean): boolean {
  return files.some(({ file, current }) => current.size > 0 && isPacked(file) !== toPacked)
}

const UNTYPED: TupleDesc = { attributes: [], types: [] }

interface Described {
  description: TableDescription
  /** Files of the state before say of their rows what the table says now. */
  isReadAlike: boolean
}

function infoOf({ relation }: PlannedRelation, { relativePath, trailingBytes }: RelationStorage): PlannedLayer['info'] {
  const { schema, name, oid, relkind, persistence, visible, populated, toastRelId, parents } = relation
  return {
    schema, name, oid, relkind, persistence, path: relativePath, visible, ...(!populated && { populated }), toastRelId, parents,
    ...(trailingBytes > 0 && { trailingBytes }),
  }
}

function relationDescriptor(
  { relation: { database, locator, ...relation } }: PlannedRelation, description: TableDescription, blocks: number,
): RelationDescriptor {
  return describedRelation({ ...locator, ...relation, database: database.oid === 0 ? null : database.name }, description, blocks)
}

/**
 * What becomes of the relation in the state.
 * @param description where its description lies @param files what was written of it
 * @returns undefined if it stays as it is
 */
export function layerChange(
  { entry, known, info, layer, isSame }: PlannedLayer, description: PieceRef, files: readonly StateFile[],
): RelationChange | undefined {
  const now: RelationInfo = { ...info, description }
  if (isSame && equalJson(known, now)) return undefined
  return { relation: entry, info: relationInfoJson(now), ...(!isSame && { layer: { ...layer, files } }) }
}

/** @throws CorruptionError relation.unreadable for a block that the disk does not give */
export function readable<T extends object>(result: T | UnreadableFile): T {
  if ('unreadable' in result) throw new CorruptionError('relation.unreadable', result.unreadable.reason, result.unreadable.position)
  return result
}
