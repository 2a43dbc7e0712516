import { expect, test } from 'vitest'
import { listElements, nestedBytes } from '../../src/vector/databytes.ts'
import { BitVector, BytesVector, ListVector, StructVector, WordVector } from '../../src/vector/vector.ts'

test('what a column with children asks of the encoder counts nulls and levels', () => {
  const numbers = new ListVector(new WordVector(1))
  numbers.child.padTo(1000)
  numbers.close()
  expect(nestedBytes(numbers)).toBe(4 + 1000 * 8)
  const texts = new BytesVector()
  texts.pushAscii('four')
  texts.pushNull()
  const structs = new StructVector([new ListVector(texts), new BitVector()])
  ;(structs.children[0] as ListVector).close()
  structs.close()
  expect(nestedBytes(structs)).toBe(4 + (4 * 2 + 2 * 8) + 4)
  expect([numbers, texts, structs].map(listElements)).toEqual([1000, 0, 2])
})

test('a list has at most 67,108,864 elements, and forgets those of a value that has more', () => {
  const list = new ListVector(new BitVector())
  list.child.push(true)
  list.close()
  list.child.padTo(2 ** 26)
  expect(() => list.child.pushNull()).toThrow(expect.objectContaining({ code: 'vector.size' }))
  list.truncate(1)
  expect([list.length, list.child.length, list.child.isNull(0)]).toEqual([1, 1, false])
})
