/**
 * WAL replayed by TransactionLog over the SLRUs of a data directory copy, against what a real server recovers from the same bytes:
 * pg_xact, pg_multixact and pg_twophase byte for byte, counters, statuses at many moments, members, commit times.
 */
import { readTransactionStore } from '../support/memoryslru.ts'
import type { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import type { MemorySlru } from '../../src/replay/memoryslru.ts'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { parseLsn } from '../../src/common/ids.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { CommitLog } from '../../src/xact/commitlog.ts'
import { MultiXacts } from '../../src/xact/multixact.ts'
import { TransactionLog } from '../../src/xact/transactionlog.ts'
import { preparedXidsOf, startState, type TransactionState } from '../../src/xact/transactionstate.ts'
import { parseTwoPhaseFile } from '../../src/xact/twophase.ts'
import { Snapshot } from '../../src/xact/snapshot.ts'
import { closeSessions, connect, type Session, withAdopted, withCluster } from '../support/oracle.ts'
import { type Counters, forEachRecord, readControl, setCounters } from './walrange.ts'

const SETTINGS = {
  wal_keep_size: '500MB', wal_level: 'logical', autovacuum: 'off', checkpoint_timeout: '1h', max_prepared_transactions: '20',
  track_commit_timestamp: 'on', min_wal_size: '32MB',
  // Else vacuums start by themselves where ids are about to wrap.
  autovacuum_freeze_max_age: '2000000000', autovacuum_multixact_freeze_max_age: '2000000000',
}

const SETUP = `
  CREATE TABLE t (a int, b text); CREATE TABLE l (a int PRIMARY KEY, b int);
  INSERT INTO l SELECT i, 0 FROM generate_series(1, 400) i;
  CREATE FUNCTION burn(n int) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN FOR i IN 1..n LOOP
      BEGIN INSERT INTO t VALUES (i, 'burn'); IF i % 3 = 0 THEN RAISE EXCEPTION 'x'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END;
    END LOOP; END $$;
  CREATE FUNCTION multis(n int) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN PERFORM * FROM l WHERE a <= n FOR KEY SHARE;
      FOR i IN 1..n LOOP BEGIN UPDATE l SET b = b + 1 WHERE a = i; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP;
    END $$`

/** What the server said at one moment. */
interface Moment {
  lsn: number
  statuses: Map<number, string | null>
  nextXid: number
}

/** Statuses of all xids from `from` on, and the LSN that this is true for. */
async function moment(sql: Session, from: bigint): Promise<Moment> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const lsn = await insertLsn(sql)
    const nextXid = await nextXidNow(sql)
    const rows = await sql.rows(`SELECT x, pg_xact_status(x::text::xid8) FROM generate_series($1::numeric, $2::numeric - 1) x
      WHERE x % 4294967296 >= 3`, [String(from), nextXid])
    // The server's own doings (a list of running transactions, say) move it.
    if (await insertLsn(sql) !== lsn) continue
    return { lsn, statuses: new Map(rows.map(([xid, status]) => [Number(xid), status ?? null])), nextXid: Number(nextXid) }
  }
  throw new Error('the server is never quiet')
}

/** Every running transaction and subtransaction holds a lock on its xid; beyond those completed there is no other. */
async function nextXidNow(sql: Session): Promise<string> {
  return (await sql.value(`WITH n AS (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric AS xmax)
    SELECT greatest(xmax, (SELECT max(xmax + (transactionid::text::numeric - xmax % 4294967296) + 1) FROM pg_locks
      WHERE locktype = 'transactionid' AND transactionid::text::numeric >= xmax % 4294967296)) FROM n`))!
}

async function insertLsn(sql: Session): Promise<number> {
  return Number(parseLsn((await sql.value('SELECT pg_current_wal_insert_lsn()'))!)!)
}

async function freezeAll(server: PostgresServer, sql: Session): Promise<void> {
  await sql.exec('UPDATE pg_database SET datallowconn = true')
  for (const database of ['template0', 'template1', 'postgres']) {
    const session = await connect(server, database)
    await session.script('SET vacuum_freeze_min_age = 0; SET vacuum_multixact_freeze_min_age = 0; VACUUM FREEZE')
    await session.close()
  }
}

