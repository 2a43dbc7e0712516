import { assert } from './errors.ts'
import type { BlockNumber } from './ids.ts'

/** Blocks [first, first + count). */
export interface BlockRun {
  readonly first: BlockNumber
  readonly count: number
}

/**
 * A set of block numbers of one fork, as sorted runs that neither overlap nor touch. Immutable. A unit of work is one of these: what to
 * prepare, to transcode, to rebuild.
 */
export class BlockSet implements Iterable<BlockNumber> {
  readonly runs: readonly BlockRun[]
  /** How many blocks are in it. */
  readonly size: number

  /** For each run: how many blocks are in the runs before it. */
  private readonly starts: readonly number[]

  private constructor(runs: readonly BlockRun[]) {
    this.runs = runs
    const starts: number[] = []
    let size = 0
    for (const { count } of runs) {
      starts.push(size)
      size += count
    }
    this.starts = starts
    this.size = size
  }

  static readonly EMPTY: BlockSet = new BlockSet([])

  /** Blocks [first, first + count). */
  static range(first: BlockNumber, count: number): BlockSet {
    assert(Number.isSafeInteger(first) && Number.isSafeInteger(count) && first >= 0 && count >= 0, `a run of ${count} blocks from ${first} on`)
    return count === 0 ? BlockSet.EMPTY : new BlockSet([{ first, count }])
  }

  /** The set of these blocks, given in any order; a block may be named twice. */
  static of(blocks: Iterable<BlockNumber>): BlockSet {
    const sorted = [...blocks].sort((a, b) => a - b)
    return BlockSet.merge(sorted.map((first) => ({ first, count: 1 })))
  }

  /** The set of the blocks in these runs, given in any order; runs may overlap. */
  static ofRuns(runs: Iterable<BlockRun>): BlockSet {
    return BlockSet.merge([...runs].filter(({ count }) => count > 0).sort((a, b) => a.first - b.first))
  }

  /** @param runs by `first`; they may overlap */
  private static merge(runs: readonly BlockRun[]): BlockSet {
    const merged: { first: BlockNumber; count: number }[] = []
    for (const { first, count } of runs) {
      assert(Number.isSafeInteger(first) && first >= 0, `block ${first}`)
      const last = merged.at(-1)
      if (last !== undefined && first <= last.first + last.count) last.count = Math.max(last.count, first + count - last.first)
      else merged.push({ first, count })
    }
    return new BlockSet(merged)
  }

  has(block: BlockNumber): boolean {
    return this.indexOf(block) >= 0
  }

  /** The block that has this many blocks of the set before it. */
  at(index: number): BlockNumber {
    let low = 0
    let high = this.runs.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.starts[middle]! <= index) low = middle
      else high = middle - 1
    }
    assert(index >= 0 && index < this.size, `block number ${index} of a set of ${this.size}`)
    return this.runs[low]!.first + index - this.starts[low]!
  }

  /** How many blocks of the set are before `block`; -1 if it is not in the set. */
  indexOf(block: BlockNumber): number {
    const at = this.runAt(block)
    const run = this.runs[at]
    return run !== undefined && block >= run.first ? this.starts[at]! + block - run.first : -1
  }

  union(other: BlockSet): BlockSet {
    if (this.size === 0) return other
    if (other.size === 0) return this
    return BlockSet.merge([...this.runs, ...other.runs].sort((a, b) => a.first - b.first))
  }

  intersect(other: BlockSet): BlockSet {
    const runs: BlockRun[] = []
    for (let a = 0, b = 0; a < this.runs.length && b < other.runs.length;) {
      const mine = this.runs[a]!
      const theirs = other.runs[b]!
      const first = Math.max(mine.first, theirs.first)
      const end = Math.min(endOf(mine), endOf(theirs))
      if (first < end) runs.push({ first, count: end - first })
      if (endOf(mine) <= endOf(theirs)) a++
      else b++
    }
    return new BlockSet(runs)
  }

  subtract(other: BlockSet): BlockSet {
    const runs: BlockRun[] = []
    for (const run of this.runs) {
      let first = run.first
      for (let b = other.runAt(first); b < other.runs.length && other.runs[b]!.first < endOf(run); b++) {
        const hole = other.runs[b]!
        if (hole.first > first) runs.push({ first, count: hole.first - first })
        first = Math.max(first, endOf(hole))
      }
      if (first < endOf(run)) runs.push({ first, count: endOf(run) - first })
    }
    return new BlockSet(runs)
  }

  /** The one run that the set is; undefined for several, and for the empty set. */
  asRange(): BlockRun | undefined {
    return this.runs.length === 1 ? this.runs[0] : undefined
  }

  /** The same blocks as sets of at most `size` blocks each, in order. Each is one run: a gap ends it. */
  *pieces(size: number): Generator<BlockSet> {
    for (const run of this.runs) {
      for (let first = run.first; first < endOf(run); first += size) yield BlockSet.range(first, Math.min(size, endOf(run) - first))
    }
  }

  /** The same blocks as sets of `size` blocks each, in order; the last set may have fewer. A set may have gaps. */
  *batches(size: number): Generator<BlockSet> {
    let runs: BlockRun[] = []
    let room = size
    for (const run of this.runs) {
      for (let { first } = run; first < endOf(run);) {
        const count = Math.min(room, endOf(run) - first)
        runs.push({ first, count })
        first += count
        room -= count
        if (room > 0) continue
        yield new BlockSet(runs)
        runs = []
        room = size
      }
    }
    if (runs.length > 0) yield new BlockSet(runs)
  }

  /** Ascending. */
  *[Symbol.iterator](): Generator<BlockNumber> {
    for (const { first, count } of this.runs) for (let block = first; block < first + count; block++) yield block
  }

  /** Index of the first run that ends behind `block`; the number of runs if none does. */
  private runAt(block: BlockNumber): number {
    let low = 0
    let high = this.runs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (endOf(this.runs[middle]!) <= block) low = middle + 1
      else high = middle
    }
    return low
  }
}

function endOf({ first, count }: BlockRun): BlockNumber {
  return first + count
}
