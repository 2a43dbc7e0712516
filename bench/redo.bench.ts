/**
 * The WAL of TPC-B transactions applied to pages in memory: segment files, CRC, decoding, redo; beside it the real server's recovery of the
 * same WAL, as it times its redo itself (start, checkpoint and stop not counted). Then the same onto a page store on disk whose memory holds all
 * of it, pages read on the way, beside memory; and with the flush that makes it durable.
 */
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { seed } from '../src/io/backup/seed.ts'
import { parseControlFile } from '../src/io/datadir/controlfile.ts'
import { createPageStore, openPageStore } from '../src/io/pagestore/openstore.ts'
import type { PageStore } from '../src/io/pagestore/pagestore.ts'
import { PostgresCluster } from '../src/io/postgres.ts'
import { copyDataDir } from '../src/io/postgresdatadir.ts'
import { openWal } from '../src/io/wal/source.ts'
import { Redo } from '../src/redo/redo.ts'
import type { RedoStore } from '../src/redo/store.ts'
import { loadDataDir, type MemoryStore } from '../test/support/memorystore.ts'
import { benchDir, benchSize } from './data.ts'
import { ResultHash } from './hash.ts'
import { compare, type Side, timing } from './measure.ts'
import { printResult } from './report.ts'
import { TPCB_SETTINGS, tpcbWal } from './tpcb.ts'
import { WALDUMP_MAJOR, waldumpSide } from './waldump.ts'

const ROUNDS = 5
const PEER_ROUNDS = 3
/**
 * Issue 3: at least 250 MB/s, and 300,000 transactions a second. These were set on a machine where pg_waldump --stats reads 2,070 MB/s of such
 * WAL, so that is printed beside it, too.
 */
const WANTED_MB = 250
const WANTED_TRANSACTIONS = 300_000
/** It takes at most a fifth more time, while nothing is flushed. */
const WANTED_PAGE_STORE = 0.83

const size = benchSize()
const { base, wal, transactions } = await tpcbWal(size, WALDUMP_MAJOR)
const control = parseControlFile(readFileSync(join(base, 'global/pg_control')), WALDUMP_MAJOR)
const { redo: start, timeline, checksums } = control

let walBytes = 0
let hash = ''
const times: number[] = []
for (let round = 0; round <= ROUNDS; round++) {
  const store = loadDataDir(base)
  const began = performance.now()
  walBytes = replay(store)
  if (round > 0) times.push(performance.now() - began)
  else hash = hashOf(store)
}
const ours = timing(times)
const peerTimes: number[] = []
for (let round = 0; round < PEER_ROUNDS; round++) peerTimes.push(await recover())
const peer = timing(peerTimes)
const perSecond = transactions / (ours.medianMs / 1e3)
process.stderr.write(`  ${(walBytes / 1e3 / ours.medianMs).toFixed(0)} MB/s (wanted ${WANTED_MB}), ` +
  `${perSecond.toFixed(0)} transactions/s (wanted ${WANTED_TRANSACTIONS}), ${(walBytes / transactions).toFixed(0)} bytes per transaction\n`)
printResult({
  kind: 'speed', bench: 'redo', table: `tpcb ${transactions}`, variant: 'in memory', peerName: 'recovery', heapBytes: walBytes, ours, peer,
  ratio: peer.medianMs / ours.medianMs, ratioMin: peer.minMs / ours.maxMs, ratioMax: peer.maxMs / ours.minMs, rounds: ROUNDS, hash,
})

let inMemory: MemoryStore | undefined
const memory: Side = { name: 'memory', prepare: () => void (inMemory = loadDataDir(base)), run: () => void replay(inMemory!) }
const waldump = waldumpSide(wal, Number(start), Number(start) + walBytes)
if (waldump !== undefined) {
  printResult({
    kind: 'speed', bench: 'redo', table: `tpcb ${transactions}`, variant: 'in memory', peerName: 'pg_waldump --stats', heapBytes: walBytes,
    ...await compare(memory, waldump, size), hash,
  })
}

const cacheBytes = 4 * 2 ** 30
let seeded = ''
let onDisk: PageStore | undefined
const prepareStore = async (): Promise<void> => {
  closeStore()
  seeded = mkdtempSync(join(benchDir(), 'pagestore-'))
  const { identity, indexes } = await seed(base, seeded)
  createPageStore(seeded, identity, { lsn: Number(start), timeline, rest: null }, indexes)
  onDisk = openPageStore(seeded, { cacheBytes })
}
try {
  for (const flushed of [false, true]) {
    const stored: Side = {
      name: 'page store', prepare: prepareStore,
      run: () => {
        const position = replay(onDisk!, (lsn) => onDisk!.beginRecord(lsn)) + Number(start)
        if (flushed) onDisk!.flush({ lsn: position, timeline, rest: null })
      },
    }
    const comparison = await compare(stored, memory, size)
    printResult({
      kind: 'speed', bench: 'redo', table: `tpcb ${transactions}`, variant: flushed ? 'page store, flushed' : 'page store', peerName: 'memory',
      heapBytes: walBytes, ...comparison, ...(flushed ? {} : { wanted: WANTED_PAGE_STORE }), hash,
    })
  }
} finally {
  closeStore()
}

function closeStore(): void {
  onDisk?.close()
  onDisk = undefined
  if (seeded !== '') rmSync(seeded, { recursive: true, force: true })
}

function replay(store: RedoStore, beforeRecord?: (endLsn: number) => void): number {
  const source = openWal(wal, { start: Number(start), major: WALDUMP_MAJOR, timeline })
  const redo = new Redo(store, { major: WALDUMP_MAJOR, checksums, walLogHints: false })
  redo.reachedConsistency()
  for (let record = source.read(); record !== undefined; record = source.read()) {
    beforeRecord?.(record.endLsn)
    redo.apply(record)
  }
  source.close()
  return source.position - Number(start)
}

function hashOf(store: MemoryStore): string {
  const result = new ResultHash()
  for (const key of [...store.relations.keys()].sort()) {
    for (const page of store.relations.get(key)!.forks[0]?.pages ?? []) result.add(page.bytes)
  }
  return result.digest()
}

/** Milliseconds of redo, from the server's log. */
async function recover(): Promise<number> {
  const folder = mkdtempSync(join(benchDir(), 'recover-'))
  chmodSync(folder, 0o755)
  const dataDir = join(folder, 'data')
  await copyDataDir(base, dataDir)
  for (const name of readdirSync(wal)) cpSync(join(wal, name), join(dataDir, 'pg_wal', name), { recursive: true })
  // Without it a cleanly shut down directory starts where it stopped.
  writeFileSync(join(dataDir, 'recovery.signal'), '')
  const server = await PostgresCluster.adopt({ dataDir, settings: { ...TPCB_SETTINGS, hot_standby: 'off', restore_command: 'false' } })
  try {
    await server.start()
    const log = readFileSync(server.logFile, 'utf8')
    await server.stop('immediate')
    const elapsed = /redo done at .* elapsed: ([\d.]+) s/.exec(log)?.[1]
    if (elapsed === undefined) throw new Error(`the server did not recover:\n${log}`)
    return Number(elapsed) * 1e3
  } finally {
    await server.remove()
    rmSync(folder, { recursive: true, force: true })
  }
}
