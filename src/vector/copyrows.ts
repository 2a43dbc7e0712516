import { assert } from '../common/errors.ts'
import { BitVector, BytesVector, ListVector, setBits, StructVector, type Vector, WordVector } from './vector.ts'

/**
 * Appends rows [first, end) of `from` to `to`, a vector of the same type. Rows behind the end of `from` are null.
 * @throws UnsupportedError vector.size
 */
export function appendRows(to: Vector, from: Vector, first: number, end: number): void {
  const last = Math.max(first, Math.min(end, from.length))
  const count = last - first
  const start = to.length
  if (to instanceof StructVector) {
    // Its children first: they are as long as it is.
    const source = sameKind(from, StructVector)
    assert(source.children.length === to.children.length, `${source.children.length} children for ${to.children.length}`)
    to.children.forEach((child, i) => {
      child.padTo(start)
      appendRows(child, source.children[i]!, first, last)
    })
  } else if (to instanceof ListVector) {
    const source = sameKind(from, ListVector)
    if (count > 0) appendRows(to.child, source.child, source.start(first), source.end(last - 1))
  }
  to.reserve(count)
  if (to instanceof WordVector) copyWords(to, sameKind(from, WordVector), first, last)
  else if (to instanceof BitVector) copyBits(sameKind(from, BitVector).bits, first, last, to.bits, start)
  else if (to instanceof BytesVector) copyBytes(to, sameKind(from, BytesVector), first, last)
  else if (to instanceof ListVector) shiftOffsets(sameKind(from, ListVector).offsets, first, last, to.offsets, start)
  copyBits(from.validity, first, last, to.validity, start)
  to.length = start + count
  to.padTo(start + end - first)
}

function sameKind<T extends Vector>(vector: Vector, kind: abstract new (...args: never[]) => T): T {
  assert(vector instanceof kind, `a ${vector.constructor.name} for a ${kind.name}`)
  return vector
}

function copyWords(to: WordVector, from: WordVector, first: number, end: number): void {
  const { wordsPerValue } = to
  assert(from.wordsPerValue === wordsPerValue, `${from.wordsPerValue} words for ${wordsPerValue}`)
  to.words.set(from.words.subarray(first * wordsPerValue, end * wordsPerValue), to.length * wordsPerValue)
}

function copyBytes(to: BytesVector, from: BytesVector, first: number, end: number): void {
  assert(from.laterBytes === 0, 'values of a file are in memory')
  if (end === first) return
  to.data.copy(from.data.bytes, from.start(first), from.end(end - 1))
  shiftOffsets(from.offsets, first, end, to.offsets, to.length)
}

/** Offsets of values [first, end), so that they go on where the last one of `to` ended. */
function shiftOffsets(from: Int32Array, first: number, end: number, to: Int32Array, length: number): void {
  const shift = to[length]! - from[first]!
  for (let row = first, at = length + 1; row < end; row++, at++) to[at] = from[row + 1]! + shift
}

/** Bits behind the last one of `to` are 0 before. */
function copyBits(from: Uint8Array, first: number, end: number, to: Uint8Array, at: number): void {
  let row = first
  let bit = at
  for (; row < end && (row & 7) !== 0; row++, bit++) copyBit(from, row, to, bit)
  // Whole bytes; most are full.
  for (; row + 8 <= end; row += 8, bit += 8) {
    const byte = from[row >> 3]!
    if (byte === 0xff) setBits(to, bit, bit + 8)
    else if ((bit & 7) === 0) to[bit >> 3] = byte
    else {
      to[bit >> 3]! |= byte << (bit & 7)
      to[(bit >> 3) + 1]! |= byte >> (8 - (bit & 7))
    }
  }
  for (; row < end; row++, bit++) copyBit(from, row, to, bit)
}

function copyBit(from: Uint8Array, row: number, to: Uint8Array, bit: number): void {
  const mask = 1 << (bit & 7)
  if ((from[row >> 3]! & (1 << (row & 7))) !== 0) to[bit >> 3]! |= mask
  else to[bit >> 3]! &= ~mask
}
