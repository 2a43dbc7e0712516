import fc from 'fast-check'
import { expect, test } from 'vitest'
import { equalJson } from '../../src/common/equaljson.ts'

/** The same value with the members of each object the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).reverse().map(([name, member]) => [name, reversed(member)]))
}

test('the order of members means nothing', () => {
  fc.assert(fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
    const plain = JSON.parse(JSON.stringify(value)) as unknown
    expect(equalJson(plain, reversed(plain))).toBe(true)
  }))
})

test('other values are other values', () => {
  fc.assert(fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
    const [x, y] = [a, b].map((value) => JSON.parse(JSON.stringify(value)) as unknown)
    let isSame = true
    try {
      expect(x).toStrictEqual(y)
    } catch {
      isSame = false
    }
    expect(equalJson(x, y)).toBe(isSame)
  }))
})

test.each<[unknown, unknown, boolean]>([
  [{}, [], false], [{ a: 1 }, { a: 1, b: 2 }, false], [{ a: undefined }, {}, true], [{ a: 1 }, { b: 1 }, false], [[1, 2], [2, 1], false], [null, {}, false],
  [{ toString: 1 }, {}, false],
])('%j and %j', (a, b, same) => {
  expect(equalJson(a, b)).toBe(same)
})
