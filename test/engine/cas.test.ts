/** A value under sequenced names: writers that stall, replies that are lost, names that others deleted meanwhile. */
import { describe, expect, test } from 'vitest'
import type { Cas, ObjectStore } from '../../src/engine/index.ts'
import { EtagCas, MemoryObjectStore, probeCas, SequencedCas } from '../../src/engine/index.ts'
import { EnvironmentError } from '../../src/common/errors.ts'
import { keysOf } from '../support/objectstorecontract.ts'
import { Random, TEST_SEED } from '../support/random.ts'

const memory = (): MemoryObjectStore => new MemoryObjectStore({ now: () => 0 })
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const untext = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes)

/** A store of which some methods are others. */
function over(store: ObjectStore, changed: Partial<ObjectStore>): ObjectStore {
  return {
    url: store.url, counters: store.counters, get: (...args) => store.get(...args), head: (...args) => store.head(...args), put: (...args) => store.put(...args),
    upload: (key) => store.upload(key), delete: (keys) => store.delete(keys), list: (prefix) => store.list(prefix), leftovers: () => store.leftovers(), ...changed,
  }
}

async function writeTo(cas: Cas, last: number): Promise<void> {
  for (let value = Number(untext((await cas.read())?.value) || 0) + 1; value <= last; value++) {
    expect(await cas.write(text(String(value)), (await cas.read())?.token)).toBe('written')
  }
}

describe('sequenced names', () => {
  test('old values go, new handles find the newest, with few requests', async () => {
    const store = memory()
    await writeTo(new SequencedCas(store, 'HEAD', { kept: 10 }), 95)
    expect(await keysOf(store, 'HEAD/0')).toHaveLength(95 - 80)
    const before = { ...store.counters.requests }
    expect(untext((await new SequencedCas(store, 'HEAD', { kept: 10 }).read())?.value)).toBe('95')
    const { get, head } = store.counters.requests
    expect(get - before.get + head - before.head).toBeLessThanOrEqual(24)
  })

  test('a writer who stalls until its name was created by others and deleted has lost', async () => {
    const store = memory()
    const stalled = new SequencedCas(store, 'HEAD', { kept: 2 })
    await writeTo(stalled, 3)
    const { token } = (await stalled.read())!
    await writeTo(new SequencedCas(store, 'HEAD', { kept: 2 }), 12)
    expect(await store.head('HEAD/00000000000000000004')).toBeUndefined()
    expect(await stalled.write(text('ghost'), token)).toBe('refused')
    // What it created is nobody's value.
    for (const reader of [stalled, new SequencedCas(store, 'HEAD', { kept: 2 })]) expect(untext((await reader.read())?.value)).toBe('12')
  })

  test('a planted fault, names deleted before the boundary is raised, is found', async () => {
    const store = memory()
    // Raising it fails without a word, and the names go nevertheless.
    const early = over(store, { put: async (key, ...rest) => key.includes('/boundary/') ? { outcome: 'written', etag: 'x' } : store.put(key, ...rest) })
    const stalled = new SequencedCas(store, 'HEAD', { kept: 2 })
    await writeTo(stalled, 3)
    const { token } = (await stalled.read())!
    await writeTo(new SequencedCas(early, 'HEAD', { kept: 2 }), 12)
    expect(await stalled.write(text('ghost'), token)).toBe('written')
  })

  test('a reader who is overtaken by a deletion finds the newest', async () => {
    const store = memory()
    await writeTo(new SequencedCas(store, 'HEAD', { kept: 2 }), 3)
    let overtakes = true
    const slow = over(store, {
      head: async (key) => {
        if (overtakes) {
          overtakes = false
          await writeTo(new SequencedCas(store, 'HEAD', { kept: 2 }), 12)
        }
        return store.head(key)
      },
    })
    expect(untext((await new SequencedCas(slow, 'HEAD', { kept: 2 }).read())?.value)).toBe('12')
  })

  test('a lost reply is unknown, and the value tells', async () => {
    const store = memory()
    const lossy = over(store, {
      put: async (...args) => {
        await store.put(...args)
        return { outcome: 'unknown', reason: 'the reply was lost' }
      },
    })
    for (const cas of [new SequencedCas(lossy, 'a', { kept: 2 }), new EtagCas(lossy, 'b')]) {
      expect(await cas.write(text('mine'), undefined)).toBe('unknown')
      expect(untext((await cas.read())?.value)).toBe('mine')
    }
  })

  test('a boundary that cannot be read after a write is unknown; a hint that cannot be written is nothing', async () => {
    const store = memory()
    let fails = false
    const failing = over(store, {
      get: (...args) => fails ? Promise.reject(new EnvironmentError('store.unavailable', 'gone')) : store.get(...args),
      put: (key, ...rest) => key.endsWith('/hint') ? Promise.reject(new EnvironmentError('store.unavailable', 'gone')) : store.put(key, ...rest),
    })
    const cas = new SequencedCas(failing, 'HEAD')
    await writeTo(cas, 40)
    const { token } = (await cas.read())!
    fails = true
    expect(await cas.write(text('41'), token)).toBe('unknown')
  })

  test('a value that was deleted by hand is missed', async () => {
    const store = memory()
    await writeTo(new SequencedCas(store, 'HEAD', { kept: 2 }), 32)
    await store.delete(await keysOf(store, 'HEAD/0'))
    await expect(new SequencedCas(store, 'HEAD', { kept: 2 }).read()).rejects.toMatchObject({ code: 'store.value-lost' })
  })
})

