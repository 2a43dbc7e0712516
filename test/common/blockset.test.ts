import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'

/** The plain set is the oracle. */
const blocks = fc.array(fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0xfffffff0, max: 0xfffffffe })), { maxLength: 40 })

function sorted(set: Iterable<number>): number[] {
  return [...set].sort((a, b) => a - b)
}

function expectSame(found: BlockSet, expected: ReadonlySet<number>): void {
  expect([...found]).toEqual(sorted(expected))
  expect(found.size).toBe(expected.size)
  for (let i = 0; i < found.runs.length; i++) {
    const { first, count } = found.runs[i]!
    expect(count).toBeGreaterThan(0)
    // Runs that touch would be one.
    if (i > 0) expect(first).toBeGreaterThan(found.runs[i - 1]!.first + found.runs[i - 1]!.count)
  }
}

describe('block sets', () => {
  test('are what a plain set is', () => {
    fc.assert(fc.property(blocks, blocks, fc.integer({ min: 1, max: 7 }), (a, b, piece) => {
      const [setA, setB] = [BlockSet.of(a), BlockSet.of(b)]
      const [plainA, plainB] = [new Set(a), new Set(b)]
      expectSame(setA, plainA)
      expectSame(setA.union(setB), new Set([...a, ...b]))
      expectSame(setA.intersect(setB), new Set(a.filter((block) => plainB.has(block))))
      expectSame(setA.subtract(setB), new Set(a.filter((block) => !plainB.has(block))))
      for (const block of [...a, ...b, 61, 0xffffffff]) {
        expect(setA.has(block)).toBe(plainA.has(block))
        expect(setA.indexOf(block)).toBe(sorted(plainA).indexOf(block))
      }
      for (const [i, block] of sorted(plainA).entries()) expect(setA.at(i)).toBe(block)
      expect(() => setA.at(plainA.size)).toThrow(/ltap bug/)
      expect(BlockSet.ofRuns([...setB.runs, ...setA.runs, { first: 3, count: 0 }])).toEqual(setA.union(setB))
      const pieces = [...setA.pieces(piece)]
      expect(pieces.flatMap((set) => [...set])).toEqual(sorted(plainA))
      for (const set of pieces) expect(set.asRange()?.count).toBeLessThanOrEqual(piece)
      const batches = [...setA.batches(piece)]
      expect(batches.flatMap((set) => [...set])).toEqual([...setA])
      expect(batches.map(({ size }) => size)).toEqual(Array.from({ length: Math.ceil(setA.size / piece) }, (_, i) => Math.min(piece, setA.size - i * piece)))
      for (const set of batches) expectSame(set, new Set(set))
      expect(setA.asRange()).toEqual(setA.runs.length === 1 ? setA.runs[0] : undefined)
    }))
  })

  test('ranges', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 50 }), (first, count) => {
      expectSame(BlockSet.range(first, count), new Set(Array.from({ length: count }, (_, i) => first + i)))
      expect(BlockSet.range(first, count).asRange()).toEqual(count === 0 ? undefined : { first, count })
    }))
    expect(() => BlockSet.range(-1, 1)).toThrow(/ltap bug/)
    expect(() => BlockSet.range(0, -1)).toThrow(/ltap bug/)
    expect(() => BlockSet.of([1.5])).toThrow(/ltap bug/)
  })

  test('a whole fork of the largest relation is one run', () => {
    const all = BlockSet.range(0, 0xffffffff)
    expect(all.has(0xfffffffe)).toBe(true)
    expect(all.subtract(BlockSet.of([5])).runs).toEqual([{ first: 0, count: 5 }, { first: 6, count: 0xffffffff - 6 }])
  })
})
