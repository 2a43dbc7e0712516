import { ByteWriter } from '../common/bytes.ts'
import { UnsupportedError } from '../common/errors.ts'

/** Arrow's offsets and the sizes of Parquet's pages are signed 32-bit; a page has some bytes more than its value. */
const OFFSET_MAX = 0x7fffff00
/** Rows of one vector: only the elements of lists are ever that many, and the Parquet encoder could not take more of them. */
const ROWS_MAX = 1 << 26

/**
 * The columnar form of datums, in Apache Arrow's memory layout, so that a batch goes to Arrow without copying:
 * a validity bitmap (bit r, LSB first, 1 = not null) and 32-bit words, bits, or offsets with bytes or children.
 * Values are appended in row order; a row past `length` reads as null, and `padTo` makes such rows real.
 */
export abstract class Vector {
  length = 0
  validity: Uint8Array = new Uint8Array(64)

  isNull(row: number): boolean {
    return row >= this.length || (this.validity[row >> 3]! & (1 << (row & 7))) === 0
  }

  /** Appends nulls until `length` is `rows`. */
  padTo(rows: number): void {
    if (rows <= this.length) return
    this.reserve(rows - this.length)
    this.padStorage(rows)
    this.length = rows
  }

  pushNull(): void {
    this.padTo(this.length + 1)
  }

  /** Drops the rows from `rows` on, and whatever was written of a value that was never closed. */
  truncate(rows: number): void {
    const kept = Math.min(rows, this.length)
    clearBits(this.validity, kept, this.length)
    this.truncateStorage(kept)
    this.length = kept
  }

  /** Makes room for `count` more rows. @throws UnsupportedError vector.size */
  reserve(count: number): void {
    const rows = this.length + count
    if (rows > this.validity.length * 8) {
      if (rows > ROWS_MAX) throw new UnsupportedError('vector.size', 'the lists of one page and column have more than 67,108,864 elements')
      const grown = new Uint8Array(Math.min(ROWS_MAX >> 3, Math.max((rows + 63) >> 3, this.validity.length * 2)))
      grown.set(this.validity)
      this.validity = grown
    }
    this.reserveStorage(rows)
  }

  /** Counts `count` rows that were written behind the last one, after {@link reserve}; none of them is null. */
  commitRows(count: number): void {
    setBits(this.validity, this.length, this.length + count)
    this.length += count
  }

  /** Marks the row being appended as not null and counts it. */
  protected commit(): void {
    this.validity[this.length >> 3]! |= 1 << (this.length & 7)
    this.length++
  }

  protected abstract reserveStorage(rows: number): void
  protected abstract padStorage(rows: number): void
  protected abstract truncateStorage(rows: number): void
}

/** Sets bits [from, to). */
export function setBits(bitmap: Uint8Array, from: number, to: number): void {
  const firstByte = from >> 3
  const lastByte = to >> 3
  const head = 0xff << (from & 7)
  const tail = (1 << (to & 7)) - 1
  if (firstByte === lastByte) {
    bitmap[firstByte]! |= head & tail
    return
  }
  bitmap[firstByte]! |= head
  for (let at = firstByte + 1; at < lastByte; at++) bitmap[at] = 0xff
  if (tail !== 0) bitmap[lastByte]! |= tail
}

/** Clears bits [from, to). */
function clearBits(bitmap: Uint8Array, from: number, to: number): void {
  for (let row = from; row < to && row & 7; row++) bitmap[row >> 3]! &= ~(1 << (row & 7))
  const firstByte = (from + 7) >> 3
  const lastByte = (to + 7) >> 3
  if (firstByte < lastByte) bitmap.fill(0, firstByte, lastByte)
}

function grownWords(words: Int32Array, needed: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(Math.max(needed, words.length * 2, 64))
  grown.set(words)
  return grown
}

/**
 * Fixed-width values of 1, 2 or 4 words, little end first: int32, date, float4 bits (1); int64, timestamp, float8 bits (2); decimal, uuid (4).
 * Floats travel as bits, so that no NaN payload is touched.
 */
export class WordVector extends Vector {
  readonly wordsPerValue: number
  words: Int32Array = new Int32Array(0)

  constructor(wordsPerValue: 1 | 2 | 4) {
    super()
    this.wordsPerValue = wordsPerValue
  }

  push1(word: number): void {
    this.reserve(1)
    this.words[this.length] = word
    this.commit()
  }

  push2(low: number, high: number): void {
    this.reserve(1)
    const at = this.length * 2
    this.words[at] = low
    this.words[at + 1] = high
    this.commit()
  }

  push4(w0: number, w1: number, w2: number, w3: number): void {
    this.reserve(1)
    const at = this.length * 4
    this.words[at] = w0
    this.words[at + 1] = w1
    this.words[at + 2] = w2
    this.words[at + 3] = w3
    this.commit()
  }

  protected override reserveStorage(rows: number): void {
    const needed = rows * this.wordsPerValue
    if (needed > this.words.length) this.words = grownWords(this.words, needed)
  }

  protected override padStorage(rows: number): void {
    this.words.fill(0, this.length * this.wordsPerValue, rows * this.wordsPerValue)
  }

  protected override truncateStorage(): void {}
}

/** Booleans, one bit each. */
export class BitVector extends Vector {
  bits: Uint8Array = new Uint8Array(0)

  push(value: boolean): void {
    this.reserve(1)
    const mask = 1 << (this.length & 7)
    if (value) this.bits[this.length >> 3]! |= mask
    else this.bits[this.length >> 3]! &= ~mask
    this.commit()
  }

