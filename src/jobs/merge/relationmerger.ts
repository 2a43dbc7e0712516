import type { ClusterDescriptor, RelationDescriptor } from '../../columnar/filedescriptor.ts'
import { type Compression, fileSets } from '../../columnar/planfile.ts'
import { forEachAtMost } from '../../common/atonce.ts'
import { BlockSet } from '../../common/blockset.ts'
import { CorruptionError, UnsupportedError } from '../../common/errors.ts'
import { type Lsn, parseLsn, walPosition } from '../../common/ids.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { Lake } from '../../engine/lake.ts'
import { readOutcomes } from '../../engine/outcomes.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import type { StateCatalog } from '../../engine/statecatalog.ts'
import { type BlockIndex, encodeBlockIndex } from '../../lake/blockindex.ts'
import { settledRows } from '../../lake/hiddenrows.ts'
import { isPacked, type LayerFile, layerFileJson, type PackedFile, type ParquetFile, storedBytes } from '../../lake/layer.ts'
import type { CurrentFile } from '../../lake/layerorder.ts'
import { mergePackedPages } from '../../lake/mergepacked.ts'
import type { MergedLayer } from '../../lake/mergeplan.ts'
import { openRows } from '../../lake/rowsnotshown.ts'
import { describedRelation } from '../../lake/relationinfo.ts'
import { parseRelationKey, type StateFile, type StateLayer } from '../../lake/state/relationlayers.ts'
import type { StateRelation } from '../../lake/staterelation.ts'
import { dataKeys } from '../../lake/tablefolder.ts'
import { lakeRelationName } from '../lake.ts'
import type { FetchedObjects } from '../lakes/fetchedobjects.ts'
import { filesOf, readBlockIndex, readDescription, readPacked } from '../lakes/layerfiles.ts'
import { folderIn } from '../lakes/publishedfolder.ts'
import type { PackWriter } from '../materialize/packwriter.ts'
import type { JobTasks } from '../pool.ts'
import type { CodecModules } from '../tasks/codecs.ts'
import type { LeftAsTheyAre, MergeResult, MergeTaskInput } from '../tasks/mergetask.ts'
import type { StoreReference } from '../tasks/storereference.ts'
import type { ByteBudget } from './bytebudget.ts'

/** Where files of one commit are written. */
export interface MergeTarget {
  lake: Lake
  /** The state that the layers are of. */
  snapshot: Snapshot
  catalog: StateCatalog
  pool: JobTasks
  reference: StoreReference
  objects: FetchedObjects
  /** Takes the pages of relations that lie in packs. */
  packs: PackWriter
  /** For what is fetched. */
  budget: ByteBudget
  /** Name of a new object. */
  mint: () => string
  compression: Compression
  codecs: CodecModules
  /** Called after each file and each relation in a pack, with the bytes that were read for it. */
  onFile: (written: WrittenPages, bytesRead: number, relation: string) => void
}

/** Pages that were written: in a file of their own, or in a pack. */
export interface WrittenPages extends Pick<MergeResult, 'blocks' | 'bytes'> {
  files: 0 | 1
}

type Giver = CurrentFile<ParquetFile>

/** Writes the files of merged layers. */
export class RelationMerger {
  private readonly target: MergeTarget

  constructor(target: MergeTarget) {
    this.target = target
  }

  /** @throws EnvironmentError store.*, file.*; CorruptionError lake.* of the state and of block indexes */
  async merge(relation: StateRelation, layer: MergedLayer<LayerFile>): Promise<StateLayer | LeftAsTheyAre> {
    const { smallest, length } = layer
    if (layer.files.length === 0) return { lsn: this.target.snapshot.state.lsn, smallest, length, files: [] }
    const packed = layer.files.flatMap(({ file, current }) => (isPacked(file) ? [{ file, current }] : []))
    if (packed.length > 0) return await this.mergePacked(relation, { ...layer, files: packed })
    return await this.mergeParquet(relation, { ...layer, files: layer.files as readonly Giver[] })
  }

