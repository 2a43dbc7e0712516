/** planTableScan: the tasks are the files and delete files of the record that the manifests were made of, and no filter loses a row. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import type { IcebergRecord } from '../../src/lake/iceberg/record.ts'
import type { PublishedFile } from '../../src/lake/publishedtable.ts'
import type { TableSchema } from '../../src/lake/iceberg/manifest.ts'
import { fileTest } from '../../src/service/plan/filter.ts'
import { FILES_MAX } from '../../src/service/plan/plan.ts'
import { PublishedLake } from '../support/publishedlake.ts'
import { boundsOf, READABLE_COLUMNS } from '../support/publishedparquet.ts'
import { ChangingTable } from '../support/publishedtables.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { Client, type Json } from './catalogclient.ts'

const ORDERS = { dbOid: 5, oid: 16385, namespace: 'public', name: 'orders' }
const TABLE = '/v1/shop/namespaces/public/tables/orders'

interface ContentFile { 'file-path': string; 'record-count': number; 'file-size-in-bytes': number; 'file-format': string; [member: string]: unknown }
interface Tasks { 'file-scan-tasks': { 'data-file': ContentFile; 'delete-file-references'?: number[] }[]; 'delete-files'?: ContentFile[]; 'plan-tasks'?: string[] }

/** All tasks of a plan: one line for each data file and its delete file. */
async function planned(client: Client, request: Json = {}): Promise<string[]> {
  const first = await client.post(`${TABLE}/plan`, request) as unknown as Tasks & { status: string }
  expect(first.status).toBe('completed')
  const all: Tasks[] = [first]
  for (const task of first['plan-tasks'] ?? []) all.push(await client.post(`${TABLE}/tasks`, { 'plan-task': task }) as unknown as Tasks)
  return all.flatMap((tasks) => {
    expect(tasks['file-scan-tasks'].length).toBeLessThanOrEqual(FILES_MAX)
    const references = tasks['file-scan-tasks'].flatMap((task) => task['delete-file-references'] ?? [])
    expect(references).toEqual((tasks['delete-files'] ?? []).map((_, i) => i))
    return tasks['file-scan-tasks'].map((task) => {
      const [at] = task['delete-file-references'] ?? []
      return line(task['data-file'], at === undefined ? undefined : tasks['delete-files']![at])
    })
  }).sort()
}

function line(data: ContentFile, deletes: ContentFile | undefined): string {
  const told = ({ 'file-path': path, 'record-count': rows, 'file-size-in-bytes': bytes, 'file-format': format, ...more }: ContentFile): unknown => [path, rows, bytes, format,
    more['first-row-id'] ?? null, more['content-offset'] ?? null, more['content-size-in-bytes'] ?? null]
  return JSON.stringify([told(data), deletes === undefined ? null : told(deletes)])
}

function recorded({ root, files, formatVersion }: IcebergRecord): string[] {
  return files.map(({ key, rows, bytes, firstRow, deletes }) => JSON.stringify([
    [`${root}/${key}`, rows, bytes, 'parquet', firstRow ?? null, null, null],
    deletes === undefined ? null : [`${root}/${deletes.key}`, deletes.rows, deletes.bytes, formatVersion === 3 ? 'puffin' : 'parquet', null, deletes.blob?.offset ?? null, deletes.blob?.length ?? null],
  ])).sort()
}

