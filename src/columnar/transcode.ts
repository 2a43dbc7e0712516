import { assert } from '../common/errors.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { newVector } from '../vector/columntype.ts'
import type { Vector, WordVector } from '../vector/vector.ts'
import type { LaneCounts } from './lanes.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import {
  type ClusterDescriptor, DESCRIPTOR_KEY, encodeFileDescriptor, type FileDescriptor, FORMAT_VERSION, type RelationDescriptor, schemaContext,
} from './filedescriptor.ts'
import { type DamagedPage, PageTranscoder, type PageTranscoderOptions } from './pagetranscoder.ts'
import { encodeParquet, type ParquetOptions } from '../parquet/parquetwriter.ts'
import { sampleBlocks, samplePages } from './sample.ts'
import { relationSchema, type RelationSchema } from './schema.ts'

/** A row group is full at this many rows or bytes of values, at the next page border. Whoever reads one holds it several times over. */
const ROW_GROUP_ROWS = 131_072
const ROW_GROUP_BYTES = 24 << 20

/** Iceberg's reserved id of a position delete's `pos`. */
const HIDDEN_FIELD: LakeField = { name: 'pos', id: 2147483545, type: { kind: 'long' } }

/** Compiling code for a TupleDesc takes about as long as interpreting this many pages. */
const GENERATE_BLOCKS_MIN = 64

export function worthGenerating(blocks: number): boolean {
  return blocks >= GENERATE_BLOCKS_MIN
}

export type Compression = ParquetOptions['compression']

/** What a file is made of, before any of its pages is read. */
export interface TranscodePlan {
  descriptor: FileDescriptor
  schema: RelationSchema
  parquet: ParquetOptions
}

/** Blocks [firstBlock, firstBlock + blockCount) of one relation. */
export interface BlockRange {
  firstBlock: number
  blockCount: number
}

/**
 * Files are cut so that a relation of some size feeds several workers, and so that none is tiny or huge. The cut depends on
 * the relation alone: any number of workers writes the same lake.
 */
const FILES_WANTED = 8
const FILE_BLOCKS_MIN = 4096
const FILE_BLOCKS_MAX = 12288

/** The files of a relation of so many blocks: at least one, so that a relation without blocks has its schema in the lake. */
export function fileRanges(blocks: number): BlockRange[] {
  const size = Math.min(FILE_BLOCKS_MAX, Math.max(FILE_BLOCKS_MIN, Math.ceil(blocks / FILES_WANTED)))
  const count = Math.max(1, Math.ceil(blocks / size))
  return Array.from({ length: count }, (_, i) => ({ firstBlock: i * size, blockCount: Math.min(size, blocks - i * size) }))
}

/** Reads a page for the sample: 8-byte aligned memory that begins with it. */
export type ReadSample = (block: number) => Uint8Array

/** Looks at some pages of the range, then fixes schema, encodings and footer of the file. */
export function planFile(
  cluster: ClusterDescriptor, relation: RelationDescriptor, range: BlockRange, compression: Compression, readSample: ReadSample,
): TranscodePlan {
  const base = { ...cluster, relation }
  const context = schemaContext({ ...base, displayScales: {}, pageFlags: 0 })
  const { displayScales, pageFlags, highCardinality } = samplePages(context, samples(range, readSample), ROW_GROUP_ROWS)
  const descriptor: FileDescriptor = { format: FORMAT_VERSION, blockSize: BLOCK_SIZE, ...base, ...range, displayScales, pageFlags }
  const parquet: ParquetOptions = {
    compression,
    metadata: { [DESCRIPTOR_KEY]: encodeFileDescriptor(descriptor) },
    dictionary: (column) => !highCardinality.has(column),
  }
  return { descriptor, schema: relationSchema(schemaContext(descriptor)), parquet }
}

function* samples({ firstBlock, blockCount }: BlockRange, readSample: ReadSample): Iterable<{ words: Int32Array; base: number; block: number }> {
  for (const block of sampleBlocks(firstBlock, blockCount)) {
    const page = readSample(block)
    yield { words: new Int32Array(page.buffer, page.byteOffset, BLOCK_SIZE / 4), base: 0, block }
  }
}

