/** Workers that are kept: each job sees the data directory as it is then, and a job that failed leaves nothing to the next. */
import { closeSync, existsSync, openSync, writeSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Workers } from '../../src/io.ts'
import { withFolder } from '../support/lakes.ts'
import { closeSessions, connect, majors, withCluster } from '../support/oracle.ts'

type Io = typeof import('../../src/io.ts')
const BUILT = resolve(import.meta.dirname, '../../dist/io.js')
const [major] = majors().slice(-1)
const ways = [
  { name: 'this thread', count: 0, load: (): Promise<Io> => import('../../src/io.ts') },
  { name: 'two threads', count: 2, load: (): Promise<Io> => import(BUILT) as Promise<Io> },
]
if (!existsSync(BUILT)) console.warn('SKIPPED: worker threads, because nothing is built')

describe.runIf(major !== undefined).each(ways.filter(({ count }) => count === 0 || existsSync(BUILT)))('$name', ({ count, load }) => {
  const withWorkers = async (body: (io: Io, workers: Workers) => Promise<void>): Promise<void> => {
    const io = await load()
    const workers = new io.Workers(count)
    try {
      expect(workers.count).toBe(Math.max(count, 1))
      await body(io, workers)
    } finally {
      await workers.close()
    }
  }
  const filter = { databases: ['postgres'], tables: ['public.t'] }

  test('each job sees what is there', () => withFolder((folder) => withWorkers((io, workers) => withCluster(major!, {}, async (cluster, sql) => {
    const lakeNow = async (name: string): Promise<number> => {
      await closeSessions(cluster)
      await cluster.stop()
      const lake = join(folder, name)
      const { rows, hiddenRows } = await io.materializeInto({ pgdata: cluster.dataDir, lake, filter, workers, compression: 'snappy' })
      const report = await io.verifyLake({ lake, pgdata: cluster.dataDir, workers })
      expect([report.equal, report.forensic.hintContradictions]).toEqual([true, 0])
      await cluster.start()
      return rows - hiddenRows
    }
    await sql.exec('CREATE TABLE t AS SELECT i, md5(i::text) v FROM generate_series(1, 3000) i')
    expect(await lakeNow('first')).toBe(3000)
    const again = await connect(cluster)
    // No hint bit tells of it: only CLOG does.
    await again.exec('DELETE FROM t WHERE i % 3 = 0')
    await again.exec("BEGIN; INSERT INTO t SELECT i, '' FROM generate_series(1, 50) i; ROLLBACK")
    expect(await lakeNow('second')).toBe(2000)
  }))))

  test('a job that failed leaves nothing to the next, and two may run at once', () => withFolder((folder) => withWorkers((io, workers) =>
    withCluster(major!, {}, async (cluster, sql) => {
      await sql.exec('CREATE TABLE t AS SELECT i, md5(i::text) v FROM generate_series(1, 60000) i')
      const path = await sql.value("SELECT pg_relation_filepath('t')")
      await closeSessions(cluster)
      await cluster.stop()
      const damaged = join(folder, 'damaged')
      await cluster.copyDataDir(damaged)
      const fd = openSync(join(damaged, path!), 'r+')
      writeSync(fd, new Uint8Array(4).fill(0xff), 0, 4, 12)
      closeSync(fd)
      const job = (pgdata: string, name: string): Promise<unknown> => io.materializeInto({ pgdata, lake: join(folder, name), filter, workers, compression: 'none' })
      await expect(job(damaged, 'bad')).rejects.toMatchObject({ name: 'CorruptionError' })
      await Promise.all([job(cluster.dataDir, 'one'), expect(job(damaged, 'worse')).rejects.toMatchObject({ name: 'CorruptionError' })])
      await job(cluster.dataDir, 'other')
      for (const name of ['one', 'other']) {
        expect((await io.verifyLake({ lake: join(folder, name), pgdata: cluster.dataDir, workers })).equal).toBe(true)
      }
    }))))
})
