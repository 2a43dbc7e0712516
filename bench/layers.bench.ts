/**
 * A lake that grows: what a run costs of which given shares of the blocks changed, beside one read of the heap and that share of a run of which all did;
 * its requests and bytes; the way to S3 beside a folder; a scan after many rounds beside one of a fresh export.
 */
import { existsSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { BLOCK_SIZE } from '../src/common/rel.ts'
import type { ObjectStore } from '../src/engine/objectstore.ts'
import { useSince, useUntilNow } from '../src/engine/requestcounters.ts'
import { openObjectStore } from '../src/io/objectstore/openobjectstore.ts'
import { mergeLake } from '../src/jobs/merge/mergelake.ts'
import { queryLake } from '../src/jobs/query/query.ts'
import type { StoreUse } from '../src/lake/state/madeby.ts'
import { KEYS, type RealServer, startServer } from '../test/conformance/servers.ts'
import { Random } from '../test/support/random.ts'
import { benchDir, benchSize } from './data.ts'
import { textHash } from './hash.ts'
import { LayeredTable } from './layeredtable.ts'
import { compare, type Timing, timing } from './measure.ts'
import { printResult } from './report.ts'

const size = benchSize()
const isFull = size === 'full'
const BLOCKS = isFull ? 131_072 : 4_096
const REPEATS = isFull ? 1 : 3
/** Every so many blocks one changes; 0: a single one. */
const STEPS = [0, 1000, 100, 10, 1] as const
const ROUNDS = isFull ? 100 : 12
const SCANNED_BLOCKS = isFull ? 16_384 : 2_048
const WANTED_S3 = 0.8
const WANTED_SCAN = 1 / 1.3
const WANTED_MERGED = 1 / 1.05
const SCAN = 'SELECT count(*) AS rows, sum(aid) AS aid, sum(bid) AS bid, sum(abalance) AS abalance, sum(hash(filler)) AS filler FROM accounts'
const random = new Random(1)
const folder = join(benchDir(), `layers-${process.pid}`)

try {
  await shares()
  await scans()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** What one run asked of the store. */
interface Run extends StoreUse {
  readonly ms: number
}

async function measured(table: LayeredTable, store: ObjectStore): Promise<Run> {
  const before = useUntilNow(store.counters)
  const started = performance.now()
  await table.materialize(store)
  return { ms: performance.now() - started, ...useSince(store.counters, before) }
}

async function shares(): Promise<void> {
  const table = await LayeredTable.make(BLOCKS)
  try {
    const lake = join(folder, 'shares')
    const store = await openObjectStore(lake)
    await table.materialize(store)
    const runs = new Map<number, Run[]>(STEPS.map((step) => [step, []]))
    const reads: number[] = []
    let offset = 0
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      for (const step of STEPS) {
        await table.touch(step === 0 ? table.blocks : step, ++offset)
        runs.get(step)!.push(await measured(table, store))
        const started = performance.now()
        table.read()
        reads.push(performance.now() - started)
      }
    }
    const hash = await scan(lake)
    const all = timing(runs.get(1)!.map(({ ms }) => ms))
    const read = timing(reads)
    for (const step of STEPS) {
      const of = runs.get(step)!
      const share = 1 / (step === 0 ? table.blocks : step)
      const ours = timing(of.map(({ ms }) => ms))
      const floor = scaled(read, 1, all, share)
      printResult({
        kind: 'speed', bench: 'layers', table: 'accounts', variant: step === 0 ? 'one block changed' : `${100 / step} % of blocks changed`,
        peerName: `a read and ${step === 0 ? 'a block' : `${100 / step} %`} of the time for all`, heapBytes: table.heapBytes, ours, peer: floor,
        ratio: floor.medianMs / ours.medianMs, ratioMin: floor.minMs / ours.maxMs, ratioMax: floor.maxMs / ours.minMs, rounds: of.length, hash,
      })
      const changed = Math.ceil(table.blocks * share)
      const { bytesUp, requests } = of.toSorted((a, b) => a.bytesUp - b.bytesUp)[of.length >> 1]!
      const asked = Object.entries(requests).map(([kind, count]) => `${count} ${kind}`).join(', ')
      printResult({
        kind: 'cost', bench: 'layers', table: 'accounts', variant: `${changed} of ${table.blocks} blocks: ${asked}`, unit: 'bytes', ours: bytesUp,
        peerName: 'pages of the blocks', peer: changed * BLOCK_SIZE, hash,
      })
    }
    await beside(table, hash)
  } finally {
    await table.remove()
  }
}

/** `a` times one time and `b` times another. */
function scaled(one: Timing, a: number, other: Timing, b: number): Timing {
  return { medianMs: one.medianMs * a + other.medianMs * b, minMs: one.minMs * a + other.minMs * b, maxMs: one.maxMs * a + other.maxMs * b }
}

/** The whole table into a new lake: by S3 and in a folder. */
async function beside(table: LayeredTable, hash: string): Promise<void> {
  const path = join(process.env['LTAP_CONFORMANCE'] ?? join(homedir(), '.cache/ltap'), 'bin/versitygw')
  if (!existsSync(path)) {
    process.stderr.write('  SKIPPED: no versitygw: run `npm run conformance:install`\n')
    return
  }
  const server: RealServer = await startServer('versitygw')
  try {
    let lakes = 0
    const whole = async (url: string): Promise<void> => {
      await table.materialize(await openObjectStore(url, { endpoint: server.endpoint, credentials: KEYS, environment: {} }))
    }
    const comparison = await compare(
      { name: 'S3', run: () => whole(`s3://lake/n${++lakes}`) }, { name: 'a folder', run: () => whole(join(folder, `n${++lakes}`)) }, size)
    printResult({
      kind: 'speed', bench: 'layers', table: 'accounts', variant: 'new lake on S3', peerName: 'in a folder', heapBytes: table.heapBytes, ...comparison,
      wanted: WANTED_S3, hash,
    })
  } finally {
    await server.stop()
  }
}

/** After rounds of random updates, each a state of the lake, as the merges of the runs left it; and after a merge of all layers. */
async function scans(): Promise<void> {
  const table = await LayeredTable.make(SCANNED_BLOCKS)
  try {
    const [grown, fresh] = [join(folder, 'grown'), join(folder, 'fresh')]
    const store = await openObjectStore(grown)
    await table.materialize(store)
    for (let round = 0; round < ROUNDS; round++) {
      const ids = Array.from({ length: 200 }, () => 1 + random.int(table.blocks * 60))
      await table.change((client) => client.query('UPDATE accounts SET abalance = abalance + 1 WHERE aid = ANY($1)', [ids]))
      await table.materialize(store, true)
    }
    await table.materialize(await openObjectStore(fresh))
    const print = async (variant: string, wanted: number): Promise<void> => {
      const [ours, peer] = [await scan(grown), await scan(fresh)]
      if (ours !== peer) throw new Error(`the lake that grew and the fresh one differ: ${ours} and ${peer}`)
      const comparison = await compare({ name: 'grown', run: () => scan(grown) }, { name: 'fresh', run: () => scan(fresh) }, size)
      printResult({
        kind: 'speed', bench: 'layers', table: 'accounts', variant, peerName: 'scan of a fresh export', heapBytes: table.heapBytes, ...comparison, wanted, hash: ours,
      })
    }
    await print(`scan after ${ROUNDS} rounds`, WANTED_SCAN)
    await mergeLake({ lake: grown, all: true, workers: 0 })
    await print('scan after merge --all', WANTED_MERGED)
  } finally {
    await table.remove()
  }
}

/** @returns the CRC of what the scan says */
async function scan(lake: string): Promise<string> {
  let out = ''
  await queryLake({ lake, sql: SCAN, format: 'csv' }, (text) => {
    out += text
    return Promise.resolve()
  })
  return textHash(out)
}
