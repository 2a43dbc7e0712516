/** Where tasks run is a port. Pages that move to a thread give the bytes that the task of files writes. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { DESCRIPTOR_KEY, parseFileDescriptor } from '../../src/columnar/filedescriptor.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { MAIN_FORK } from '../../src/common/relpath.ts'
import { DirectorySource } from '../../src/io/datadir/directorysource.ts'
import { openConsistentDirectory } from '../../src/io/datadir/consistentdirectory.ts'
import { openCluster } from '../../src/io/cluster.ts'
import { type Pool, runTask, transcodeInPool, Workers } from '../../src/jobs/pool.ts'
import type { TranscodePagesTask } from '../../src/jobs/tasks/transcodepagestask.ts'
import { transcodeLake } from '../../src/jobs/transcodelake.ts'
import { readPages } from '../../src/page/pagesource.ts'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import { withFolder } from '../support/lakes.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'

type Jobs = typeof import('../../src/jobs/index.ts')
const BUILT = resolve(import.meta.dirname, '../../dist/jobs/index.js')
const [major] = majors().slice(-1)

/** A service's own: what it is given crosses as between machines. */
class CloningPool implements Pool {
  readonly count = 2
  readonly names: string[] = []

  async run(name: string, input: unknown, transfer: readonly ArrayBuffer[] = []): Promise<unknown> {
    this.names.push(name)
    return structuredClone(await runTask(name, structuredClone(input, { transfer: [...transfer] })))
  }
}

/** Pages of pg_xact, or of a part of pg_multixact. */
function slruPages(folder: string): Map<number, Uint8Array> {
  const pages = new Map<number, Uint8Array>()
  for (const name of readdirSync(folder)) {
    const bytes = new Uint8Array(readFileSync(join(folder, name)))
    for (let at = 0; at < bytes.length; at += 8192) pages.set(Number.parseInt(name, 16) * 32 + at / 8192, bytes.slice(at, at + 8192))
  }
  return pages
}

describe.runIf(major !== undefined)('a table with updates, out-of-line values and aborted rows', () => {
  test('moved pages give the bytes of the file', () => withFolder((folder) => withCluster(major!, {}, async (cluster, sql) => {
    await sql.exec(`CREATE TABLE t (i int, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
      INSERT INTO t SELECT i, repeat(md5(i::text), CASE WHEN i % 100 = 0 THEN 200 ELSE 1 END) FROM generate_series(1, 6000) i;
      DELETE FROM t WHERE i % 7 = 0`)
    await sql.exec(`BEGIN; UPDATE t SET v = 'x' WHERE i % 5 = 0; ROLLBACK`)
    await closeSessions(cluster)
    await cluster.stop()
    const pgdata = cluster.dataDir
    const own = new CloningPool()
    const filter = { databases: ['postgres'], tables: ['public.t'] }
    const manifest = await transcodeLake({ pgdata, lake: join(folder, 'lake'), filter, workers: own, profile: 'portable', compression: 'zstd', onCorrupt: 'fail' })
    expect(own.names.sort()).toEqual(expect.arrayContaining(['toastIndex', 'transcode']))
    const { files: [file] } = manifest.relations.find(({ name }) => name === 't')!
    const parquet = new Uint8Array(readFileSync(join(folder, 'lake', file!.path)))
    const descriptor = parseFileDescriptor(readParquet(parquet).metadata.get(DESCRIPTOR_KEY))
    const { relation, systemIdentifier, checksums, lsn, profile } = descriptor
    const clusterDescriptor = { systemIdentifier, major: descriptor.major, checksums, lsn, profile }

    const source = new DirectorySource(openConsistentDirectory(pgdata))
    const table = openCluster(pgdata).relations(relation.dbOid).find(({ name }) => name === 't')!
    const toast = openCluster(pgdata).relations(relation.dbOid).find(({ oid }) => oid === table.toastRelId)!
    const allPages = async (locator: typeof table.locator): Promise<ArrayBuffer> => {
      const fork = source.fork(locator, MAIN_FORK)!
      const pages = await readPages(fork, BlockSet.range(0, fork.blocks))
      fork.close()
      return pages.buffer
    }
    const task = async (): Promise<TranscodePagesTask> => ({
      // The catalog's own: what was parsed is the same with its members in another order.
      cluster: clusterDescriptor, relation: { ...relation, desc: table.desc! }, compression: 'zstd', onCorrupt: 'fail', blocks: BlockSet.range(0, relation.blocks).runs,
      pages: await allPages(table.locator), toast: { relationId: toast.oid, pages: await allPages(toast.locator) }, transactions: source.transactions,
      clog: slruPages(join(pgdata, 'pg_xact')), multiOffsets: slruPages(join(pgdata, 'pg_multixact/offsets')),
      multiMembers: slruPages(join(pgdata, 'pg_multixact/members')),
    })
    const isSame = async (pool: Pool, transcode: Jobs['transcodeInPool']): Promise<void> => {
      const tasks = [await task(), await task(), await task()]
      for (const found of await Promise.all(tasks.map((each) => transcode(pool, each)))) {
        if ('wanted' in found) throw new Error('an overflow child is wanted')
        expect(Buffer.compare(found.parquet, parquet)).toBe(0)
        expect([found.rows, found.hiddenRows]).toEqual([file!.rows, file!.hidden!.rows])
        expect(Buffer.compare(found.hidden!, readFileSync(join(folder, 'lake', file!.hidden!.path)))).toBe(0)
      }
      if (pool.count > 1) expect(tasks.map(({ pages }) => pages.byteLength)).toEqual([0, 0, 0])
      // Damage is said with its place, from wherever the task ran; without the pages of values, they are missing.
      const damaged = await task()
      new Uint8Array(damaged.pages).fill(0xff, 8192 * 3 + 12, 8192 * 3 + 16)
      await expect(transcode(pool, damaged)).rejects.toMatchObject({ name: 'CorruptionError', position: { block: 3, relation: 'postgres.public.t' } })
      const { toast: _left, ...without } = await task()
      await expect(transcode(pool, without)).rejects.toThrow(/toast/)
    }
    await isSame(own, transcodeInPool)
    await isSame(new Workers(0), transcodeInPool)
    if (!existsSync(BUILT)) {
      console.warn('SKIPPED: worker threads, because nothing is built')
      return
    }
    const built = await import(BUILT) as Jobs
    const threads = new built.Workers(2)
    try {
      await isSame(threads, built.transcodeInPool)
    } finally {
      await threads.close()
    }
  })))

  test('a task that is not there', async () => {
    await expect(runTask('constructor', {})).rejects.toThrow('no task is called constructor')
  })
})
