import { alignUp, type ByteWriter, readI32, readU32 } from '../../common/bytes.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { AttributeLayout } from '../../tuple/attribute.ts'
import { bitmapLength } from '../../tuple/header.ts'
import { ArrayText, MAXDIM } from '../text/arraytext.ts'
import { type Codec, ParseError } from '../codec.ts'
import { beginValue, endValue, newValueSlot, readValue } from './element.ts'
import { checkPayload } from './payload.ts'
import type { TypeDef } from '../typedef.ts'
import type { ListVector } from '../../vector/vector.ts'

/*
 * ArrayType (array.h), positions from the 4-byte header; i32 little-endian
 *
 *  4      8            12         16          16+4n          16+8n
 *  +------+------------+----------+-----------+--------------+-------------+---------+---------------
 *  | ndim | dataoffset | elemtype | dims ×n   | lower bds ×n | null bitmap | padding | elements...
 *  +------+------------+----------+-----------+--------------+-------------+---------+---------------
 *           0: no nulls, no bitmap, elements at MAXALIGN(16+8n); else where they begin (a multiple of 8)
 *
 * Bitmap: ceil(items/8) bytes, 1 = not null. Elements row-major; each begins aligned to typalign and is padded to it, the last too.
 * A varlena element has a 4-byte header and is not compressed. ndim 0 is the empty array.
 */
/** MaxArraySize: MaxAllocSize / sizeof(Datum). */
const MAX_ARRAY_SIZE = 134217727
const HEADER = 12
const INT_MAX = 0x7fffffff

/** What the header of an array says, and where its parts lie in the source. */
interface ArrayShape {
  ndim: number
  /** Items, nulls included. */
  count: number
  dims: Int32Array
  lowerBounds: Int32Array
  /** Position of the null bitmap, or -1. */
  bits: number
  /** Position of the first element. */
  data: number
}

/** An element type as far as an array depends on it; `oid` is the one stored in the array, a domain's own for a domain. */
export type ElementType = Pick<TypeDef, 'oid' | 'len' | 'align' | 'delimiter'>

/**
 * Arrays of `type`, whose values `element` reads and writes.
 * The column is a list: empty arrays and those of one dimension from 1 whose elements are null or native; all others overflow.
 */
export function arrayCodec(element: Codec, type: ElementType): Codec {
  const form = new ArrayForm(element, type)
  const codec: Codec = {
    column: { kind: 'list', element: element.column },
    overflows: true,
    decode: (source, start, end, out) => form.decode(source, start, end, out as ListVector),
    text: (source, start, end, out) => form.text(source, start, end, out),
  }
  if (element.encode) codec.encode = (column, row, out) => form.encode(column as ListVector, row, out)
  if (element.parse) codec.parse = (text, start, end, out) => form.parse(text, start, end, out)
  return codec
}

class ArrayForm {
  readonly #element: Codec
  readonly #oid: number
  /** Elements are never packed: as if their storage were plain. */
  readonly #layout: AttributeLayout
  readonly #text: ArrayText
  readonly #slot = newValueSlot()
  readonly #shape = newShape()

  constructor(element: Codec, type: ElementType) {
    this.#element = element
    this.#oid = type.oid
    this.#layout = { len: type.len, align: type.align, plain: true }
    this.#text = new ArrayText(type.delimiter)
  }

