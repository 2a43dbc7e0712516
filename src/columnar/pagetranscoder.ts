import { ByteWriter, dataView } from '../common/bytes.ts'
import { crc32c } from '../common/crc32c.ts'
import { assert, CorruptionError, UnsupportedError } from '../common/errors.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { ParseError } from '../datum/codec.ts'
import type { Vector } from '../vector/vector.ts'
import { canonicalPage, newPageBuffer } from '../page/canonical.ts'
import { checkPageChecksum } from '../page/checksum.ts'
import { checkPageHeader, isZeroPage, PD_LSN } from '../page/header.ts'
import { checkLinePointers, linePointer, LP_NORMAL, lpFlags, lpLen, lpOff } from '../page/linepointer.ts'
import { Batch } from './batch.ts'
import { countRows, countValues } from './countlanes.ts'
import { PageDecoder, type RowVisibility } from './decodepage.ts'
import { TupleDecoder } from './decodetuple.ts'
import { generateDecoder } from './generatedecoder.ts'
import { PageFormer } from './formpage.ts'
import { type LaneCounts, newLaneCounts } from './lanes.ts'
import { PAGE_KIND_DAMAGED } from './physical.ts'
import type { RelationSchema } from './schema.ts'
import type { ToastSource } from '../tuple/toastsource.ts'
import type { ValueFaults } from './valuefaults.ts'

export interface PageTranscoderOptions {
  visibility: RowVisibility
  toast?: ToastSource
  /** The cluster has data checksums: verify each page's. */
  checksums: boolean
  /** What to do with a damaged page: throw, or carry it whole, hidden, and report it. The same for a value whose TOAST chunks are missing. */
  onCorrupt: 'fail' | 'carry'
  /** False: interpret only, which is faster than compiling code for a few pages. */
  generate?: boolean
}

export interface DamagedPage {
  block: number
  error: string
}

/**
 * Pages → batches, each page proven: it is formed back from the batch and compared with canonical(page). What differs is decoded
 * again value by value and takes the raw, tuple or page_image lane.
 */
export class PageTranscoder {
  readonly schema: RelationSchema
  readonly counts: LaneCounts = newLaneCounts()
  /** Rows of the file that no reader may see at L, ascending. */
  readonly hidden: number[] = []
  readonly damaged: DamagedPage[] = []
  /**
   * Attnums of columns that have values which only an `_overflow` child can show, but no such child. If there are any, the batches cannot be used:
   * add all pages, then transcode the file a second time with these attnums in the descriptor's `overflow`.
   */
  readonly wanted: Set<number> = new Set<number>()
  private readonly options: PageTranscoderOptions
  private readonly canonical = newPageBuffer()
  private readonly batch: Batch
  private readonly tuples: TupleDecoder
  private readonly decoder: PageDecoder
  private readonly former: PageFormer
  private rowsFlushed = 0
  /** The batch's rows were taken: their memory is the next row group's. */
  private taken = false

  constructor(schema: RelationSchema, options: PageTranscoderOptions) {
    this.schema = schema
    this.options = options
    this.batch = new Batch(schema)
    const { generate = true } = options
    this.former = new PageFormer(this.batch, generate)
    this.tuples = new TupleDecoder(this.batch, this.former.tuples, options.toast, options.onCorrupt === 'carry')
    const { tuples } = this
    const hide = (row: number): number => this.hidden.push(this.rowsFlushed + row)
    this.decoder = new PageDecoder(this.batch, tuples, options.visibility, hide, generate ? generateDecoder(schema, this.batch, tuples) : undefined)
  }

  /** Rows of the row group so far. */
  get rows(): number {
    return this.taken ? 0 : this.batch.rows
  }

  /** Bytes held by the current batch, for deciding when to take a row group. */
  dataBytes(): number {
    return this.taken ? 0 : this.batch.dataBytes()
  }

  /** Elements of the column of the current batch whose lists have most of them. */
  listElements(): number {
    return this.taken ? 0 : this.batch.listElements()
  }

  /**
   * Adds one page.
   * @param words memory that holds the page from word `base` on
   * @throws CorruptionError, with block; never with onCorrupt 'carry'
   */
  add(words: Int32Array, base: number, block: number): void {
    this.beginRowGroup()
    const first = this.batch.rows
    const hiddenBefore = this.hidden.length
    const page = new Uint8Array(words.buffer, words.byteOffset + base * 4, BLOCK_SIZE)
    try {
      this.check(page, block)
      canonicalPage(words, base, this.canonical)
      this.addProven(block)
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      error.at({ block })
      if (this.options.onCorrupt === 'fail') throw error
      this.batch.truncate(first)
      this.hidden.length = hiddenBefore
      this.carryDamaged(page, block, error)
    }
    this.counts.pages++
  }

