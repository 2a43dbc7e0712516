/** The S3 adapter against the server in this process: the contract, what fails on the way, and one clear line for each refusal. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ObjectStore } from '../../src/engine/index.ts'
import { type ObjectStoreOptions, openObjectStore } from '../../src/io/index.ts'
import { CHECKS, keysOf, oneWinner } from '../support/objectstorecontract.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'
import { LIST_ORDERS, type S3Call, type S3Fault, S3Server } from '../support/s3server.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const PART = 5 << 20
const QUICK = { attempts: 6, firstMs: 1, longestMs: 2 }
let server: S3Server

beforeAll(async () => {
  server = await S3Server.start()
})
afterAll(() => server.stop())
beforeEach(() => {
  server.fault = () => undefined
  server.skewMs = 0
  server.nextToken = (token) => token
  server.objects.clear()
  server.uploads.clear()
  server.calls.length = 0
})

const credentials = { accessKeyId: 'ltapkey', secretAccessKey: 'ltapsecret' }
const open = (options: ObjectStoreOptions = {}, url = 's3://lake/some/prefix'): Promise<ObjectStore> =>
  openObjectStore(url, { endpoint: server.endpoint, credentials, retries: QUICK, partSize: PART, environment: {}, ...options })

/** The first `count` requests that `which` picks fail so. */
function failing(fault: S3Fault, which: (call: S3Call) => boolean = () => true, count = 1): void {
  let left = count
  server.fault = (call) => which(call) && left-- > 0 ? fault : undefined
}

describe('contract', () => {
  test.each(Object.entries(CHECKS))('%s', async (name, check) => {
    await check({ store: await open(), prefix: 'c', random: new Random(TEST_SEED), hasIfMatch: true, piece: 6_000_000 })
    expect(server.uploads.size, name).toBe(0)
  })

  test('the whole bucket', async () => {
    const store = await open({}, 's3://lake')
    await store.put('a/b', text('x'))
    expect([...server.objects.keys()]).toEqual(['a/b'])
    expect(await keysOf(store, '')).toEqual(['a/b'])
  })

  test.each(Object.entries(LIST_ORDERS))('lists in the order %s', async (_, sortBy) => {
    const other = await S3Server.start({ sortBy })
    try {
      const store = await open({ endpoint: other.endpoint })
      await CHECKS['lists each object once']!({ store, prefix: 'c', random: new Random(TEST_SEED), hasIfMatch: true })
      await CHECKS['delete']!({ store, prefix: 'c', random: new Random(TEST_SEED), hasIfMatch: true })
    } finally {
      await other.stop()
    }
  })

  test.each([
    ['begins again', (): string => ''], ['gives one token twice', (): string => '70'], ['gives no token', (): undefined => undefined],
  ])('a list that %s ends with an error', async (_, token) => {
    const store = await open({}, 's3://lake/p')
    for (let i = 0; i < 12; i++) await store.put(`c/${i}`, text('x'))
    server.nextToken = token
    await expect(keysOf(store, '')).rejects.toMatchObject({ code: 'store.inconsistent' })
  })

  test('races of two have one winner each', async () => {
    expect(await oneWinner(await open(), 'r', amount({ quick: 40, sample: 200, all: 2_000 }), true)).toEqual([])
  })
})

