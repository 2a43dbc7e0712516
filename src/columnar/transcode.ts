import { BlockSet } from '../common/blockset.ts'
import type { CodecContext } from '../datum/typedef.ts'
import { MemoryPages, type PageSource, READ_BLOCKS } from '../page/pagesource.ts'
import { encodeParquet, ParquetEncoder, type RowGroupInput } from '../parquet/parquetwriter.ts'
import { encodeHidden } from './encodehidden.ts'
import type { ClusterDescriptor, RelationDescriptor } from './filedescriptor.ts'
import { FileSummarizer, type FileSummary, type TransactionStates } from './filesummary.ts'
import type { LaneCounts } from './lanes.ts'
import { type DamagedPage, PageTranscoder, type PageTranscoderOptions } from './pagetranscoder.ts'
import { type Compression, pageWords, planFile, planPrepared, rowGroupIsFull, worthGenerating } from './planfile.ts'
import { toastPointers } from './toastpointers.ts'
import { type WantedOverflow, withOverflow } from './wantedoverflow.ts'

export interface TranscodeOptions extends PageTranscoderOptions {
  cluster: ClusterDescriptor
  compression: Compression
  /** Codecs from outside, by typname, for types that no codec of ltap reads. The file says which it needs; rebuilding needs them again. */
  extensions?: CodecContext['extensions']
  /** For the summary of a file of a layer: xact's Snapshot. */
  transactions?: TransactionStates
}

/** A file that was written. */
export interface WrittenFile {
  /** A Parquet file of the positions of hidden rows; undefined if all rows are visible. */
  hidden: Uint8Array | undefined
  hiddenRows: number
  rows: number
  lanes: LaneCounts
  damaged: readonly DamagedPage[]
  /** If the options name `transactions`. */
  summary?: FileSummary
}

export interface TranscodedFile extends WrittenFile {
  /** The Parquet file. */
  parquet: Uint8Array
}

/**
 * Pages → one Parquet file, each page proven to form back. Same pages and options, same bytes. At most 1 MiB of pages is prepared together, and
 * three row groups are in memory.
 * @param relation `blocks` is the whole relation's length; its `overflow` is that of all its files
 * @param pages the relation's main fork @param blocks those that go into this file
 * @param deliver takes the file's bytes in order; it is awaited. Without it all is proven and summed up, and no file is made
 * @throws CorruptionError with block, offset and attribute, unless options.onCorrupt is 'carry'; UnsupportedError lake.blocks
 */
export async function transcodeFile(
  relation: RelationDescriptor, pages: PageSource, blocks: BlockSet, options: TranscodeOptions, deliver?: (bytes: Uint8Array) => void | Promise<void>,
): Promise<WrittenFile | WantedOverflow> {
  const plan = await planFile(options.cluster, relation, blocks, options.compression, pages, options.extensions)
  const transcoder = new PageTranscoder(plan.schema, { generate: worthGenerating(blocks.size), ...options })
  const encoder = deliver && new ParquetEncoder(plan.schema.fields, plan.parquet, deliver)
  const summarizer = options.transactions && new FileSummarizer(plan.schema, options.transactions)
  let rows = 0
  try {
    for (const step of steps(pages, blocks, transcoder, options)) {
      if ('prepare' in step) await pages.prepare(step.prepare)
      else if ('toastOf' in step) await options.toast!.prepare!(toastPointers(step.toastOf, relation.desc.attributes))
      else {
        summarizer?.add(step.columns, transcoder.hidden)
        await encoder?.rowGroup(step.columns, step.rows)
        rows += step.rows
      }
    }
    if (transcoder.wanted.size === 0) await encoder?.finish()
    else await encoder?.abort()
  } catch (error) {
    await encoder?.abort()
    throw error
  }
  const result = resultOf(transcoder, rows, options)
  return summarizer && !('wanted' in result) ? { ...result, summary: summarizer.finish() } : result
}

/**
 * {@link transcodeFile} of pages in memory, into memory, at once.
 * @param pages blocks 0.. of the relation, 8192 bytes each, end to end
 * @throws as transcodeFile
 */
export function transcodePages(relation: RelationDescriptor, pages: Uint8Array, options: TranscodeOptions): TranscodedFile {
  const source = new MemoryPages(pages)
  for (let descriptor = relation; ; ) {
    const result = transcodeMemory(descriptor, source, options)
    if ('parquet' in result) return result
    descriptor = withOverflow(descriptor, result.wanted)
  }
}

function transcodeMemory(relation: RelationDescriptor, pages: MemoryPages, options: TranscodeOptions): TranscodedFile | WantedOverflow {
  const blocks = BlockSet.range(0, pages.blocks)
  const plan = planPrepared(options.cluster, relation, blocks, options.compression, pages, options.extensions)
  const transcoder = new PageTranscoder(plan.schema, options)
  let rows = 0
  function* rowGroups(): Iterable<RowGroupInput> {
    for (const step of steps(pages, blocks, transcoder, {})) {
      if (!('columns' in step)) continue
      rows += step.rows
      yield step
    }
  }
  const parquet = encodeParquet(plan.schema.fields, plan.parquet, rowGroups())
  const result = resultOf(transcoder, rows, options)
  return 'wanted' in result ? result : { parquet, ...result }
}

/** Before the loop goes on: these blocks are to be prepared, or the out-of-line values of this page, or a row group is to be written. */
type Step = { prepare: BlockSet } | { toastOf: Uint8Array } | RowGroupInput

/**
 * The loop of transcoding: pages in, row groups out. Once an `_overflow` child is wanted it gives no row groups: it reads the remaining pages only to
 * learn which children are.
 */
function* steps(pages: PageSource, blocks: BlockSet, transcoder: PageTranscoder, { toast }: Pick<Partial<TranscodeOptions>, 'toast'>): Generator<Step> {
  let left = blocks.size
  for (const piece of blocks.batches(READ_BLOCKS)) {
    yield { prepare: piece }
    for (const block of piece) {
      const page = pages.read(block)
      if (toast?.prepare) yield { toastOf: page }
      transcoder.add(pageWords(page), 0, block)
      if (--left > 0 && !rowGroupIsFull(transcoder)) continue
      const { vectors: columns, rows } = transcoder.takeRowGroup()
      if (transcoder.wanted.size === 0) yield { columns, rows }
      transcoder.release()
    }
  }
}

function resultOf({ wanted, hidden, counts: lanes, damaged }: PageTranscoder, rows: number, { compression }: TranscodeOptions): WrittenFile | WantedOverflow {
  if (wanted.size > 0) return { wanted: [...wanted] }
  return { hidden: encodeHidden(hidden, compression), hiddenRows: hidden.length, rows, lanes, damaged }
}
