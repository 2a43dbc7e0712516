import * as v from 'valibot'
import type { BlockSet } from '../common/blockset.ts'
import { blockSet, blockSetText } from '../common/blocksetcodec.ts'
import { crc32c } from '../common/crc32c.ts'
import { count, faulty, integer, matching, type Persisted, pieceStart, type Schema, unsigned32, validate } from '../common/validate.ts'
import type { ColumnBounds } from '../columnar/columnbounds.ts'
import type { FileSummary, UnresolvedRun } from '../columnar/filesummary.ts'
import { type LaneCounts, newLaneCounts } from '../columnar/lanes.ts'
import { encodeBlockIndex } from './blockindex.ts'
import { PACKED_PAGE_MAX, type PackPlace } from './pack.ts'
import { objectKey } from './state/page.ts'
import type { StateFile } from './state/relationlayers.ts'

/** An object of the lake and how to know that it is the one that was written. */
export interface ObjectReference {
  /** Below the lake: segments of [A-Za-z0-9._=-], joined by `/`. */
  key: string
  bytes: number
  /** CRC-32C of the whole object. */
  crc: number
}

/** Blocks of a layer, as the lake's state has them in either form. */
export interface StoredBlocks {
  /** The object. Files of one layer have different ones. */
  key: string
  /** The blocks whose whole content it has, as of the layer's LSN. */
  blocks: BlockSet
  /** Number of rows that a Parquet file of these blocks has, structure rows included. */
  rows: number
  /** How values and tuples travelled: counts that are not 0. */
  lanes: Partial<LaneCounts>
  /** Rows whose visibility was open; absent if they are many: then the block index alone has them. */
  unresolved?: readonly UnresolvedRun[]
  /** The bytes of the block index, or the object beside the file that has them: states of its pages, hidden rows, and the unresolved ones again. */
  index: ObjectReference | Uint8Array
}

/** A Parquet file of a layer: all that Iceberg, Delta and DuckLake need to be told of it, so that no file is read again to publish it. */
export interface ParquetFile extends StoredBlocks, ObjectReference {
  /** Bounds of the user columns, as many as have room in an entry: of a very wide table the first ones. */
  columns: readonly ColumnBounds[]
}

/** Pages of a small relation in a pack, an object that has those of many (src/lake/pack.ts). */
export interface PackedFile extends StoredBlocks {
  pack: PackPlace
  index: Uint8Array
}

/** A file of a layer in either form. */
export type LayerFile = ParquetFile | PackedFile

export function isPacked(file: LayerFile): file is PackedFile {
  return 'pack' in file
}

/** Tells files of a lake apart: a pack has files of many relations, and of one relation once. */
export function fileId(file: LayerFile): string {
  return isPacked(file) ? `${file.key}:${file.pack.start}` : file.key
}

/** Bytes of the store that the file's blocks take, with the object beside it. */
export function storedBytes(file: LayerFile): number {
  if (isPacked(file)) return file.pack.sizes.reduce((sum, size) => sum + size, 0)
  return file.bytes + (file.index instanceof Uint8Array ? 0 : file.index.bytes)
}

/** A block index of at most so many bytes is part of the entry: it has some 10 bytes for each block. */
const INLINE_INDEX_MAX = 512
/** The most characters of unresolved rows that are part of an entry. */
const UNRESOLVED_TEXT_MAX = 4096
/** The most characters of bounds that are part of an entry. Further columns have no bounds, as Iceberg has no metrics after column 100. */
const BOUNDS_TEXT_MAX = 8192

/** The entry of a Parquet file that was written, and the object that goes beside it, if any: it is put before the entry is committed. */
export function layerFile(
  file: ObjectReference, indexKey: string, blocks: BlockSet, { summary, lanes = {} }: { summary: FileSummary; lanes?: Partial<LaneCounts> },
): { file: ParquetFile; index: Uint8Array | undefined } {
  const { index, ...stored } = storedBlocks(blocks, summary, lanes)
  const isInline = index.length <= INLINE_INDEX_MAX
  return {
    file: {
      ...file, ...stored, columns: firstColumns(summary.columns),
      index: isInline ? index : { key: indexKey, bytes: index.length, crc: crc32c(index) },
    },
    index: isInline ? undefined : index,
  }
}

