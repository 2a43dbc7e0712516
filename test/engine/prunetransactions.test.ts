/** Status of transactions: what a million of them takes, and what goes when no row depends on it. */
import { expect, test } from 'vitest'
import type { UnresolvedRun } from '../../src/columnar/filesummary.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { Lake } from '../../src/engine/lake.ts'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { pruneTransactions } from '../../src/engine/prunetransactions.ts'
import { Snapshot } from '../../src/engine/snapshot.ts'
import { BranchWriter } from '../../src/engine/writer.ts'
import { layerFile, layerFileJson } from '../../src/lake/layer.ts'
import { materialize, mergeLayers } from '../../src/lake/state/changes.ts'
import { relationKey, type StateLayer } from '../../src/lake/state/relationlayers.ts'
import { parseStatus, statusEdit, statusXid } from '../../src/lake/state/status.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { amount } from '../support/scope.ts'

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'
const FIRST = 2n ** 32n + 750n
const lsnText = (lsn: number): string => `${Math.floor(lsn / 2 ** 32).toString(16).toUpperCase()}/${(lsn % 2 ** 32).toString(16).toUpperCase()}`
const relation = relationKey({ spcOid: 1663, dbOid: 5, relNumber: 16384 }, '0/8')

async function made(): Promise<{ store: MemoryObjectStore; lake: Lake; writer: BranchWriter; commit: (xids: readonly UnresolvedRun[], others: Parameters<typeof materialize>[0]['others']) => Promise<StateLayer> }> {
  const random = new Random(TEST_SEED)
  const store = new MemoryObjectStore({ now: () => 0 })
  const ports = { store, clock: { now: () => 0, sleep: () => Promise.resolve() }, random: { nonce: () => Array.from({ length: 20 }, () => DIGITS[random.int(36)]).join(''), fraction: () => 0 } }
  const lake = await Lake.create(ports, { systemIdentifier: '7', profile: 'portable', cas: 'if-match' })
  const writer = await BranchWriter.open(lake, 'main')
  let lsn = 2 ** 32
  const commit = async (unresolved: readonly UnresolvedRun[], others: Parameters<typeof materialize>[0]['others']): Promise<StateLayer> => {
    const from = writer.head.state
    const work = writer.begin()
    lsn += 4096
    const blocks = BlockSet.of([0])
    const name = `shop/public.t-1/data/${work.name()}`
    const { file, index } = layerFile({ key: `${name}.parquet`, bytes: 1, crc: 1 }, `${name}.blocks`, blocks, {
      summary: {
        columns: [], hidden: BlockSet.EMPTY, unresolved, damaged: BlockSet.EMPTY,
        pages: { lsns: new Uint32Array(2), crcs: new Uint32Array(1), rows: Uint32Array.of(2000) },
      },
      lanes: { pages: 1, raw: 0 },
    })
    await store.put(file.key, new Uint8Array(1))
    if (index) await store.put(`${name}.blocks`, index)
    // Not cut off: the layer before stays, though its block is superseded.
    const layer: StateLayer = { lsn: lsnText(lsn), smallest: from.sequence === 0 ? 0 : 1, length: 1, files: [layerFileJson(file)] }
    await writer.commit(materialize({ from, position: { timeline: 1, lsn: lsnText(lsn) }, relations: [{ relation, layer }], others }), work)
    return layer
  }
  return { store, lake, writer, commit }
}

async function statusOf(lake: Lake, at: number | undefined = undefined): Promise<Map<bigint, string>> {
  const found = new Map<bigint, string>()
  const snapshot = await Snapshot.open(lake, 'main', at === undefined ? 'newest' : { sequence: at })
  await snapshot.scan('status', (key, value) => found.set(statusXid({ key }), parseStatus(value, { tree: 'status', key }).ended))
  return found
}

const rows = (xids: readonly bigint[]): UnresolvedRun[] => xids.map((xid, i) => ({ first: i, count: 1, xid: Number(xid), which: 'xmin' }))

const COUNT = amount({ quick: 50_000, sample: 200_000, all: 1_000_000 })

test(`${COUNT} transactions`, async () => {
  const { store, lake, writer, commit } = await made()
  const random = new Random(TEST_SEED)
  let time = 1_700_000_000_000_000
  let lsn = 2 ** 33
  const before = store.counters.bytesUp
  await commit(rows([FIRST + 10n]), Array.from({ length: COUNT }, (_, i) => statusEdit(FIRST + BigInt(i), {
    ended: random.chance(5) ? 'aborted' : 'committed', lsn: lsnText(lsn += 40 + random.int(4000)), time: time += random.int(100_000),
  })))
  const bytes = store.counters.bytesUp - before
  const read = store.counters.bytesDown
  expect((await statusOf(lake)).size).toBe(COUNT)
  console.info(`${COUNT} transactions: ${bytes} bytes, ${(bytes / COUNT).toFixed(1)} each; a scan reads ${store.counters.bytesDown - read}`)
  expect(bytes / COUNT).toBeLessThan(20)
  expect(await pruneTransactions(lake, writer)).toBe(COUNT - 1)
  expect([...(await statusOf(lake)).keys()]).toEqual([FIRST + 10n])
})

test('what no row depends on goes; what is open, or a row depends on, stays, and retained states keep all', async () => {
  const { lake, writer, commit } = await made()
  const x = (n: number): bigint => FIRST + BigInt(n)
  const ended = (n: number): ReturnType<typeof statusEdit> => statusEdit(x(n), { ended: 'committed', after: '0/8', until: '1/0' })
  // More than an entry has room for: they are in the object beside the file alone.
  const many = Array.from({ length: 1000 }, (_, i) => x(1000 + i))
  const first = await commit(rows([x(1), x(2)]), [ended(1), statusEdit(x(2), { ended: 'open' }), ended(3), statusEdit(x(4), { ended: 'open' })])
  const second = await commit(rows(many), [...many.slice(0, 500).map((_, i) => ended(1000 + i)), ended(7)])
  const old = writer.head.state.sequence
  expect(second.files[0]).not.toHaveProperty('unresolved')
  expect(await pruneTransactions(lake, writer)).toBe(2)
  const left = await statusOf(lake)
  expect([...left.keys()].filter((xid) => xid < x(1000)).sort()).toEqual([x(1), x(2), x(4)])
  expect(left.size).toBe(503)
  expect((await statusOf(lake, old)).size).toBe(505)
  expect(await pruneTransactions(lake, writer)).toBe(0)
  // A merge resolves all rows.
  const work = writer.begin()
  const [{ files: [, ...none] }] = [second]
  expect(none).toEqual([])
  const merged = { ...first.files[0]!, key: `shop/public.t-1/data/${work.name()}.parquet`, unresolved: [] }
  await writer.commit(mergeLayers([{ relation, inputs: [first, second], output: { ...second, files: [merged] } }]), work)
  expect(await pruneTransactions(lake, writer)).toBe(501)
  expect([...(await statusOf(lake)).keys()].sort()).toEqual([x(2), x(4)])
})
