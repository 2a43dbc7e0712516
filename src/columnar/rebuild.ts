import { crc32c } from '../common/crc32c.ts'
import { CorruptionError, isPositioned } from '../common/errors.ts'
import type { BlockNumber } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { ParseError } from '../datum/codec.ts'
import type { CodecContext } from '../datum/typedef.ts'
import type { StructVector, Vector } from '../vector/vector.ts'
import { newPageBuffer } from '../page/canonical.ts'
import { setPageChecksum } from '../page/checksum.ts'
import { Batch } from './batch.ts'
import { DESCRIPTOR_KEY, type FileDescriptor, parseFileDescriptor, schemaContext } from './filedescriptor.ts'
import { type PageForm, PageFormer } from './formpage.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import { type ParquetReader, type ParquetSource, readParquet } from '../parquet/parquetreader.ts'
import { PhysicalColumns } from './physical.ts'
import { relationSchema, type RelationSchema } from './schema.ts'
import { worthGenerating } from './planfile.ts'

/** Takes one rebuilt page; `page` is reused for the next one. `firstRow` is the position in the file of the page's first row. */
export type PageSink = (block: number, page: Uint8Array, form: PageForm, firstRow: number) => void

/** Looks at the values of row groups before their pages are formed. */
export interface RowGroupWatch {
  /** Whether all values of the column with this field id are wanted; others that no page is formed from may be missing. */
  wants(id: number): boolean
  add(batch: Batch): void
}

export interface RebuildOptions {
  /** Codecs from outside, by typname: those that the file was written with. */
  extensions?: CodecContext['extensions']
}

/** A file of a lake whose columns are those that its footer describes. */
export interface OpenLakeFile {
  readonly descriptor: FileDescriptor
  readonly reader: ParquetReader
  readonly schema: RelationSchema
}

/**
 * @param file the whole Parquet file, or where its bytes are
 * @throws CorruptionError parquet.*, lake.*; UnsupportedError lake.format, datum.codec
 */
export function openLakeFile(file: Uint8Array | ParquetSource, { extensions }: RebuildOptions = {}): OpenLakeFile {
  const reader = readParquet(file)
  const descriptor = parseFileDescriptor(reader.metadata.get(DESCRIPTOR_KEY))
  const schema = relationSchema(schemaContext(descriptor, extensions))
  checkFields(schema.fields, reader.fields)
  return { descriptor, reader, schema }
}

/** A file of a lake, opened for rebuilding. */
export class PageRebuilder {
  readonly descriptor: FileDescriptor
  private readonly reader: ParquetReader
  private readonly schema: RelationSchema

  /** @throws as {@link openLakeFile} */
  constructor(file: Uint8Array | ParquetSource, options?: RebuildOptions) {
    ({ descriptor: this.descriptor, reader: this.reader, schema: this.schema } = openLakeFile(file, options))
  }

  get rows(): number {
    return this.reader.rows
  }

  /** The columns of the relation's attributes. */
  get columns(): readonly LakeField[] {
    return this.schema.columns
  }

  /**
   * Rebuilds every page of the file in block order: canonical pages, with pd_checksum set if the cluster has checksums, and damaged
   * pages as they were. Each page's CRC is checked against the one stored when it was read.
   */
  rebuild(sink: PageSink, watch?: RowGroupWatch): void {
    const { blocks } = this.descriptor
    const order = blocks[Symbol.iterator]()
    let done = 0
    let firstRow = 0
    for (let group = 0; group < this.reader.rowGroups; group++) {
      const { columns, rows } = this.reader.readRowGroup(group, (field, others) => (
        watch?.wants(this.schema.fields[field]!.id) === true ? () => true : this.isFormedFrom(field, others)))
      const batch = new Batch(this.schema, columns)
      watch?.add(batch)
      done += this.rebuildRowGroup(batch, order, firstRow, sink)
      firstRow += rows
    }
    if (done !== blocks.size) throw new CorruptionError('lake.blocks', `${done} blocks in a file of ${blocks.size}`)
  }

