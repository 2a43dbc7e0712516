import { Data, type DataType, RecordBatch, type Schema, Struct, Type } from 'apache-arrow'
import { assert, CorruptionError } from '../common/errors.ts'
import { BitVector, BytesVector, ListVector, StructVector, type Vector, WordVector } from '../vector/vector.ts'

/**
 * Vectors and Arrow arrays have the same memory layout: one becomes the other as views over the same bytes.
 * An Arrow array may be a slice. Its `values` and `valueOffsets` are then cut already, but its bitmaps are not: they start at bit
 * `offset`. And the first of `valueOffsets` may be any number. A vector starts at 0 in both, so bitmaps and such offsets are copied.
 */

/**
 * A batch over the first `rows` rows of `columns`, one per field of `schema`; shorter columns are padded with nulls first.
 * It aliases the columns: write it before their next append.
 */
export function arrowBatch(schema: Schema, columns: readonly Vector[], rows: number): RecordBatch {
  assert(columns.length === schema.fields.length, `${columns.length} columns for ${schema.fields.length} fields`)
  const children = columns.map((column, i) => vectorData(column, schema.fields[i]!.type, rows))
  return new RecordBatch(schema, new Data(new Struct(schema.fields), 0, rows, 0, {}, children))
}

function vectorData(vector: Vector, type: DataType, rows: number): Data {
  vector.padTo(rows)
  const validity = vector.validity.subarray(0, (rows + 7) >> 3)
  if (vector instanceof WordVector) {
    return new Data(type, 0, rows, -1, [undefined, wordValues(vector, type, rows), validity])
  }
  if (vector instanceof BitVector) {
    assert(type.typeId === Type.Bool, `a vector of bits for ${type}`)
    return new Data(type, 0, rows, -1, [undefined, vector.bits.subarray(0, (rows + 7) >> 3), validity])
  }
  if (vector instanceof BytesVector) {
    assert(type.typeId === Type.Utf8 || type.typeId === Type.Binary, `a vector of bytes for ${type}`)
    const bytes = vector.data.bytes.subarray(0, vector.offsets[rows]!)
    return new Data(type, 0, rows, -1, [vector.offsets.subarray(0, rows + 1), bytes, validity])
  }
  if (vector instanceof ListVector) {
    assert(type.typeId === Type.List || type.typeId === Type.Map, `a vector of lists for ${type}`)
    const child = vectorData(vector.child, type.children[0]!.type, vector.offsets[rows]!)
    if (type.typeId === Type.Map) assertEntries(child)
    return new Data(type, 0, rows, -1, [vector.offsets.subarray(0, rows + 1), undefined, validity], [child])
  }
  assert(vector instanceof StructVector && type.typeId === Type.Struct, `a vector of structs for ${type}`)
  assert(vector.children.length === type.children.length, `${vector.children.length} children for ${type}`)
  const children = vector.children.map((child, i) => vectorData(child, type.children[i]!.type, rows))
  return new Data(type, 0, rows, -1, [undefined, undefined, validity], children)
}

/** Entries and keys are not optional in Parquet: their nulls would silently become values. */
function assertEntries(entries: Data): void {
  assert(entries.nullCount === 0 && entries.children[0]!.nullCount === 0, 'a map with a null entry or key')
}

function wordValues(vector: WordVector, type: DataType, rows: number): ArrayBufferView {
  assert(wordsOf(type) === vector.wordsPerValue, `a vector of ${vector.wordsPerValue} words for ${type}`)
  const count = rows * vector.wordsPerValue
  const words = (vector.words.byteOffset & 7) === 0 ? vector.words : vector.words.slice(0, count)
  const { ArrayType } = type
  return new ArrayType(words.buffer, words.byteOffset, (count * 4) / ArrayType.BYTES_PER_ELEMENT)
}

/** 32-bit words of a fixed-width value; 0 for other types. */
function wordsOf(type: DataType): number {
  switch (type.typeId) {
    case Type.Int:
    case Type.Float:
    case Type.Date:
    case Type.Time:
    case Type.Timestamp:
      return type.ArrayType.BYTES_PER_ELEMENT / 4
    case Type.Decimal:
    case Type.FixedSizeBinary:
      return 4
    default:
      return 0
  }
}

