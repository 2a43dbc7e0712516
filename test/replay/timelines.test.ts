/** WAL of another timeline is refused before its first record: by its history, and by the links between records where the history is not known. */
import { createHash } from 'node:crypto'
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { EnvironmentError } from '../../src/common/errors.ts'
import { openPageStore } from '../../src/io/pagestore/openstore.ts'
import { openWal } from '../../src/io/walsource/walsource.ts'
import { replayCluster } from '../../src/jobs/replay/replaycluster.ts'
import { Replay, type ReplayProgress } from '../../src/replay/replay.ts'
import { PostgresServer } from '../../src/server/postgres.ts'
import { WalReader } from '../../src/wal/reader.ts'
import { segmentName } from '../../src/wal/segment.ts'
import { firstTimelineHistory } from '../../src/wal/timelinehistory.ts'
import { closeSessions, connect, fewerMajors, type Session, withCluster } from '../support/oracle.ts'
import { promote } from '../support/promote.ts'
import { folderContent } from '../support/replayed.ts'

// Nothing here loses power, and waiting for the disk is most of the time.
vi.mock('node:fs', async (original) => ({ ...(await original<typeof import('node:fs')>()), fsyncSync: () => {} }))

const SEGMENT_SIZE = 1 << 20
const SETTINGS = { wal_keep_size: '100MB', autovacuum: 'off' }

interface Servers {
  root: string
  /** Stopped before the promotions. */
  clean: string
  /** WAL of timeline 1, which went on; of its two rivals for the number 2, promoted at different LSNs. */
  first: string
  second: string
  rival: string
}

