/**
 * The WAL of TPC-B transactions applied to pages in memory: segment files, CRC, decoding, redo. Beside it redo as one writes it first, pg_waldump,
 * which only reads, and the real server's recovery, as it times its redo itself (start, checkpoint and stop not counted).
 */
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PostgresServer } from '../src/server/postgres.ts'
import { copyDataDir } from '../src/server/postgresdatadir.ts'
import { parseSegmentName, segmentNumber } from '../src/wal/segment.ts'
import { loadDataDir } from '../test/support/memorystore.ts'
import type { MemoryReplayStore } from '../src/replay/memoryreplaystore.ts'
import { benchDir } from './data.ts'
import { compare, type Side, timing } from './measure.ts'
import { PlainRedo } from './plainredo.ts'
import { PlainWal } from './plainwal.ts'
import { printResult } from './report.ts'
import { TPCB_SETTINGS } from './tpcb.ts'
import { base, control, MemorySide, size, start, table, transactions, wal } from './tpcbredo.ts'
import { waldumpSide } from './waldump.ts'

const ROUNDS = 5
const RECOVERIES = 3
/**
 * The aim is 250 MB/s and 300,000 transactions/s on a core where a prototype, which plain redo is made after, makes 216 to 226 MB/s and 294,000:
 * 1.13 and 1.02 times as much. pg_waldump --stats reads 2,070 MB/s there: 0.12 times that.
 */
const WANTED_PLAIN = 1.13
const WANTED_WALDUMP = 0.12
/** Pages that plain redo has room for. */
const PLAIN_PAGES = 40_000
/** FirstNormalObjectId (transam.h): catalogs have lower ones. */
const FIRST_NORMAL_OBJECT_ID = 16384

const memory = new MemorySide()
const times: number[] = []
for (let round = 0; round <= ROUNDS; round++) {
  memory.prepare()
  const began = performance.now()
  memory.run()
  if (round > 0) times.push(performance.now() - began)
}
const { hash, walBytes } = memory
const row = { kind: 'speed', bench: 'redo', table, variant: 'in memory', heapBytes: walBytes, hash } as const
const recoveries: number[] = []
for (let round = 0; round < RECOVERIES; round++) recoveries.push(await recover())
const [ours, peer] = [timing(times), timing(recoveries)]
process.stderr.write(`  ${(transactions / (ours.medianMs / 1e3)).toFixed(0)} transactions/s, ${(walBytes / transactions).toFixed(0)} bytes of WAL each\n`)
printResult({
  ...row, peerName: 'recovery', ours, peer, rounds: ROUNDS,
  ratio: peer.medianMs / ours.medianMs, ratioMin: peer.minMs / ours.maxMs, ratioMax: peer.maxMs / ours.minMs,
})

const waldump = waldumpSide(wal, start, start + walBytes)
if (waldump !== undefined) printResult({ ...row, peerName: 'pg_waldump --stats', ...await compare(memory, waldump, size), wanted: WANTED_WALDUMP })

const segments = readSegments()
let plain!: PlainRedo
const plainSide: Side = { name: 'plain redo', prepare: () => void (plain = loadPlain()), run: () => plain.run() }
printResult({ ...row, peerName: 'plain redo', ...await compare(memory, plainSide, size), wanted: WANTED_PLAIN })
comparePages(memory.store, plain)

/** All segments of the WAL, side by side, and the position of the first byte. */
function readSegments(): { bytes: Uint8Array; base: number } {
  const names = readdirSync(wal).filter((name) => parseSegmentName(name) !== undefined).sort()
  const bytes = new Uint8Array(names.length * control.walSegmentSize)
  for (const [i, name] of names.entries()) bytes.set(readFileSync(join(wal, name)), i * control.walSegmentSize)
  return { bytes, base: segmentNumber(parseSegmentName(names[0]!)!, control.walSegmentSize)! * control.walSegmentSize }
}

function loadPlain(): PlainRedo {
  const loaded = new PlainRedo(new PlainWal(segments.bytes, segments.base, control.walSegmentSize, start), PLAIN_PAGES)
  for (const { dbOid, relNumber, forks } of loadDataDir(base).relations.values()) loaded.load(dbOid, relNumber, forks[0]?.pages ?? [])
  return loaded
}

/** Compares the tables that TPC-B writes; catalogs change by records that plain redo does not know. */
function comparePages(store: MemoryReplayStore, plain: PlainRedo): void {
  for (const { dbOid, relNumber, forks } of store.relations.values()) {
    if (relNumber < FIRST_NORMAL_OBJECT_ID) continue
    for (const [block, { bytes }] of (forks[0]?.pages ?? []).entries()) {
      if (Buffer.compare(bytes, plain.page(dbOid, relNumber, block)) !== 0) throw new Error(`plain redo of block ${block} of ${dbOid}/${relNumber} is different`)
    }
  }
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
  const server = await PostgresServer.adopt({ dataDir, settings: { ...TPCB_SETTINGS, hot_standby: 'off', restore_command: 'false' } })
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
