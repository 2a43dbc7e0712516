/** What every object store does: the same checks for memory, folders and S3 servers. A store that does something else fails one of them by its name. */
import { expect } from 'vitest'
import type { ByteRange, Leftover, ObjectStore } from '../../src/engine/index.ts'
import { openCas, probeCas } from '../../src/engine/index.ts'
import type { Random } from './random.ts'

export interface StoreSubject {
  store: ObjectStore
  /** Where the checks put their objects: nobody else's. */
  prefix: string
  random: Random
  /** Whether put knows If-Match. */
  hasIfMatch: boolean
  /** Length of a piece of an upload; S3 has parts of at least 5 MiB. */
  piece?: number
}

type Check = (subject: StoreSubject) => Promise<void>

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** Sorted: the order of lists differs between stores. */
export async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list(prefix)) keys.push(key)
  return keys.sort()
}

async function bytesOf(store: ObjectStore, key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
  return (await store.get(key, range))?.bytes
}

function randomBytes(random: Random, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = random.next()
  return bytes
}

export const CHECKS: Record<string, Check> = {
  'what was put is there, as often as it is put': async ({ store, prefix, random }) => {
    const key = `${prefix}/put`
    expect(await store.get(key)).toBeUndefined()
    expect(await store.head(key)).toBeUndefined()
    for (const length of [0, 1, 300, 50_000]) {
      const bytes = randomBytes(random, length)
      const put = await store.put(key, bytes)
      expect(put.outcome).toBe('written')
      const etag = put.outcome === 'written' ? put.etag : ''
      const found = await store.get(key)
      expect({ ...found, bytes: undefined }).toMatchObject({ key, size: length, etag })
      expect(Buffer.compare(found!.bytes, bytes)).toBe(0)
      expect(await store.head(key)).toMatchObject({ key, size: length, etag })
    }
  },

  'ranges': async ({ store, prefix }) => {
    const key = `${prefix}/range`
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
    await store.put(key, bytes)
    const cases: [ByteRange, number, number][] = [
      [{ start: 0, end: 4 }, 0, 4], [{ start: 3, end: 4 }, 3, 4], [{ start: 250, end: 256 }, 250, 256], [{ start: 250, end: 1000 }, 250, 256],
      [{ start: 256, end: 260 }, 256, 256], [{ start: 1000, end: 1001 }, 256, 256], [{ last: 4 }, 252, 256], [{ last: 256 }, 0, 256], [{ last: 1000 }, 0, 256],
    ]
    for (const [range, from, to] of cases) expect(await store.get(key, range), JSON.stringify(range)).toMatchObject({ size: 256, bytes: bytes.subarray(from, to) })
    await store.put(`${prefix}/empty`, new Uint8Array(0))
    for (const range of [{ start: 0, end: 4 }, { last: 4 }]) expect(await store.get(`${prefix}/empty`, range)).toMatchObject({ size: 0, bytes: new Uint8Array(0) })
    expect(await store.get(`${prefix}/none`, { last: 4 })).toBeUndefined()
  },

  'create only if absent': async ({ store, prefix }) => {
    const key = `${prefix}/create`
    expect((await store.put(key, text('1'), { ifNoneMatch: true })).outcome).toBe('written')
    expect((await store.put(key, text('2'), { ifNoneMatch: true })).outcome).toBe('refused')
    expect(await bytesOf(store, key)).toEqual(text('1'))
    await store.delete([key])
    expect((await store.put(key, text('3'), { ifNoneMatch: true })).outcome).toBe('written')
    expect(await bytesOf(store, key)).toEqual(text('3'))
  },

  'replace only if the same': async ({ store, prefix, hasIfMatch }) => {
    const key = `${prefix}/replace`
    const first = await store.put(key, text('1'))
    const old = first.outcome === 'written' ? first.etag : ''
    if (!hasIfMatch) {
      await expect(store.put(key, text('2'), { ifMatch: old })).rejects.toMatchObject({ code: 'store.condition' })
      expect(await bytesOf(store, key)).toEqual(text('1'))
      return
    }
    const second = await store.put(key, text('2'), { ifMatch: old })
    expect(second.outcome).toBe('written')
    expect((await store.put(key, text('3'), { ifMatch: old })).outcome).toBe('refused')
    expect(await bytesOf(store, key)).toEqual(text('2'))
    expect((await store.put(`${prefix}/missing`, text('3'), { ifMatch: old })).outcome).toBe('refused')
    expect(await store.head(`${prefix}/missing`)).toBeUndefined()
    expect(await store.head(key)).toMatchObject(second.outcome === 'written' ? { etag: second.etag } : {})
  },

  'uploads appear whole, at the end': async ({ store, prefix, random, piece: large = 100_000 }) => {
    for (const lengths of [[], [10], [7_000, 1, 0, 20_000], [large, large, 3]]) {
      const key = `${prefix}/upload-${lengths.length}`
      const upload = store.upload(key)
      const pieces = lengths.map((length) => randomBytes(random, length))
      for (const piece of pieces) {
        const lent = piece.slice()
        await upload.write(lent)
        lent.fill(0)
      }
      expect(await store.head(key)).toBeUndefined()
      expect(await keysOf(store, key)).toEqual([])
      const { etag, size } = await upload.finish()
      const found = await store.get(key)
      expect({ ...found, bytes: undefined }).toMatchObject({ etag, size })
      expect(Buffer.compare(found!.bytes, Buffer.concat(pieces))).toBe(0)
      await upload.abort()
      expect(await store.head(key)).toBeDefined()
    }
    const given = store.upload(`${prefix}/given-up`)
    await given.write(randomBytes(random, large))
    await given.abort()
    await given.abort()
    expect(await keysOf(store, `${prefix}/given-up`)).toEqual([])
  },

  'leftovers are the uploads that did not end, and can be removed': async ({ store, prefix, random, piece: large = 100_000 }) => {
    const found = async (): Promise<Leftover[]> => {
      const all: Leftover[] = []
      for await (const leftover of store.leftovers()) if (leftover.key === undefined || leftover.key.startsWith(`${prefix}/left/`)) all.push(leftover)
      return all
    }
    const uploads = ['ends', 'is-given-up', 'is-removed'].map((name) => store.upload(`${prefix}/left/${name}`))
    const bytes = randomBytes(random, 2 * large)
    for (const upload of uploads) await upload.write(bytes)
    expect(await found()).toHaveLength(3)
    await uploads[0]!.finish()
    await uploads[1]!.abort()
    const [left, ...others] = await found()
    expect(others).toEqual([])
    if (left!.key !== undefined) expect(left!.key).toBe(`${prefix}/left/is-removed`)
    await left!.remove()
    await left!.remove()
    expect(await found()).toEqual([])
    await expect(uploads[2]!.finish()).rejects.toMatchObject({ code: 'store.upload-gone' })
    await uploads[2]!.abort()
    expect(await keysOf(store, `${prefix}/left/`)).toEqual([`${prefix}/left/ends`])
  },

  'delete': async ({ store, prefix }) => {
    const keys = ['a', 'b', 'c/d'].map((name) => `${prefix}/delete/${name}`)
    for (const key of keys) await store.put(key, text(key))
    await store.delete([keys[0]!, `${prefix}/delete/none`, `${prefix}/delete/c/none`, keys[2]!])
    expect(await keysOf(store, `${prefix}/delete/`)).toEqual([keys[1]])
    await store.delete([])
    await store.delete(keys)
    await store.delete(keys)
    expect(await keysOf(store, `${prefix}/delete/`)).toEqual([])
  },

  'lists each object once': async ({ store, prefix }) => {
    const names = ['a', 'a-b/x', 'a.b', 'a=b/y', 'b/x', 'b-', 'b.x/z', 'B/x', '0', 'Z', 'bb/c/d', 'bb/c-d', 'bb/c.d', 'c_d', '-', '...', 'zz/=']
    const keys = names.map((name) => `${prefix}/list/${name}`).sort()
    for (const key of keys) await store.put(key, text(key))
    expect(await keysOf(store, `${prefix}/list/`)).toEqual(keys)
    for (const start of ['b', 'bb/c', 'bb/c/', 'a-', 'none', 'zz/=']) {
      expect(await keysOf(store, `${prefix}/list/${start}`), start).toEqual(keys.filter((key) => key.startsWith(`${prefix}/list/${start}`)))
    }
    for await (const { key, size, etag } of store.list(`${prefix}/list/`)) expect(await store.head(key)).toMatchObject({ size, etag })
  },

  'two writers, one winner': async ({ store, prefix, hasIfMatch }) => {
    expect(await oneWinner(store, `${prefix}/races`, 20, hasIfMatch)).toEqual([])
  },

  'a probe says which conditions it honours, and cleans up': async ({ store, prefix, hasIfMatch }) => {
    expect(await probeCas(store, { nonce: () => 'n0nce' }, `${prefix}/probe`)).toBe(hasIfMatch ? 'if-match' : 'if-none-match')
    expect(await keysOf(store, `${prefix}/probe`)).toEqual([])
  },

  'a value is replaced by the one who read it last': async ({ store, prefix, hasIfMatch }) => {
    for (const kind of hasIfMatch ? ['if-match', 'if-none-match'] as const : ['if-none-match'] as const) {
      const [a, b] = [openCas(store, `${prefix}/cas-${kind}`, kind), openCas(store, `${prefix}/cas-${kind}`, kind)]
      expect(await a.read()).toBeUndefined()
      expect(await a.write(text('1'), undefined)).toBe('written')
      expect(await b.write(text('x'), undefined)).toBe('refused')
      const old = (await b.read())!
      expect(old.value).toEqual(text('1'))
      expect(await b.write(text('2'), old.token)).toBe('written')
      expect(await a.write(text('x'), old.token)).toBe('refused')
      expect((await a.read())!.value).toEqual(text('2'))
    }
  },

  'counts requests and bytes': async ({ store, prefix }) => {
    const before = { ...store.counters, requests: { ...store.counters.requests } }
    await store.put(`${prefix}/count`, text('12345'))
    await store.get(`${prefix}/count`)
    await store.get(`${prefix}/count`, { last: 2 })
    await store.head(`${prefix}/count`)
    const { requests, bytesUp, bytesDown } = store.counters
    expect({ put: requests.put - before.requests.put, get: requests.get - before.requests.get, head: requests.head - before.requests.head }).toEqual({ put: 1, get: 2, head: 1 })
    expect([bytesUp - before.bytesUp, bytesDown - before.bytesDown]).toEqual([5, 7])
  },
}