/** The columns of a batch as vectors: views over its buffers, which the vectors own from now on. */
export function batchVectors(batch: RecordBatch): Vector[] {
  return batch.data.children.map(vectorOf)
}

function vectorOf(data: Data): Vector {
  const vector = emptyVectorOver(data)
  vector.length = data.length
  vector.validity = data.nullCount === 0 ? onesBitmap(data.length) : bitmapFrom0(data.nullBitmap, data.offset, data.length)
  return vector
}

function emptyVectorOver(data: Data): Vector {
  const { type, length } = data
  switch (type.typeId) {
    case Type.Bool: {
      const vector = new BitVector()
      vector.bits = bitmapFrom0(data.values, data.offset, length)
      return vector
    }
    case Type.Utf8:
    case Type.Binary: {
      const vector = new BytesVector()
      const [first, last] = offsetRange(data, data.values.length)
      vector.offsets = offsetsFrom0(data)
      vector.data.bytes = data.values.subarray(first, last)
      vector.data.length = last - first
      return vector
    }
    case Type.List:
    case Type.Map: {
      const child = data.children[0]!
      const [first, last] = offsetRange(data, child.length)
      const whole = first === 0 && last === child.length
      const vector = new ListVector(vectorOf(whole ? child : child.slice(first, last - first)))
      vector.offsets = offsetsFrom0(data)
      return vector
    }
    case Type.Struct:
      return new StructVector(data.children.map(vectorOf))
    default:
      return wordVectorOver(data)
  }
}

function wordVectorOver({ type, length, values }: Data): WordVector {
  const wordsPerValue = wordsOf(type)
  assert(wordsPerValue === 1 || wordsPerValue === 2 || wordsPerValue === 4, `no vector holds ${type}`)
  const vector = new WordVector(wordsPerValue)
  const byteLength = length * wordsPerValue * 4
  if (values.byteLength < byteLength) throw new CorruptionError('arrow.values', `${values.byteLength} bytes for ${length} of ${type}`)
  const aligned = (values.byteOffset & 3) === 0
  const source = aligned ? values : new Uint8Array(values.buffer, values.byteOffset, byteLength).slice()
  vector.words = new Int32Array(source.buffer, source.byteOffset, byteLength >> 2)
  return vector
}

/** First and last offset of an array, checked to lie in order within `available` bytes or rows. */
function offsetRange({ length, valueOffsets }: Data, available: number): [first: number, last: number] {
  if (length === 0) return [0, 0]
  const first = valueOffsets[0]
  const last = valueOffsets[length]
  if (first === undefined || last === undefined || first < 0 || last < first || last > available) {
    throw new CorruptionError('arrow.offsets', `offsets ${first} to ${last} in ${available}`)
  }
  return [first, last]
}

function offsetsFrom0({ length, valueOffsets }: Data): Int32Array {
  if (length === 0) return new Int32Array(1)
  const offsets = valueOffsets.subarray(0, length + 1)
  const first = offsets[0]!
  return first === 0 ? offsets : offsets.map((offset: number) => offset - first)
}

function onesBitmap(length: number): Uint8Array {
  const bitmap = new Uint8Array((length + 7) >> 3).fill(0xff)
  clearTail(bitmap, length)
  return bitmap
}

/** A copy of bits [offset, offset + length) of `source`, from bit 0: a view would share its last byte with another slice. */
function bitmapFrom0(source: Uint8Array, offset: number, length: number): Uint8Array {
  if (source.length * 8 < offset + length) throw new CorruptionError('arrow.bitmap', `${source.length} bytes for ${length} bits`)
  const first = offset >> 3
  const shift = offset & 7
  const size = (length + 7) >> 3
  const bitmap = source.slice(first, first + size)
  if (shift !== 0) {
    for (let i = 0; i < size; i++) bitmap[i] = (source[first + i]! >> shift) | ((source[first + i + 1] ?? 0) << (8 - shift))
  }
  clearTail(bitmap, length)
  return bitmap
}

/** A vector's bits past its length are zero: appending only sets them. */
function clearTail(bitmap: Uint8Array, length: number): void {
  if (length & 7) bitmap[bitmap.length - 1]! &= (1 << (length & 7)) - 1
}