describe('on the way', () => {
  const faults: [string, S3Fault][] = [['fails before', 'fail before'], ['loses the reply', 'lose reply'], ['sends half', 'short body'],
    ['says 503', { status: 503, name: 'SlowDown' }], ['says 500', { status: 500, name: 'InternalError' }], ['says 409', { status: 409, name: 'OperationAborted' }]]

  test.each(faults)('a server that %s is asked again', async (_, fault) => {
    const store = await open({ timeoutMs: 3_000 })
    for (const request of [() => store.put('a', text('12345')), () => store.head('a'), () => store.get('a', { start: 1, end: 3 }), () => store.get('a'), () => keysOf(store, '')]) {
      failing(fault)
      await request()
    }
    failing(fault, ({ method }) => method === 'POST')
    await store.delete(['a'])
    expect(server.objects.size).toBe(0)
    expect(store.counters.retries).toBeGreaterThanOrEqual(fault === 'short body' ? 2 : 6)
  })

  test.each([
    ['a request', (call: S3Call): boolean => call.method !== 'HEAD'], ['the last request', (call: S3Call): boolean => call.method === 'POST' && call.query.has('uploadId')],
  ])('an upload that loses the reply of %s is whole', async (_, which) => {
    const store = await open()
    failing('lose reply', which)
    const upload = store.upload('large')
    const bytes = new Uint8Array(2 * PART + 10).fill(7)
    await upload.write(bytes)
    expect(await upload.finish()).toMatchObject({ size: bytes.length })
    expect(server.objects.get('some/prefix/large')?.bytes.equals(bytes)).toBe(true)
  })

  describe('a request of an upload that another process removes meanwhile may fail with any error', () => {
    const isPart = ({ query }: S3Call): boolean => query.has('partNumber')
    const isLast = ({ method, query }: S3Call): boolean => method === 'POST' && query.has('uploadId')
    const errors = [[404, 'NoSuchKey'], [400, 'InvalidPart'], [500, 'InternalError']] as const
    const ways = {
      'it is gone': () => server.uploads.clear(),
      // versitygw keeps parts of an upload that was removed while a part came.
      'its parts are left': () => server.uploads.forEach((upload) => { upload.isListed = false }),
    }

    test.each(Object.entries(ways).flatMap(([way, remove]) => [isPart, isLast].flatMap((which) => errors.map((error) => [way, which.name, ...error, which, remove] as const))))(
      '%s, %s: %i %s', async (_, __, status, name, which, remove) => {
        const store = await open()
        const ends = async (isRemoved: boolean): Promise<unknown> => {
          server.fault = (call) => {
            if (!which(call)) return undefined
            if (isRemoved) remove()
            return { status, name }
          }
          const upload = store.upload('large')
          const sent = upload.write(new Uint8Array(2 * PART)).then(() => upload.finish())
          return sent.then(() => 'whole', (error: { code: string }) => error.code)
        }
        expect(await ends(true)).toBe('store.upload-gone')
        expect(await ends(false)).toBe(status === 500 ? 'store.unavailable' : 'store.request')
      })
  })

  test('a conditional put is sent once: a lost reply is unknown, and may have written', async () => {
    const store = await open()
    for (const [fault, isThere] of [['fail before', false], ['lose reply', true]] as const) {
      failing(fault, () => true, 10)
      const before = server.calls.length
      expect(await store.put(`x/${fault.split(' ')[0]}`, text('1'), { ifNoneMatch: true })).toMatchObject({ outcome: 'unknown' })
      expect(server.calls.length - before).toBe(1)
      server.fault = () => undefined
      expect(await store.head(`x/${fault.split(' ')[0]}`) !== undefined).toBe(isThere)
    }
    for (const [status, name] of [[409, 'ConditionalRequestConflict'], [503, 'SlowDown'], [500, 'InternalError']] as const) {
      failing({ status, name })
      expect(await store.put('y', text('1'), { ifNoneMatch: true })).toMatchObject({ outcome: 'unknown', reason: expect.stringContaining(name) })
    }
    expect(store.counters.retries).toBe(0)
  })

  test('a server that is silent is given up', async () => {
    const store = await open({ timeoutMs: 300, retries: { ...QUICK, attempts: 2 } })
    failing({ delayMs: 5_000 }, () => true, 10)
    expect(await store.put('a', text('1'), { ifNoneMatch: true })).toMatchObject({ outcome: 'unknown' })
    await expect(store.get('a')).rejects.toMatchObject({ code: 'store.unavailable' })
  })

  test('one request of ten fails', async () => {
    const random = new Random(TEST_SEED)
    const kinds: S3Fault[] = ['fail before', 'lose reply', 'short body', { status: 503, name: 'SlowDown' }]
    server.fault = () => random.chance(10) ? kinds[random.int(kinds.length)] : undefined
    const store = await open({ timeoutMs: 3_000, retries: { ...QUICK, attempts: 12 } })
    for (let i = 0; i < 150; i++) {
      await store.put(`n/${i}`, text(String(i)))
      expect(Buffer.from((await store.get(`n/${i}`))!.bytes).toString()).toBe(String(i))
    }
    expect(await keysOf(store, 'n/')).toHaveLength(150)
    expect(store.counters.retries).toBeGreaterThan(10)
  })
})

describe('encryption', () => {
  test.each([
    [{ type: 's3' } as const, { 'x-amz-server-side-encryption': 'AES256' }],
    [{ type: 'kms', key: 'arn:aws:kms:eu-west-1:1:key/k' } as const, { 'x-amz-server-side-encryption': 'aws:kms', 'x-amz-server-side-encryption-aws-kms-key-id': 'arn:aws:kms:eu-west-1:1:key/k' }],
    [{ type: 'kms' } as const, { 'x-amz-server-side-encryption': 'aws:kms' }],
    [undefined, {}],
  ])('%j is asked for with each object', async (encryption, headers) => {
    const store = await open({ encryption })
    await store.put('a', text('1'))
    await store.put('b', text('1'), { ifNoneMatch: true })
    for (const [key, length] of [['c', 10], ['d', PART + 1]] as const) {
      const upload = store.upload(key)
      await upload.write(new Uint8Array(length))
      await upload.finish()
    }
    expect([...server.objects.values()].map((object) => object.headers)).toEqual(Array(4).fill(headers))
  })

  test.each([
    ['s3', { 'x-amz-server-side-encryption': 'AES256' }], ['kms', { 'x-amz-server-side-encryption': 'aws:kms' }], ['', {}],
    ['kms:alias/lake', { 'x-amz-server-side-encryption': 'aws:kms', 'x-amz-server-side-encryption-aws-kms-key-id': 'alias/lake' }],
  ])('LTAP_S3_ENCRYPTION=%s, for the command line', async (text, headers) => {
    const store = await open({ environment: { LTAP_S3_ENCRYPTION: text } })
    await store.put('a', new Uint8Array(1))
    expect([...server.objects.values()].map((object) => object.headers)).toEqual([headers])
  })

  test.each(['AES256', 's3:key', 'kms:', 'KMS'])('LTAP_S3_ENCRYPTION=%s is refused', async (text) => {
    await expect(open({ environment: { LTAP_S3_ENCRYPTION: text } })).rejects.toMatchObject({ code: 'store.encryption' })
  })
})