/** Locks of every kind on the same rows, by sessions and their subtransactions. */
async function lockRows(server: PostgresServer): Promise<void> {
  const [one, two, three] = [await connect(server), await connect(server), await connect(server)]
  await one.exec('BEGIN; SELECT * FROM l WHERE a <= 20 FOR KEY SHARE')
  await two.exec('BEGIN; SELECT * FROM l WHERE a <= 12 FOR KEY SHARE; SAVEPOINT s; SELECT * FROM l WHERE a <= 8 FOR SHARE')
  await three.exec('BEGIN; UPDATE l SET b = 5 WHERE a BETWEEN 9 AND 20; SELECT * FROM l WHERE a BETWEEN 1 AND 4 FOR SHARE')
  await two.exec('ROLLBACK TO s; COMMIT')
  await one.exec('SAVEPOINT q; SELECT * FROM l WHERE a BETWEEN 5 AND 8 FOR NO KEY UPDATE; RELEASE q; COMMIT')
  await three.exec('COMMIT')
  await one.exec('BEGIN; SELECT * FROM l WHERE a = 30 FOR KEY SHARE')
  await two.exec('BEGIN; UPDATE l SET b = 6 WHERE a = 30; ROLLBACK')
  await one.exec('COMMIT')
  for (const session of [one, two, three]) await session.close()
}

/** Ends of every kind. @returns statuses at moments with open, prepared and half aborted transactions */
async function work(server: PostgresServer, from: bigint): Promise<Moment[]> {
  const moments: Moment[] = []
  let sql = await connect(server)
  const note = async (): Promise<void> => void moments.push(await moment(sql, from))
  await note()
  await sql.script(`COMMIT PREPARED 'before'; INSERT INTO t VALUES (1); BEGIN; INSERT INTO t VALUES (2); ROLLBACK`)
  await sql.exec(`BEGIN; INSERT INTO t VALUES (3); ${Array.from({ length: 70 }, (_, i) => `SAVEPOINT s${i}; INSERT INTO t VALUES (${i});`).join(' ')}
    ROLLBACK TO s60; INSERT INTO t VALUES (4); RELEASE s50; COMMIT`)
  await sql.exec('SELECT burn(600)')
  await sql.exec('BEGIN; SELECT burn(20); ROLLBACK')
  await lockRows(server)
  await sql.exec('SELECT multis(150)')
  await note()
  await freezeAll(server, sql)
  await sql.exec('CHECKPOINT')
  await sql.exec(`BEGIN; INSERT INTO t VALUES (5); SAVEPOINT a; INSERT INTO t VALUES (6); PREPARE TRANSACTION 'p1'`)
  await sql.exec(`BEGIN; INSERT INTO t VALUES (5); SAVEPOINT a; INSERT INTO t VALUES (6); SAVEPOINT b; INSERT INTO t VALUES (6); PREPARE TRANSACTION 'p2'`)
  await sql.exec(`BEGIN; CREATE TABLE open (a int); DROP TABLE IF EXISTS gone; SAVEPOINT a; INSERT INTO t VALUES (6); SAVEPOINT b; INSERT INTO t VALUES (7);
    ROLLBACK TO b; INSERT INTO t VALUES (8); SELECT * FROM l WHERE a = 390 FOR UPDATE; PREPARE TRANSACTION 'stays'`)
  await sql.exec(`BEGIN; INSERT INTO t VALUES (5); PREPARE TRANSACTION 'stays too'`)
  await note()
  await sql.script(`COMMIT PREPARED 'p1'; ROLLBACK PREPARED 'p2'`)
  const [one, two] = [await connect(server), await connect(server)]
  await one.exec('BEGIN; INSERT INTO t VALUES (9); SAVEPOINT a; INSERT INTO t VALUES (10); SAVEPOINT b; INSERT INTO t VALUES (11); ROLLBACK TO b')
  await two.exec('INSERT INTO t VALUES (12)')
  await note()
  await server.kill()
  await closeSessions(server)
  await server.start()
  sql = await connect(server)
  await note()
  await sql.exec('SELECT multis(60)')
  await closeSessions(server)
  await server.stop()
  await server.start()
  sql = await connect(server)
  await sql.exec('CREATE TABLE m (a int); SELECT burn(10)')
  const three = await connect(server)
  await three.exec('BEGIN; INSERT INTO t VALUES (13); SAVEPOINT a; INSERT INTO t VALUES (14)')
  await sql.exec('CHECKPOINT')
  await note()
  await sql.exec('INSERT INTO t VALUES (15); SELECT multis(20)')
  await three.exec('RELEASE a; SAVEPOINT b; INSERT INTO t VALUES (16)')
  await sql.exec('INSERT INTO t VALUES (17)')
  await note()
  await server.kill()
  await closeSessions(server)
  return moments
}

