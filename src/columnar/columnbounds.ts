import { ByteWriter, dataView } from '../common/bytes.ts'
import { utf8Decode, utf8Encode } from '../common/utf8.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import { BitVector, BytesVector, type StructVector, type Vector, type WordVector } from '../vector/vector.ts'
import type { ColumnType } from '../vector/columntype.ts'

/**
 * What readers need to know of a column to pass over a file. Bounds are in Iceberg's single-value serialization (spec, appendix D): integers, dates,
 * times and floats little-endian, decimals as the shortest big-endian two's complement, strings in UTF-8. They hold for the rows that a reader may
 * see. Lists, maps and their parts have none.
 */
export interface ColumnBounds {
  /** Field id. */
  id: number
  /** Rows of the file where the value is NULL; hidden rows count, too. */
  nulls: number
  /**
   * NaNs among the values that a reader may see, if there are any. Then the column has no bounds: a float's would not have NaN in them, and to
   * Postgres, Spark and DuckDB it is the greatest value.
   */
  nans?: number
  /** At most so much as the smallest value, and at least so much as the greatest one. Absent: unknown, or no value. */
  lower?: Uint8Array
  upper?: Uint8Array
}

/** Longer strings (in code points) and bytes are cut: Iceberg's default, truncate(16). */
const BOUND_LENGTH_MAX = 16
/** Two values that are equal so far, or one code point beyond the cut, have the same bound. */
const PREFIX_MAX = BOUND_LENGTH_MAX * 4 + 1

type BoundValue = number | bigint | Uint8Array

interface Leaf {
  field: LakeField
  /** Which column, which child of it, and so on. */
  path: readonly number[]
  nulls: number
  nans: number
  unbounded: boolean
  lowest: BoundValue | undefined
  greatest: BoundValue | undefined
}

/** Gathers the bounds of a file's columns, row group by row group. */
export class BoundsCollector {
  private readonly leaves: readonly Leaf[]

  /** @param fields the user columns */
  constructor(fields: readonly LakeField[]) {
    this.leaves = fields.flatMap((field, i) => leavesOf(field, [i]))
  }

  /** @param columns one vector per field @param seen of each row: 1 if a reader may see it, else 0 */
  add(columns: readonly Vector[], seen: Uint8Array): void {
    for (const leaf of this.leaves) {
      const vector = leaf.path.slice(1).reduce((parent, child) => (parent as StructVector).children[child]!, columns[leaf.path[0]!]!)
      addValues(leaf, vector, seen)
    }
  }

  /** In order of the columns. */
  finish(): ColumnBounds[] {
    return this.leaves.map(({ field: { id, type }, nulls, nans, unbounded, lowest, greatest }) => {
      const bounds: ColumnBounds = { id, nulls, ...(nans > 0 && { nans }) }
      if (unbounded || nans > 0 || lowest === undefined || greatest === undefined) return bounds
      const upper = serialized(type, greatest, 'upper')
      return { ...bounds, lower: serialized(type, lowest, 'lower')!, ...(upper && { upper }) }
    })
  }
}

function leavesOf(field: LakeField, path: readonly number[]): Leaf[] {
  if (field.type.kind === 'list' || field.type.kind === 'map') return []
  if (field.type.kind === 'struct') return field.children!.flatMap((child, i) => leavesOf(child, [...path, i]))
  return [{ field, path, nulls: 0, nans: 0, unbounded: false, lowest: undefined, greatest: undefined }]
}

function addValues(leaf: Leaf, vector: Vector, seen: Uint8Array): void {
  const { type } = leaf.field
  // Values that are not in memory are very large ones: to fetch them twice would cost more than any reader saves.
  if (vector instanceof BytesVector && vector.laterBytes > 0) leaf.unbounded = true
  const compare = comparison(type, vector)
  const isNaN = nanTest(type, vector)
  let [min, max] = [-1, -1]
  for (let row = 0; row < seen.length; row++) {
    if (vector.isNull(row)) leaf.nulls++
    else if (seen[row] === 0 || leaf.unbounded) continue
    else if (isNaN?.(row) === true) leaf.nans++
    else {
      if (min < 0 || compare(row, min) < 0) min = row
      if (max < 0 || compare(row, max) > 0) max = row
    }
  }
  if (min < 0) return
  const [lowest, greatest] = [valueOf(type, vector, min), valueOf(type, vector, max)]
  if (leaf.lowest === undefined || compareValues(lowest, leaf.lowest) < 0) leaf.lowest = lowest
  if (leaf.greatest === undefined || compareValues(greatest, leaf.greatest) > 0) leaf.greatest = greatest
}

/** Compares the values of two rows. */
function comparison({ kind }: ColumnType, vector: Vector): (a: number, b: number) => number {
  if (vector instanceof BitVector) return (a, b) => Number(vector.get(a)) - Number(vector.get(b))
  if (vector instanceof BytesVector) {
    const { bytes } = vector.data
    const endOf = (row: number): number => Math.min(vector.end(row), vector.start(row) + PREFIX_MAX)
    return (a, b) => compareRanges(bytes, vector.start(a), endOf(a), bytes, vector.start(b), endOf(b))
  }
  const { words, wordsPerValue: size } = vector as WordVector
  if (kind === 'float' || kind === 'double') {
    const valueAt = floats(kind, vector as WordVector)
    return (a, b) => valueAt(a) - valueAt(b)
  }
  if (kind === 'uuid') {
    const bytes = bytesOf(words)
    return (a, b) => compareRanges(bytes, a * 16, a * 16 + 16, bytes, b * 16, b * 16 + 16)
  }
  return (a, b) => {
    for (let word = size - 1; word >= 0; word--) {
      const [x, y] = [words[a * size + word]!, words[b * size + word]!]
      if (x !== y) return word === size - 1 ? x - y : (x >>> 0) - (y >>> 0)
    }
    return 0
  }
}