  /** Pages of packs are few: they are read here. */
  private async mergePacked(relation: StateRelation, { smallest, length, files }: MergedLayer<PackedFile>): Promise<StateLayer | LeftAsTheyAre> {
    const { snapshot: { state: { lsn } }, lake, packs, budget, onFile, catalog } = this.target
    const giveBack = await budget.take(files.reduce((sum, { file }) => sum + file.blocks.size * BLOCK_SIZE, 0))
    try {
      const inputs = await Promise.all(files.map(async ({ file, current }) => ({
        index: await this.settledIndex({ file, current }), packed: await readPacked(lake.ports.store, file, false), current, lanes: file.lanes,
      })))
      const { blocks, pages, entry } = mergePackedPages(inputs, lake.compressor)
      const { creationLsn } = parseRelationKey(relation.entry)
      const file = await packs.add({ ...relation.locator, created: parseLsn(creationLsn)!, smallest, length, blocks, pages, entry })
      const name = lakeRelationName({ ...relation.info, database: databaseOf(relation.locator.dbOid, catalog) })
      onFile({ files: 0, blocks: blocks.size, bytes: storedBytes(file) }, files.reduce((sum, { file: read }) => sum + storedBytes(read), 0), name)
      return { lsn, smallest, length, files: [layerFileJson(file)] }
    } catch (error) {
      if (!(error instanceof CorruptionError || error instanceof UnsupportedError)) throw error
      const { code, reason, position } = error
      return { left: { code, reason, position } }
    } finally {
      giveBack()
    }
  }

  private async mergeParquet(relation: StateRelation, layer: MergedLayer): Promise<StateLayer | LeftAsTheyAre> {
    const { smallest, length } = layer
    const { snapshot: { state: { lsn } }, lake, pool } = this.target
    const blocks = layer.files.reduce((all, { current }) => all.union(current), BlockSet.EMPTY)
    const described = await this.describe(relation, length)
    const known = new Map(filesOf(relation, lake.format.systemIdentifier).map(({ file, expected }) => [file, expected]))
    const inputs = await Promise.all(layer.files.map(async (giver) => (
      { ...giver, expected: known.get(giver.file)!, index: encodeBlockIndex(await this.settledIndex(giver)) })))
    const sets = fileSets(blocks)
    const files = new Array<StateFile>(sets.length)
    let left: LeftAsTheyAre | undefined
    await forEachAtMost(pool.workers + 1, sets.entries(), async ([i, set]) => {
      if (left !== undefined) return
      const givers = inputs.map((giver) => ({ ...giver, current: giver.current.intersect(set) })).filter(({ current }) => current.size > 0)
      const result = await this.file(described, givers)
      if ('left' in result) left = result
      else files[i] = result.file
    })
    return left ?? { lsn, smallest, length, files }
  }

  /** What stands beside a file, with the rows settled whose transactions have ended by the state's LSN. */
  private async settledIndex({ file, current }: CurrentFile<LayerFile>): Promise<BlockIndex> {
    const { lake, snapshot } = this.target
    const { index } = await readBlockIndex(lake.ports.store, file)
    const unresolved = openRows({ index, current })
    const outcomes = await readOutcomes(snapshot, unresolved.map(({ xid }) => xid))
    const settled = settledRows({ hidden: index.hidden, unresolved }, outcomes, walPosition(parseLsn(snapshot.state.lsn) as Lsn))
    return { ...index, ...settled }
  }

  private async file(
    relation: RelationDescriptor, givers: readonly (Giver & Pick<MergeTaskInput, 'expected' | 'index'>)[],
  ): Promise<MergeResult | LeftAsTheyAre> {
    const { budget, objects, pool, reference, snapshot, compression, codecs, mint, onFile } = this.target
    const bytesRead = givers.reduce((sum, { file }) => sum + file.bytes, 0)
    const giveBack = await budget.take(objects.fetches ? bytesRead : 0)
    const opened: { path: string; release: () => void }[] = []
    try {
      for (const { file } of givers) opened.push(await objects.open(file))
      const result = await pool.run('merge', {
        relation, cluster: this.cluster(), compression, codecs, store: reference, ...dataKeys(await folderIn(snapshot, relation), mint()),
        inputs: givers.map(({ file, current, expected, index }, i) => (
          { path: opened[i]!.path, name: file.key, expected, index, current: current.runs, lanes: file.lanes })),
      })
      if ('file' in result) onFile({ files: 1, ...result }, bytesRead, lakeRelationName(relation))
      return result
    } finally {
      for (const { release } of opened) release()
      objects.removeUnused()
      giveBack()
    }
  }

  private cluster(): ClusterDescriptor {
    const { lake: { format: { systemIdentifier, profile } }, catalog: { cluster: { major, checksums } }, snapshot: { state: { lsn } } } = this.target
    return { systemIdentifier, major, checksums, lsn, profile }
  }

  private async describe({ info, locator }: StateRelation, blocks: number): Promise<RelationDescriptor> {
    const description = await readDescription(this.target.lake.ports.store, info.description)
    return describedRelation({ ...locator, ...info, database: databaseOf(locator.dbOid, this.target.catalog) }, description, blocks)
  }
}

/** Null for the shared relations. */
export function databaseOf(dbOid: number, { databases }: StateCatalog): string | null {
  return databases.find(({ oid }) => oid === dbOid)?.name ?? null
}