/** True when the transcoder holds enough for a row group: ask between pages. */
export function rowGroupIsFull(transcoder: PageTranscoder): boolean {
  return transcoder.rows >= ROW_GROUP_ROWS || transcoder.dataBytes() >= ROW_GROUP_BYTES
}

/** The list of hidden rows of a file: positions of the rows that no reader may see at L, ascending. Undefined without such rows. */
export function encodeHidden(hidden: readonly number[], compression: Compression): Uint8Array | undefined {
  if (hidden.length === 0) return undefined
  const positions = newVector(HIDDEN_FIELD.type) as WordVector
  positions.reserve(hidden.length)
  for (const position of hidden) positions.push2(position | 0, Math.floor(position / 4294967296))
  const groups = [{ columns: [positions as Vector], rows: hidden.length }]
  return encodeParquet([HIDDEN_FIELD], { compression, metadata: {}, dictionary: () => false }, groups)
}

export interface TranscodeOptions extends PageTranscoderOptions {
  cluster: ClusterDescriptor
  compression: Compression
}

export interface TranscodedFile {
  /** The Parquet file. */
  parquet: Uint8Array
  /** A Parquet file of the positions of hidden rows; undefined if all rows are visible. */
  hidden: Uint8Array | undefined
  rows: number
  lanes: LaneCounts
  damaged: readonly DamagedPage[]
}

/**
 * Pages → one Parquet file, each page proven to form back. Pure: same pages and options, same bytes.
 * @param relation `blocks` is the whole relation's length
 * @param pages blocks 0.. of the relation, 8192 bytes each, end to end
 * @throws CorruptionError with block, offset and attribute, unless options.onCorrupt is 'carry'
 */
export function transcodePages(relation: RelationDescriptor, pages: Uint8Array, options: TranscodeOptions): TranscodedFile {
  const aligned = (pages.byteOffset & 7) === 0 ? pages : pages.slice()
  for (let descriptor = relation; ; ) {
    const result = transcodeAligned(descriptor, aligned, options)
    if ('parquet' in result) return result
    descriptor = withOverflow(descriptor, result.wanted)
  }
}

/** The descriptor of files whose columns of these attnums have an `_overflow` child, too. */
export function withOverflow(relation: RelationDescriptor, wanted: Iterable<number>): RelationDescriptor {
  const before = relation.overflow ?? []
  const overflow = [...new Set([...before, ...wanted])].sort((a, b) => a - b)
  assert(overflow.length > before.length, 'a column is wanted that is there')
  return { ...relation, overflow }
}

function transcodeAligned(
  relation: RelationDescriptor, pages: Uint8Array, options: TranscodeOptions,
): TranscodedFile | Pick<PageTranscoder, 'wanted'> {
  const words = new Int32Array(pages.buffer, pages.byteOffset, pages.length >> 2)
  const range = { firstBlock: 0, blockCount: Math.floor(pages.length / BLOCK_SIZE) }
  const page = (block: number): Uint8Array => pages.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE)
  const plan = planFile(options.cluster, relation, range, options.compression, page)
  const transcoder = new PageTranscoder(plan.schema, options)
  let rows = 0
  function* rowGroups(): Iterable<{ rows: number; columns: Vector[] }> {
    for (let block = 0; block < range.blockCount; block++) {
      transcoder.add(words, (block * BLOCK_SIZE) / 4, block)
      if (!rowGroupIsFull(transcoder) && block + 1 < range.blockCount) continue
      const group = transcoder.takeRowGroup()
      if (transcoder.wanted.size > 0) continue
      rows += group.rows
      yield { rows: group.rows, columns: group.vectors }
    }
  }
  const parquet = encodeParquet(plan.schema.fields, plan.parquet, rowGroups())
  const { hidden, counts: lanes, damaged, wanted } = transcoder
  return wanted.size > 0 ? { wanted } : { parquet, hidden: encodeHidden(hidden, options.compression), rows, lanes, damaged }
}