  get(row: number): boolean {
    return (this.bits[row >> 3]! & (1 << (row & 7))) !== 0
  }

  protected override reserveStorage(rows: number): void {
    if (rows <= this.bits.length * 8) return
    const grown = new Uint8Array(Math.max((rows + 63) >> 3, this.bits.length * 2))
    grown.set(this.bits)
    this.bits = grown
  }

  protected override padStorage(rows: number): void {
    clearBits(this.bits, this.length, rows)
  }

  protected override truncateStorage(rows: number): void {
    clearBits(this.bits, rows, this.length)
  }
}

/**
 * Strings and byte strings. Write a value's bytes to `data`, then `close()` it; or `push` a copy.
 * Value r is `data.bytes[offsets[r] .. offsets[r + 1])`.
 */
export class BytesVector extends Vector {
  offsets: Int32Array = new Int32Array(1)
  readonly data: ByteWriter = new ByteWriter(1024)
  /** Values whose bytes are not in `data`, where they are empty: see {@link defer}. */
  private readonly later = new Map<number, { length: number; bytes: () => Uint8Array }>()
  /** Bytes of those together. */
  laterBytes = 0

  /** Ends the value whose bytes were appended to `data` since the last one. @throws UnsupportedError vector.size */
  close(): void {
    if (this.data.length + this.laterBytes > OFFSET_MAX) throw new UnsupportedError('vector.size', 'the values of one page and column exceed 2 GiB')
    this.reserve(1)
    this.offsets[this.length + 1] = this.data.length
    this.commit()
  }

  /**
   * Appends a value that is made when it is written: large ones are not in memory all at once.
   * @param bytes makes it, the same each time; the result is good until the next call
   * @throws UnsupportedError vector.size
   */
  defer(length: number, bytes: () => Uint8Array): void {
    this.laterBytes += length
    this.later.set(this.length, { length, bytes })
    try {
      this.close()
    } catch (error) {
      this.forgetLater(this.length)
      throw error
    }
  }

  /** Bytes of a value, wherever they are. */
  valueLength(row: number): number {
    const length = this.offsets[row + 1]! - this.offsets[row]!
    return length === 0 && this.later.size > 0 ? (this.later.get(row)?.length ?? 0) : length
  }

  /** {@link view}, of a deferred value too. */
  value(row: number): Uint8Array {
    return this.later.get(row)?.bytes() ?? this.view(row)
  }

  /** Forgets bytes appended to `data` since the last value. */
  abandon(): void {
    this.data.length = this.offsets[this.length]!
  }

  push(source: Uint8Array, start = 0, end: number = source.length): void {
    this.data.copy(source, start, end)
    this.close()
  }

  pushAscii(text: string): void {
    this.data.ascii(text)
    this.close()
  }

  start(row: number): number {
    return this.offsets[row]!
  }

  end(row: number): number {
    return this.offsets[row + 1]!
  }

  /** The bytes of a value; aliases the vector until its next append. */
  view(row: number): Uint8Array {
    return this.data.bytes.subarray(this.offsets[row]!, this.offsets[row + 1]!)
  }

  protected override reserveStorage(rows: number): void {
    if (rows + 1 > this.offsets.length) this.offsets = grownWords(this.offsets, rows + 1)
  }

  protected override padStorage(rows: number): void {
    this.offsets.fill(this.offsets[this.length]!, this.length + 1, rows + 1)
  }

  protected override truncateStorage(rows: number): void {
    this.data.length = this.offsets[rows]!
    for (const row of this.later.keys()) if (row >= rows) this.forgetLater(row)
  }

  private forgetLater(row: number): void {
    this.laterBytes -= this.later.get(row)!.length
    this.later.delete(row)
  }
}

/** Lists: append the elements to `child`, then `close()`. List r is child rows [offsets[r], offsets[r + 1]). */
export class ListVector<Child extends Vector = Vector> extends Vector {
  offsets: Int32Array = new Int32Array(1)
  readonly child: Child

  constructor(child: Child) {
    super()
    this.child = child
  }

  close(): void {
    this.reserve(1)
    this.offsets[this.length + 1] = this.child.length
    this.commit()
  }

  /** Forgets elements appended to `child` since the last list. */
  abandon(): void {
    this.child.truncate(this.offsets[this.length]!)
  }

  start(row: number): number {
    return this.offsets[row]!
  }

  end(row: number): number {
    return this.offsets[row + 1]!
  }

  protected override reserveStorage(rows: number): void {
    if (rows + 1 > this.offsets.length) this.offsets = grownWords(this.offsets, rows + 1)
  }

  protected override padStorage(rows: number): void {
    this.offsets.fill(this.offsets[this.length]!, this.length + 1, rows + 1)
  }

  protected override truncateStorage(rows: number): void {
    this.child.truncate(this.offsets[rows]!)
  }
}

/** Structs: append one value (or nothing, meaning null) to each child, then `close()`, which pads the children. */
export class StructVector extends Vector {
  readonly children: readonly Vector[]

  constructor(children: readonly Vector[]) {
    super()
    this.children = children
  }

  close(): void {
    this.reserve(1)
    this.commit()
    for (const child of this.children) child.padTo(this.length)
  }

  /** Removes the values that were appended to the children after the last struct. */
  abandon(): void {
    for (const child of this.children) child.truncate(this.length)
  }

  protected override reserveStorage(): void {}

  protected override padStorage(rows: number): void {
    for (const child of this.children) child.padTo(rows)
  }

  protected override truncateStorage(rows: number): void {
    for (const child of this.children) child.truncate(rows)
  }
}
