/** What a commit costs besides its data, in requests and bytes: a lake of 100,000 relations. */
import { expect, test } from 'vitest'
import { Lake } from '../../src/engine/lake.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { BranchWriter } from '../../src/engine/writer.ts'
import { materialize } from '../../src/lake/state/changes.ts'
import { relationKey } from '../../src/lake/state/relationlayers.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { lsnText } from '../sim/simcluster.ts'

const RELATIONS = 100_000
const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'

interface Cost {
  requests: Record<string, number>
  up: number
  down: number
}

class Costs {
  readonly store = new MemoryObjectStore({ now: () => 0 })

  /** What `body` asks the store for. */
  async of(body: () => Promise<unknown>): Promise<Cost> {
    const { counters } = this.store
    const before = { requests: { ...counters.requests }, bytesUp: counters.bytesUp, bytesDown: counters.bytesDown }
    await body()
    const { requests, bytesUp, bytesDown } = this.store.counters
    const made = Object.entries(requests).map(([kind, count]) => [kind, count - before.requests[kind as keyof typeof requests]] as const)
    return { requests: Object.fromEntries(made.filter(([, count]) => count > 0)), up: bytesUp - before.bytesUp, down: bytesDown - before.bytesDown }
  }
}

function shown(what: string, { requests, up, down }: Cost): string {
  return `${what}: ${Object.entries(requests).map(([kind, count]) => `${count} ${kind}`).join(', ')}, ${up} bytes up, ${down} down`
}

test('1 and 1,000 relations of 100,000 change', async () => {
  const random = new Random(TEST_SEED)
  const costs = new Costs()
  const ports = {
    store: costs.store, clock: { now: () => 0, sleep: () => Promise.resolve() },
    random: { nonce: () => Array.from({ length: 20 }, () => DIGITS[random.int(36)]).join(''), fraction: () => 0 },
  }
  const lake = await Lake.create(ports, { systemIdentifier: '7', profile: 'portable', cas: 'if-match' })
  const writer = await BranchWriter.open(lake, 'main')
  const relation = (i: number): ReturnType<typeof relationKey> => relationKey({ spcOid: 1663, dbOid: 5, relNumber: 16384 + i }, lsnText(8 * i + 8))
  let lsn = 1_000_000
  const change = async (indexes: Iterable<number>): Promise<Cost> => {
    const from = writer.head.state
    const work = writer.begin()
    lsn += 8
    const layerOf = (i: number): Parameters<typeof materialize>[0]['relations'][number] => ({
      relation: relation(i), layer: { lsn: lsnText(lsn), smallest: 100, length: 120, files: [{ key: `shop/public.t-${i}/data/${work.name()}.parquet`, rows: 100, bytes: 8192, crc: 77 }] },
    })
    const relations = [...indexes].map(layerOf)
    return await costs.of(() => writer.commit(materialize({ from, position: { timeline: 1, lsn: lsnText(lsn) }, relations, others: [] }), work))
  }
  const first = await change(Array.from({ length: RELATIONS }, (_, i) => i))
  console.info(shown('first commit', first))
  const open = await costs.of(async () => await Snapshot.open(await Lake.open(ports), 'main'))
  const oneRelation = await costs.of(async () => (await Snapshot.open(await Lake.open(ports), 'main')).get([relation(4711)]))
  console.info(shown('open', open))
  console.info(shown('open and the layers of one relation', oneRelation))
  let worst = { puts: 0, up: 0, head: 0 }
  let sum = 0
  for (let n = 0; n < 250; n++) {
    const { requests, up } = await change([random.int(RELATIONS)])
    const head = (await costs.store.head('ltap/branches/main/HEAD'))!.size
    worst = { puts: Math.max(worst.puts, requests['put']!), up: Math.max(worst.up, up), head: Math.max(worst.head, head) }
    sum += up
  }
  console.info(`one relation of 100,000, 250 times: at most ${worst.puts} puts and ${worst.up} bytes, ${Math.round(sum / 250)} on average, HEAD at most ${worst.head} bytes`)
  const many = await change(new Set(Array.from({ length: 1000 }, () => random.int(RELATIONS))))
  console.info(shown('1,000 relations of 100,000', many))
  console.info(`heap ${Math.round(process.memoryUsage().heapUsed / 1e6)} MB`)
  expect(open.requests['list']).toBeUndefined()
  expect(open.requests['get']).toBeLessThanOrEqual(3)
  expect(oneRelation.requests['get']).toBeLessThanOrEqual(4)
  expect(worst.puts).toBeLessThanOrEqual(3)
  expect(worst.up).toBeLessThanOrEqual(500_000)
  expect(worst.head).toBeLessThanOrEqual(256 << 10)
  expect(many.requests['put']).toBeLessThanOrEqual(5)
  expect(many.up).toBeLessThanOrEqual(3_000_000)
  const seen = new Set<string>()
  await (await Snapshot.open(await Lake.open(ports), 'main')).scan('layers', (key) => seen.add(key))
  expect(seen.size).toBe(RELATIONS)
})
