/** The handlers over a lake in memory. */
import { beforeAll, describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { addReference } from '../../src/engine/references.ts'
import { parseTokens } from '../../src/service/tokens.ts'
import { PublishedLake } from '../support/publishedlake.ts'
import { Client, type Json } from './catalogclient.ts'

interface Metadata {
  'current-snapshot-id': number
  snapshots: { 'snapshot-id': number; summary: Record<string, string> }[]
  'table-uuid': string
}

function lsnOf({ metadata }: Json): string {
  const { snapshots, 'current-snapshot-id': id } = metadata as Metadata
  return snapshots.find((snapshot) => snapshot['snapshot-id'] === id)!.summary['ltap.lsn']!
}

const ORDERS = { dbOid: 5, oid: 16385, namespace: 'public', name: 'orders' }
const ODD = { dbOid: 5, oid: 16390, namespace: 'Ünder.score', name: 'a/b?c#d%20.e' }
let store: MemoryObjectStore
let lake: PublishedLake
let client: Client

function files(count: number, oid = ORDERS.oid): { key: string; bytes: number; rows: number; columns: []; hidden: BlockSet }[] {
  return Array.from({ length: count }, () => ({ key: lake.dataKey(oid), bytes: 1000, rows: 100, columns: [] as [], hidden: BlockSet.of([lake.int(100)]) }))
}

beforeAll(async () => {
  store = new MemoryObjectStore({ now: () => 0 })
  lake = await PublishedLake.create(store, {
    databases: [{ oid: 5, name: 'shop', template: false }, { oid: 6, name: 'my@d/b é', template: false }, { oid: 1, name: 'template1', template: true }],
  })
  const first = files(2)
  await lake.at('0/1000', [{ ...ORDERS, files: first }, ODD, { dbOid: 6, oid: 16385, namespace: 'public', name: 'elsewhere' }])
  await lake.at('0/2000', [{ ...ORDERS, files: [...first, ...files(1)] }])
  await addReference(lake.lake, 'main', 'tags', 'monday', 'newest')
  await lake.at('0/3000', [{ ...ORDERS, files: first }, { ...ORDERS, oid: 16400, name: 'late' }])
  client = new Client(lake)
})

test('a database is a warehouse, a schema a namespace', async () => {
  const { endpoints, overrides, defaults } = await client.get('/v1/config?warehouse=shop') as { endpoints: string[]; overrides: Json; defaults: Json }
  expect({ overrides, defaults }).toEqual({ overrides: { prefix: 'shop' }, defaults: {} })
  expect(endpoints).toContain('GET /v1/{prefix}/namespaces/{namespace}/tables/{table}')
  expect((await client.get('/v1/shop/namespaces'))['namespaces']).toEqual([['public'], ['Ünder.score']])
  expect((await client.get('/v1/shop/namespaces/public'))['namespace']).toEqual(['public'])
  expect((await client.get('/v1/shop/namespaces?parent=public'))['namespaces']).toEqual([])
  const { identifiers } = await client.get('/v1/shop/namespaces/public/tables')
  expect(identifiers).toEqual([{ namespace: ['public'], name: 'late' }, { namespace: ['public'], name: 'orders' }])
  const other = await client.prefix('my@d/b é')
  expect(other).toBe('/v1/my~40d~2fb~20~c3~a9')
  expect((await client.get(`${other}/namespaces/public/tables`))['identifiers']).toEqual([{ namespace: ['public'], name: 'elsewhere' }])
})

test('what is not there', async () => {
  expect(await client.refused('GET', '/v1/config')).toMatch(/^400 BadRequestException: name a warehouse: one of shop, my@d\/b é$/)
  expect(await client.refused('GET', '/v1/config?warehouse=template1')).toMatch(/^404 NoSuchWarehouseException/)
  expect(await client.refused('GET', '/v1/shop@lsn-0-1500/namespaces')).toMatch(/^404 NoSuchWarehouseException: the lake has no state at LSN 0\/1500/)
  expect(await client.refused('GET', '/v1/config?warehouse=shop@tuesday')).toMatch(/^404 NoSuchWarehouseException/)
  expect(await client.refused('GET', '/v1/nothing/namespaces')).toMatch(/^404 NoSuchWarehouseException/)
  expect(await client.refused('GET', '/v1/shop/namespaces/private')).toMatch(/^404 NoSuchNamespaceException/)
  expect(await client.refused('GET', '/v1/shop/namespaces?parent=private')).toMatch(/^404 NoSuchNamespaceException/)
  expect(await client.refused('GET', '/v1/shop/namespaces/public%1Fdeeper/tables')).toMatch(/^404 NoSuchNamespaceException/)
  expect(await client.refused('GET', '/v1/shop/namespaces/public/tables/Orders')).toBe('404 NoSuchTableException: there is no table public.Orders')
  expect(await client.refused('GET', '/v1/shop/namespaces/public/views/orders')).toMatch(/^404 NoSuchViewException/)
  expect((await client.get('/v1/shop/namespaces/public/views'))['identifiers']).toEqual([])
  for (const path of ['/', '/v1', '/v1/shop', '/v2/shop/namespaces', '/v1/shop/namespaces/', '/v1/shop/namespaces/public/tables/orders/files', '/v1/shop/namespaces/%ff']) {
    expect(await client.refused('GET', path)).toMatch(/^404 /)
  }
  for (const [path, status] of [['tables/orders', 204], ['tables/gone', 404], ['views/orders', 404]] as const) {
    expect((await client.send('HEAD', `/v1/shop/namespaces/public/${path}`)).status).toBe(status)
  }
  expect((await client.send('HEAD', '/v1/shop/namespaces/public')).status).toBe(204)
})

test('a table is loaded with its metadata, and its ETag says when it has changed', async () => {
  const path = '/v1/shop/namespaces/public/tables/orders'
  const response = await client.send('GET', path)
  const loaded = await response.json() as Json
  const file = (await store.get('shop/t-5-16385/metadata/v3.metadata.json'))!
  expect(loaded).toEqual({ 'metadata-location': 'memory:/shop/t-5-16385/metadata/v3.metadata.json', metadata: JSON.parse(Buffer.from(file.bytes).toString()) as unknown, config: {} })
  const etag = response.headers.get('etag')!
  for (const given of [etag, `W/${etag}`, `"other", ${etag}`, '*']) expect((await client.send('GET', path, undefined, { 'if-none-match': given })).status).toBe(304)
  expect((await client.send('GET', path, undefined, { 'if-none-match': '"other"' })).status).toBe(200)
  // Another answer has another one.
  expect((await client.send('GET', `${path}?snapshots=refs`, undefined, { 'if-none-match': etag })).status).toBe(200)
  const refs = (await client.get(`${path}?snapshots=refs`))['metadata'] as Metadata
  expect(refs.snapshots.map((snapshot) => snapshot['snapshot-id'])).toEqual([refs['current-snapshot-id']])
  expect((loaded['metadata'] as Metadata).snapshots).toHaveLength(3)
  expect(await client.refused('GET', `${path}?snapshots=some`)).toMatch(/^400 /)
  const odd = await client.get(`/v1/shop/namespaces/${encodeURIComponent(ODD.namespace)}/tables/${encodeURIComponent(ODD.name)}`)
  // DuckDB's way to name it.
  const levels = await client.get(`/v1/shop/namespaces/${encodeURIComponent(ODD.namespace).replace('.', '%1F')}/tables/${encodeURIComponent(ODD.name)}`)
  expect(levels).toEqual(odd)
  expect((odd['metadata'] as Metadata)['table-uuid']).toBe(lake.records.get('5/16390')!.uuid)
})

test('a warehouse at an LSN, a tag or a time has every table as it was there', async () => {
  const orders = 'namespaces/public/tables/orders'
  expect(lsnOf(await client.get(`/v1/shop/${orders}`))).toBe('0/3000')
  for (const [at, lsn, prefix] of [
    ['0/1000', '0/1000', 'shop@lsn-0-1000'], ['0/2000', '0/2000', 'shop@lsn-0-2000'], ['monday', '0/2000', 'shop@tag-monday'],
    ['now', '0/3000', 'shop@lsn-0-3000'], ['2023-11-14 22:14:00Z', '0/1000', 'shop@lsn-0-1000'],
  ] as const) {
    const asked = new Client(lake, { parseTime: (text) => (text.startsWith('2023-') ? Date.parse(text.replace(' ', 'T')) * 1000 + 21_000_000 : undefined) })
    expect(await asked.prefix(`shop@${at}`)).toBe(`/v1/${prefix}`)
    expect(lsnOf(await client.get(`/v1/${prefix}/${orders}`))).toBe(lsn)
    const names = (await client.get(`/v1/${prefix}/namespaces/public/tables`))['identifiers'] as { name: string }[]
    expect(names.map(({ name }) => name)).toEqual(lsn === '0/3000' ? ['late', 'orders'] : ['orders'])
  }
})

test('a state that was not published, or not with a table, is not taken for one that was', async () => {
  const own = await PublishedLake.create(new MemoryObjectStore({ now: () => 0 }))
  const other = { ...ORDERS, oid: 16386, name: 'other' }
  await own.at('0/1000', [ORDERS, other])
  await own.materialize('0/2000')
  const asked = new Client(own)
  expect(await asked.refused('GET', '/v1/shop@lsn-0-2000/namespaces')).toMatch(/^404 NoSuchWarehouseException: the state at LSN 0\/2000 was not published, or not to the end/)
  // The newest state is served as it was published last, and `now` is where that was.
  expect(lsnOf(await asked.get('/v1/shop/namespaces/public/tables/orders'))).toBe('0/1000')
  expect(await asked.prefix('shop@now')).toBe('/v1/shop@lsn-0-1000')
  await own.materialize('0/3000')
  await own.publish([ORDERS], { behind: ['5/16386'] })
  own.now += 2000
  const tables = '/v1/shop@lsn-0-3000/namespaces/public/tables'
  expect((await asked.send('GET', `${tables}/orders`)).status).toBe(200)
  expect(await asked.refused('GET', `${tables}/other`)).toBe('404 NoSuchTableException: public.other could not be published at LSN 0/3000: ask for another state')
  expect((await asked.send('GET', '/v1/shop/namespaces/public/tables/other')).status).toBe(200)
})

test('pages of a list', async () => {
  const own = await PublishedLake.create(new MemoryObjectStore({ now: () => 0 }))
  const names = Array.from({ length: 57 }, (_, i) => `t${(i * 31) % 57}`)
  await own.at('0/1000', names.map((name, i) => ({ dbOid: 5, oid: 20_000 + i, namespace: 'public', name })))
  const asked = new Client(own)
  const found: string[] = []
  let token: string | null = ''
  for (let pages = 0; token !== null; pages++) {
    const page = await asked.get(`/v1/shop/namespaces/public/tables?pageSize=10&pageToken=${encodeURIComponent(token)}`)
    const listed = (page['identifiers'] as { name: string }[]).map(({ name }) => name)
    expect(listed.length).toBeLessThanOrEqual(10)
    found.push(...listed)
    token = page['next-page-token'] as string | null
    if (pages !== 1) continue
    // The last name of a page goes.
    await own.at('0/2000', [], { gone: [{ dbOid: 5, oid: 20_000 + names.indexOf(listed.at(-1)!) }] })
    own.now += 2000
  }
  expect(found).toEqual([...names].sort())
  for (const query of ['pageSize=0', 'pageSize=x', 'pageToken=x']) expect(await asked.refused('GET', `/v1/shop/namespaces?${query}`)).toMatch(/^400 /)
})

describe('who sees what', () => {
  const tokens = parseTokens('# people\nall-of-the-schemas\nonly-the-public-one public\n', 'tokens')
  test('by bearer token', async () => {
    const guarded = new Client(lake, { tokens })
    expect(await guarded.refused('GET', '/v1/config?warehouse=shop')).toBe('401 NotAuthorizedException: the request has no bearer token')
    for (const wrong of ['Bearer all-of-the-schemaz', 'Bearer all-of-the-schemas2', 'Basic all-of-the-schemas', 'Bearer']) {
      expect(await guarded.refused('GET', '/v1/shop/nonsense', { headers: { authorization: wrong } })).toMatch(/^401 /)
    }
    guarded.headers['authorization'] = 'Bearer all-of-the-schemas'
    expect((await guarded.get('/v1/shop/namespaces'))['namespaces']).toHaveLength(2)
    expect(await guarded.refused('GET', '/v1/config?warehouse=other')).toContain('it has shop')
    guarded.headers['authorization'] = 'bearer only-the-public-one'
    for (const query of ['?warehouse=other', '?warehouse=']) expect(await guarded.refused('GET', `/v1/config${query}`)).not.toContain('shop')
    expect((await guarded.get('/v1/shop/namespaces'))['namespaces']).toEqual([['public']])
    const hidden = `/v1/shop/namespaces/${encodeURIComponent(ODD.namespace)}`
    for (const path of [hidden, `${hidden}/tables`, `${hidden}/views`, `${hidden}/tables/${encodeURIComponent(ODD.name)}`, `/v1/shop/namespaces?parent=${encodeURIComponent(ODD.namespace)}`]) {
      expect(await guarded.refused('GET', path)).toMatch(/^404 NoSuchNamespaceException/)
    }
    expect(await guarded.refused('POST', `${hidden}/tables/${encodeURIComponent(ODD.name)}/metrics`)).toMatch(/^404 NoSuchNamespaceException/)
  })
  test.each([
    ['', /has no token: write one a line/], ['short', /line 1 of tokens has no token/], ['# only\n\nspace é-------------------', /line 3 of tokens/],
    ['token-of-sixteen-letters a\n\ntoken-of-sixteen-letters', /line 3 of tokens has the token of a line before it/],
  ])('no tokens: %j', (text, message) => {
    expect(() => parseTokens(text, 'tokens')).toThrow(message)
  })
})

test('nothing is written', async () => {
  const before = structuredClone(store.counters.requests)
  const own = '/v1/shop/namespaces/public'
  for (const [method, path] of [
    ['POST', '/v1/shop/namespaces'], ['DELETE', own], ['POST', `${own}/properties`], ['POST', `${own}/tables`], ['POST', `${own}/tables/orders`],
    ['DELETE', `${own}/tables/orders`], ['POST', `${own}/register`], ['POST', '/v1/shop/tables/rename'], ['POST', '/v1/shop/transactions/commit'],
    ['POST', `${own}/views`], ['POST', `${own}/views/v`], ['DELETE', `${own}/views/v`], ['POST', '/v1/shop/views/rename'], ['PUT', `${own}/tables/orders`],
  ] as const) expect(`${method} ${path}: ${await client.refused(method, path)}`).toMatch(/: 403 ForbiddenException: this catalog is read-only/)
  expect((await client.send('POST', `${own}/tables/orders/metrics`, { 'report-type': 'scan-report' })).status).toBe(204)
  const { put, upload, delete: deleted } = store.counters.requests
  expect([put, upload, deleted]).toEqual([before.put, before.upload, before.delete])
})

test('a publication is seen without a restart, one that was killed too', async () => {
  const own = await PublishedLake.create(new MemoryObjectStore({ now: () => 0 }))
  await own.at('0/1000', [ORDERS])
  const asked = new Client(own)
  const path = '/v1/shop/namespaces/public/tables/orders'
  expect(lsnOf(await asked.get(path))).toBe('0/1000')
  await own.at('0/2000', [{ ...ORDERS, files: files(1) }], { puts: false })
  own.now += 1001
  const loaded = await asked.get(path)
  expect(lsnOf(loaded)).toBe('0/2000')
  expect(loaded).not.toHaveProperty('metadata-location')
  await own.at('0/3000', [], { gone: [ORDERS] })
  own.now += 1001
  expect(await asked.refused('GET', path)).toMatch(/^404 NoSuchNamespaceException/)
})

test('a lake that was moved, is not published, or is broken: 503 and what to do', async () => {
  const moved = new Client(lake, { root: 's3://elsewhere' })
  expect(await moved.refused('GET', '/v1/shop/namespaces')).toMatch(/^503 ServiceUnavailableException: catalog.moved: the tables of memory: were published for memory:, and .*ltap publish/)
  const own = await PublishedLake.create(new MemoryObjectStore({ now: () => 0 }))
  const asked = new Client(own)
  expect(await asked.refused('GET', '/v1/config?warehouse=shop')).toMatch(/^503 ServiceUnavailableException: lake.empty/)
  await own.materialize('0/1000')
  own.now += 2000
  expect(await asked.refused('GET', '/v1/config?warehouse=shop')).toMatch(/^503 ServiceUnavailableException: catalog.unpublished: .*ltap publish/)
  await own.publish([ORDERS, { ...ORDERS, oid: 16386, name: 'other' }])
  own.now += 2000
  // One table's record is gone: the others do not suffer.
  await own.lake.ports.store.delete([own.recordKeys.get('5/16385')!])
  const answers = await Promise.all(['orders', 'other'].map((name) => asked.send('GET', `/v1/shop/namespaces/public/tables/${name}`)))
  expect(answers.map(({ status }) => status)).toEqual([503, 200])
})