/** What the entry of a packed file says beside its place. */
export function storedBlocks(blocks: BlockSet, summary: FileSummary, lanes: Partial<LaneCounts> = {}): Omit<PackedFile, 'key' | 'pack'> {
  const { pages, damaged, hidden, unresolved } = summary
  const few = JSON.stringify(unresolvedJson(unresolved)).length <= UNRESOLVED_TEXT_MAX
  return {
    blocks, rows: pages.rows.reduce((sum, rows) => sum + rows, 0), lanes: nonZero(lanes), ...(few && { unresolved }),
    index: encodeBlockIndex({ blocks, pages, damaged, hidden, unresolved }),
  }
}

function firstColumns(columns: readonly ColumnBounds[]): readonly ColumnBounds[] {
  let left = BOUNDS_TEXT_MAX
  const end = columns.findIndex((column) => (left -= JSON.stringify(boundsJson(column)).length + 1) < 0)
  return end < 0 ? columns : columns.slice(0, end)
}

function nonZero(lanes: Partial<LaneCounts>): Partial<LaneCounts> {
  return Object.fromEntries(Object.entries(lanes).filter(([, number]) => number > 0))
}

/** An entry as JSON, a StateFile of a state: what {@link parseLayerFile} reads. */
export function layerFileJson(file: LayerFile): StateFile {
  const rows = file.unresolved && { unresolved: unresolvedJson(file.unresolved) }
  if (isPacked(file)) return { ...file, blocks: blockSetText(file.blocks), index: base64(file.index), ...rows }
  const { index, columns, ...rest } = file
  return { ...rest, ...indexJson(index), blocks: blockSetText(file.blocks), columns: columns.map(boundsJson), ...rows }
}

function indexJson(index: ParquetFile['index']): { objects?: [string]; index: unknown } {
  if (index instanceof Uint8Array) return { index: base64(index) }
  const { key, ...rest } = index
  return { objects: [key], index: rest }
}

function boundsJson({ lower, upper, ...column }: ColumnBounds): object {
  return { ...column, ...(lower && { lower: base64(lower) }), ...(upper && { upper: base64(upper) }) }
}

function unresolvedJson(runs: readonly UnresolvedRun[]): [number, number, number, string][] {
  return runs.map(({ first, count: rows, xid, which }) => [first, rows, xid, which])
}

function base64(bytes: Uint8Array): string {
  let binary = ''
  for (let at = 0; at < bytes.length; at += 4096) binary += String.fromCharCode(...bytes.subarray(at, at + 4096))
  return btoa(binary)
}

const REFERENCE_ENTRIES = { key: objectKey, bytes: count, crc: unsigned32 }

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)?$/
/** 16 code points, the last one greater by one. */
const BOUND_BYTES_MAX = 64
const bound = bytesInBase64(BOUND_BYTES_MAX)
/** A packed relation of 1,024 blocks with many unresolved rows has less. */
const inlineIndex = bytesInBase64(1 << 20)

function bytesInBase64(max: number): Schema<Uint8Array> {
  return v.pipe(
    v.custom<string>((value) => typeof value === 'string' && value.length <= Math.ceil(max / 3) * 4 && BASE64.test(value), `at most ${max} bytes in base64`),
    v.transform((text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0))))
}

const COLUMN = v.strictObject({
  id: integer(1, 999_999), nulls: count, nans: v.exactOptional(integer(1, Number.MAX_SAFE_INTEGER)),
  lower: v.exactOptional(bound), upper: v.exactOptional(bound),
})
const UNRESOLVED: Schema<UnresolvedRun> = v.pipe(
  v.strictTuple([count, integer(1, Number.MAX_SAFE_INTEGER), count, matching(/^xm(?:in|ax)$/, 'xmin or xmax')]),
  v.transform(([first, rows, xid, which]) => ({ first, count: rows, xid, which: which as UnresolvedRun['which'] })))