describe('one clear line', () => {
  const get = (store: ObjectStore): Promise<unknown> => store.get('a')
  const put = (store: ObjectStore): Promise<unknown> => store.put('a', text('1'), { ifNoneMatch: true })
  test.each<[string, string, ObjectStoreOptions, S3Fault | undefined, string?]>([
    ['a secret that is wrong', 'store.credentials', { credentials: { ...credentials, secretAccessKey: 'wrong' } }, undefined],
    ['a key that is not known', 'store.credentials', { credentials: { ...credentials, accessKeyId: 'nobody' } }, undefined],
    ['a key that versitygw does not know', 'store.credentials', {}, { status: 404, name: 'XAdminUserNotFound' }],
    ['a 404 of another kind', 'store.request', {}, { status: 404, name: 'NoSuchWebsite' }],
    ['a token that expired', 'store.credentials', {}, { status: 400, name: 'ExpiredToken' }],
    ['no bucket', 'store.missing-bucket', {}, undefined, 's3://none/x'],
    ['another region', 'store.region', { region: 'eu-west-1' }, undefined],
    ['no space', 'store.space', {}, { status: 507, name: 'InsufficientStorage' }],
    ['a key of KMS that is disabled', 'store.encryption', {}, { status: 400, name: 'KMS.DisabledException' }],
  ])('%s', async (_, code, options, fault, url) => {
    if (fault !== undefined) failing(fault, () => true, 100)
    const store = await open(options, url)
    for (const request of [get, put]) {
      const error: unknown = await request(store).then(() => undefined, (reason: unknown) => reason)
      expect(error).toMatchObject({ code })
      expect((error as Error).message).not.toContain('\n')
    }
    await expect(store.head('a')).rejects.toMatchObject({ code: expect.stringContaining('store.') })
  })

  test('what this identity may not do', async () => {
    failing({ status: 403, name: 'AccessDenied' }, () => true, 100)
    const store = await open()
    await expect(get(store)).rejects.toMatchObject({ code: 'store.access' })
    await expect(put(store)).rejects.toMatchObject({ code: 'store.read-only' })
    await expect(store.delete(['a'])).rejects.toMatchObject({ code: 'store.read-only' })
  })

  test('a clock that is wrong is told by the server; beyond that it is said', async () => {
    server.skewMs = 3_600_000
    const store = await open()
    await expect(put(store)).rejects.toMatchObject({ code: 'store.clock-skew' })
  })

  test('nobody there', async () => {
    const store = await open({ endpoint: 'http://localhost:1', retries: { ...QUICK, attempts: 2 } })
    await expect(get(store)).rejects.toMatchObject({ code: 'store.unavailable', message: expect.stringContaining('ECONNREFUSED') })
    expect(await put(store)).toMatchObject({ outcome: 'unknown' })
  })

  test('a store without conditions', async () => {
    failing({ status: 501, name: 'NotImplemented' }, () => true, 100)
    await expect(put(await open())).rejects.toMatchObject({ code: 'store.condition' })
  })

  test.each(['s3://', 's3://UPPER/x', 's3://lake/a//b', 's3://key:secret@lake/x', 's3://lake/x?versionId=1'])('%s is no place', async (url) => {
    await expect(open({}, url)).rejects.toMatchObject({ code: 'store.url' })
  })
  test.each(['gs://lake/x', 'https://host/x', 'file://host/x'])('%s is refused', async (url) => {
    await expect(openObjectStore(url)).rejects.toMatchObject({ code: 'path.scheme' })
  })
  test('endpoint and region come from the environment', async () => {
    const store = await openObjectStore('s3://lake/x', { credentials, environment: { AWS_ENDPOINT_URL_S3: server.endpoint, AWS_DEFAULT_REGION: 'us-east-1', AWS_REGION: '' } })
    expect((await store.put('a', text('1'))).outcome).toBe('written')
    await expect(openObjectStore('s3://lake/x', { endpoint: 'localhost:9000' })).rejects.toMatchObject({ code: 'store.endpoint' })
  })
})
