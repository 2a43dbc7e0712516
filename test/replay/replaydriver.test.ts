/** Steps of a replay: bounded, ended between two records and never within one, and the same end whatever the steps were. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { assert } from '../../src/common/errors.ts'
import type { Lsn } from '../../src/common/ids.ts'
import type { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import { shutdownProgress } from '../../src/replay/progress.ts'
import { Replay, type ReplayProgress } from '../../src/replay/replay.ts'
import { ReplayDriver, type ReplayDriverOptions } from '../../src/replay/replaydriver.ts'
import { WalStream } from '../../src/replay/walstream.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import type { WalRecord } from '../../src/wal/record.ts'
import { segmentName } from '../../src/wal/segment.ts'
import { loadDataDir } from '../support/memorystore.ts'
import { readTransactionStore } from '../support/memoryslru.ts'
import { connect, majors } from '../support/oracle.ts'
import { type RecoveryCase, withRecovery } from '../support/recovery.ts'
import { compareWithRecovered } from '../support/recoveryredo.ts'
import { steppedClock } from '../support/steppedclock.ts'

const SEGMENT = 16 << 20
const VARIANT = { checksums: true, walLogHints: false, walCompression: 'pglz', fullPageWrites: true, walLevel: 'replica' } as const

/** The WAL from where the base ends. */
function bytesOf({ wal, start }: RecoveryCase): Buffer {
  const first = segmentName(1, Math.floor(start / SEGMENT), SEGMENT)
  const names = readdirSync(wal).filter((name) => /^[0-9A-F]{24}$/.test(name) && name >= first).sort()
  return Buffer.concat(names.map((name) => readFileSync(join(wal, name)))).subarray(start % SEGMENT - start % 8192)
}

interface Opened {
  store: MemoryReplayStore
  replay: Replay
  stream: WalStream
  clock: ReturnType<typeof steppedClock>
  driver: ReplayDriver
}

/** On the base copy, with nothing replayed. */
function open(found: RecoveryCase, options: Partial<ReplayDriverOptions> = {}): Opened {
  const { major, control, base } = found
  const store = loadDataDir(base)
  const status = readTransactionStore(base, major)
  for (const part of ['clog', 'multiOffsets', 'multiMembers'] as const) for (const [n, page] of status[part].pages) store[part].pages.set(n, page)
  const progress: ReplayProgress = shutdownProgress({ ...control, redo: control.redo as Lsn }, store.clog)
  const replay = new Replay(store, progress, { major, checksums: control.checksums })
  const stream = new WalStream({ major, segmentSize: SEGMENT, start: progress.lsn, exact: true, timeline: 1 })
  const clock = steppedClock(1)
  return { store, replay, stream, clock, driver: new ReplayDriver(replay, stream, { clock, ...options }) }
}

/** Differences between what was replayed and what a server recovered. */
function differences(found: RecoveryCase, store: MemoryReplayStore): string[] {
  return compareWithRecovered(found, store).differences
}

/** All of the WAL is there. */
function openWith(found: RecoveryCase, options: Partial<ReplayDriverOptions> = {}): Opened {
  const opened = open(found, options)
  opened.stream.push(bytesOf(found))
  return opened
}

/** Bytes come in odd pieces while it runs; it waits for them, and ends where it is told. @returns records */
async function checkPushed(found: RecoveryCase): Promise<number> {
  const { driver, stream, store, clock } = open(found, { budget: { records: 100 } })
  const bytes = bytesOf(found)
  const running = driver.run({ to: found.end })
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = [1, 7, 8191, 100_003, 524_288][i % 5]!
    stream.push(bytes.subarray(at, at += size))
    await Promise.resolve()
  }
  expect(await running).toBe('target')
  expect(differences(found, store)).toEqual([])
  expect(clock.turns).toBeGreaterThanOrEqual(Math.floor(driver.records / 100))
  expect(driver.records).toBeGreaterThan(20_000)
  return driver.records
}

