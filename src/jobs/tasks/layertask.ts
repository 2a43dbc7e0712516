import type { ClusterDescriptor } from '../../columnar/filedescriptor.ts'
import type { LaneCounts } from '../../columnar/lanes.ts'
import type { FileSummary } from '../../columnar/filesummary.ts'
import { type Compression, pageWords } from '../../columnar/planfile.ts'
import type { ToastReader } from '../../columnar/toastreader.ts'
import { transcodeFile, type TranscodeOptions, type WrittenFile } from '../../columnar/transcode.ts'
import type { WantedOverflow } from '../../columnar/wantedoverflow.ts'
import { type BlockRun, BlockSet } from '../../common/blockset.ts'
import { crc32c } from '../../common/crc32c.ts'
import { assert, EnvironmentError } from '../../common/errors.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import { layerFile, layerFileJson, type PackedFile, storedBlocks } from '../../lake/layer.ts'
import type { StateFile } from '../../lake/state/relationlayers.ts'
import { canonicalPage, newPageBuffer } from '../../page/canonical.ts'
import { type PageSource, READ_BLOCKS } from '../../page/pagesource.ts'
import type { Snapshot } from '../../xact/snapshot.ts'
import { type CodecModules, loadCodecs } from './codecs.ts'
import { type ForkTask, type UnreadableFile, withForkPages } from './forkpages.ts'
import { putObject } from './lakeobject.ts'
import { ObjectOutput } from './objectoutput.ts'
import { type SnapshotKey, snapshotOf } from './snapshots.ts'
import { type StoreReference, storeOf } from './storereference.ts'

/** One file of a layer to write, and the object beside it, or the pages of one for a pack: some blocks of one relation. */
export interface LayerTask extends ForkTask {
  snapshot: SnapshotKey
  /** A BlockSet, as threads can pass it. */
  blocks: readonly BlockRun[]
  cluster: ClusterDescriptor
  compression: Compression
  codecs: CodecModules
  store: StoreReference
  /** Keys of the Parquet file and of the object beside it; absent: the pages go back, for a pack. */
  object?: { key: string; indexKey: string }
}

/** A Parquet file that was written. */
export interface LayerResult extends LayerCounts {
  /** What the state says of the file. */
  file: StateFile
}

/** Pages that are proven as those of a Parquet file are. */
export interface PackableResult extends LayerCounts {
  packable: {
    /** Canonical ones, and damaged ones as they were, end to end. */
    pages: Uint8Array
    /** What the state says of them beside their place. */
    entry: Omit<PackedFile, 'key' | 'pack' | 'blocks'>
  }
}

export interface LayerCounts {
  rows: number
  bytes: number
  hiddenRows: number
  lanes: LaneCounts
  damaged: readonly { block: number; error: string }[]
  /** Full xids, exact below 2^53, of transactions that were in progress and that rows of the file depend on. */
  unresolved: readonly number[]
  /** What of the transactions' status was asked for and is lost. */
  losses: readonly string[]
}

/** @throws CorruptionError with file, block, offset, attribute; EnvironmentError store.* */
export function writeLayerFile(task: LayerTask): Promise<LayerResult | PackableResult | WantedOverflow | UnreadableFile> {
  return withForkPages(task, (pages, toast) => write(task, pages, toast))
}

async function write(task: LayerTask, pages: PageSource, toast: ToastReader | undefined): Promise<LayerResult | PackableResult | WantedOverflow> {
  const { cluster, compression, onCorrupt } = task
  const blocks = BlockSet.ofRuns(task.blocks)
  const snapshot = snapshotOf(task.snapshot)
  // Whether the relation itself is visible is said of the relation: its rows may be seen once the transaction that made it commits.
  const options: TranscodeOptions = {
    cluster, compression, visibility: snapshot, transactions: snapshot, checksums: cluster.checksums, onCorrupt,
    extensions: await loadCodecs(task.codecs), ...(toast && { toast }),
  }
  if (task.object === undefined) {
    const proven = await transcodeFile(task.relation, pages, blocks, options)
    if ('wanted' in proven) return proven
    const { blocks: _, ...entry } = storedBlocks(blocks, proven.summary!, proven.lanes)
    return { ...countsOf(proven, snapshot, 0), packable: { pages: await canonicalPages(pages, blocks, proven.summary!), entry } }
  }
  const store = await storeOf(task.store)
  const { key, indexKey } = task.object
  const output = new ObjectOutput(store, key)
  try {
    const written = await transcodeFile(task.relation, pages, blocks, options, (bytes) => output.write(bytes))
    if ('wanted' in written) {
      await output.abort()
      return written
    }
    const { summary, lanes } = written
    assert(summary !== undefined, 'a file of a layer has a summary')
    const { file, index } = layerFile(await output.finish(), indexKey, blocks, { summary, lanes })
    if (index) await putObject(store, indexKey, index)
    return { file: layerFileJson(file), ...countsOf(written, snapshot, file.bytes + (index?.length ?? 0)) }
  } catch (error) {
    await output.abort()
    throw error
  }
}

function countsOf({ rows, lanes, damaged, summary }: WrittenFile, { losses }: Snapshot, bytes: number): LayerCounts {
  const { hidden, unresolved } = summary!
  return { rows, bytes, hiddenRows: hidden.size, lanes, damaged: [...damaged], unresolved: [...new Set(unresolved.map(({ xid }) => xid))], losses }
}

/** The pages that were summed up: their CRCs are those of the summary. */
async function canonicalPages(pages: PageSource, blocks: BlockSet, { damaged, pages: { crcs } }: FileSummary): Promise<Uint8Array> {
  const all = new Uint8Array(blocks.size * BLOCK_SIZE)
  const canonical = newPageBuffer()
  let i = 0
  for (const piece of blocks.batches(READ_BLOCKS)) {
    await pages.prepare(piece)
    for (const block of piece) {
      const page = pages.read(block)
      if (damaged.has(block)) canonical.bytes.set(page)
      else canonicalPage(pageWords(page), 0, canonical)
      if (crc32c(canonical.bytes) !== crcs[i]) {
        throw new EnvironmentError('cluster.changed', `block ${block} changed while it was read: a server changes the data directory`)
      }
      all.set(canonical.bytes, i * BLOCK_SIZE)
      i++
    }
  }
  return all
}
