import * as v from 'valibot'
import type { BlockSet } from '../common/blockset.ts'
import { blockSet, blockSetText } from '../common/blocksetcodec.ts'
import { crc32c } from '../common/crc32c.ts'
import { count, faulty, integer, matching, type Persisted, type Schema, unsigned32, validate } from '../common/validate.ts'
import type { ColumnBounds } from '../columnar/columnbounds.ts'
import type { FileSummary, UnresolvedRun } from '../columnar/filesummary.ts'
import { type LaneCounts, newLaneCounts } from '../columnar/lanes.ts'
import { encodeBlockIndex } from './blockindex.ts'
import type { StateFile } from './state/relationlayers.ts'

/** An object of the lake and how to know that it is the one that was written. */
export interface ObjectReference {
  /** Below the lake: segments of [A-Za-z0-9._=-], joined by `/`. */
  key: string
  bytes: number
  /** CRC-32C of the whole object. */
  crc: number
}

/**
 * A Parquet file of a layer, as the lake's state has it: all that Iceberg, Delta and DuckLake need to be told of it, so that no file is read again to
 * publish it.
 */
export interface LayerFile extends ObjectReference {
  /** The blocks whose whole content it has, as of the layer's LSN. */
  blocks: BlockSet
  /** Structure rows, too. */
  rows: number
  /** Bounds of the user columns, as many as have room in an entry: of a very wide table the first ones. */
  columns: readonly ColumnBounds[]
  /** How its values and tuples travelled: counts that are not 0. */
  lanes: Partial<LaneCounts>
  /** Rows whose visibility was open; absent if they are many: then the block index alone has them. */
  unresolved?: readonly UnresolvedRun[]
  /** The object beside it: states of its pages, hidden rows, and the unresolved ones again. */
  index: ObjectReference
}

/** The most characters of unresolved rows that are part of an entry. */
const UNRESOLVED_TEXT_MAX = 4096
/** The most characters of bounds that are part of an entry. Further columns have no bounds, as Iceberg has no metrics after column 100. */
const BOUNDS_TEXT_MAX = 8192
const KEY_MAX = 1024

/** The entry of a file that was written, and the object that goes beside it, to be put before the entry is committed. */
export function layerFile(
  file: ObjectReference, indexKey: string, blocks: BlockSet, { summary, lanes = {} }: { summary: FileSummary; lanes?: Partial<LaneCounts> },
): { file: LayerFile; index: Uint8Array } {
  const { columns, ...rest } = summary
  const index = encodeBlockIndex({ blocks, ...rest })
  const few = JSON.stringify(unresolvedJson(summary.unresolved)).length <= UNRESOLVED_TEXT_MAX
  return {
    file: {
      ...file, blocks, rows: summary.pages.rows.reduce((sum, rows) => sum + rows, 0), columns: firstColumns(columns),
      lanes: nonZero(lanes), ...(few && { unresolved: summary.unresolved }),
      index: { key: indexKey, bytes: index.length, crc: crc32c(index) },
    },
    index,
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
export function layerFileJson({ key, blocks, columns, unresolved, index: { key: indexKey, ...index }, ...rest }: LayerFile): StateFile {
  return {
    key, objects: [indexKey], ...rest, index, blocks: blockSetText(blocks), columns: columns.map(boundsJson),
    ...(unresolved && { unresolved: unresolvedJson(unresolved) }),
  }
}

function boundsJson({ lower, upper, ...column }: ColumnBounds): object {
  return { ...column, ...(lower && { lower: base64(lower) }), ...(upper && { upper: base64(upper) }) }
}

function unresolvedJson(runs: readonly UnresolvedRun[]): [number, number, number, string][] {
  return runs.map(({ first, count: rows, xid, which }) => [first, rows, xid, which])
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}

const KEY = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[A-Za-z0-9._=-]+(?:\/[A-Za-z0-9._=-]+)*$/
const objectKey: Schema<string> = v.custom<string>((key) => typeof key === 'string' && key.length <= KEY_MAX && KEY.test(key), 'a key of an object')
const REFERENCE_ENTRIES = { key: objectKey, bytes: count, crc: unsigned32 }

/** 16 code points, the last one greater by one. */
const BOUND_BYTES_MAX = 64
const bound: Schema<Uint8Array> = v.pipe(
  v.custom<string>((value) => typeof value === 'string' && isBase64(value), `at most ${BOUND_BYTES_MAX} bytes in base64`),
  v.transform((text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0))))

function isBase64(text: string): boolean {
  return text.length <= Math.ceil(BOUND_BYTES_MAX / 3) * 4 && /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)?$/.test(text)
}

const COLUMN = v.strictObject({
  id: integer(1, 999_999), nulls: count, nans: v.exactOptional(integer(1, Number.MAX_SAFE_INTEGER)),
  lower: v.exactOptional(bound), upper: v.exactOptional(bound),
})
const UNRESOLVED: Schema<UnresolvedRun> = v.pipe(
  v.strictTuple([count, integer(1, Number.MAX_SAFE_INTEGER), count, matching(/^xm(?:in|ax)$/, 'xmin or xmax')]),
  v.transform(([first, rows, xid, which]) => ({ first, count: rows, xid, which: which as UnresolvedRun['which'] })))

const LANES: Schema<Partial<LaneCounts>> = v.strictObject(
  Object.fromEntries(Object.keys(newLaneCounts()).map((lane) => [lane, v.exactOptional(count)]))) as Schema<Partial<LaneCounts>>

const LAYER_FILE = v.strictObject({
  ...REFERENCE_ENTRIES, objects: v.strictTuple([objectKey]), blocks: blockSet, rows: count, columns: v.array(COLUMN), lanes: LANES,
  unresolved: v.exactOptional(v.array(UNRESOLVED)), index: v.strictObject({ bytes: count, crc: unsigned32 }),
})

/**
 * @param persisted the structure that has the entry @param at the entry's path in it
 * @throws CorruptionError of `persisted.code` with the member, UnsupportedError for a member that this ltap does not know
 */
export function parseLayerFile(found: unknown, persisted: Persisted, at: string): LayerFile {
  const { objects: [indexKey], index, ...rest } = validate(LAYER_FILE, found, persisted, at)
  const file: LayerFile = { ...rest, index: { key: indexKey, ...index } }
  const wrong = (path: string, problem: string): Error => faulty(persisted, `${at}.${path}`, problem)
  if (file.rows < file.blocks.size) throw wrong('rows', `is ${file.rows}, but it has ${file.blocks.size} blocks`)
  for (const [i, { nulls, nans = 0, lower, upper }] of file.columns.entries()) {
    if (nulls + nans > file.rows) throw wrong(`columns[${i}].nulls`, `is ${nulls} of ${file.rows} rows`)
    if (nans > 0 && (lower ?? upper)) throw wrong(`columns[${i}]`, 'has bounds beside NaN')
  }
  if (new Set(file.columns.map(({ id }) => id)).size < file.columns.length) throw wrong('columns', 'has a field twice')
  const outside = file.unresolved?.findIndex(({ first, count: rows }) => first + rows > file.rows) ?? -1
  if (outside >= 0) throw wrong(`unresolved[${outside}]`, `is not among the ${file.rows} rows`)
  return file
}
