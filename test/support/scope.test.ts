import { expect, test } from 'vitest'
import { amount, drawnIndexes, SCOPE } from './scope.ts'
import { parseScope } from './scopename.ts'

const CASES = [[5, 2], [5, 4], [32, 5], [32, 8], [7, 7], [40, 1], [3, 2]] as const

test.each(CASES)('of %i items, %i at a time: a round of successive seeds draws all of them', (length, count) => {
  const seeds = Math.ceil(length / count)
  for (const round of [0, 17, 8_000_000]) {
    const drawn = Array.from({ length: seeds }, (_, i) => drawnIndexes(length, count, round * seeds + i, 'things'))
    for (const indexes of drawn) expect(new Set(indexes).size).toBe(count)
    expect(new Set(drawn.flat()).size).toBe(length)
  }
})

test.each(CASES)('of %i items, %i at a time: each comes equally often, by successive seeds and by those of a clock', (length, count) => {
  for (const step of [1, 7919]) {
    const times = new Array<number>(length).fill(0)
    const seeds = 4000
    for (let i = 0; i < seeds; i++) for (const index of drawnIndexes(length, count, 4711 + i * step, 'things')) times[index]!++
    const expected = seeds * count / length
    // Six standard deviations of independent draws.
    const allowed = 6 * Math.sqrt(expected * (1 - count / length))
    expect(times.filter((found) => Math.abs(found - expected) > allowed), `${expected} each: ${times}`).toEqual([])
  }
})

test('draws of two lists do not depend on each other: every pair comes', () => {
  const pairs = new Set<string>()
  for (let seed = 0; seed < 600; seed++) {
    for (const file of drawnIndexes(15, 3, seed, 'files')) pairs.add(`${file} ${drawnIndexes(5, 1, seed, 'majors')[0]}`)
  }
  expect(pairs.size).toBe(15 * 5)
})

test('the same draw each time, another for another name', () => {
  expect(drawnIndexes(32, 5, 987_654_321, 'a')).toEqual(drawnIndexes(32, 5, 987_654_321, 'a'))
  expect(drawnIndexes(32, 5, 987_654_321, 'a')).not.toEqual(drawnIndexes(32, 5, 987_654_321, 'b'))
})

test('an amount is the one of the scope', () => {
  expect(amount({ quick: 'quick', sample: 'sample', all: 'all' })).toBe(SCOPE)
  expect(() => parseScope('sampel')).toThrow('LTAP_TEST_SCOPE is sampel; it may be quick, sample or all')
})