describe('earlier values are forgotten', () => {
  const values = async (store: ObjectStore): Promise<string[]> => {
    const found: string[] = []
    for await (const { key } of store.list('HEAD/')) if (/\/\d{20}$/.test(key)) found.push(String(Number(key.slice('HEAD/'.length))))
    return found.filter((name) => !Number.isNaN(Number(name)))
  }

  test('the newest one stays, writers and readers go on', async () => {
    const store = memory()
    const [cas, other] = [new SequencedCas(store, 'HEAD'), new SequencedCas(store, 'HEAD')]
    await cas.forgetEarlier()
    await writeTo(cas, 70)
    const before = (await other.read())!
    await writeTo(cas, 72)
    await cas.forgetEarlier()
    expect(await values(store)).toEqual(['72'])
    await cas.forgetEarlier()
    expect(untext((await new SequencedCas(store, 'HEAD').read())?.value)).toBe('72')
    // The name is free again, and what is written there is no value.
    expect(await other.write(text('late'), before.token)).toBe('refused')
    expect(untext((await other.read())?.value)).toBe('72')
    await new SequencedCas(store, 'HEAD').forgetEarlier()
    expect(await values(store)).toEqual(['72'])
    await writeTo(other, 300)
    expect(untext((await cas.read())?.value)).toBe('300')
  })

  test('a writer that stalls across it has its value refused, whatever the moment', async () => {
    const store = memory()
    const writer = new SequencedCas(over(store, {
      put: async (key, bytes, condition) => {
        if (key.endsWith('3')) {
          await writeTo(new SequencedCas(store, 'HEAD'), 5)
          await new SequencedCas(store, 'HEAD').forgetEarlier()
        }
        return await store.put(key, bytes, condition)
      },
    }), 'HEAD')
    await writeTo(writer, 2)
    expect(await writer.write(text('stalled'), (await writer.read())!.token)).toBe('refused')
    expect(untext((await writer.read())?.value)).toBe('5')
  })
})