/** Races of two for one name, and of two for one replacement. @returns those that had not exactly one winner whose bytes stay */
export async function oneWinner(store: ObjectStore, prefix: string, races: number, hasIfMatch: boolean): Promise<string[]> {
  const failed: string[] = []
  let etag = ''
  if (hasIfMatch) {
    const put = await store.put(`${prefix}/one`, text('start'))
    etag = put.outcome === 'written' ? put.etag : ''
  }
  for (let race = 0; race < races; race++) {
    const writers = ['a', 'b'].map((name) => text(`${name} of ${race}`))
    const created = await Promise.all(writers.map((bytes) => store.put(`${prefix}/${race}`, bytes, { ifNoneMatch: true })))
    if (!await isWinner(store, `${prefix}/${race}`, writers, created.map(({ outcome }) => outcome === 'written'))) failed.push(`create ${race}`)
    if (!hasIfMatch) continue
    const replaced = await Promise.all(writers.map((bytes) => store.put(`${prefix}/one`, bytes, { ifMatch: etag })))
    if (!await isWinner(store, `${prefix}/one`, writers, replaced.map(({ outcome }) => outcome === 'written'))) failed.push(`replace ${race}`)
    etag = (await store.head(`${prefix}/one`))!.etag
  }
  return failed
}

async function isWinner(store: ObjectStore, key: string, writers: readonly Uint8Array[], won: readonly boolean[]): Promise<boolean> {
  if (won.filter(Boolean).length !== 1) return false
  return Buffer.compare((await store.get(key))!.bytes, writers[won.indexOf(true)]!) === 0
}