test.each([2, 3] as const)('version %i: every snapshot has the tasks of its record', async (formatVersion) => {
  const lake = await PublishedLake.create(new MemoryObjectStore({ now: () => 0 }), { formatVersion })
  const changing = new ChangingTable(new Random(TEST_SEED), READABLE_COLUMNS, lake.root, undefined, 300)
  const client = new Client(lake)
  const snapshots = new Map<number, string[]>()
  for (let step = 1; step <= 40; step++) {
    const { columns, files, kind } = changing.next()
    await lake.at(`0/${(step * 0x1000).toString(16).toUpperCase()}`, [{ ...ORDERS, columns, files, kind }])
    const record = lake.records.get('5/16385')!
    snapshots.set(record.snapshots.at(-1)!.id, recorded(record))
    lake.now += 2000
    expect(await planned(client)).toEqual(recorded(record))
  }
  expect([...snapshots.values()].some((files) => files.some((text) => !text.endsWith('null]')))).toBe(true)
  for (const [id, files] of snapshots) expect(await planned(client, { 'snapshot-id': id, 'use-snapshot-schema': true })).toEqual(files)
  // Planted: a task that is missing.
  const last = recorded(lake.records.get('5/16385')!)
  expect((await planned(client)).slice(1)).not.toEqual(last)
})

test('names that differ in case only mean neither column to a client that folds case', () => {
  const metrics = { values: new Map(), nulls: new Map(), nans: new Map(), lower: new Map(), upper: new Map<number, Uint8Array>() }
  for (const [id, least, most] of [[1, 1, 9], [2, 100, 200]] as const) {
    metrics.lower.set(id, Buffer.from(Int32Array.of(least).buffer))
    metrics.upper.set(id, Buffer.from(Int32Array.of(most).buffer))
  }
  const fields = [['a', 1], ['A', 2]].map(([name, id]) => ({ id: id as number, name: name as string, required: false, type: 'int' }))
  const test = (value: number, caseSensitive: boolean): boolean => fileTest({ type: 'eq', term: 'a', value }, { id: 0, fields } as TableSchema, caseSensitive)(metrics)
  expect([test(5, true), test(150, true), test(5, false), test(150, false), test(50, false)]).toEqual([true, false, true, true, true])
})

test.each([500, 100_000])('a request of %i lists within each other is refused', async (depth) => {
  const lake = await PublishedLake.create(new MemoryObjectStore({ now: () => 0 }))
  await lake.at('0/1000', [ORDERS])
  const body = `{"filter":${'{"type":"not","child":'.repeat(depth)}true${'}'.repeat(depth)}}`
  expect(await new Client(lake).refused('POST', `${TABLE}/plan`, { body })).toMatch(/^400 BadRequestException: the body has too many lists and objects/)
})

