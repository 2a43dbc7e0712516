/** Each store against one contract, and the contract against stores that break it. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { MemoryObjectStore, type ObjectStore } from '../../src/engine/index.ts'
import { DirectoryObjectStore } from '../../src/io/objectstore/directoryobjectstore.ts'
import { CHECKS, keysOf, type StoreSubject } from '../support/objectstorecontract.ts'
import { Random, TEST_SEED } from '../support/random.ts'

const folder = mkdtempSync(join(tmpdir(), 'ltap-objects-'))
afterAll(() => rmSync(folder, { recursive: true }))

const clock = { now: () => 1_700_000_000_000 }
const subject = (store: ObjectStore, hasIfMatch: boolean): StoreSubject => ({ store, hasIfMatch, prefix: randomUUID(), random: new Random(TEST_SEED) })

describe.each([
  ['memory', (): StoreSubject => subject(new MemoryObjectStore(clock), true)],
  ['folder', (): StoreSubject => subject(new DirectoryObjectStore(join(folder, 'lake')), false)],
])('%s', (_, open) => {
  test.each(Object.entries(CHECKS))('%s', (_name, check) => check(open()))
})

describe('a folder', () => {
  test('is its owner\'s, and what a killed process left is no object', async () => {
    const store = new DirectoryObjectStore(join(folder, 'own'))
    await store.put('a/b', new Uint8Array(3))
    expect([statSync(join(folder, 'own')), statSync(join(folder, 'own/a')), statSync(join(folder, 'own/a/b'))].map(({ mode }) => mode & 0o777)).toEqual([0o700, 0o700, 0o600])
    const left = store.upload('a/c')
    await left.write(new Uint8Array(10))
    writeFileSync(join(folder, 'own/a/~killed'), 'x')
    expect(readdirSync(join(folder, 'own/a'))).toHaveLength(3)
    expect(await keysOf(store, '')).toEqual(['a/b'])
    await left.abort()
    expect(readdirSync(join(folder, 'own/a')).sort()).toEqual(['b', '~killed'])
  })
})

/** A store that does one thing otherwise. */
function broken(change: (store: MemoryObjectStore) => Partial<ObjectStore>): ObjectStore {
  const store = new MemoryObjectStore(clock)
  const changed = change(store)
  return new Proxy(store, { get: (target, name) => Reflect.get(changed, name) ?? bound(target, name) }) as ObjectStore
}

function bound(target: MemoryObjectStore, name: string | symbol): unknown {
  const member: unknown = Reflect.get(target, name, target)
  return typeof member === 'function' ? member.bind(target) : member
}

const PLANTED: Record<string, [ObjectStore, string[]]> = {
  'ignores If-None-Match': [broken((store) => ({ put: (key, bytes, { ifMatch } = {}) => store.put(key, bytes, { ifMatch }) })),
    ['create only if absent', 'two writers, one winner', 'a probe says which conditions it honours, and cleans up', 'a value is replaced by the one who read it last']],
  'ignores If-Match': [broken((store) => ({ put: (key, bytes, { ifNoneMatch } = {}) => store.put(key, bytes, { ifNoneMatch }) })),
    ['replace only if the same', 'two writers, one winner', 'a probe says which conditions it honours, and cleans up', 'a value is replaced by the one who read it last']],
  'checks first and writes later': [broken((store) => ({
    put: async (key, bytes, { ifNoneMatch, ifMatch } = {}) => {
      const found = await store.head(key)
      await Promise.resolve()
      return ifNoneMatch && found || ifMatch !== undefined && found?.etag !== ifMatch ? { outcome: 'refused' } : store.put(key, bytes)
    },
  })), ['two writers, one winner', 'a probe says which conditions it honours, and cleans up']],
  'loses a write': [broken((store) => ({ put: async (key, bytes, options) => bytes.length === 300 ? { outcome: 'written', etag: 'x' } : store.put(key, bytes, options) })),
    ['what was put is there, as often as it is put']],
  'reads short ranges': [broken((store) => ({
    get: async (key, range) => {
      const object = await store.get(key, range)
      return object && range ? { ...object, bytes: object.bytes.subarray(0, 2) } : object
    },
  })), ['ranges']],
  'goes on in a list by another order than it lists in': [broken((store) => ({
    list: async function* (prefix) {
      const infos = []
      for await (const info of store.list(prefix)) infos.push(info)
      infos.sort((a, b) => a.key.split('/').join('\0') < b.key.split('/').join('\0') ? -1 : 1)
      // Pages of five, each from the last key on.
      for (let page = infos.slice(0, 5); page.length > 0;) {
        yield* page
        const { key: last } = page.at(-1)!
        page = infos.filter(({ key }) => key > last).slice(0, 5)
      }
    },
  })), ['lists each object once']],
  'begins each page of a list with the last key': [broken((store) => ({
    list: async function* (prefix) {
      let last
      for await (const info of store.list(prefix)) {
        if (last !== undefined) yield last
        yield last = info
      }
    },
  })), ['lists each object once']],
  'shows a part of an upload': [broken((store) => ({
    upload: (key) => ({ ...store.upload(key), write: async (bytes) => void await store.put(key, bytes) }),
  })), ['uploads appear whole, at the end']],
  'refuses to delete what is not there': [broken((store) => ({
    delete: async (keys) => {
      for (const key of keys) if (!await store.head(key)) throw new Error('no such key')
      await store.delete(keys)
    },
  })), ['delete']],
}

describe('planted faults are found', () => {
  test.each(Object.entries(PLANTED))('a store that %s', async (_, [store, found]) => {
    const failed: string[] = []
    for (const [name, check] of Object.entries(CHECKS)) await check(subject(store, true)).catch(() => failed.push(name))
    expect(failed).toEqual(expect.arrayContaining(found))
    expect(failed.length).toBeLessThan(Object.keys(CHECKS).length / 2)
  })
})