test.each(fewerMajors('majors of other timelines'))('pages of one timeline and WAL of another, Postgres %i', async (major) => {
  const root = mkdtempSync(join(tmpdir(), 'ltap-othertimeline-'))
  chmodSync(root, 0o755)
  const [clean, first, second, rival] = ['clean', 'first', 'second', 'rival'].map((name) => join(root, name)) as [string, string, string, string]
  try {
    await withCluster(major, { initdbArgs: ['--wal-segsize=1'], settings: SETTINGS }, async (primary, sql) => {
      await sql.exec('CREATE TABLE t (i int)')
      await stop(primary)
      await primary.copyDataDir(clean)
      await makePromoted(primary, join(root, 'standby'), second)
      await primary.start()
      await insert(await connect(primary), 2000)
      await stop(primary)
      await makePromoted(primary, join(root, 'other'), rival)
      await primary.start()
      await insert(await connect(primary), 2000)
      await stop(primary)
      cpSync(join(primary.dataDir, 'pg_wal'), first, { recursive: true })
    })
    await checkHistory({ root, clean, first, second, rival })
    checkLinks(join(root, 'one'), second)
    checkReader(second)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})

/** A hash for each file, because comparing megabytes of numbers takes minutes. */
function hashOf(folder: string): string[] {
  return [...folderContent(folder)].map(([name, bytes]) => `${name} ${createHash('sha256').update(bytes).digest('hex')}`)
}

async function stop(server: PostgresServer): Promise<void> {
  await closeSessions(server)
  await server.stop()
}

async function insert(sql: Session, rows: number): Promise<void> {
  await sql.exec(`INSERT INTO t SELECT generate_series(1, ${rows})`)
}

/** A copy of a stopped server becomes timeline 2. Its WAL goes to `wal`. */
async function makePromoted(primary: PostgresServer, dataDir: string, wal: string): Promise<void> {
  await primary.copyDataDir(dataDir)
  const server = await PostgresServer.adopt({ dataDir, settings: { ...SETTINGS, fsync: 'off' } })
  try {
    // Longer than the first one is in the end.
    await insert(await promote(server, dataDir, 'standby.signal'), 20_000)
    await stop(server)
    cpSync(join(dataDir, 'pg_wal'), wal, { recursive: true })
  } finally {
    await server.remove()
  }
}

/** What replayCluster does, from a folder; the history file is there. */
async function checkHistory({ root, clean, first, second, rival }: Servers): Promise<void> {
  const [one, two] = [join(root, 'one'), join(root, 'two')]
  expect(await replayCluster({ source: clean, wal: first, out: one })).toMatchObject({ timeline: 1, resumed: false })
  const before = hashOf(one)
  await expect(replayCluster({ source: clean, wal: second, out: one })).rejects.toThrow(/^replay.timeline: .*on timeline 1, where 2 has it only .*\(lsn /)
  expect(hashOf(one)).toEqual(before)

  const followed = await replayCluster({ source: clean, wal: second, out: two })
  expect(followed).toMatchObject({ timeline: 2, resumed: false })
  const store = openPageStore(two)
  const progress = store.flushed
  store.close()
  expect(progress.ancestors).toEqual([{ timeline: 1, end: openWal(second).timelineHistory[0]!.end }])
  expect(progress.previous).toBeLessThan(progress.lsn)
  // The same number, another server's timeline.
  await expect(replayCluster({ source: clean, wal: rival, out: two })).rejects.toThrow(/^replay.timeline: .*another server's timeline/)
  expect(await replayCluster({ source: clean, wal: second, out: two })).toMatchObject({ timeline: 2, resumed: true, records: 0, lsn: followed.lsn })
}

/** What a caller does that has a stream of WAL and no history. */
function checkLinks(out: string, second: string): void {
  const before = hashOf(out)
  const store = openPageStore(out)
  try {
    const progress = store.flushed
    const { major, checksums } = store.identity
    const wal = openWal(second, { start: progress.lsn, timeline: 2 })
    expect(() => new Replay(store, progress, { major, checksums, timelineHistory: wal.timelineHistory })).toThrow(/^replay.timeline: /)
    const replay = new Replay(store, progress, { major, checksums })
    const record = wal.read()!
    expect(record.startLsn).toBeGreaterThanOrEqual(progress.lsn)
    expect(() => replay.apply(record)).toThrow(EnvironmentError)
    expect(() => replay.apply(record)).toThrow(/^replay.prev-link: .*name that one, or replay into another folder \(lsn /)
    expect(replay.position).toBe(progress.lsn)
    store.flush(replay.progress)
    // A planted fault: without the link that the state keeps, the record of the other timeline is applied, wherever that leads.
    const { previous, ...forgetful } = progress
    expect(previous).toBeDefined()
    expect(() => new Replay(store, forgetful satisfies ReplayProgress, { major, checksums }).apply(record)).not.toThrow(/^replay\./)
    wal.close()
  } finally {
    store.close()
  }
  expect(hashOf(out)).toEqual(before)
}

/** A reader that knows the history ends where a page of another timeline begins. */
function checkReader(second: string): void {
  const source = openWal(second)
  const { major, segmentSize, systemIdentifier, timelineHistory: history } = source
  const number = Math.floor(history[0]!.end / segmentSize)
  const bytes = readdirSync(second).filter((name) => name >= segmentName(2, number, SEGMENT_SIZE) && /^00000002[0-9A-F]{16}$/.test(name)).sort()
    .map((name) => new Uint8Array(readFileSync(join(second, name))))
  const end = (known: typeof history | undefined): { records: number; code: string | undefined } => {
    const reader = new WalReader({ major, start: number * segmentSize, timeline: 2, segmentSize, systemIdentifier, timelineHistory: known })
    let records = 0
    for (const piece of bytes) {
      reader.feed(piece)
      while (reader.next() !== undefined) records++
    }
    return { records, code: reader.end?.code }
  }
  const right = end(history)
  expect(right.records).toBeGreaterThan(20)
  expect(end(undefined)).toEqual(right)
  const wrong = end(firstTimelineHistory(1))
  expect(wrong.code).toBe('wal.timeline')
  expect(wrong.records).toBeLessThan(right.records)
}