/** Each look at the clock is one millisecond, so a step of 3 has 3 looks, after 64 records each. */
async function checkTimed(found: RecoveryCase, records: number): Promise<void> {
  const { driver, clock } = openWith(found, { budget: { records: 1 << 20, milliseconds: 3 } })
  expect(await driver.run({ to: found.end })).toBe('target')
  expect(clock.turns).toBeGreaterThanOrEqual(Math.floor(records / (64 * 4)))
}

/** Broken off again and again: the same records, the same end. */
async function checkStopped(found: RecoveryCase, records: number): Promise<void> {
  const { driver, store } = openWith(found, { budget: { records: 777 } })
  let [calls, end] = [0, 'aborted']
  for (; end === 'aborted'; calls++) {
    const stop = new AbortController()
    let steps = 0
    const onStep = (): void => {
      if (++steps === 2) stop.abort()
    }
    end = await driver.run({ to: found.end, signal: stop.signal, onStep })
  }
  expect(calls).toBeGreaterThan(10)
  expect(driver.records).toBe(records)
  expect(differences(found, store)).toEqual([])
}

/** To one position after another: the record that lies beyond is the first of the next call. */
async function checkTargets(found: RecoveryCase, records: number): Promise<void> {
  const { driver, replay } = openWith(found)
  for (let to = found.start; to < found.end; to += 100_000) {
    expect(await driver.run({ to })).toBe('target')
    expect(replay.position).toBeLessThanOrEqual(to)
  }
  expect(await driver.run({ to: found.end })).toBe('target')
  expect(driver.records).toBe(records)

  // Planted fault: a driver that drops that record.
  const planted = openWith(found)
  await planted.driver.run({ to: found.start + 100_000 })
  ;(planted.driver as unknown as { held: undefined }).held = undefined
  await expect(planted.driver.run({ to: found.end })).rejects.toThrow(/replay\.prev-link/)
}

/** Pages are fetched before the record that names them is applied, where they are not at hand. */
async function checkFetched(found: RecoveryCase, records: number): Promise<void> {
  const seen = new Set<string>()
  let [fetched, isFetching] = [0, false]
  const prepare = (record: WalRecord): Promise<void> | undefined => {
    assert(!isFetching, 'a record was read while pages were fetched')
    const keys = Array.from({ length: record.blockCount }, (_, i) => `${record.blocks[i]!.relNumber}/${record.blocks[i]!.block}`)
    if (keys.every((key) => seen.has(key))) return undefined
    for (const key of keys) seen.add(key)
    isFetching = true
    return Promise.resolve().then(() => {
      isFetching = false
      fetched++
    })
  }
  const { driver, store } = openWith(found, { prepare })
  expect(await driver.run({ to: found.end })).toBe('target')
  expect(fetched).toBeGreaterThan(100)
  expect(driver.records).toBe(records)
  expect(differences(found, store)).toEqual([])
}

/** The end of a stream is an end; a stream that may go on is waited for. */
async function checkEnds(found: RecoveryCase): Promise<void> {
  const ended = openWith(found)
  ended.stream.finish()
  expect(await ended.driver.run()).toBe('end')
  expect(ended.stream.end?.reason).toBeTruthy()
  const waiting = open(found)
  waiting.stream.push(bytesOf(found).subarray(0, 100_000))
  const stop = new AbortController()
  const wait = waiting.driver.run({ signal: stop.signal })
  setTimeout(() => stop.abort(), 10)
  expect(await wait).toBe('aborted')
}

async function run(cluster: PostgresServer): Promise<{ tablespaces: string[] }> {
  const sql = await connect(cluster)
  await sql.script(`
    CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
    UPDATE t SET v = v || 'x' WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0; VACUUM t; TRUNCATE t; INSERT INTO t SELECT i, 'y' FROM generate_series(1, 5000) i`)
  return { tablespaces: [] }
}

test.each(majors().slice(-1))('a replay in steps on Postgres %i', (major) => withRecovery(major, VARIANT, { prepare: async () => {}, run }, async (found) => {
  const records = await checkPushed(found)
  await checkTimed(found, records)
  await checkStopped(found, records)
  await checkTargets(found, records)
  await checkFetched(found, records)
  await checkEnds(found)
}))