describe('filters', () => {
  const FILES = 60
  const ROWS = 40
  const lakes = planLake()

  /** A lake whose table has rows of numbers in a few neighbouring runs for each file. */
  async function planLake(): Promise<{ client: Client; numbers: Map<string, number[]> }> {
    const lake = await PublishedLake.create(new MemoryObjectStore({ now: () => 0 }))
    const numbers = new Map<string, number[]>()
    const files = Array.from({ length: FILES }, (_, file): PublishedFile => {
      const rows = Array.from({ length: ROWS }, (_unused, row) => (file % 7 === 3 ? (file * 11) * 11 + row * 11 : file * ROWS + row + (row > 35 ? lake.int(50) : 0)))
      const key = lake.dataKey(ORDERS.oid)
      numbers.set(`${lake.root}/${key}`, rows)
      return { key, bytes: 1000, rows: ROWS, columns: boundsOf(rows, READABLE_COLUMNS), hidden: BlockSet.EMPTY }
    })
    await lake.at('0/1000', [{ ...ORDERS, columns: READABLE_COLUMNS, files }])
    return { client: new Client(lake), numbers }
  }

  const EPOCH_MS = 1_600_000_000_123
  /** A literal of a column for a number, as clients write it; undefined for NULL. */
  const LITERALS: Record<string, (n: number) => unknown> = {
    id: (n) => n,
    word: (n) => (n % 11 === 0 ? undefined : `row ${n}`),
    amount: (n) => ((n * 125 - 100_000) / 100).toFixed(2),
    at: (n) => `${isoMicros(n)}+00:00`,
    local: (n) => isoMicros(n),
    ratio: (n) => n / 4,
    day: (n) => new Date((18_262 + n % 1000) * 86_400_000).toISOString().slice(0, 10),
    'pair.a': (n) => n % 7,
    'pair.b': (n) => `b${n}`,
  }

  /** EPOCH of publishedparquet.ts, and a second and a microsecond for each number. */
  function isoMicros(n: number): string {
    const micros = 456 + n
    return `${new Date(EPOCH_MS + n * 1000 + Math.floor(micros / 1000)).toISOString().slice(0, -1)}${String(micros % 1000).padStart(3, '0')}`
  }

  /** What the rows of a number are in a column, in the order of Postgres. */
  const VALUES: Record<string, (n: number) => number | string | undefined> = {
    id: (n) => n, word: (n) => (n % 11 === 0 ? undefined : `row ${n}`), amount: (n) => n, at: (n) => n, local: (n) => n, ratio: (n) => n, day: (n) => n % 1000,
    'pair.a': (n) => n % 7, 'pair.b': (n) => `b${n}`,
  }

  /** Three-valued, as SQL: undefined is NULL. */
  function holds(predicate: unknown, n: number): boolean | undefined {
    if (typeof predicate === 'boolean') return predicate
    const { type, term, child, left, right, of = [] as readonly number[] } = predicate as { type: string; term: string; child: unknown; left: unknown; right: unknown; of: number[] }
    if (type === 'not') return negated(holds(child, n))
    if (type === 'and' || type === 'or') {
      const [a, b] = [holds(left, n), holds(right, n)]
      if (a === (type === 'or') || b === (type === 'or')) return type === 'or'
      return a === undefined || b === undefined ? undefined : a
    }
    const value = VALUES[term]!(n)
    if (type === 'is-null') return value === undefined
    if (type === 'not-null') return value !== undefined
    if (value === undefined) return undefined
    const others = of.map((other) => VALUES[term]!(other)!)
    const [other] = others as [number | string]
    switch (type) {
      case 'lt': return value < other
      case 'lt-eq': return value <= other
      case 'gt': return value > other
      case 'gt-eq': return value >= other
      case 'eq': return value === other
      case 'not-eq': return value !== other
      case 'in': return others.includes(value)
      case 'not-in': return !others.includes(value)
      case 'starts-with': return String(value).startsWith(String(other).slice(0, 5))
      default: return !String(value).startsWith(String(other).slice(0, 5))
    }
  }

  function negated(value: boolean | undefined): boolean | undefined {
    return value === undefined ? undefined : !value
  }

  const column = fc.constantFrom(...Object.keys(LITERALS))
  const number = fc.integer({ min: -20, max: FILES * ROWS + 100 }).filter((n) => n % 11 !== 0 && n >= 0)
  const comparison = fc.record({ type: fc.constantFrom('lt', 'lt-eq', 'gt', 'gt-eq', 'eq', 'not-eq'), term: column, n: number })
    .map(({ type, term, n }) => ({ type, term, value: LITERALS[term]!(n), of: [n] }))
  const set = fc.record({ type: fc.constantFrom('in', 'not-in'), term: column, ns: fc.array(number, { minLength: 1, maxLength: 4 }) })
    .map(({ type, term, ns }) => ({ type, term, values: ns.map((n) => LITERALS[term]!(n)), of: ns }))
  const unary = fc.record({ type: fc.constantFrom('is-null', 'not-null'), term: column })
  const prefix = fc.record({ type: fc.constantFrom('starts-with', 'not-starts-with'), term: fc.constantFrom('word', 'pair.b'), n: number })
    .map(({ type, term, n }) => ({ type, term, value: String(LITERALS[term]!(n)).slice(0, 5), of: [n] }))
  const { predicate } = fc.letrec((tie) => ({
    predicate: fc.oneof({ depthSize: 'small' }, comparison, comparison, set, unary, prefix, fc.boolean(),
      fc.record({ type: fc.constantFrom('and', 'or'), left: tie('predicate'), right: tie('predicate') }), fc.record({ type: fc.constant('not'), child: tie('predicate') })),
  }))

  /** A file that was left out although one of its rows matches; undefined without such a file. */
  async function lost(filter: unknown, change: (rows: number[]) => number[] = (rows) => rows): Promise<{ lost: string | undefined; pruned: number }> {
    const { client, numbers } = await lakes
    const left = new Set(numbers.keys())
    for (const text of await planned(client, { filter })) left.delete((JSON.parse(text) as [[string]])[0][0])
    return { lost: [...left].find((path) => change(numbers.get(path)!).some((n) => holds(filter, n) === true)), pruned: left.size }
  }

  test('none loses a row, and most leave files out', async () => {
    let pruned = 0
    await fc.assert(fc.asyncProperty(predicate, async (filter) => {
      const found = await lost(filter)
      expect(found.lost).toBeUndefined()
      if (found.pruned > 0) pruned++
    }), { numRuns: 400, seed: TEST_SEED })
    expect(pruned).toBeGreaterThan(100)
  })

  test('planted: rows beyond the bounds are found', async () => {
    const found = await Promise.all(Array.from({ length: 50 }, (_, i) => lost({ type: 'eq', term: 'id', value: i * 40 + 1e5, of: [i * 40 + 1e5] }, (rows) => rows.map((n) => n + 1e5))))
    expect(found.filter((one) => one.lost !== undefined).length).toBeGreaterThan(10)
  })

  test.each<[string, unknown]>([
    ['a literal that was rounded', { type: 'eq', term: 'id', value: 9_007_199_254_740_993 }], ['a text for a number', { type: 'eq', term: 'id', value: '5' }],
    ['an unknown column', { type: 'eq', term: 'ID', value: -5 }], ['a list', { type: 'eq', term: 'tags', value: -5 }], ['a struct', { type: 'is-null', term: 'pair' }],
    ['a transform', { type: 'eq', term: { type: 'transform', transform: 'bucket[4]', term: 'id' }, value: -5 }], ['an unknown operation', { type: 'matches', term: 'id', value: -5 }],
    ['one unknown value of many', { type: 'in', term: 'id', values: [-5, {}] }], ['more digits than the column has', { type: 'eq', term: 'amount', value: '-5000.001' }],
    ['a time zone', { type: 'lt', term: 'at', value: '1999-01-01T00:00:00+02:00' }], ['null', null], ['a text', 'id = -5'], ['not of the unknown', { type: 'not', child: { type: 'x' } }],
    ['too deep', Array.from({ length: 200 }).reduce((child) => ({ type: 'not', child }), { type: 'eq', term: 'id', value: -5 })],
  ])('%s leaves no file out', async (_, filter) => {
    expect(await planned((await lakes).client, { filter })).toHaveLength(FILES)
  })
  test.each<[string, unknown]>([
    ['as a bare name', { type: 'eq', term: 'id', value: -5 }], ['as a reference', { type: 'eq', term: { type: 'reference', term: 'id' }, value: -5 }],
    ['as value expressions', { type: 'lt', left: { type: 'reference', name: 'id' }, right: { type: 'literal', value: 0 } }],
    ['false', false], ['the older false', { type: 'false' }], ['not true', { type: 'not', child: true }], ['days', { type: 'lt', term: 'day', value: 18_262 }],
    ['microseconds', { type: 'lt', term: 'at', value: 1_600_000_000_123_456 }],
  ])('%s leaves all out', async (_, filter) => expect(await planned((await lakes).client, { filter })).toEqual([]))
  test('names in any case', async () => {
    expect(await planned((await lakes).client, { filter: { type: 'eq', term: 'ID', value: -5 }, 'case-sensitive': false })).toEqual([])
  })
  test('counts of the fields that are asked for', async () => {
    const { 'file-scan-tasks': [task] } = await (await lakes).client.post(`${TABLE}/plan`, { 'stats-fields': ['id', 'word', 'nothing'] }) as unknown as Tasks
    expect(task!['data-file']['value-counts']).toEqual({ keys: [1, 2], values: [ROWS, ROWS] })
    expect((task!['data-file']['null-value-counts'] as { values: number[] }).values[1]).toBeGreaterThan(0)
  })
})