export const LANES: Schema<Partial<LaneCounts>> = v.strictObject(
  Object.fromEntries(Object.keys(newLaneCounts()).map((lane) => [lane, v.exactOptional(count)]))) as Schema<Partial<LaneCounts>>

const BLOCKS_ENTRIES = { blocks: blockSet, rows: count, lanes: LANES, unresolved: v.exactOptional(v.array(UNRESOLVED)) }
const PARQUET_ENTRIES = { ...REFERENCE_ENTRIES, ...BLOCKS_ENTRIES, columns: v.array(COLUMN) }
const SMALL_FILE = v.strictObject({ ...PARQUET_ENTRIES, index: inlineIndex })
const LARGE_FILE = v.strictObject({
  ...PARQUET_ENTRIES, objects: v.strictTuple([objectKey]), index: v.strictObject({ bytes: count, crc: unsigned32 }),
})
const PACKED_FILE = v.strictObject({
  ...BLOCKS_ENTRIES, key: objectKey, index: inlineIndex,
  pack: v.strictObject({
    start: pieceStart, sizes: v.array(integer(1, PACKED_PAGE_MAX)), compressor: matching(/^[a-z0-9][a-z0-9.:-]{0,63}$/, 'the name of a compressor'),
  }),
})

/**
 * @param persisted the structure that has the entry @param at the entry's path in it
 * @throws CorruptionError of `persisted.code` with the member, UnsupportedError for a member that this ltap does not know
 */
export function parseLayerFile(found: unknown, persisted: Persisted, at: string): LayerFile {
  const file = isRecord(found) && 'pack' in found ? validate(PACKED_FILE, found, persisted, at) : parseParquetFile(found, persisted, at)
  const wrong = (path: string, problem: string): Error => faulty(persisted, `${at}.${path}`, problem)
  if (file.rows < file.blocks.size) throw wrong('rows', `is ${file.rows}, but it has ${file.blocks.size} blocks`)
  const pages = isPacked(file) ? file.pack.sizes.length : file.blocks.size
  if (pages !== file.blocks.size) throw wrong('pack.sizes', `has ${pages} pages of ${file.blocks.size} blocks`)
  const outside = file.unresolved?.findIndex(({ first, count: rows }) => first + rows > file.rows) ?? -1
  if (outside >= 0) throw wrong(`unresolved[${outside}]`, `is not among the ${file.rows} rows`)
  return file
}

function isRecord(found: unknown): found is object {
  return typeof found === 'object' && found !== null
}

function parseParquetFile(found: unknown, persisted: Persisted, at: string): ParquetFile {
  const isSmall = isRecord(found) && 'index' in found && typeof found.index === 'string'
  const file = isSmall ? validate(SMALL_FILE, found, persisted, at) : largeFile(found, persisted, at)
  const wrong = (path: string, problem: string): Error => faulty(persisted, `${at}.${path}`, problem)
  for (const [i, { nulls, nans = 0, lower, upper }] of file.columns.entries()) {
    if (nulls + nans > file.rows) throw wrong(`columns[${i}].nulls`, `is ${nulls} of ${file.rows} rows`)
    if (nans > 0 && (lower ?? upper)) throw wrong(`columns[${i}]`, 'has bounds beside NaN')
  }
  if (new Set(file.columns.map(({ id }) => id)).size < file.columns.length) throw wrong('columns', 'has a field twice')
  return file
}

function largeFile(found: unknown, persisted: Persisted, at: string): ParquetFile {
  const { objects: [key], index, ...rest } = validate(LARGE_FILE, found, persisted, at)
  return { ...rest, index: { key, ...index } }
}
