/** What gc does of a lake that lacks an object which a root refers to: nothing goes. */
import { expect, test } from 'vitest'
import { collectGarbage } from '../../src/engine/collect.ts'
import { Lake } from '../../src/engine/lake.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { keepStates } from '../../src/engine/references.ts'
import { BranchWriter } from '../../src/engine/writer.ts'
import { materialize } from '../../src/lake/state/changes.ts'
import { keepFrom } from '../../src/lake/state/registrations.ts'
import { relationKey } from '../../src/lake/state/relationlayers.ts'
import { systemRandom } from '../../src/io/process/systemrandom.ts'
import { keysOf } from '../support/objectstorecontract.ts'

const relation = relationKey({ spcOid: 1663, dbOid: 5, relNumber: 16384 }, '0/8')
/** Each state replaces the whole relation. */
const STATES = 3

async function made(): Promise<{ store: MemoryObjectStore; lake: Lake; files: string[] }> {
  const store = new MemoryObjectStore({ now: () => 0 })
  const ports = { store, clock: { now: () => 0, sleep: () => Promise.resolve() }, random: systemRandom }
  const lake = await Lake.create(ports, { systemIdentifier: '7', profile: 'portable', cas: 'if-match' })
  const writer = await BranchWriter.open(lake, 'main')
  const files: string[] = []
  for (let i = 1; i <= STATES; i++) {
    const work = writer.begin()
    const key = `shop/public.t-1/data/${work.name()}.parquet`
    await store.put(key, new Uint8Array(9))
    files.push(key)
    const lsn = `0/${i}0`
    const layer = { lsn, smallest: 0, length: 1, files: [{ key }] }
    await writer.commit(materialize({ from: writer.head.state, position: { timeline: 1, lsn }, relations: [{ relation, layer }], others: [] }), work)
  }
  return { store, lake, files }
}

test.each([true, false])('an object of the newest state is missing: no state goes and nothing is deleted (with states to let go: %s)', async (shrinks) => {
  const { store, lake, files } = await made()
  await store.delete([files.at(-1)!])
  const before = await keysOf(store, '')
  const shrink = async (): Promise<void> => void await keepStates(lake, 'main', 'newest')
  const collected = shrinks ? collectGarbage(lake, false, undefined, (head) => keepFrom(head, head.state.sequence, head.commit) ?? head, shrink) : collectGarbage(lake)
  await expect(collected).rejects.toMatchObject({ code: 'lake.missing-object', message: expect.stringContaining(files.at(-1)!) as unknown })
  expect(await keysOf(store, '')).toEqual(before)
  const { keepFrom: from, state } = await lake.head('main')
  expect(from).toBeLessThan(state.sequence)
})

test('a whole lake: no object is asked for by itself, and the store is listed once', async () => {
  const { store, lake } = await made()
  const before = { ...store.counters.requests }
  const shrink = async (): Promise<void> => void await keepStates(lake, 'main', 'newest')
  await collectGarbage(lake, false, undefined, (head) => keepFrom(head, head.state.sequence, head.commit) ?? head, shrink)
  const { head, list, get } = store.counters.requests
  expect(head - before.head).toBe(0)
  expect(list - before.list).toBe(2)
  expect(get - before.get).toBeLessThanOrEqual(4)
  const { keepFrom: from, state } = await lake.head('main')
  expect(from).toBe(state.sequence)
})

test('an object that was put after the list is found', async () => {
  const { store, lake, files } = await made()
  const bytes = (await store.get(files.at(-1)!))!.bytes
  await store.delete([files.at(-1)!])
  const leftovers = store.leftovers.bind(store)
  store.leftovers = async function* () {
    await store.put(files.at(-1)!, bytes)
    yield* leftovers()
  }
  expect(await collectGarbage(lake)).toMatchObject({ dead: 0 })
})
