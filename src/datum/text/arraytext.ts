import type { ByteWriter } from '../../common/bytes.ts'
import { ParseError } from '../codec.ts'
import { parseSigned64, writeSigned64 } from './integertext.ts'
import { arrayQuoting, isNullWord, QuotedReader, type Quoting, quoteFrom } from './quote.ts'

/*
 * Text of an array (array_out, arrayfuncs.c):
 *
 *   {1,NULL,3}     {{a,"b c"},{"",d}}     [0:1][5:6]={{1,2},{3,4}}     {}
 *
 * The bounds stand in front for all dimensions if any lower bound is not 1. An array without items is {}, whatever its dimensions.
 */
export const MAXDIM = 6

const OPEN = 0x7b
const CLOSE = 0x7d
const MINUS = 0x2d

/** What the text of an array says besides its items. */
interface ScannedArray {
  dims: number[]
  lowerBounds: number[]
  /** Items, nulls included. */
  count: number
  hasNulls: boolean
  /** Position of the first brace. */
  items: number
}

/** Array text with one delimiter, both ways. */
export class ArrayText {
  readonly #delimiter: number
  readonly #quoting: Quoting
  readonly #item: QuotedReader

  constructor(delimiter: string) {
    this.#delimiter = delimiter.charCodeAt(0)
    this.#quoting = arrayQuoting(delimiter)
    this.#item = new QuotedReader(this.#quoting)
  }

  /** Writes an array of the given shape; `putItem` appends the unquoted text of the next item, or gives false if it is null. */
  put(dims: Int32Array, lowerBounds: Int32Array, count: number, out: ByteWriter, putItem: (index: number) => boolean): void {
    if (count === 0) {
      out.ascii('{}')
      return
    }
    const ndim = dims.length
    if (lowerBounds.some((bound) => bound !== 1)) putBounds(dims, lowerBounds, out)
    const index = new Int32Array(ndim)
    for (let level = 0; level < ndim; level++) out.u8(OPEN)
    for (let i = 0; i < count; i++) {
      const from = out.length
      if (putItem(i)) quoteFrom(out, from, this.#quoting)
      else out.ascii('NULL')
      let level = ndim - 1
      for (; level >= 0 && ++index[level]! === dims[level]; level--) {
        index[level] = 0
        out.u8(CLOSE)
      }
      if (level < 0) break
      out.u8(this.#delimiter)
      while (++level < ndim) out.u8(OPEN)
    }
  }

  /** Checks the whole text but for what the items say. Throws ParseError. */
  scan(text: Uint8Array, start: number, end: number): ScannedArray {
    const found: ScannedArray = { dims: [], lowerBounds: [], count: 0, hasNulls: false, items: start }
    if (end - start === 2 && text[start] === OPEN && text[start + 1] === CLOSE) return found
    const bounds = readBounds(text, start, end, found)
    let ndim = 0
    while (found.items + ndim < end && text[found.items + ndim] === OPEN) ndim++
    if (ndim === 0 || ndim > MAXDIM) throw new ParseError(`array text of ${ndim} dimensions`)
    const dims = new Array<number>(ndim).fill(-1)
    if (this.#scanLevel(text, found.items, end, 0, dims, found) !== end) throw new ParseError('junk after an array')
    if (bounds && (found.dims.length !== ndim || found.dims.some((dim, level) => dim !== dims[level]))) {
      throw new ParseError('the bounds of an array do not fit its items')
    }
    if (!bounds) found.lowerBounds = dims.map(() => 1)
    found.dims = dims
    return found
  }

  /** Reads one pair of braces at `level` and all inside; gives the position behind it. */
  #scanLevel(text: Uint8Array, from: number, end: number, level: number, dims: number[], found: ScannedArray): number {
    if (from >= end || text[from] !== OPEN) throw new ParseError('an array of uneven depth')
    let at = from + 1
    for (let count = 1; ; count++) {
      at = level + 1 < dims.length ? this.#scanLevel(text, at, end, level + 1, dims, found) : this.#scanItem(text, at, end, found)
      const next = at < end ? text[at++] : -1
      if (next === this.#delimiter) continue
      if (next !== CLOSE) throw new ParseError('an array without an end')
      if (dims[level] !== -1 && dims[level] !== count) throw new ParseError('an array of uneven width')
      dims[level] = count
      return at
    }
  }

  #scanItem(text: Uint8Array, at: number, end: number, found: ScannedArray): number {
    const next = this.#item.read(text, at, end)
    if (next === at) throw new ParseError('an array item is missing')
    if (this.#isNull()) found.hasNulls = true
    found.count++
    return next
  }

  #isNull(): boolean {
    const { bytes, start, end, quoted } = this.#item
    if (quoted || !isNullWord(bytes, start, end)) return false
    if (bytes[start] !== 0x4e || bytes[start + 1] !== 0x55 || bytes[start + 2] !== 0x4c || bytes[start + 3] !== 0x4c) {
      throw new ParseError('null is written NULL')
    }
    return true
  }

  /** Visits the items that are not null of a scanned text, in order; `item` is the text of one, unquoted. */
  forEachItem(text: Uint8Array, scanned: ScannedArray, end: number, visit: (index: number, item: QuotedReader) => void): void {
    let at = scanned.items
    for (let i = 0; i < scanned.count; i++) {
      while (text[at] === OPEN || text[at] === CLOSE || text[at] === this.#delimiter) at++
      at = this.#item.read(text, at, end)
      if (!this.#isNull()) visit(i, this.#item)
    }
  }
}

function putBounds(dims: Int32Array, lowerBounds: Int32Array, out: ByteWriter): void {
  for (let level = 0; level < dims.length; level++) {
    out.ascii('[')
    putInt(lowerBounds[level]!, out)
    out.ascii(':')
    putInt(lowerBounds[level]! + dims[level]! - 1, out)
    out.ascii(']')
  }
  out.ascii('=')
}

function putInt(value: number, out: ByteWriter): void {
  writeSigned64(out, value, value >> 31)
}

/** Reads `[lower:upper]…=` at `start`, if it is there, and leaves `items` behind it. Dimensions come from the items; these must agree. */
function readBounds(text: Uint8Array, start: number, end: number, found: ScannedArray): boolean {
  let at = start
  while (at < end && text[at] === 0x5b) {
    const colon = intEnd(text, at + 1, end)
    const close = intEnd(text, colon + 1, end)
    if (close >= end || text[colon] !== 0x3a || text[close] !== 0x5d || found.dims.length === MAXDIM) {
      throw new ParseError('not the bounds of an array')
    }
    const lower = parseInt32(text, at + 1, colon)
    found.lowerBounds.push(lower)
    found.dims.push(parseInt32(text, colon + 1, close) - lower + 1)
    at = close + 1
  }
  if (at === start) return false
  if (at >= end || text[at] !== 0x3d) throw new ParseError('not the bounds of an array')
  if (found.lowerBounds.every((bound) => bound === 1)) throw new ParseError('bounds without need')
  found.items = at + 1
  return true
}

function intEnd(text: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && (text[at] === MINUS || (text[at]! >= 0x30 && text[at]! <= 0x39))) at++
  return at
}

const words = new Int32Array(2)

function parseInt32(text: Uint8Array, start: number, end: number): number {
  parseSigned64(text, start, end, words)
  if (words[1] !== words[0]! >> 31) throw new ParseError('array bound out of range')
  return words[0]!
}