  /** Counts the faulty values of a page that will not be decoded again. */
  private countFaults({ dangling, missingToast, unreadable, oversized, wanted }: ValueFaults): void {
    const { counts } = this
    counts.dangling += dangling
    counts.missingToast += missingToast
    counts.unreadable += unreadable
    counts.oversized += oversized
    for (const attnum of wanted) this.wanted.add(attnum)
  }

  private beginRowGroup(): void {
    if (this.taken) this.batch.clear()
    this.taken = false
  }

  private check(page: Uint8Array, block: number): void {
    if (isZeroPage(page)) return
    if (this.options.checksums) checkPageChecksum(page, block)
    checkPageHeader(page)
    checkLinePointers(page)
  }

  private addProven(block: number): void {
    const { batch, hidden, counts } = this
    const first = batch.rows
    const hiddenBefore = hidden.length
    if (!this.decodesAtOnce(block) || !this.formsBack(first, block)) {
      batch.truncate(first)
      hidden.length = hiddenBefore
      counts.reproved++
      this.decoder.decode(this.canonical, block, true)
      this.proveTuples(first, block)
      if (!this.formsBack(first, block)) this.carryImage(first, block)
    }
    const { pageCrc } = batch.physical
    pageCrc.padTo(first)
    pageCrc.push1(crc32c(this.canonical.bytes) | 0)
    countRows(batch, first, counts)
    this.countFaults(this.tuples.faults)
    this.counts.unknownStatus += this.decoder.unknownRows
  }

  /** A damaged tuple goes to the interpreter, too, because its error names the attribute. */
  private decodesAtOnce(block: number): boolean {
    try {
      return this.decoder.decode(this.canonical, block, false)
    } catch (error) {
      if (error instanceof CorruptionError || error instanceof UnsupportedError) return false
      throw error
    }
  }

  private formsBack(first: number, block: number): boolean {
    try {
      return this.former.matches(first, this.batch.rows, block, this.canonical)
    } catch (error) {
      if (error instanceof ParseError || error instanceof CorruptionError) return false
      throw error
    }
  }

  /** Tuples that do not form back although each value does (odd headers, bytes behind the last attribute) are carried whole. */
  private proveTuples(first: number, block: number): void {
    const { physical } = this.batch
    const scratch = new ByteWriter(BLOCK_SIZE)
    for (let row = first; row < this.batch.rows; row++) {
      const offset = physical.offset.words[row]!
      const pointer = offset === 0 ? 0 : linePointer(this.canonical.bytes, offset)
      if (lpFlags(pointer) !== LP_NORMAL || !physical.tuple.isNull(row)) continue
      const start = lpOff(pointer)
      const end = start + lpLen(pointer)
      if (this.tupleFormsBack(row, block, start, end, scratch)) continue
      physical.tuple.padTo(row)
      physical.tuple.push(this.canonical.bytes, start, end)
    }
  }

  private tupleFormsBack(row: number, block: number, start: number, end: number, scratch: ByteWriter): boolean {
    scratch.length = 0
    try {
      this.former.tuples.form(row, block, scratch)
    } catch (error) {
      if (error instanceof ParseError || error instanceof CorruptionError) return false
      throw error
    }
    if (scratch.length !== end - start) return false
    for (let at = start, i = 0; at < end; at++, i++) if (this.canonical.bytes[at] !== scratch.bytes[i]) return false
    return true
  }

  private carryImage(first: number, block: number): void {
    const { pageImage } = this.batch.physical
    pageImage.padTo(first)
    pageImage.push(this.canonical.bytes)
    this.counts.pageImages++
    assert(this.formsBack(first, block), 'a page image forms back')
  }

  private carryDamaged(page: Uint8Array, block: number, error: CorruptionError): void {
    const { batch } = this
    const { physical } = batch
    const row = batch.rows++
    this.hidden.push(this.rowsFlushed + row)
    physical.pushStructure(row, block)
    for (const column of batch.columns) column.padTo(batch.rows)
    for (const vector of [physical.pageLsn, physical.pageCrc, physical.pageHeader, physical.pageImage]) vector.padTo(row)
    const view = dataView(page)
    physical.pageLsn.push2(view.getInt32(PD_LSN + 4, true), view.getInt32(PD_LSN, true))
    physical.pageCrc.push1(crc32c(page) | 0)
    physical.headerKind.push1(PAGE_KIND_DAMAGED)
    physical.pageHeader.close()
    physical.pageImage.push(page)
    this.counts.pageImages++
    this.counts.structureRows++
    this.damaged.push({ block, error: error.message })
  }

  /** Call this when the row group that was taken is written. Its vectors must not be used afterwards. */
  release(): void {
    this.beginRowGroup()
    this.batch.release()
    this.tuples.release()
  }

  /** Ends the row group: its vectors, one per schema field. They are valid until the next page is added, or {@link release} is called. */
  takeRowGroup(): { rows: number; vectors: Vector[] } {
    const { batch, counts } = this
    const vectors = batch.seal()
    countValues(batch, counts)
    this.rowsFlushed += batch.rows
    this.taken = true
    return { rows: batch.rows, vectors }
  }
}
