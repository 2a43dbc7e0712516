/** A page store in a thread: WAL is pushed, pages are asked for meanwhile, and what it leaves is what a server recovers. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { MAIN_FORK } from '../../src/common/relpath.ts'
import { pageChecksum } from '../../src/page/checksum.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { segmentName } from '../../src/wal/segment.ts'
import { withFolder } from '../support/lakes.ts'
import { connect, majors } from '../support/oracle.ts'
import { type RecoveryCase, withBackup, withRecovery } from '../support/recovery.ts'
import { compareReplayed, replayCase } from '../support/replayed.ts'
import { prepareWalWorkload, runWalWorkload } from '../support/walworkload.ts'

type Jobs = typeof import('../../src/jobs/index.ts')
type Thread = Awaited<ReturnType<Jobs['ReplayThread']['open']>>
const BUILT = resolve(import.meta.dirname, '../../dist/jobs/index.js')
const [major] = majors().slice(-1)
if (!existsSync(BUILT)) console.warn('SKIPPED: the thread of a replay, because nothing is built')

const SEGMENT = 16 << 20
const VARIANT = { checksums: true, walLogHints: false, walCompression: 'pglz', fullPageWrites: true, walLevel: 'replica' } as const
const PG_CLASS = { spcOid: 1663, dbOid: 5, relNumber: 1259 }

/** Pushes the WAL from where the thread wants it up to `to`, in odd pieces. */
async function push(thread: Thread, { wal }: RecoveryCase, to: number): Promise<void> {
  const { wanted } = await thread.state()
  const first = segmentName(1, Math.floor(wanted / SEGMENT), SEGMENT)
  const names = readdirSync(wal).filter((name) => /^[0-9A-F]{24}$/.test(name) && name >= first).sort()
  const bytes = Buffer.concat(names.map((name) => readFileSync(join(wal, name)))).subarray(wanted % SEGMENT).subarray(0, to - wanted)
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = [1, 7, 8191, 100_003, 1 << 20][i % 5]!
    await thread.push(bytes.subarray(at, at += size))
  }
}

/** Pages come while redo runs, each whole: its checksum is right, and no page is older than one of the same block before. */
async function readMeanwhile(thread: Thread, isDone: () => boolean): Promise<number> {
  let [reads, last] = [0, 0]
  while (!isDone()) {
    const blocks = await thread.blocks(PG_CLASS, MAIN_FORK)
    for (let block = 0; block < blocks; block++, reads++) {
      const { page, lsn } = await thread.getPage(PG_CLASS, MAIN_FORK, block)
      expect(lsn).toBeGreaterThanOrEqual(last)
      last = lsn
      if (page !== undefined && page.some((byte) => byte !== 0)) {
        expect(new DataView(page.buffer, page.byteOffset).getUint16(8, true)).toBe(pageChecksum(page, block))
      }
    }
  }
  return reads
}

/** Seeds, goes half the way, is closed, is opened again, goes to the end. */
async function checkThread({ ReplayThread }: Jobs, found: RecoveryCase, out: string): Promise<void> {
  await replayCase(found, out, { target: { lsn: found.start } })
  const half = found.start + Math.floor((found.end - found.start) / 2)
  const first = await ReplayThread.open({ store: out, cacheBytes: 8 << 20, backlogBytes: 256 << 10 })
  await expect(ReplayThread.open({ store: out })).rejects.toThrow(/folder\.locked/)
  await push(first, found, half)
  await first.close()
  await expect(first.getPage(PG_CLASS, MAIN_FORK, 0)).rejects.toThrow(/worker\.ended/)

  const thread = await ReplayThread.open({ store: out, cacheBytes: 8 << 20 })
  const from = await thread.state()
  expect(from.lsn).toBeGreaterThan(found.start)
  expect(from.lsn).toBe(from.durable)
  let done = false
  const reading = readMeanwhile(thread, () => done)
  await push(thread, found, found.end)
  expect(await thread.reach(found.end)).toBe(found.end)
  done = true
  expect(await reading).toBeGreaterThan(10)
  expect(await thread.getPage({ ...PG_CLASS, relNumber: 4_000_000 }, MAIN_FORK, 0)).toEqual({ page: undefined, lsn: found.end })
  expect(await thread.flush()).toBe(found.end)

  // What lies beyond the last byte is not waited for when no byte comes.
  await thread.finish()
  await expect(thread.reach(found.end + 1)).rejects.toThrow(/replay\.end/)
  await thread.close()
  const { differences, relations } = compareReplayed(found, out)
  expect(differences).toEqual([])
  expect(relations).toBeGreaterThan(500)
}

/** Damaged WAL ends it with the place; what is durable stays as it is. */
async function checkDamaged({ ReplayThread }: Jobs, found: RecoveryCase, out: string): Promise<void> {
  await replayCase(found, out, { target: { lsn: found.start } })
  const thread = await ReplayThread.open({ store: out })
  await thread.push(new Uint8Array(1 << 20).fill(0x5a))
  await expect(thread.reach(found.end)).rejects.toThrow(/replay\.end/)
  expect((await thread.state()).end).toMatch(/\S/)
  await thread.close()
  await expect(ReplayThread.open({ store: join(out, 'none') })).rejects.toThrow(/pagestore|file\./)
}

/** A base backup without WAL is seeded, and all of the WAL is pushed: the pages are those that a server recovers. */
async function checkSeeded({ ReplayThread, seedStore }: Jobs, found: RecoveryCase, out: string): Promise<void> {
  expect(readdirSync(join(found.base, 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name))).toEqual([])
  const progress = await seedStore({ source: found.base, out })
  expect(progress).toMatchObject({ lsn: found.start, consistency: { backupEndOf: found.start, reached: false } })
  // As it was: a store that is there is not made again.
  expect(await seedStore({ source: found.base, out })).toEqual(progress)
  const thread = await ReplayThread.open({ store: out })
  expect((await thread.state()).wanted % 8192).toBe(0)
  await expect(thread.getPage(PG_CLASS, MAIN_FORK, 0)).rejects.toThrow(/replay\.inconsistent/)
  await push(thread, found, found.end)
  expect(await thread.reach(found.end)).toBe(found.end)
  await thread.close()
  expect(compareReplayed(found, out).differences).toEqual([])
}

/** What a server writes while it is copied, and afterwards. */
async function writeSome(cluster: PostgresServer): Promise<void> {
  const sql = await connect(cluster)
  await sql.script(`INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 3000) i; UPDATE t SET v = v || 'x' WHERE id % 3 = 0;
    DELETE FROM t WHERE id % 7 = 0; VACUUM t`)
  await sql.close()
}

describe.runIf(major !== undefined && existsSync(BUILT))('a replay in a thread', () => {
  test(`pages of Postgres ${major}`, () => withRecovery(major!, VARIANT, {
    prepare: prepareWalWorkload, run: (cluster) => runWalWorkload(cluster, { xids: 1000 }),
  }, (found) => withFolder(async (folder) => {
    const jobs = await import(BUILT) as Jobs
    await checkThread(jobs, found, join(folder, 'out'))
    await checkDamaged(jobs, found, join(folder, 'damaged'))
  })))

  test(`a backup of Postgres ${major} without WAL`, () => withBackup(major!, VARIANT, {
    prepare: async (cluster) => (await connect(cluster)).script('CREATE TABLE t (id int, v text)'), busy: writeSome,
    run: async (cluster) => {
      await writeSome(cluster)
      return { tablespaces: [] }
    },
  }, (found) => withFolder(async (folder) => checkSeeded(await import(BUILT) as Jobs, found, join(folder, 'out')))))
})