describe('values that were deleted by hand', () => {
  const key = (sequence: number): string => `HEAD/${String(sequence).padStart(20, '0')}`
  const lost = { code: 'store.value-lost' }

  test.each([[[5], 5], [[5, 6], 5], [[1], 1]])('%j of 7, and no hint: a reader says that value %i is lost', async (gone, first) => {
    const store = memory()
    await writeTo(new SequencedCas(store, 'HEAD'), 7)
    await store.delete([...gone.map(key), 'HEAD/hint'])
    await expect(new SequencedCas(store, 'HEAD').read()).rejects.toMatchObject({ ...lost, message: expect.stringContaining(`number ${first},`) as unknown })
  })

  test('the newest one: the hint tells of it', async () => {
    const store = memory()
    await writeTo(new SequencedCas(store, 'HEAD'), 7)
    await store.delete([key(7)])
    await expect(new SequencedCas(store, 'HEAD').read()).rejects.toMatchObject({ ...lost, message: expect.stringContaining('number 7,') as unknown })
  })

  test('a reader that has read the value before them', async () => {
    const store = memory()
    const reader = new SequencedCas(store, 'HEAD')
    await writeTo(reader, 4)
    await writeTo(new SequencedCas(store, 'HEAD'), 7)
    await store.delete([key(5)])
    await expect(reader.read()).rejects.toMatchObject(lost)
  })

  test('what a writer creates in the place of one is not reported as written', async () => {
    const store = memory()
    const writer = new SequencedCas(store, 'HEAD')
    await writeTo(writer, 4)
    const { token } = (await writer.read())!
    await writeTo(new SequencedCas(store, 'HEAD'), 7)
    await store.delete([key(5)])
    expect(await writer.write(text('lost'), token)).toBe('unknown')
    expect(untext((await writer.read())?.value)).toBe('7')
  })

  test('a reader and a write cost a few requests, and no list', async () => {
    const store = memory()
    const cas = new SequencedCas(store, 'HEAD')
    await writeTo(cas, 60)
    const before = { ...store.counters.requests }
    const read = await new SequencedCas(store, 'HEAD').read()
    const between = { ...store.counters.requests }
    await cas.write(text('61'), read!.token)
    const { get, head, put, list } = store.counters.requests
    expect([between.get - before.get, between.head - before.head]).toEqual([4, 4])
    expect([get - between.get, head - between.head, put - between.put, list]).toEqual([1, 2, 2, 0])
  })
})

describe('every order of two writers', () => {
  test.each([['etag', (store: ObjectStore): Cas => new EtagCas(store, 'HEAD')], ['names', (store: ObjectStore): Cas => new SequencedCas(store, 'HEAD', { kept: 1 })]])('%s: no increment is lost', async (_, open) => {
    const random = new Random(TEST_SEED)
    for (let run = 0; run < 300; run++) {
      const store = memory()
      const pause = async (): Promise<void> => {
        for (let turns = random.int(6); turns > 0; turns--) await Promise.resolve()
      }
      const slow = over(store, {
        get: async (...args) => (await pause(), store.get(...args)), head: async (...args) => (await pause(), store.head(...args)),
        put: async (...args) => {
          await pause()
          const outcome = await store.put(...args)
          await pause()
          return outcome
        },
        delete: async (keys) => (await pause(), store.delete(keys)),
      })
      const add = async (): Promise<void> => {
        const cas = open(slow)
        for (let done = 0; done < 4;) {
          const old = await cas.read()
          if (await cas.write(text(String(Number(untext(old?.value) || 0) + 1)), old?.token) === 'written') done++
        }
      }
      await Promise.all([add(), add(), add()])
      expect(untext((await open(store).read())?.value), `run ${run}`).toBe('12')
    }
  })
})

describe('probe', () => {
  const nonce = { nonce: () => 'n0nce' }
  test('a store without any condition is refused, with what to do', async () => {
    const store = memory()
    const deaf = over(store, { put: (key, bytes) => store.put(key, bytes) })
    await expect(probeCas(deaf, nonce)).rejects.toMatchObject({ code: 'store.no-conditions', message: expect.stringContaining('conditional writes') })
  })

  test('one that takes If-Match and ignores it has sequenced names', async () => {
    const store = memory()
    const deaf = over(store, { put: (key, bytes, { ifNoneMatch } = {}) => store.put(key, bytes, { ifNoneMatch }) })
    expect(await probeCas(deaf, nonce)).toBe('if-none-match')
  })

  test('without answers it says so', async () => {
    const store = over(memory(), { put: async () => ({ outcome: 'unknown', reason: '503' }) })
    await expect(probeCas(store, nonce)).rejects.toMatchObject({ code: 'store.unavailable' })
  })
})