function nanTest({ kind }: ColumnType, vector: Vector): ((row: number) => boolean) | undefined {
  if (kind !== 'float' && kind !== 'double') return undefined
  const valueAt = floats(kind, vector as WordVector)
  return (row) => Number.isNaN(valueAt(row))
}

function floats(kind: 'float' | 'double', { words }: WordVector): (row: number) => number {
  const view = dataView(bytesOf(words))
  return kind === 'float' ? (row) => view.getFloat32(row * 4, true) : (row) => view.getFloat64(row * 8, true)
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

function valueOf({ kind }: ColumnType, vector: Vector, row: number): BoundValue {
  if (vector instanceof BitVector) return Number(vector.get(row))
  if (vector instanceof BytesVector) {
    const start = vector.start(row)
    return vector.data.bytes.slice(start, Math.min(vector.end(row), start + PREFIX_MAX))
  }
  const { words, wordsPerValue: size } = vector as WordVector
  if (kind === 'float' || kind === 'double') return floats(kind, vector as WordVector)(row)
  if (kind === 'uuid') return bytesOf(words).slice(row * 16, row * 16 + 16)
  let value = BigInt(words[row * size + size - 1]!)
  for (let word = size - 2; word >= 0; word--) value = (value << 32n) | BigInt(words[row * size + word]! >>> 0)
  return value
}

function compareValues(a: BoundValue, b: BoundValue): number {
  if (a instanceof Uint8Array) return compareBytes(a, b as Uint8Array)
  return a < (b as number | bigint) ? -1 : Number(a > (b as number | bigint))
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return compareRanges(a, 0, a.length, b, 0, b.length)
}

/** Bytes [aStart, aEnd) of `a` against [bStart, bEnd) of `b`. */
function compareRanges(a: Uint8Array, aStart: number, aEnd: number, b: Uint8Array, bStart: number, bEnd: number): number {
  const length = Math.min(aEnd - aStart, bEnd - bStart)
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return a[aStart + i]! - b[bStart + i]!
  return aEnd - aStart - (bEnd - bStart)
}

/** Undefined if no bound is greater: what is cut is the greatest character again and again. */
function serialized({ kind }: ColumnType, value: BoundValue, side: 'lower' | 'upper'): Uint8Array | undefined {
  if (kind === 'string') return cutString(value as Uint8Array, side)
  if (kind === 'binary') return cutBytes(value as Uint8Array, side)
  if (kind === 'uuid') return value as Uint8Array
  if (kind === 'boolean') return Uint8Array.of(value as number)
  if (kind === 'decimal') return minimalBigEndian(value as bigint)
  const out = new ByteWriter(8)
  // Zero has two forms, and engines differ in which is the smaller one.
  if (kind === 'double') out.f64(value === 0 ? (side === 'lower' ? -0 : 0) : value as number)
  else if (kind === 'float') floatBytes(value === 0 ? (side === 'lower' ? -0 : 0) : value as number, out)
  else if (kind === 'int' || kind === 'date') out.u32(Number(value))
  else out.i64(value as bigint)
  return out.take()
}

function floatBytes(value: number, out: ByteWriter): void {
  out.zeros(4)
  out.view.setFloat32(out.length - 4, value, true)
}

function minimalBigEndian(value: bigint): Uint8Array {
  const bytes: number[] = []
  for (let rest = value; ; rest >>= 8n) {
    bytes.unshift(Number(BigInt.asUintN(8, rest)))
    if (BigInt.asIntN(8, rest) === rest) return Uint8Array.from(bytes)
  }
}

function cutBytes(value: Uint8Array, side: 'lower' | 'upper'): Uint8Array | undefined {
  if (value.length <= BOUND_LENGTH_MAX) return value
  const cut = value.slice(0, BOUND_LENGTH_MAX)
  if (side === 'lower') return cut
  let last = cut.length - 1
  while (last >= 0 && cut[last] === 0xff) last--
  if (last < 0) return undefined
  cut[last]!++
  return cut.slice(0, last + 1)
}

const SURROGATES = 0xd800
const AFTER_SURROGATES = 0xe000
const LAST_CODE_POINT = 0x10ffff

function cutString(value: Uint8Array, side: 'lower' | 'upper'): Uint8Array | undefined {
  let [characters, end] = [0, 0]
  for (; end < value.length; end++) if ((value[end]! & 0xc0) !== 0x80 && ++characters > BOUND_LENGTH_MAX) break
  if (end === value.length) return value
  if (side === 'lower') return value.slice(0, end)
  const points = Array.from(utf8Decode(value.subarray(0, end)), (char) => char.codePointAt(0)!)
  while (points.at(-1) === LAST_CODE_POINT) points.pop()
  const last = points.pop()
  if (last === undefined) return undefined
  return utf8Encode(String.fromCodePoint(...points, last + 1 === SURROGATES ? AFTER_SURROGATES : last + 1))
}
