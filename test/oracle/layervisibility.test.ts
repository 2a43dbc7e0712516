/**
 * Hidden rows of a file at later LSNs, which follow from its summary and the ends of transactions alone, against what a real server shows there:
 * commits, aborts, subtransactions, prepared transactions, multixacts of lockers and of an updater, frozen rows.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { newColumnFields } from '../../src/columnar/schema.ts'
import { transcodeFile } from '../../src/columnar/transcode.ts'
import { BlockSet } from '../../src/common/blockset.ts'
import { parseLsn, type WalPosition, walPosition } from '../../src/common/ids.ts'
import { openSnapshot } from '../../src/io/cluster.ts'
import { hiddenRows } from '../../src/lake/hiddenrows.ts'
import { replayCluster } from '../../src/jobs/replay/replaycluster.ts'
import { MemoryPages } from '../../src/page/pagesource.ts'
import { CommitLog } from '../../src/xact/commitlog.ts'
import { closeSessions, connect, majors, type Session, withCluster } from '../support/oracle.ts'
import { relationOf, transcodeOptions } from '../support/relation.ts'
import { drawn } from '../support/scope.ts'

const SETTINGS = { wal_level: 'replica', max_prepared_transactions: '5', autovacuum: 'off', wal_keep_size: '1GB', checkpoint_timeout: '1d' }

interface Moment {
  lsn: WalPosition
  /** As the server shows them. */
  ctids: string[]
}

async function momentOf(sql: Session): Promise<Moment> {
  const ctids = (await sql.rows('SELECT ctid FROM t')).map(([ctid]) => String(ctid)).sort()
  return { lsn: walPosition(parseLsn(await sql.value('SELECT pg_current_wal_insert_lsn()') as string)!), ctids }
}

describe.each(drawn(majors(), 1, 'majors of layer visibility'))('a file at later LSNs on Postgres %i', (major) => {
  test('hides what the server hides', () => withCluster(major, { settings: SETTINGS }, async (cluster, sql) => {
    const work = mkdtempSync(join(tmpdir(), 'ltap-visibility-'))
    try {
      await sql.script('CREATE TABLE t (id int, v int); INSERT INTO t SELECT i, i FROM generate_series(1, 60) i')
      await sql.exec('VACUUM (FREEZE) t')
      const path = await sql.value("SELECT pg_relation_filepath('t')") as string
      await closeSessions(cluster)
      await cluster.stop()
      await cluster.copyDataDir(join(work, 'base'))
      await cluster.start()
      const moments = await runTransactions(await connect(cluster), () => connect(cluster))
      await cluster.kill()
      await closeSessions(cluster)
      cpSync(join(cluster.dataDir, 'pg_wal'), join(work, 'wal'), { recursive: true })
      const { visibleAt, unresolved } = await fileAt(work, path, moments[0]!.lsn)
      expect(unresolved).toBeGreaterThan(6)
      for (const { lsn, ctids } of moments) expect(visibleAt(lsn)).toEqual(ctids)
      // Who takes the first answer for all is found out: each of three commits shows and hides rows.
      expect(new Set(moments.map(({ ctids }) => ctids.join())).size).toBe(4)
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  }))
})

/** @returns what the server shows before and after each end of a transaction that was open at the first moment */
async function runTransactions(sql: Session, open: () => Promise<Session>): Promise<Moment[]> {
  const [inserter, preparer, locker, updater, aborter, second] = [await open(), await open(), await open(), await open(), await open(), await open()]
  await inserter.script('BEGIN; INSERT INTO t SELECT i, i FROM generate_series(100, 104) i; SAVEPOINT a; INSERT INTO t VALUES (110, 0); ROLLBACK TO a')
  await inserter.script('SAVEPOINT b; INSERT INTO t VALUES (120, 0); UPDATE t SET v = -1 WHERE id = 10; DELETE FROM t WHERE id = 104')
  await preparer.script("BEGIN; UPDATE t SET v = -2 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (130, 0); PREPARE TRANSACTION 'p'")
  await second.script("BEGIN; DELETE FROM t WHERE id IN (20, 21); PREPARE TRANSACTION 'q'")
  await locker.script('BEGIN; SELECT id FROM t WHERE id IN (3, 30) FOR KEY SHARE')
  await updater.script('BEGIN; UPDATE t SET v = -3 WHERE id = 3; SELECT id FROM t WHERE id = 30 FOR KEY SHARE')
  await aborter.script('BEGIN; DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (140, 0); SELECT id FROM t WHERE id = 31 FOR UPDATE')
  await sql.script('UPDATE t SET v = -5 WHERE id = 5; BEGIN; DELETE FROM t WHERE id = 6; INSERT INTO t VALUES (150, 0); ROLLBACK')
  const moments = [await momentOf(sql)]
  const ends: [Session, string][] = [
    [updater, 'COMMIT'], [sql, "COMMIT PREPARED 'p'"], [locker, 'COMMIT'], [inserter, 'COMMIT'], [aborter, 'ROLLBACK'], [sql, "ROLLBACK PREPARED 'q'"],
  ]
  for (const [session, end] of ends) {
    await session.exec(end)
    moments.push(await momentOf(sql))
  }
  await sql.exec('CREATE TABLE flush ()')
  return moments
}

/** The file of the table as of an LSN; what is visible later follows from its summary and from WAL. */
async function fileAt(work: string, path: string, lsn: WalPosition): Promise<{ visibleAt: (lsn: WalPosition) => string[]; unresolved: number }> {
  const [source, wal] = [join(work, 'base'), join(work, 'wal')]
  await replayCluster({ source, wal, out: join(work, 'then'), target: { lsn } })
  const log = new CommitLog()
  await replayCluster({ source, wal, out: join(work, 'end'), observe: () => ({ transactions: log }) })
  const pages = new Uint8Array(readFileSync(join(work, 'then', path)))
  const type = { oid: 23, name: 'int4', schema: 'pg_catalog', kind: 'base' as const, len: 4, align: 4, storage: 'p', delimiter: ',' }
  const int4 = (attnum: number): object => ({ attnum, name: `c${attnum}`, type: { oid: 23, typmod: -1 }, len: 4, align: 4, plain: true, dropped: false, virtual: false })
  const desc = { attributes: [int4(1), int4(2)], types: [type] } as never
  const fields = newColumnFields({ major: 17, profile: 'portable', encoding: 6, desc, displayScales: {}, pageFlags: 0 })
  const snapshot = openSnapshot(join(work, 'then'))
  const blocks = BlockSet.range(0, pages.length / 8192)
  const options = transcodeOptions({ visibility: snapshot, transactions: snapshot })
  const found = await transcodeFile({ ...relationOf(desc, blocks.size), fields }, new MemoryPages(pages), blocks, options, () => {})
  if ('wanted' in found) throw new Error('an overflow child is wanted')
  const summary = found.summary!
  const ctids = [...summary.pages.rows].flatMap((rows, block) => Array.from({ length: rows }, (_, i) => `(${block},${i + 1})`))
  const outcomes = { find: (xid: number) => log.find(xid % 2 ** 32, Math.floor(xid / 2 ** 32)) }
  return {
    unresolved: summary.unresolved.length,
    visibleAt: (at) => {
      const hidden = hiddenRows(summary, outcomes, at)
      return ctids.filter((_, row) => !hidden.has(row)).sort()
    },
  }
}