  /** A value whose stored bytes are in the raw lane is not needed to form its tuple. */
  private isFormedFrom(field: number, columns: readonly Vector[]): (row: number) => boolean {
    const attnum = this.schema.attributes.find(({ column }) => column?.index === field)?.attribute.attnum
    const { raw, rawAttnum } = new PhysicalColumns(columns.at(-1) as StructVector)
    return (row) => {
      if (raw.isNull(row)) return true
      for (let at = raw.start(row); at < raw.end(row); at++) if (rawAttnum.words[at] === attnum) return false
      return true
    }
  }

  /** @param order the blocks that must follow @returns how many pages it has */
  private rebuildRowGroup(batch: Batch, order: Iterator<BlockNumber>, firstRow: number, sink: PageSink): number {
    const former = new PageFormer(batch, worthGenerating(this.descriptor.blocks.size))
    const page = newPageBuffer()
    const { block } = batch.physical
    let done = 0
    for (let first = 0; first < batch.rows; ) {
      const number = block.words[first * 2]!
      let end = first + 1
      while (end < batch.rows && block.words[end * 2] === number) end++
      const next = order.next()
      if (next.done === true) throw new CorruptionError('lake.blocks', `block ${number} in a file that ends before it`)
      if (number !== next.value) throw new CorruptionError('lake.blocks', `block ${number} where ${next.value} must follow`)
      try {
        const form = former.form(first, end, number, page)
        this.checkCrc(batch, first, page.bytes)
        if (form === 'canonical' && this.descriptor.checksums) setPageChecksum(page.bytes, number)
        sink(number, page.bytes, form, firstRow + first)
      } catch (error) {
        throw asCorruption(error, number)
      }
      first = end
      done++
    }
    return done
  }

  private checkCrc(batch: Batch, first: number, page: Uint8Array): void {
    const { pageCrc } = batch.physical
    const stored = pageCrc.words[first]! >>> 0
    const computed = crc32c(page)
    if (stored !== computed) throw new CorruptionError('lake.page-crc', `rebuilt page has CRC ${computed}, its first row says ${stored}`)
  }
}

/** Values that their codec cannot form are damage of the file here, whatever the codec calls it. */
function asCorruption(error: unknown, block: number): unknown {
  if (isPositioned(error)) return error.at({ block })
  if (error instanceof ParseError || error instanceof RangeError) return new CorruptionError('lake.value', error.message, { block })
  return error
}

/** The columns must be the ones that the pinned descriptor means, else values would be formed by the wrong codec. */
function checkFields(expected: readonly LakeField[], found: readonly LakeField[]): void {
  const shape = (fields: readonly LakeField[]): string =>
    JSON.stringify(fields.map(({ name, id, type, children }) => [name, id, type.kind, children ? shape(children) : '']))
  if (shape(expected) !== shape(found)) throw new CorruptionError('lake.schema', 'the columns of the file are not those its footer describes')
}

/** The most blocks that ltap itself puts into a file. */
const CLAIM_BLOCKS_MAX = 12288

/**
 * One Parquet file → its pages, end to end, in block order.
 * @throws CorruptionError if anything in the file does not lead back to the page that was read; UnsupportedError lake.format, datum.codec
 */
export function rebuildPages(parquet: Uint8Array, options?: RebuildOptions): Uint8Array {
  const rebuilder = new PageRebuilder(parquet, options)
  const { blocks } = rebuilder.descriptor
  // The descriptor's count is only a claim until as many pages are there.
  let pages = new Uint8Array(Math.min(blocks.size, CLAIM_BLOCKS_MAX) * BLOCK_SIZE)
  let at = 0
  rebuilder.rebuild((_, page) => {
    if (at + BLOCK_SIZE > pages.length) pages = grown(pages, blocks.size * BLOCK_SIZE)
    pages.set(page, at)
    at += BLOCK_SIZE
  })
  return pages.subarray(0, at)
}

function grown(pages: Uint8Array<ArrayBuffer>, max: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(max, pages.length * 2))
  larger.set(pages)
  return larger
}