/** What replay begins with. */
export function startAt(dataDir: string, major: number): { store: MemoryReplayStore; state: TransactionState; redo: bigint } {
  const store = readTransactionStore(dataDir, major)
  const control = readControl(dataDir, major)
  const prepared = [...store.prepared.values()].map((bytes) => parseTwoPhaseFile(bytes, major as PgMajor))
  return { store, state: startState(control.start, prepared, store.clog), redo: control.redo }
}

export function snapshotOf(log: TransactionLog, store: MemoryReplayStore): Snapshot {
  const { nextXid, oldestClogXid, oldestMulti, nextMulti, nextMultiOffset, unresolvedFrom } = log.state
  const multixacts = new MultiXacts({ offsets: store.multiOffsets, members: store.multiMembers, oldestMulti, nextMulti, nextMultiOffset })
  return new Snapshot({ clog: store.clog, multixacts, nextXid, oldestXid: oldestClogXid, prepared: preparedXidsOf(log.state), unresolvedFrom })
}

const FULL = 0x100000000
const statusAt = (snapshot: Snapshot, xid: number): string => snapshot.xminStatus(xid % FULL, 0).replace('-', ' ')

function expectMoment(log: TransactionLog, store: MemoryReplayStore, { statuses, nextXid }: Moment): void {
  const snapshot = snapshotOf(log, store)
  expect(log.state.nextXid.epoch * FULL + log.state.nextXid.low).toBe(nextXid)
  const wrong = [...statuses].filter(([xid, status]) => {
    // The server may still know what is truncated in our copy, or the other way round.
    const inClog = ((xid % FULL) - log.state.oldestClogXid) >>> 0 < (nextXid % FULL - log.state.oldestClogXid) >>> 0
    return inClog && statusAt(snapshot, xid) !== status
  })
  expect(wrong).toEqual([])
  expect(statuses.size).toBeGreaterThan(0)
}

const pagesOf = (slru: MemorySlru): [number, string][] =>
  [...slru.pages].sort(([a], [b]) => a - b).map(([n, page]) => [n, Buffer.from(page).toString('base64')])

function expectSameFiles(store: MemoryReplayStore, dataDir: string, major: number): void {
  const real = readTransactionStore(dataDir, major)
  for (const part of ['clog', 'multiOffsets', 'multiMembers'] as const) {
    expect([...store[part].pages.keys()].sort((a, b) => a - b), part).toEqual([...real[part].pages.keys()].sort((a, b) => a - b))
    for (const [n, page] of real[part].pages) {
      const at = page.findIndex((byte, i) => byte !== store[part].page(n)![i])
      expect(at, `${part} page ${n}: first different byte`).toBe(-1)
    }
  }
  const files = ({ prepared }: MemoryReplayStore): [string, string][] => [...prepared].sort().map(([name, bytes]) => [name, Buffer.from(bytes).toString('hex')])
  expect(files(store)).toEqual(files(real))
}

/**
 * The whole comparison, with a server whose counters are set before the workload.
 * @param jumps one after the other; everything is frozen in between
 * @returns the state at the end
 */
