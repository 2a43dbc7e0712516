/** Every answer of the catalog is one that the published OpenAPI file lets its operation give, whatever is asked. */
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { PublishedLake } from '../support/publishedlake.ts'
import { boundsOf, READABLE_COLUMNS } from '../support/publishedparquet.ts'
import { TEST_SEED } from '../support/random.ts'
import { Client } from './catalogclient.ts'
import { answerFault, operations, schemaFault } from './openapi.ts'

const TABLE = '/v1/{prefix}/namespaces/{namespace}/tables/{table}'
const clients: Client[] = []

beforeAll(async () => {
  for (const formatVersion of [2, 3] as const) {
    const lake = await PublishedLake.create(new MemoryObjectStore({ now: () => 0 }), { formatVersion })
    const files = [0, 1, 2].map((i) => ({ key: lake.dataKey(16385), bytes: 900, rows: 50, columns: boundsOf([i, i + 50], READABLE_COLUMNS), hidden: i === 1 ? BlockSet.of([3, 4]) : BlockSet.EMPTY }))
    const tables = [{ dbOid: 5, oid: 16385, namespace: 'public', name: 'orders', columns: READABLE_COLUMNS, files }, { dbOid: 5, oid: 16386, namespace: 'öther', name: 'a b/c' }]
    await lake.at('0/1000', tables)
    await lake.at('0/2000', [{ ...tables[0]!, files: files.slice(1) }])
    clients.push(new Client(lake, { defaults: { 's3.endpoint': 'http://localhost:9000' } }))
  }
})

function filled(template: string, prefix = 'shop', namespace = 'public', table = 'orders'): string {
  return template.replace('{prefix}', prefix).replace('{namespace}', encodeURIComponent(namespace)).replace(/\{(?:table|view|function)\}/, encodeURIComponent(table)).replace('{plan-id}', '7')
}

test('what is served is in the file, and answers as it says', async () => {
  const [client] = clients as [Client]
  const { endpoints } = await client.get('/v1/config?warehouse=shop') as { endpoints: string[] }
  const known = operations()
  expect(endpoints.filter((endpoint) => !known.includes(endpoint))).toEqual([])
  const faults: string[] = []
  for (const one of clients) {
    for (const endpoint of ['GET /v1/config', ...endpoints]) {
      const [method, path] = endpoint.split(' ') as [string, string]
      const body = method === 'POST' ? {} : undefined
      faults.push(await answerFault(endpoint, await one.send(method, filled(path), body)) ?? '')
    }
    const { 'file-scan-tasks': tasks } = await one.post(filled(`${TABLE}/plan`), {}) as { 'file-scan-tasks': object[] }
    expect(tasks).toHaveLength(2)
  }
  expect(faults.filter((fault) => fault !== '')).toEqual([])
})

test('what is not served is refused as the file says: nothing is written', async () => {
  const [client] = clients as [Client]
  const { endpoints } = await client.get('/v1/config?warehouse=shop') as { endpoints: string[] }
  const faults: string[] = []
  for (const operation of operations()) {
    if (endpoints.includes(operation) || operation === 'GET /v1/config') continue
    const [method, path] = operation.split(' ') as [string, string]
    const response = await client.send(method, filled(path), method === 'GET' || method === 'HEAD' ? undefined : {})
    expect(response.status, operation).toBeGreaterThanOrEqual(400)
    expect(response.status, operation).toBeLessThan(500)
    // It has an error model of its own (RFC 6749), and is no longer part of catalogs.
    if (path !== '/v1/oauth/tokens') faults.push(await answerFault(operation, response) ?? '')
  }
  expect(faults.filter((fault) => fault !== '')).toEqual([])
})

