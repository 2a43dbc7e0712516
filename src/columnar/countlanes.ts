import { LP_NORMAL } from '../page/linepointer.ts'
import type { Vector } from '../vector/vector.ts'
import type { Batch } from './batch.ts'
import type { LaneCounts } from './lanes.ts'

/** Counts rows from `first` on: tuples, and line pointers without one. */
export function countRows({ physical: { offset, lp, lpState }, rows }: Batch, first: number, counts: LaneCounts): void {
  for (let row = first; row < rows; row++) {
    const structure = offset.words[row] === 0 || (!lp.isNull(row) && lpState.words[row] !== LP_NORMAL)
    if (structure) counts.structureRows++
    else counts.tuples++
  }
}

/** Counts the values of a row group that is sealed, by their lanes. */
export function countValues({ columns, overflow, physical }: Batch, counts: LaneCounts): void {
  for (const column of columns) counts.native += notNull(column)
  for (const text of overflow) counts.text += notNull(text)
  counts.raw += physical.rawAttnum.length
  counts.tupleLane += notNull(physical.tuple)
}

export function notNull(vector: Vector): number {
  let count = 0
  const fullBytes = vector.length >> 3
  for (let i = 0; i < fullBytes; i++) count += BIT_COUNT[vector.validity[i]!]!
  for (let row = fullBytes * 8; row < vector.length; row++) if (!vector.isNull(row)) count++
  return count
}

const BIT_COUNT = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0
  for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1
  return bits
})
