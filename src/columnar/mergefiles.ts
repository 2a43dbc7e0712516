import { BlockSet } from '../common/blockset.ts'
import { crc32c } from '../common/crc32c.ts'
import { assert, CorruptionError, isPositioned } from '../common/errors.ts'
import type { BlockNumber } from '../common/ids.ts'
import { ParseError } from '../datum/codec.ts'
import type { CodecContext } from '../datum/typedef.ts'
import { newPageBuffer } from '../page/canonical.ts'
import { SIZE_OF_PAGE_HEADER } from '../page/header.ts'
import { linePointerCount } from '../page/linepointer.ts'
import { ParquetEncoder } from '../parquet/parquetwriter.ts'
import { Batch } from './batch.ts'
import { CopiedRows } from './copiedrows.ts'
import { countRows, countValues, notNull } from './countlanes.ts'
import type { ClusterDescriptor, RelationDescriptor } from './filedescriptor.ts'
import type { FileSummary } from './filesummary.ts'
import { PageFormer } from './formpage.ts'
import { type LaneCounts, newLaneCounts } from './lanes.ts'
import { MergedRows, RowMarks, type RowsOfFile } from './mergedrows.ts'
import { PAGE_KIND_HEADER } from './physical.ts'
import { type Compression, type Predicted, planPredicted, rowGroupIsFull, worthGenerating } from './planfile.ts'
import type { OpenLakeFile } from './rebuild.ts'

/** A file that gives pages to another one of the same relation. */
export interface MergeInput {
  file: OpenLakeFile
  /** What the lake calls it. */
  name: string
  rows: RowsOfFile
  /** The blocks that it gives: those that no newer file has. */
  current: BlockSet
}

export interface MergedFile {
  blocks: BlockSet
  rows: number
  /** Counts of the rows that were copied, without faults: which rows those are of is not known. */
  lanes: LaneCounts
  summary: FileSummary
}

export interface MergeFilesOptions {
  compression: Compression
  extensions?: CodecContext['extensions']
}

/** Pages that are copied together. */
const RUN_BLOCKS = 256

/**
 * Several files of a relation → one, page by page in order of blocks. Rows are copied, not decoded from pages, so that out-of-line values stay what they
 * are. Each page is proven: it is formed from the rows of the new file and has the CRC of the page that was read. One row group of each input is in
 * memory, and three of the new file.
 * @param base the cluster at the LSN of the new file, and the relation as it is described now, see {@link withCodecs}
 * @param inputs a block is current in one of them; their columns say of their values what the relation says now
 * @param deliver takes the file's bytes in order; it is awaited
 * @throws CorruptionError with the input and block
 */
export async function mergeFiles(
  base: ClusterDescriptor & { relation: RelationDescriptor }, inputs: readonly MergeInput[], { compression, extensions }: MergeFilesOptions,
  deliver: (bytes: Uint8Array) => void | Promise<void>,
): Promise<MergedFile> {
  const blocks = inputs.reduce((all, { current }) => all.union(current), BlockSet.EMPTY)
  const plan = planPredicted(base, blocks, compression, predictedOf(inputs), extensions)
  const encoder = new ParquetEncoder(plan.schema.fields, plan.parquet, deliver)
  const merger = new FileMerger(new Batch(plan.schema), worthGenerating(blocks.size))
  const givers = inputs.filter(({ current }) => current.size > 0).map((input) => new Giver(input, merger.batch))
  const runs = givers.flatMap((giver) => giver.input.current.runs.map((run, i, { length }) => ({ giver, ...run, isLast: i === length - 1 })))
  const rowGroup = async (): Promise<void> => {
    const { vectors, rows } = merger.takeRowGroup()
    await encoder.rowGroup(vectors, rows)
    merger.release()
  }
  try {
    for (const { giver, first, count, isLast } of runs.sort((a, b) => a.first - b.first)) {
      for (let block = first; block < first + count;) {
        block += merger.take(giver, block, Math.min(RUN_BLOCKS, first + count - block))
        if (rowGroupIsFull(merger.batch)) await rowGroup()
      }
      if (isLast) giver.release()
    }
    await rowGroup()
    await encoder.finish()
  } catch (error) {
    await encoder.abort()
    throw error
  }
  return { blocks, rows: merger.rows, lanes: merger.lanes, summary: merger.summary.finish() }
}

