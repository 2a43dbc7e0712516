/**
 * Segment files → records: page headers, CRC, links, block references; beside pg_waldump --stats,
 * which reads the same files. Three kinds of WAL: of TPC-B transactions, nothing but short records, full-page images.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseLsn, walPosition } from '../src/common/ids.ts'
import { parseControlFile } from '../src/catalog/controlfile.ts'
import { PostgresServer } from '../src/server/postgres.ts'
import { openWal } from '../src/io/walsource/walsource.ts'
import { benchDir, benchSize } from './data.ts'
import { ResultHash } from './hash.ts'
import { compare } from './measure.ts'
import { printResult } from './report.ts'
import { withClient } from './server.ts'
import type { BenchSize } from './tables.ts'
import { tpcbWal } from './tpcb.ts'
import { WALDUMP_MAJOR, waldumpSide } from './waldump.ts'

const VERSION = 1
const WANTED = 0.5
const ROWS: Record<BenchSize, number> = { smoke: 400_000, full: 2_000_000 }

interface BenchWal {
  dir: string
  /** First and last LSN per kind of WAL. */
  ranges: Record<string, [start: string, end: string]>
}

interface WalRange {
  variant: string
  dir: string
  from: number
  to: number
}

const size = benchSize()
for (const { variant, dir, from, to } of [await tpcbRange(), ...await madeRanges()]) {
  const peer = waldumpSide(dir, from, to)
  if (peer === undefined) break
  const ours = { name: 'records', run: () => readRecords(dir, from, to) }
  const comparison = await compare(ours, peer, size)
  const { records, digest } = hashRecords(dir, from, to)
  printResult({
    kind: 'speed', bench: 'wal', table: `${records} records`, variant, peerName: 'pg_waldump --stats', heapBytes: to - from, ...comparison, wanted: WANTED,
    hash: digest,
  })
}

function readRecords(dir: string, from: number, to: number): number {
  const source = openWal(dir, { start: from, exact: true })
  let count = 0
  for (let record = source.read(); record !== undefined && record.startLsn < to; record = source.read()) count++
  source.close()
  return count
}

function hashRecords(dir: string, from: number, to: number): { records: number; digest: string } {
  const hash = new ResultHash()
  const words = new Uint32Array(4)
  const source = openWal(dir, { start: from, exact: true })
  let records = 0
  for (let record = source.read(); record !== undefined && record.startLsn < to; record = source.read()) {
    words.set([record.startLsn % 0x100000000, record.length, record.crc, record.blockCount])
    hash.add(new Uint8Array(words.buffer))
    records++
  }
  source.close()
  return { records, digest: hash.digest() }
}

async function tpcbRange(): Promise<WalRange> {
  const { base, wal } = await tpcbWal(size, WALDUMP_MAJOR)
  const from = Number(parseControlFile(readFileSync(join(base, 'global/pg_control')), WALDUMP_MAJOR).redo)
  const source = openWal(wal, { start: from, exact: true })
  while (source.read() !== undefined);
  source.close()
  return { variant: 'TPC-B', dir: wal, from, to: source.position }
}

async function madeRanges(): Promise<WalRange[]> {
  const { dir, ranges } = await makeWal()
  return Object.entries(ranges).map(([variant, [start, end]]) => ({ variant, dir, from: walPosition(parseLsn(start)!), to: walPosition(parseLsn(end)!) }))
}

async function makeWal(): Promise<BenchWal> {
  const marker = join(benchDir(), `wal-${size}-v${VERSION}.json`)
  if (existsSync(marker)) return JSON.parse(readFileSync(marker, 'utf8')) as BenchWal
  process.stderr.write(`making WAL in ${benchDir()}\n`)
  mkdirSync(benchDir(), { recursive: true })
  const made: BenchWal = { dir: mkdtempSync(join(benchDir(), 'wal-')), ranges: {} }
  const settings = { autovacuum: 'off', fsync: 'off', max_wal_size: '16GB', wal_keep_size: '16GB', checkpoint_timeout: '1d', jit: 'off' }
  const server = await PostgresServer.create({ major: WALDUMP_MAJOR, parentDir: benchDir(), settings })
  try {
    await server.start()
    await withClient(server, async (client) => {
      const lsn = async (): Promise<string> => String((await client.query<{ l: string }>('SELECT pg_current_wal_insert_lsn() l')).rows[0]!.l)
      await client.query('CREATE TABLE t (id int PRIMARY KEY, v int, filler char(60))')
      const start = await lsn()
      await client.query(`INSERT INTO t SELECT i, i, '' FROM generate_series(1, ${ROWS[size]}) i`)
      await client.query('UPDATE t SET v = v + 1')
      const middle = await lsn()
      for (const statement of ['CHECKPOINT', 'VACUUM FULL t', 'CREATE INDEX ON t (v)', 'CREATE INDEX ON t (filler, v)']) await client.query(statement)
      made.ranges = { 'short records': [start, middle], images: [middle, await lsn()] }
      await client.query("SELECT pg_logical_emit_message(true, 'flush', '')")
    })
    await server.stop()
    cpSync(join(server.dataDir, 'pg_wal'), made.dir, { recursive: true })
  } finally {
    await server.remove()
  }
  writeFileSync(`${marker}.new`, JSON.stringify(made))
  renameSync(`${marker}.new`, marker)
  return made
}
