/**
 * The S3 adapter against real servers: what test/io/s3objectstore.test.ts asks of the server in this process. `npm run conformance` runs it with what
 * `npm run conformance:install` has put on this machine.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Leftover, type ObjectStore, probeCas } from '../../src/engine/index.ts'
import { type ObjectStoreOptions, openObjectStore } from '../../src/io/index.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { CHECKS, keysOf, oneWinner } from '../support/objectstorecontract.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'
import { FailingProxy } from './failingproxy.ts'
import { installedServers, KEYS, READER, type RealServer, startServer } from './servers.ts'

const PART = 5 << 20
const RACES = amount({ sample: 200, all: 2_000 })
const QUICK = { attempts: 12, firstMs: 1, longestMs: 20 }
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const INSTALLED = installedServers()

test.skipIf(INSTALLED.length > 0)('without a server nothing is asked, and a line says so', () => {
  expect(INSTALLED).toEqual([])
})

describe.each(INSTALLED)('%s', (name) => {
  let server: RealServer
  beforeAll(async () => {
    server = await startServer(name)
  })
  afterAll(() => server.stop())

  let places = 0
  const open = (options: ObjectStoreOptions = {}, url = `s3://lake/p${++places}`): Promise<ObjectStore> =>
    openObjectStore(url, { endpoint: server.endpoint, credentials: KEYS, environment: {}, partSize: PART, ...options })

  test.each(Object.entries(CHECKS))('%s', async (_, check) => {
    await check({ store: await open(), prefix: 'c', random: new Random(TEST_SEED), hasIfMatch: true, piece: 6_000_000 })
  })

  test(`${RACES} races of two for a name and for a replacement have one winner each`, async () => {
    expect(await oneWinner(await open(), 'r', RACES, true)).toEqual([])
  })

  test('the probe takes it', async () => {
    expect(await probeCas(await open(), systemRandom)).toBe('if-match')
  })

  test('a list of several pages has each object once', async () => {
    const store = await open()
    const keys = Array.from({ length: 1_100 }, (_, i) => `t-${i % 7}${['/', '-x/', '.y/'][i % 3]}${i}`)
    for (let i = 0; i < keys.length; i += 20) await Promise.all(keys.slice(i, i + 20).map((key) => store.put(key, text(key))))
    expect(await keysOf(store, '')).toEqual(keys.sort())
    expect(store.counters.requests.list).toBeGreaterThan(1)
    await store.delete(keys)
    expect(await keysOf(store, '')).toEqual([])
  })

  test('one request of ten fails on the way', async () => {
    const random = new Random(TEST_SEED)
    const proxy = await FailingProxy.start(server.endpoint, 10, random)
    try {
      const store = await open({ endpoint: proxy.endpoint, timeoutMs: 3_000, retries: QUICK })
      const count = amount({ sample: 100, all: 1_000 })
      for (let i = 0; i < count; i++) {
        await store.put(`n/${i}`, text(String(i)))
        expect(Buffer.from((await store.get(`n/${i}`))!.bytes).toString()).toBe(String(i))
      }
      expect(await keysOf(store, 'n/')).toHaveLength(count)
      const bytes = new Uint8Array(4 * PART + 77).map((_, i) => i >> 8)
      const upload = store.upload('large')
      await upload.write(bytes)
      await upload.finish()
      expect(Buffer.compare((await store.get('large'))!.bytes, bytes)).toBe(0)
      // A conditional write is sent once: what is said of it is true.
      for (let i = 0; i < count; i++) {
        const { outcome } = await store.put(`o/${i}`, text('1'), { ifNoneMatch: true })
        const isThere = await store.head(`o/${i}`) !== undefined
        expect(outcome === 'unknown' || (outcome === 'written') === isThere, `${outcome}, ${isThere}`).toBe(true)
      }
      console.info(`${name}: ${JSON.stringify(proxy.failed)}, ${store.counters.retries} retries`)
      expect(store.counters.retries).toBeGreaterThan(5)
    } finally {
      await proxy.stop()
    }
  })

  describe('one clear line', () => {
    async function refused(body: () => Promise<unknown>): Promise<string> {
      const error: unknown = await body().then(() => undefined, (reason: unknown) => reason)
      expect(error).toHaveProperty('code')
      expect((error as Error).message).not.toContain('\n')
      return (error as { code: string }).code
    }
    const get = (store: ObjectStore) => (): Promise<unknown> => store.get('a')
    const create = (store: ObjectStore) => (): Promise<unknown> => store.put('a', text('1'), { ifNoneMatch: true })

    test.each([
      ['a secret that is wrong', { credentials: { ...KEYS, secretAccessKey: 'wrong' } }, 'store.credentials'],
      ['a key that is not known', { credentials: { ...KEYS, accessKeyId: 'nobody' } }, 'store.credentials'],
    ])('%s', async (_, options, code) => {
      const store = await open(options)
      for (const request of [get, create]) expect(await refused(request(store))).toBe(code)
    })

    test('no bucket', async () => {
      const store = await open({}, 's3://no-such-bucket/x')
      for (const request of [get(store), () => store.head('a')]) expect(await refused(request)).toBe('store.missing-bucket')
      // SeaweedFS makes a bucket for whoever writes to it and may do so.
      if (name === 'versitygw') expect(await refused(create(store))).toBe('store.missing-bucket')
    })

    test('a clock that is an hour off is corrected, or said', async () => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 })
      try {
        const store = await open({ retries: { attempts: 1, firstMs: 1, longestMs: 1 } })
        expect(await refused(create(store))).toBe('store.clock-skew')
        const patient = await open({ retries: QUICK })
        expect((await patient.put('a', text('1'))).outcome).toBe('written')
      } finally {
        vi.useRealTimers()
      }
    })

    test('another region', async () => {
      const store = await open({ region: 'eu-west-1' })
      // SeaweedFS takes the signature of any region.
      if (name === 'versitygw') expect(await refused(get(store))).toBe('store.region')
      else expect(await store.get('a')).toBeUndefined()
    })

    test('a store that one may only read', async () => {
      const before = await open()
      await before.put('a', text('1'))
      const readOnly = name === 'versitygw' ? await startServer(name, ['--readonly']) : undefined
      try {
        const store = readOnly ? await open({ endpoint: readOnly.endpoint }, 's3://lake/x') : await open({ credentials: READER }, before.url)
        for (const request of [create(store), () => store.put('a', text('2')), () => store.delete(['a'])]) {
          if (readOnly === undefined) expect(await refused(request)).toBe('store.read-only')
          else expect(['store.read-only', 'store.missing-bucket']).toContain(await refused(request))
        }
        if (readOnly === undefined) expect(Buffer.from((await store.get('a'))!.bytes).toString()).toBe('1')
      } finally {
        await readOnly?.stop()
      }
    })
  })

  test('an upload that another process removed, before or while its parts come', async () => {
    const random = new Random(TEST_SEED)
    for (let i = 0; i < amount({ sample: 20, all: 200 }); i++) {
      const store = await open({}, `s3://lake/gone${i}`)
      const upload = store.upload('x/y')
      await upload.write(new Uint8Array(2 * PART))
      if (i % 2 === 1) await sleep(random.int(40))
      const found: Leftover[] = []
      for await (const leftover of store.leftovers()) found.push(leftover)
      expect(found.map(({ key }) => key)).toEqual(['x/y'])
      await found[0]!.remove()
      await expect(upload.finish(), `${TEST_SEED}, ${i}`).rejects.toMatchObject({ code: 'store.upload-gone' })
      expect(await store.head('x/y')).toBeUndefined()
    }
  })
})