test('a large table is cut into plan tasks; incremental scans are of appends alone', async () => {
  const lake = await PublishedLake.create(new MemoryObjectStore({ now: () => 0 }))
  const client = new Client(lake)
  const file = (at: number): PublishedFile => {
    const columns = [{ id: 1, nulls: 0, lower: longBytes(at), upper: longBytes(at) }]
    return { key: lake.dataKey(ORDERS.oid), bytes: 500, rows: 10, columns, hidden: at % 3 === 0 ? BlockSet.of([1]) : BlockSet.EMPTY }
  }
  const files = Array.from({ length: 2 * FILES_MAX + 500 }, (_, i) => file(i))
  await lake.at('0/1000', [{ ...ORDERS, files }])
  const whole = await client.post(`${TABLE}/plan`, {}) as unknown as Tasks
  expect(whole['plan-tasks']).toHaveLength(2)
  expect(await planned(client)).toEqual(recorded(lake.records.get('5/16385')!))
  const filter = { type: 'gt-eq', term: 'id', value: 1000 }
  expect(await planned(client, { filter })).toHaveLength(files.length - 1000)
  const more = [file(90_001), file(90_002)]
  await lake.at('0/2000', [{ ...ORDERS, files: [...files, ...more] }])
  // A task stays bound to its snapshot.
  lake.now += 2000
  const late = await client.post(`${TABLE}/tasks`, { 'plan-task': whole['plan-tasks']![1]! }) as unknown as Tasks
  expect(late['file-scan-tasks']).toHaveLength(500)
  const [first, second] = lake.records.get('5/16385')!.snapshots
  expect(second!.operation).toBe('append')
  const between = { 'start-snapshot-id': first!.id, 'end-snapshot-id': second!.id }
  expect((await planned(client, between)).map((text) => (JSON.parse(text) as [[string]])[0][0]).sort()).toEqual(more.map(({ key }) => `${lake.root}/${key}`).sort())
  await lake.at('0/3000', [{ ...ORDERS, files: [...files, more[0]!] }])
  lake.now += 2000
  const third = lake.records.get('5/16385')!.snapshots[2]!
  for (const [body, status] of [
    [{ 'start-snapshot-id': first!.id, 'end-snapshot-id': third.id }, 406], [{ 'start-snapshot-id': 5, 'end-snapshot-id': third.id }, 406], [{ 'start-snapshot-id': second!.id, 'end-snapshot-id': first!.id }, 406],
    [{ 'start-snapshot-id': first!.id }, 400], [{ ...between, 'snapshot-id': first!.id }, 400], [{ 'snapshot-id': 77 }, 404], [{ 'snapshot-id': 'x' }, 400], ['{', 400],
  ] as const) expect(await client.refused('POST', `${TABLE}/plan`, { body })).toMatch(new RegExp(`^${status} `))
  const task = JSON.parse(whole['plan-tasks']![0]!) as Json
  for (const change of [{ uuid: 'x' }, { snapshot: 5 }, { to: 99_999 }, { from: -1 }, { schema: 9 }, { more: 1 }, { from: 4000, to: 3000 }]) {
    expect(await client.refused('POST', `${TABLE}/tasks`, { body: { 'plan-task': JSON.stringify({ ...task, ...change }) } })).toMatch(/^404 NoSuchPlanTaskException/)
  }
  expect(await client.refused('POST', `${TABLE}/tasks`, { body: {} })).toMatch(/^400 /)
})

function longBytes(value: number): Uint8Array {
  return new Uint8Array(BigInt64Array.of(BigInt(value)).buffer)
}
