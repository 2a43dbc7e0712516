import { assert } from '../common/errors.ts'
import type { ByteRange } from './objectstore.ts'

/** The bytes of a range that an object of this size has; all of them without a range. */
export function rangeWithin(size: number, range: ByteRange | undefined): { start: number, end: number } {
  if (range === undefined) return { start: 0, end: size }
  checkRange(range)
  if ('last' in range) return { start: Math.max(0, size - range.last), end: size }
  return { start: Math.min(range.start, size), end: Math.min(range.end, size) }
}

/** A range has at least one byte. */
export function checkRange(range: ByteRange): void {
  const [start, end] = 'last' in range ? [0, range.last] : [range.start, range.end]
  assert(Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end > start, `${JSON.stringify(range)} is no range of bytes`)
}
