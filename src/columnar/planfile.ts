import type { BlockSet } from '../common/blockset.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import type { CodecContext } from '../datum/typedef.ts'
import type { PageSource } from '../page/pagesource.ts'
import { COMPRESSOR } from '../parquet/encoderfacts.ts'
import type { ParquetOptions } from '../parquet/parquetwriter.ts'
import type { Batch } from './batch.ts'
import {
  type ClusterDescriptor, DESCRIPTOR_KEY, encodeFileDescriptor, type FileDescriptor, formatOf, type RelationDescriptor, schemaContext, withCodecs,
} from './filedescriptor.ts'
import { sampleBlocks, samplePages } from './sample.ts'
import { relationSchema, type RelationSchema } from './schema.ts'

/** A row group is full at this many rows or bytes of values, at the next page border. A reader holds a row group several times over in memory. */
const ROW_GROUP_ROWS = 131_072
const ROW_GROUP_BYTES = 24 << 20
/** Or elements of lists: nulls, booleans and empty strings have no bytes, but the encoder holds levels of each. */
const ROW_GROUP_ELEMENTS = 1 << 25

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

/**
 * Files are cut so that a relation of some size feeds several workers, and so that none is tiny or huge. The cut depends on
 * the relation alone: any number of workers writes the same lake.
 */
const FILES_WANTED = 8
const FILE_BLOCKS_MIN = 4096
const FILE_BLOCKS_MAX = 12288

/** The files of these blocks of a relation: at least one, so that a relation without blocks has its schema in a lake of format 1. */
export function fileSets(blocks: BlockSet): BlockSet[] {
  const size = Math.min(FILE_BLOCKS_MAX, Math.max(FILE_BLOCKS_MIN, Math.ceil(blocks.size / FILES_WANTED)))
  return blocks.size === 0 ? [blocks] : [...blocks.batches(size)]
}

/**
 * Looks at some pages of a file, which it prepares, then fixes schema, encodings and footer of the file.
 * @param extensions codecs from outside, by typname
 * @throws UnsupportedError lake.blocks for gaps in format 1
 */
export async function planFile(
  cluster: ClusterDescriptor, relation: RelationDescriptor, blocks: BlockSet, compression: Compression, pages: PageSource,
  extensions?: CodecContext['extensions'],
): Promise<TranscodePlan> {
  await pages.prepare(sampleBlocks(blocks))
  return planPrepared(cluster, relation, blocks, compression, pages, extensions)
}

/** {@link planFile} of pages that need no preparation. */
export function planPrepared(
  cluster: ClusterDescriptor, relation: RelationDescriptor, blocks: BlockSet, compression: Compression, pages: PageSource,
  extensions?: CodecContext['extensions'],
): TranscodePlan {
  const base = { ...cluster, relation: withCodecs(relation, cluster, extensions) }
  const context = schemaContext({ ...base, displayScales: {}, pageFlags: 0 }, extensions)
  const { highCardinality, ...predicted } = samplePages(context, samples(blocks, pages), ROW_GROUP_ROWS)
  return planPredicted(base, blocks, compression, { ...predicted, dictionary: (column) => !highCardinality.has(column) }, extensions)
}

/** What a file predicts of its pages, and how its columns are encoded. */
export type Predicted = Pick<FileDescriptor, 'displayScales' | 'pageFlags'>
  & Required<Pick<FileDescriptor, 'compositeHeaders'> & Pick<ParquetOptions, 'dictionary'>>

/** @param base names the codecs from outside that its types need */
export function planPredicted(
  base: ClusterDescriptor & { relation: RelationDescriptor }, blocks: BlockSet, compression: Compression,
  { displayScales, pageFlags, compositeHeaders, dictionary }: Predicted, extensions?: CodecContext['extensions'],
): TranscodePlan {
  const format = formatOf(base.relation)
  const descriptor: FileDescriptor = {
    format, blockSize: BLOCK_SIZE, ...base, blocks, displayScales, pageFlags,
    ...(format > 1 && { compressor: COMPRESSOR, ...(Object.keys(compositeHeaders).length > 0 && { compositeHeaders }) }),
  }
  const parquet: ParquetOptions = { compression, metadata: { [DESCRIPTOR_KEY]: encodeFileDescriptor(descriptor) }, dictionary }
  return { descriptor, schema: relationSchema(schemaContext(descriptor, extensions)), parquet }
}

function* samples(blocks: BlockSet, pages: PageSource): Iterable<{ words: Int32Array; base: number; block: number }> {
  for (const block of sampleBlocks(blocks)) yield { words: pageWords(pages.read(block)), base: 0, block }
}

/** The 2048 words of a page that begins at a multiple of 4 in its buffer. */
export function pageWords(page: Uint8Array): Int32Array {
  return new Int32Array(page.buffer, page.byteOffset, BLOCK_SIZE / 4)
}

/** True when the rows that were gathered are enough for a row group: ask between pages. */
export function rowGroupIsFull(gathered: Pick<Batch, 'rows' | 'dataBytes' | 'listElements'>): boolean {
  return gathered.rows >= ROW_GROUP_ROWS || gathered.dataBytes() >= ROW_GROUP_BYTES || gathered.listElements() >= ROW_GROUP_ELEMENTS
}