export async function replayEqualsRecovery(major: number, jumps: Counters[]): Promise<TransactionState> {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-xact-'))
  chmodSync(folder, 0o755)
  const [base, crashed, recovered] = ['base', 'crashed', 'recovered'].map((name) => join(folder, name)) as [string, string, string]
  try {
    return await withCluster(major, { settings: SETTINGS }, async (server, sql) => {
      await sql.script(SETUP)
      for (const counters of jumps) {
        const session = await connect(server)
        await session.exec('SELECT multis(3)')
        if (counters !== jumps[0]) await freezeAll(server, session)
        await closeSessions(server)
        await server.stop()
        while (!setCounters(server.dataDir, major, counters)) {
          await server.start()
          await server.stop()
        }
        await server.start()
      }
      const session = await connect(server)
      await session.exec(`BEGIN; INSERT INTO t VALUES (0); SAVEPOINT s; INSERT INTO t VALUES (0); PREPARE TRANSACTION 'before'`)
      await closeSessions(server)
      await server.stop()
      await server.copyDataDir(base)
      const { nextXid } = readControl(base, major)
      await server.start()
      // The prepared transaction and its subtransaction, too.
      const moments = await work(server, (BigInt(nextXid.epoch) << 32n) + BigInt(nextXid.low) - 2n)
      await server.copyDataDir(crashed)
      await server.copyDataDir(recovered)
      return await check(major, { base, crashed, recovered }, moments)
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function check(
  major: number, { base, crashed, recovered }: Record<'base' | 'crashed' | 'recovered', string>, moments: Moment[],
): Promise<TransactionState> {
  const { store, state, redo } = startAt(base, major)
  const commits = new CommitLog()
  const initial = structuredClone(state)
  const log = new TransactionLog(store, state, major as PgMajor, commits)
  log.reachedConsistency()
  const pending = [...moments]
  const kinds = new Set<string>()
  forEachRecord(crashed, major, redo, (record) => {
    while (pending.length > 0 && record.endLsn > pending[0]!.lsn) expectMoment(log, store, pending.shift()!)
    kinds.add(`${record.rmgr}/${(record.info & (record.rmgr === 1 ? 0x70 : 0xf0)).toString(16)}`)
    log.apply(record)
  })
  if (pending.length > 0) expectMoment(log, store, pending.shift()!)
  expect(pending).toEqual([])
  for (const kind of ['1/0', '1/10', '1/20', '1/30', '1/40', '1/50', '3/0', '3/10', '6/0', '6/10', '6/20', '6/30', '8/10', '0/0', '0/10', '0/30']) {
    expect(kinds, `records seen: ${[...kinds].join(' ')}`).toContain(kind)
  }
  for (const { lsn, statuses } of moments) {
    for (const [xid, status] of statuses) {
      const end = commits.find(xid % FULL, Math.floor(xid / FULL))
      // Truncated statuses are null.
      if (status !== null) expect(end !== undefined && end.committed && end.endLsn <= lsn, `xid ${xid} at ${lsn}`).toBe(status === 'committed')
    }
  }
  const atEnd = structuredClone(log.state)
  log.trim()
  const trimmed = structuredClone(log.state)

  await withAdopted(recovered, async (server, sql) => {
    expectCounters(log.state, (await sql.query('SELECT * FROM pg_control_checkpoint()'))[0]!)
    await expectServerAgrees(log, store, sql, commits, initial)
    await closeSessions(server)
    await server.stop()
  }, { track_commit_timestamp: 'on', autovacuum: 'off', max_prepared_transactions: '20' })
  expectSameFiles(store, recovered, major)

  // From pages that are ahead of the state, as in a base backup: from the last checkpoint, and from the first one.
  for (const [from, begin] of [[startAt(crashed, major).state, startAt(crashed, major).redo], [initial, redo]] as const) {
    const ahead = startAt(crashed, major)
    const again = new TransactionLog(ahead.store, structuredClone(from), major as PgMajor)
    forEachRecord(crashed, major, begin, (record) => again.apply(record))
    again.trim()
    again.reachedConsistency()
    expect(again.state.nextXid).toEqual(trimmed.nextXid)
    expect(again.state.prepared).toEqual(trimmed.prepared)
    for (const part of ['clog', 'multiOffsets', 'multiMembers'] as const) expect(pagesOf(ahead.store[part]), part).toEqual(pagesOf(store[part]))
    expect([...ahead.store.prepared].sort()).toEqual([...store.prepared].sort())
  }
  expectResumable(base, crashed, major, atEnd)
  return atEnd
}

/** State through JSON at every 97th record. */
function expectResumable(base: string, crashed: string, major: number, atEnd: TransactionState): void {
  const { store, state, redo } = startAt(base, major)
  let log = new TransactionLog(store, state, major as PgMajor)
  log.reachedConsistency()
  let count = 0
  forEachRecord(crashed, major, redo, (record) => {
    log.apply(record)
    if (++count % 97 === 0) log = new TransactionLog(store, JSON.parse(JSON.stringify(log.state)) as TransactionState, major as PgMajor)
  })
  expect(log.state).toEqual(atEnd)
}

function expectCounters(state: TransactionState, control: Record<string, string | null>): void {
  expect({
    nextXid: `${state.nextXid.epoch}:${state.nextXid.low}`, nextOid: String(state.nextOid), nextMulti: String(state.nextMulti),
    nextMultiOffset: String(state.nextMultiOffset), oldestXid: String(state.oldestXid), oldestMulti: String(state.oldestMulti),
    timeline: String(state.timeline),
  }).toEqual({
    nextXid: control['next_xid'], nextOid: control['next_oid'], nextMulti: control['next_multixact_id'],
    nextMultiOffset: control['next_multi_offset'], oldestXid: control['oldest_xid'], oldestMulti: control['oldest_multi_xid'],
    timeline: control['timeline_id'],
  })
}

async function expectServerAgrees(
  log: TransactionLog, store: MemoryReplayStore, sql: Session, commits: CommitLog, initial: TransactionState,
): Promise<void> {
  // The server has started: nothing of before runs.
  const { nextXid, oldestMulti, nextMulti } = log.state
  log.state.unresolvedFrom = { ...nextXid }
  const snapshot = snapshotOf(log, store)
  const [from, to] = [initial.nextXid.epoch * FULL + initial.nextXid.low, nextXid.epoch * FULL + nextXid.low]
  const rows = await sql.rows(`SELECT x, pg_xact_status(x::text::xid8),
      CASE WHEN pg_xact_status(x::text::xid8) = 'committed' THEN (extract(epoch from pg_xact_commit_timestamp(x::text::xid8::xid)) * 1000000)::bigint - 946684800000000 END
    FROM generate_series($1::numeric, $2::numeric - 1) x WHERE x % 4294967296 >= 3`, [String(from), String(to)])
  let committed = 0
  for (const [xid, status, time] of rows) {
    if (status === null) continue
    expect(statusAt(snapshot, Number(xid)), `xid ${xid}`).toBe(status)
    const end = commits.find(Number(xid) % FULL, Math.floor(Number(xid) / FULL))
    if (status === 'committed') {
      expect(end, `xid ${xid}`).toMatchObject({ committed: true })
      expect(time === null ? null : String(end!.time), `time of xid ${xid}`).toBe(time)
      if (time !== null) committed++
    } else expect(end?.committed ?? false).toBe(false)
  }
  expect(committed).toBeGreaterThan(20)
  const prepared = await sql.rows('SELECT transaction FROM pg_prepared_xacts ORDER BY gid')
  expect(log.state.prepared.map(({ xid }) => String(xid)).sort()).toEqual(prepared.map(([xid]) => xid!).sort())
  expect(prepared.length).toBe(2)
  const multixacts = new MultiXacts({
    offsets: store.multiOffsets, members: store.multiMembers, oldestMulti, nextMulti, nextMultiOffset: log.state.nextMultiOffset,
  })
  const statuses: Record<string, string> = {
    'for key share': 'keysh', 'for share': 'sh', 'for no key update': 'fornokeyupd', 'for update': 'forupd', 'no key update': 'nokeyupd', update: 'upd',
  }
  let multis = 0
  for (let multi = oldestMulti; multi !== nextMulti; multi = multi === 0xffffffff ? 1 : multi + 1) {
    const real = await sql.rows(`SELECT xid, mode FROM pg_get_multixact_members('${multi}')`)
    expect(multixacts.members(multi).map(({ xid, status }) => [String(xid), statuses[status]]), `multixact ${multi}`).toEqual(real)
    multis++
  }
  expect(multis).toBeGreaterThan(20)
}
