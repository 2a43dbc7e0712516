/** Promotion: replay follows the switch of timelines, and what ran on the old primary is dead from there on, not before. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { PostgresServer } from '../../src/server/postgres.ts'
import { TransactionLog } from '../../src/xact/transactionlog.ts'
import { closeSessions, connect, fewerMajors, type Session, withCluster } from '../support/oracle.ts'
import { promote } from '../support/promote.ts'
import { forEachRecord } from './walrange.ts'
import { snapshotOf, startAt } from './replaycase.ts'

const SETTINGS = { wal_level: 'replica', wal_keep_size: '100MB', autovacuum: 'off' }

/** A transaction that has written. @returns its xid */
async function begin(session: Session): Promise<number> {
  await session.exec('BEGIN; INSERT INTO t VALUES (1)')
  return Number(await session.value('SELECT txid_current()'))
}

describe.each(fewerMajors('majors of timelines'))('timelines of Postgres %i', (major) => {
  test.each([['standby.signal', 0x90], ['recovery.signal', 0x00]] as const)('%s', async (signal, op) => {
    const folder = mkdtempSync(join(tmpdir(), 'ltap-timeline-'))
    chmodSync(folder, 0o755)
    const [base, promoted] = [join(folder, 'base'), join(folder, 'promoted')]
    try {
      await withCluster(major, { settings: SETTINGS }, async (primary, sql) => {
        await sql.exec('CREATE TABLE t (a int)')
        await closeSessions(primary)
        await primary.stop()
        await primary.copyDataDir(base)
        await primary.start()
        const [one, two] = [await connect(primary), await connect(primary)]
        const open = await begin(one)
        await two.exec('INSERT INTO t VALUES (2)')
        await primary.kill()
        await primary.copyDataDir(promoted)
        const next = await PostgresServer.adopt({ dataDir: promoted, settings: { fsync: 'off' } })
        try {
          const session = await promote(next, promoted, signal)
          await session.exec('INSERT INTO t VALUES (3)')
          const after = await begin(session)
          const third = await connect(next)
          await third.exec('INSERT INTO t VALUES (5)')
          await next.kill()
          await closeSessions(next)
          check(base, promoted, major, { open, after, op })
        } finally {
          await next.remove()
        }
      })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

function check(base: string, promoted: string, major: number, { open, after, op }: { open: number; after: number; op: number }): void {
  const { store, state, redo } = startAt(base, major)
  const log = new TransactionLog(store, state, major as PgMajor)
  const status = (xid: number): string => snapshotOf(log, store).xminStatus(xid, 0)
  let switched = false
  forEachRecord(promoted, major, redo, (record) => {
    const before = log.state.timeline
    const wasOpen = log.state.nextXid.low > open ? status(open) : 'none'
    log.apply(record)
    if (log.state.timeline === before) return
    expect(record.rmgr).toBe(0)
    expect(record.info & 0xf0).toBe(op)
    expect([wasOpen, status(open)]).toEqual(['in-progress', 'aborted'])
    switched = true
  })
  expect(switched).toBe(true)
  expect(log.state.timeline).toBe(2)
  expect([status(open), status(open + 1), status(after), status(after + 1)]).toEqual(['aborted', 'committed', 'in-progress', 'committed'])
}
