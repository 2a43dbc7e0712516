/**
 * planTableScan of the REST catalog for a table of 1,000 files with bounds of 30 columns, beside a plain read of the metadata: what a client that plans by
 * itself does before it compares a bound.
 */
import avsc from 'avsc'
import { BlockSet } from '../src/common/blockset.ts'
import { MemoryObjectStore } from '../src/engine/memoryobjectstore.ts'
import { icebergCatalog } from '../src/service/catalog.ts'
import { PublishedLake } from '../test/support/publishedlake.ts'
import { column } from '../test/support/publishedtables.ts'
import { Random } from '../test/support/random.ts'
import { textHash } from './hash.ts'
import { type Latency, printResult } from './report.ts'

const FILES = 1000
const COLUMNS = 30
const REQUESTS = 400
/** Milliseconds of the slowest request but one in a hundred. */
const WANTED_MS = 20
const PLAN = 'http://localhost/v1/shop/namespaces/public/tables/orders/plan'

const store = new MemoryObjectStore({ now: () => 0 })
const lake = await madeLake()
const random = new Random(1)
const handler = icebergCatalog(lake.lake, { root: lake.root })
const answers: string[] = []

for (const [variant, files] of [['all files', () => true], ['a tenth', () => ({ type: 'lt', term: 'c0', value: FILES * 10 + random.int(100) })]] as const) {
  const [ours, peer]: [number[], number[]] = [[], []]
  for (let i = 0; i < REQUESTS; i++) {
    ours.push(await timed(() => plan(files())))
    if (i % 4 === 0) peer.push(await timed(readMetadata))
  }
  const hash = textHash(answers.sort().join(''))
  printResult({ kind: 'latency', bench: 'plan', table: `${FILES} files`, variant, peerName: 'read of the metadata', ours: latency(ours), peer: latency(peer), wanted: WANTED_MS, hash })
}

async function madeLake(): Promise<PublishedLake> {
  const made = await PublishedLake.create(store)
  const columns = Array.from({ length: COLUMNS }, (_, i) => column(i + 1, `c${i}`, { kind: 'long' }))
  const bound = (value: number): Uint8Array => new Uint8Array(BigInt64Array.of(BigInt(value)).buffer)
  const files = Array.from({ length: FILES }, (_, i) => ({
    key: made.dataKey(16385), bytes: 1 << 26, rows: 1e6, hidden: i % 10 === 0 ? BlockSet.of([i]) : BlockSet.EMPTY,
    columns: columns.map(({ id }) => ({ id, nulls: 0, lower: bound(i * 100), upper: bound(i * 100 + 99) })),
  }))
  await made.at('0/1000', [{ dbOid: 5, oid: 16385, namespace: 'public', name: 'orders', columns, files }])
  return made
}

async function plan(filter: unknown): Promise<void> {
  const response = await handler(new Request(PLAN, { method: 'POST', body: JSON.stringify({ filter }) }))
  const text = await response.text()
  if (response.status !== 200) throw new Error(text)
  if (answers.length < 3) answers.push(text.replaceAll(/[0-9a-z]{20}/g, ''))
}

async function readMetadata(): Promise<void> {
  const { folder, version } = lake.records.get('5/16385')!
  const file = (await store.get(`${folder}/metadata/v${version}.metadata.json`))!
  const metadata = JSON.parse(new TextDecoder().decode(file.bytes)) as { snapshots: { 'manifest-list': string }[] }
  const manifests = await decoded(metadata.snapshots.at(-1)!['manifest-list']) as { manifest_path: string }[]
  let entries = 0
  for (const { manifest_path: path } of manifests) entries += (await decoded(path)).length
  if (entries !== FILES * 1.1) throw new Error(`${entries} entries`)
}

async function decoded(uri: string): Promise<unknown[]> {
  const { bytes } = (await store.get(uri.slice(lake.root.length + 1)))!
  return await new Promise((resolve, reject) => {
    const records: unknown[] = []
    const decoder = new avsc.streams.BlockDecoder()
    decoder.on('data', (record: unknown) => records.push(record)).on('end', () => resolve(records)).on('error', reject)
    decoder.end(Buffer.from(bytes))
  })
}

async function timed(body: () => Promise<void>): Promise<number> {
  const started = performance.now()
  await body()
  return performance.now() - started
}

function latency(times: readonly number[]): Latency {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)]!
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}
