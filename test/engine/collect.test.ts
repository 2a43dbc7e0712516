/** What gc removes; and of a lake that lacks an object which a root refers to, nothing. */
import { expect, test } from 'vitest'
import { auditLake } from '../../src/engine/audit.ts'
import { collectGarbage } from '../../src/engine/collect.ts'
import { Lake } from '../../src/engine/lake.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { addReference, keepStates, removeReference } from '../../src/engine/references.ts'
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

test('an object that only a leaf still names goes, unless a state reads that leaf without an edit of its own', async () => {
  const store = new MemoryObjectStore({ now: () => 0 })
  const ports = { store, clock: { now: () => 0, sleep: () => Promise.resolve() }, random: systemRandom }
  const lake = await Lake.create(ports, { systemIdentifier: '7', profile: 'portable', cas: 'if-match' })
  const writer = await BranchWriter.open(lake, 'main')
  let lsn = 0
  const write = async (relations: readonly number[]): Promise<string[]> => {
    const work = writer.begin()
    const from = writer.head.state
    const layers = relations.map((relNumber) => ({
      relation: relationKey({ spcOid: 1663, dbOid: 5, relNumber }, '0/8'),
      layer: { lsn: `0/${(++lsn * 16).toString(16).toUpperCase()}`, smallest: 0, length: 1, files: [{ key: `shop/public.t-${relNumber}/data/${work.name()}.parquet` }] },
    }))
    const keys = layers.map(({ layer: { files: [file] } }) => file!.key)
    for (const key of keys) await store.put(key, new Uint8Array(9))
    await writer.commit(materialize({ from, position: { timeline: 1, lsn: layers.at(-1)!.layer.lsn }, relations: layers, others: [] }), work)
    return keys
  }
  const isThere = async (key: string): Promise<boolean> => await store.head(key) !== undefined
  // So many that HEAD has no room for them: they are in leaves.
  const [first, other] = await write(Array.from({ length: 1000 }, (_, i) => 16384 + i)) as [string, string]
  expect((await lake.head('main')).inline.length).toBeLessThan(500)
  const { entry } = await addReference(lake, 'main', 'tags', 'before', 'newest')
  const [second] = await write([16384]) as [string]
  expect((await lake.head('main')).inline.some(({ key }) => key.startsWith('5/16384/'))).toBe(true)
  await keepStates(lake, 'main', 'newest')
  await collectGarbage(lake)
  expect(await isThere(first), 'the tag needs it').toBe(true)
  await removeReference(lake, 'main', 'tags', entry.id)
  expect((await auditLake(lake, () => {})).orphans).toMatchObject({ objects: 1 })
  expect(await collectGarbage(lake)).toMatchObject({ dead: 1 })
  expect(await isThere(first)).toBe(false)
  expect([await isThere(second), await isThere(other)]).toEqual([true, true])
  // Nobody misses it.
  expect(await auditLake(lake, () => {})).toMatchObject({ missing: [], damaged: [], orphans: { objects: 0 } })
  expect(await collectGarbage(lake)).toMatchObject({ dead: 0 })
})