/** The largest file decides, so that the fewest rows have to be said in full. */
function predictedOf(inputs: readonly MergeInput[]): Predicted {
  const bySize = [...inputs].sort((a, b) => a.current.size - b.current.size)
  const largest = bySize.at(-1)!
  const { pageFlags } = largest.file.descriptor
  const known = new Set(bySize.flatMap(({ file }) => file.reader.fields.map(({ name }) => name)))
  const { dictionaries } = largest.file.reader
  const inLargest = new Set(largest.file.reader.fields.map(({ name }) => name))
  return {
    displayScales: Object.assign({}, ...bySize.map(({ file }) => file.descriptor.displayScales)) as Predicted['displayScales'], pageFlags,
    compositeHeaders: largest.file.descriptor.compositeHeaders ?? {},
    dictionary: (column) => {
      if (inLargest.has(column)) return dictionaries.has(column)
      return !known.has(column) || bySize.some(({ file }) => file.reader.dictionaries.has(column))
    },
  }
}

/** Rows [first, end) of a row group: the pages of `count` blocks from `block` on. */
interface TakenRun {
  batch: Batch
  first: number
  end: number
  count: number
}

/** Gives pages of a file, in order. */
class Giver {
  readonly input: MergeInput
  readonly copied: CopiedRows
  readonly marks: RowMarks
  /** The position of each page's first row in the file, and at the end the number of rows. */
  readonly starts: Float64Array
  private readonly groupEnds: readonly number[]
  private group = -1
  private batch: Batch | undefined
  private former: PageFormer | undefined

  constructor(input: MergeInput, target: Batch) {
    const { file: { reader, schema }, rows: { pages, blocks }, name } = input
    this.input = input
    this.copied = new CopiedRows(schema, target)
    this.marks = new RowMarks(input.rows)
    this.starts = new Float64Array(blocks.size + 1)
    for (let i = 0; i < blocks.size; i++) this.starts[i + 1] = this.starts[i]! + pages.rows[i]!
    let end = 0
    this.groupEnds = reader.rowGroupRows.map((rows) => (end += rows))
    if (this.starts[blocks.size] !== end) throw new CorruptionError('lake.rows', `${end} rows, the lake says ${this.starts[blocks.size]}`, { file: name })
  }

  /** First row of the row group at hand, as a position in the file. */
  get groupStart(): number {
    return this.group === 0 ? 0 : this.groupEnds[this.group - 1]!
  }

  /** As many pages as lie in the row group of the first one. */
  run(block: BlockNumber, count: number): TakenRun {
    const { rows: { blocks }, file: { reader, schema } } = this.input
    const at = blocks.indexOf(block)
    const start = this.starts[at]!
    const group = this.groupEnds.findIndex((end) => start < end)
    if (group !== this.group) {
      this.batch = undefined
      this.former = undefined
      this.batch = new Batch(schema, reader.readRowGroup(group).columns)
      this.group = group
    }
    const groupEnd = this.groupEnds[group]!
    let taken = 1
    while (taken < count && this.starts[at + taken + 1]! <= groupEnd) taken++
    if (this.starts[at + taken]! > groupEnd) throw new CorruptionError('lake.page', 'a page is in two row groups', { block, file: this.input.name })
    return { batch: this.batch!, first: start - this.groupStart, end: this.starts[at + taken]! - this.groupStart, count: taken }
  }

  /** Forgets the row group at hand: all pages were given. */
  release(): void {
    this.batch = this.former = undefined
  }

  /** The former of the row group at hand. */
  pageFormer(): PageFormer {
    return this.former ??= new PageFormer(this.batch!, false)
  }
}

class FileMerger {
  readonly batch: Batch
  readonly lanes: LaneCounts = newLaneCounts()
  readonly summary: MergedRows
  /** Rows of the row groups that were taken. */
  rows = 0
  private readonly former: PageFormer
  private readonly page = newPageBuffer()

  constructor(batch: Batch, generate: boolean) {
    this.batch = batch
    this.former = new PageFormer(batch, generate)
    this.summary = new MergedRows(batch.schema.columns)
  }

  /** Copies the page of a block and, as far as they lie in one row group, those of the next ones. @returns how many */
  take(giver: Giver, block: BlockNumber, count: number): number {
    const { batch, lanes } = this
    const run = giver.run(block, count)
    const to = batch.rows
    // The page headers of a file with other flags are said in full, page by page.
    const isPlain = giver.input.file.schema.context.pageFlags === batch.schema.context.pageFlags
    if (!isPlain || !this.copyPlain(giver, run, block)) {
      batch.truncate(to)
      for (const page of this.pagesOf(giver, run, block)) this.copyPage(giver, page)
    }
    countRows(batch, to, lanes)
    lanes.pages += run.count
    this.summary.move(giver.marks, giver.groupStart + run.first, run.end - run.first, this.rows + to)
    return run.count
  }

