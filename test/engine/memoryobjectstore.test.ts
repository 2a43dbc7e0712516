import { expect, test } from 'vitest'
import { checkPrefix, isKey } from '../../src/engine/objectkey.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'

test.each(['a', 'a/b', 'ltap/branches/main/HEAD', 'shop/public.orders-16384/data/3-1-0.parquet', 'k=v/p=1', 'a'.repeat(255), '...', '.a', '-'])('%s is a key', (key) => {
  expect(isKey(key)).toBe(true)
})

test.each(['', '/', 'a/', '/a', 'a//b', '.', '..', 'a/./b', 'a/../b', 'a b', 'ä', 'a+b', 'a%2Fb', 'a\\b', 'a\0', 'a'.repeat(256), Array(200).fill('abcd').join('/')])('%j is no key', (key) => {
  expect(isKey(key)).toBe(false)
})

test('what keys begin with', () => {
  for (const prefix of ['', 'a', 'a/', 'a/b.']) expect(() => checkPrefix(prefix)).not.toThrow()
  for (const prefix of ['/', 'a//', 'a b']) expect(() => checkPrefix(prefix)).toThrow()
})

test('a key that is a prefix of others is our own bug', async () => {
  const store = new MemoryObjectStore({ now: () => 0 })
  await store.put('a/b', new Uint8Array(1))
  await expect(store.put('a', new Uint8Array(1))).rejects.toThrow(/an object and a prefix/)
  await expect(store.put('a/b/c', new Uint8Array(1))).rejects.toThrow(/an object and a prefix/)
  await store.delete(['a/b'])
  expect((await store.put('a', new Uint8Array(1))).outcome).toBe('written')
})
