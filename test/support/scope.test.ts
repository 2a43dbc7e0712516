import { expect, test } from 'vitest'
import { amount, drawnIndexes, SCOPE } from './scope.ts'
import { parseScope } from './scopename.ts'

const CASES = [[5, 2], [5, 4], [32, 5], [32, 8], [7, 7], [40, 1]] as const

test.each(CASES)('of %i items, %i at a time: successive seeds draw all, and each equally often', (length, count) => {
  const first = 4711
  const times = new Array<number>(length).fill(0)
  for (let seed = first; seed < first + length; seed++) {
    const indexes = drawnIndexes(length, count, seed, 'things')
    expect(new Set(indexes).size).toBe(count)
    for (const i of indexes) times[i]!++
  }
  expect(times).toEqual(new Array(length).fill(count))
  const round = Array.from({ length: Math.ceil(length / count) }, (_, i) => drawnIndexes(length, count, first + i, 'things'))
  expect(new Set(round.flat()).size).toBe(length)
})

test('seeds as large as a clock, the same draw each time, another for another name', () => {
  expect(drawnIndexes(32, 5, 987_654_321, 'a')).toEqual(drawnIndexes(32, 5, 987_654_321, 'a'))
  expect(drawnIndexes(32, 5, 987_654_321, 'a')).not.toEqual(drawnIndexes(32, 5, 987_654_321, 'b'))
})

test('an amount is the one of the scope', () => {
  expect(amount({ quick: 'quick', sample: 'sample', all: 'all' })).toBe(SCOPE)
  expect(() => parseScope('sampel')).toThrow('LTAP_TEST_SCOPE is sampel; it may be quick, sample or all')
})