describe('fuzzed', () => {
  const OPERATIONS = operations().filter((operation) => !operation.includes('/oauth/') && !operation.includes('functions'))
  const name = fc.oneof(fc.constantFrom('public', 'orders', 'öther', 'a b/c', '', '.', '..', '%', 'public\x1forders'), fc.string({ unit: 'grapheme', maxLength: 20 }))
  const prefix = fc.oneof({ weight: 4, arbitrary: fc.constant('shop') }, fc.constantFrom('shop@lsn-0-1000', 'shop@lsn-0-2000', 'shop@lsn-0-1', 'shop@tag-x', '~zz', 'x'), name.map(encodeURIComponent))
  const query = fc.dictionary(fc.constantFrom('pageToken', 'pageSize', 'parent', 'snapshots', 'warehouse'), fc.oneof(fc.constantFrom('', '1', 'all', 'refs', 'public', 'shop', 'after:a'), fc.string()))
  const id = fc.oneof(fc.integer(), fc.constant(null), fc.string(), fc.double())
  const { predicate } = fc.letrec((tie) => ({
    predicate: fc.oneof({ depthSize: 'small' }, fc.boolean(), fc.json().map((text) => JSON.parse(text) as unknown),
      fc.record({ type: fc.constantFrom('eq', 'lt', 'in', 'is-null', 'starts-with'), term: fc.constantFrom('id', 'word', 'day', 'amount', 'pair.a', 'x'), value: fc.jsonValue(), values: fc.jsonValue() }),
      fc.record({ type: fc.constantFrom('and', 'or'), left: tie('predicate'), right: tie('predicate') }), fc.record({ type: fc.constant('not'), child: tie('predicate') })),
  }))
  const body = fc.oneof(fc.constant(undefined), fc.json(), fc.string(), fc.record({
    'snapshot-id': id, 'start-snapshot-id': id, 'end-snapshot-id': id, filter: predicate, select: fc.array(fc.string()), 'case-sensitive': fc.boolean(), 'use-snapshot-schema': fc.boolean(),
    'stats-fields': fc.array(fc.constantFrom('id', 'word', 'tags', 'x')), 'plan-task': fc.string(),
  }, { requiredKeys: [] }))

  test('any request', async () => {
    const seen = new Set<number>()
    await fc.assert(fc.asyncProperty(
      fc.constantFrom(...OPERATIONS), fc.record({ prefix, namespace: name, table: name, query, body, version: fc.nat(1), known: fc.boolean() }),
      async (operation, { prefix: at, namespace, table, query: asked, body: sent, version, known }) => {
        const [method, template] = operation.split(' ') as [string, string]
        const path = known ? filled(template) : filled(template, at, namespace, table)
        const url = new URL(`http://localhost${path}`)
        // The URL may be of another operation: `..` goes a step up.
        if (url.pathname !== path.split('?')[0]) return
        const response = await clients[version]!.send(method, `${path}?${new URLSearchParams(asked).toString()}`, method === 'GET' || method === 'HEAD' ? undefined : sent)
        seen.add(response.status)
        expect(await answerFault(operation, response)).toBeUndefined()
        expect(response.status).toBeLessThan(500)
      }), { numRuns: 1500, seed: TEST_SEED })
    expect([...seen].sort()).toEqual(expect.arrayContaining([200, 204, 400, 403, 404]))
  })

  test('plans that the file takes', async () => {
    const plan = fc.record({ filter: predicate, 'case-sensitive': fc.boolean(), 'use-snapshot-schema': fc.boolean(), select: fc.array(fc.string()) }, { requiredKeys: [] })
    let taken = 0
    await fc.assert(fc.asyncProperty(plan, async (request) => {
      if (schemaFault('#/components/schemas/PlanTableScanRequest', JSON.parse(JSON.stringify(request))) !== undefined) return
      taken++
      expect(schemaFault('#/components/schemas/CompletedPlanningResult', await clients[1]!.post(filled(`${TABLE}/plan`), request))).toBeUndefined()
    }), { numRuns: 500, seed: TEST_SEED })
    expect(taken).toBeGreaterThan(50)
  })
})

describe('planted: answers that the file does not let', () => {
  const GET_TABLE = `GET ${TABLE}`
  test.each<[string, string, number, unknown]>([
    ['metadata without a version', GET_TABLE, 200, { metadata: { 'table-uuid': 'x' } }], ['an error without a code', GET_TABLE, 404, { error: { message: 'x', type: 'y' } }],
    ['a status of no operation', GET_TABLE, 418, { error: { message: 'x', type: 'y', code: 418 } }], ['a namespace as text', 'GET /v1/{prefix}/namespaces', 200, { namespaces: ['public'] }],
    ['a task without a file', `POST ${TABLE}/plan`, 200, { status: 'completed', 'file-scan-tasks': [{}] }],
    ['a file without its size', `POST ${TABLE}/tasks`, 200, { 'file-scan-tasks': [{ 'data-file': { content: 'data', 'file-path': 'x', 'file-format': 'parquet', 'spec-id': 0, partition: [], 'record-count': 1 } }] }],
  ])('%s', async (_, operation, status, body) => expect(await answerFault(operation, new Response(JSON.stringify(body), { status }))).toBeDefined())
})