  /** @returns false if some page does not form back */
  private copyPlain(giver: Giver, run: TakenRun, block: BlockNumber): boolean {
    const to = this.batch.rows
    giver.copied.append(run.batch, run.first, run.end)
    for (const page of this.pagesOf(giver, run, block)) if (!this.isProven(to + page.first - run.first, to + page.end - run.first, page)) return false
    return true
  }

  private copyPage(giver: Giver, page: TakenPage): void {
    const { batch } = this
    const to = batch.rows
    giver.copied.append(page.batch, page.first, page.end)
    const rows = batch.rows
    if (giver.input.file.schema.context.pageFlags !== batch.schema.context.pageFlags) this.storeHeader(giver, page, to)
    if (this.isProven(to, rows, page)) return
    // The last resort of a page whose rows do not form it under the new descriptor.
    const { pageImage } = batch.physical
    this.formSource(giver, page)
    pageImage.truncate(to)
    pageImage.padTo(to)
    pageImage.push(this.page.bytes)
    assert(this.isProven(to, rows, page), 'a page image forms back')
  }

  private isProven(first: number, end: number, { block, crc }: TakenPage): boolean {
    try {
      this.former.form(first, end, block, this.page)
    } catch (error) {
      if (error instanceof ParseError || error instanceof RangeError || error instanceof CorruptionError) return false
      throw error
    }
    return crc32c(this.page.bytes) === crc
  }

  /** The page as its own file forms it. @throws CorruptionError if it is not the one that was written */
  private formSource(giver: Giver, { block, first, end, crc }: TakenPage): void {
    const position = { file: giver.input.name, block }
    try {
      giver.pageFormer().form(first, end, block, this.page)
    } catch (error) {
      if (isPositioned(error)) throw error.at(position)
      if (error instanceof ParseError || error instanceof RangeError) throw new CorruptionError('lake.value', error.message, position)
      throw error
    }
    const computed = crc32c(this.page.bytes)
    if (computed !== crc) throw new CorruptionError('lake.page-crc', `rebuilt page has CRC ${computed}, its block index says ${crc}`, position)
  }

  /** What the file's own flags predict is not what the new one's do. */
  private storeHeader(giver: Giver, page: TakenPage, to: number): void {
    const { pageHeader, headerKind, headerBytes, headerCount, pageImage } = this.batch.physical
    if (!pageHeader.isNull(to) || !pageImage.isNull(to)) return
    this.formSource(giver, page)
    pageHeader.truncate(to)
    pageHeader.padTo(to)
    headerKind.push1(PAGE_KIND_HEADER)
    headerBytes.push(this.page.bytes, 8, SIZE_OF_PAGE_HEADER)
    headerCount.push1(linePointerCount(this.page.bytes))
    this.batch.physical.headerSpecial.push(new Uint8Array(0))
    pageHeader.close()
  }

  private *pagesOf({ input: { rows: { blocks, pages }, name } }: Giver, { batch, first, count }: TakenRun, block: BlockNumber): Generator<TakenPage> {
    const numbers = batch.physical.block.words
    const stored = batch.physical.pageCrc
    let from = first
    for (let i = blocks.indexOf(block), left = count, number = block; left > 0; i++, left--, number++) {
      const end = from + pages.rows[i]!
      const crc = pages.crcs[i]!
      if (numbers[from * 2] !== number || numbers[end * 2 - 2] !== number) {
        throw new CorruptionError('lake.blocks', `block ${numbers[from * 2]} where the block index has another one`, { file: name, block: number })
      }
      if (stored.words[from]! >>> 0 !== crc) {
        throw new CorruptionError('lake.page-crc', `the first row has CRC ${stored.words[from]! >>> 0}, the block index ${crc}`, { file: name, block: number })
      }
      yield { batch, block: number, crc, first: from, end }
      from = end
    }
  }

  /** Ends the row group: its vectors, one per field, until {@link release}. */
  takeRowGroup(): { vectors: ReturnType<Batch['seal']>; rows: number } {
    const { batch } = this
    const vectors = batch.seal()
    countValues(batch, this.lanes)
    this.lanes.pageImages += notNull(batch.physical.pageImage)
    this.summary.add(batch)
    this.rows += batch.rows
    return { vectors, rows: batch.rows }
  }

  release(): void {
    this.batch.clear()
    this.batch.release()
  }
}

/** Rows [first, end) of a row group: the page of one block. */
interface TakenPage {
  batch: Batch
  block: BlockNumber
  crc: number
  first: number
  end: number
}