  decode(source: Uint8Array, start: number, end: number, list: ListVector): boolean {
    const shape = this.#shape
    readShape(source, start, end, this.#oid, shape)
    const fits = shape.count === 0 || (shape.ndim === 1 && shape.lowerBounds[0] === 1)
    if (fits && this.#decodeElements(source, start - 4, shape.data, end, shape.count, shape.bits, list)) {
      list.close()
      return true
    }
    list.abandon()
    list.pushNull()
    return false
  }

  #decodeElements(source: Uint8Array, origin: number, data: number, end: number, count: number, bits: number, list: ListVector): boolean {
    const { child } = list
    const { len, align } = this.#layout
    const slot = this.#slot
    let at = data
    for (let i = 0; i < count; i++) {
      if (isNull(source, bits, i)) {
        child.pushNull()
        continue
      }
      const next = readValue(source, at, end, len, slot)
      if (!this.#element.decode(slot.bytes, slot.start, slot.end, child)) return false
      at = origin + alignUp(next - origin, align)
    }
    return true
  }

  encode(list: ListVector, row: number, out: ByteWriter): void {
    const { child } = list
    const from = list.start(row)
    const to = list.end(row)
    const origin = out.length - 4
    let hasNulls = false
    for (let i = from; i < to && !hasNulls; i++) hasNulls = child.isNull(i)
    const bits = writeShape(out, this.#oid, from === to ? [] : [to - from], [1], to - from, hasNulls)
    for (let i = from; i < to; i++) {
      if (child.isNull(i)) continue
      if (hasNulls) setBit(out, bits, i - from)
      const begun = beginValue(out, origin, this.#layout)
      this.#element.encode!(child, i, out)
      this.#end(out, origin, begun)
    }
  }

  text(source: Uint8Array, start: number, end: number, out: ByteWriter): void {
    const shape = newShape()
    readShape(source, start, end, this.#oid, shape)
    const origin = start - 4
    let at = shape.data
    const { ndim, dims, lowerBounds, count } = shape
    this.#text.put(dims.subarray(0, ndim), lowerBounds.subarray(0, ndim), count, out, (i) => {
      if (isNull(source, shape.bits, i)) return false
      const slot = this.#slot
      const next = readValue(source, at, end, this.#layout.len, slot)
      at = origin + alignUp(next - origin, this.#layout.align)
      this.#element.text(slot.bytes, slot.start, slot.end, out)
      return true
    })
  }

  parse(text: Uint8Array, start: number, end: number, out: ByteWriter): void {
    const scanned = this.#text.scan(text, start, end)
    if (scanned.count > MAX_ARRAY_SIZE) throw new ParseError('too many elements')
    const origin = out.length - 4
    const bits = writeShape(out, this.#oid, scanned.dims, scanned.lowerBounds, scanned.count, scanned.hasNulls)
    this.#text.forEachItem(text, scanned, end, (i, item) => {
      if (scanned.hasNulls) setBit(out, bits, i)
      const begun = beginValue(out, origin, this.#layout)
      this.#element.parse!(item.bytes, item.start, item.end, out)
      this.#end(out, origin, begun)
    })
  }

  #end(out: ByteWriter, origin: number, begun: number): void {
    endValue(out, origin, begun, this.#layout)
    out.alignFrom(origin, this.#layout.align)
  }
}

function newShape(): ArrayShape {
  return { ndim: 0, count: 0, dims: new Int32Array(MAXDIM), lowerBounds: new Int32Array(MAXDIM), bits: -1, data: 0 }
}

/** Fills `shape` from the payload; counts are checked as ArrayGetNItems does, and against the bytes that are there. */
function readShape(source: Uint8Array, start: number, end: number, oid: number, shape: ArrayShape): void {
  checkPayload('array', source, start, end)
  const size = end - start
  if (size < HEADER) throw corrupt(`${size} bytes are no array`)
  const ndim = readI32(source, start)
  if (ndim < 0 || ndim > MAXDIM || size < HEADER + 8 * ndim) throw corrupt(`${ndim} dimensions in ${size} bytes`)
  const stored = readU32(source, start + 8)
  if (stored !== oid) throw corrupt(`elements of type ${stored} in an array of type ${oid}`)
  let count = ndim === 0 ? 0 : 1
  for (let i = 0; i < ndim; i++) {
    const dim = readI32(source, start + HEADER + 4 * i)
    const lowerBound = readI32(source, start + HEADER + 4 * (ndim + i))
    count *= dim
    if (dim < 0 || count > MAX_ARRAY_SIZE) throw corrupt(`${count} elements`)
    if (lowerBound + dim - 1 > INT_MAX) throw corrupt(`a dimension of ${dim} from ${lowerBound}`)
    shape.dims[i] = dim
    shape.lowerBounds[i] = lowerBound
  }
  shape.ndim = ndim
  shape.count = count
  placeElements(source, start, size, shape)
}

function placeElements(source: Uint8Array, start: number, size: number, shape: ArrayShape): void {
  const { ndim, count } = shape
  const dataOffset = readI32(source, start + 4)
  shape.bits = dataOffset === 0 ? -1 : start + HEADER + 8 * ndim
  shape.data = start - 4 + (dataOffset === 0 ? alignUp(HEADER + 4 + 8 * ndim, 8) : dataOffset)
  if (dataOffset === 0) return
  const least = HEADER + 4 + 8 * ndim + bitmapLength(count)
  if (dataOffset < least || dataOffset > size + 4 || dataOffset & 7) {
    throw corrupt(`elements at ${dataOffset} in an array of ${size} bytes with ${count} elements`)
  }
}

/** Writes everything before the elements, a bitmap of zeros too; gives the position of the bitmap. */
function writeShape(
  out: ByteWriter, oid: number, dims: ArrayLike<number>, lowerBounds: ArrayLike<number>, count: number, hasNulls: boolean,
): number {
  const ndim = dims.length
  const bitmapEnd = HEADER + 4 + 8 * ndim + (hasNulls ? bitmapLength(count) : 0)
  const data = alignUp(bitmapEnd, 8)
  out.u32(ndim)
  out.u32(hasNulls ? data : 0)
  out.u32(oid)
  if (ndim === 0) return -1
  for (let i = 0; i < ndim; i++) out.u32(dims[i]!)
  for (let i = 0; i < ndim; i++) out.u32(lowerBounds[i]!)
  const bits = out.length
  out.zeros(data - (HEADER + 4 + 8 * ndim))
  return bits
}

function isNull(source: Uint8Array, bits: number, index: number): boolean {
  return bits >= 0 && (source[bits + (index >> 3)]! & (1 << (index & 7))) === 0
}

function setBit(out: ByteWriter, bits: number, index: number): void {
  out.bytes[bits + (index >> 3)]! |= 1 << (index & 7)
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('datum.array', reason)
}
