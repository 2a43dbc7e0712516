/** Rules of the replay that no ordinary server meets: WAL of older minor releases, missing pages, contradictions. Sources: multixact.c, clog.c, xlogrecovery.c. */
import { MemoryReplayStore } from '../../src/replay/memoryreplaystore.ts'
import { beforeEach, describe, expect, test } from 'vitest'
import { ByteWriter, readU32 } from '../../src/common/bytes.ts'
import { CorruptionError, UnsupportedError } from '../../src/common/errors.ts'
import type { WalRecord } from '../../src/wal/record.ts'
import { CommitLog } from '../../src/xact/commitlog.ts'
import { MultiXacts } from '../../src/xact/multixact.ts'
import { TransactionLog } from '../../src/xact/transactionlog.ts'
import { fullXidNumber, preparedXidsOf, startState, widenXid } from '../../src/xact/transactionstate.ts'
import { Snapshot } from '../../src/xact/snapshot.ts'
import { recordOf } from '../support/walrecord.ts'

const START = {
  timeline: 1, nextXid: { low: 1000, epoch: 3 }, nextOid: 20000, nextMulti: 2046, nextMultiOffset: 5000, oldestXid: 700, oldestMulti: 1,
  oldestActiveXid: 0,
}

function words(...values: number[]): Uint8Array {
  const writer = new ByteWriter()
  for (const value of values) writer.u32(value >>> 0)
  return writer.take()
}

const record = (rmgr: number, info: number, main: Uint8Array, xid = 0, startLsn = 0x1000028): WalRecord => recordOf({ rmgr, info, main, xid, startLsn })
const commit = (xid: number, ...subxacts: number[]): WalRecord =>
  record(1, 0x80, words(5, 0, subxacts.length ? 2 : 0, ...(subxacts.length ? [subxacts.length, ...subxacts] : [])), xid)
const abort = (xid: number): WalRecord => record(1, 0x20, words(6, 0), xid)
const createMulti = (multi: number, offset: number, ...xids: number[]): WalRecord =>
  record(6, 0x20, words(multi, offset, xids.length, ...xids.flatMap((xid) => [xid, 1])))
const zeroOffsets = (page: number): WalRecord => record(6, 0x00, words(page, 0))
const runningXacts = (oldest: number): WalRecord => record(8, 0x10, words(1, 0, 0, oldest + 1, oldest, oldest - 1, oldest))
const checkPoint = (shutdown: boolean, nextXid: number, { timeline = 1, previous = 1 } = {}): WalRecord =>
  record(0, shutdown ? 0x00 : 0x10, words(
    0x28, 0, timeline, previous, 1, 1, nextXid, 3, 20000, 2046, 5000, 700, 1, 1, 1, 0, 0, 0, 0, 0, shutdown ? 0 : 900, 0,
  ))

let store: MemoryReplayStore
let log: TransactionLog

beforeEach(() => {
  store = new MemoryReplayStore(17)
  store.clog.zero(0)
  store.multiOffsets.zero(0)
  for (const page of [2, 3]) store.multiMembers.zero(page)
  log = new TransactionLog(store, startState(START, [], store.clog), 17)
})

const snapshot = (): Snapshot => {
  const { nextXid, oldestClogXid, oldestMulti, nextMulti, nextMultiOffset, unresolvedFrom } = log.state
  const multixacts = new MultiXacts({ offsets: store.multiOffsets, members: store.multiMembers, oldestMulti, nextMulti, nextMultiOffset })
  return new Snapshot({ clog: store.clog, multixacts, nextXid, oldestXid: oldestClogXid, prepared: preparedXidsOf(log.state), unresolvedFrom })
}

describe('xids', () => {
  test('those before unresolvedFrom that are open are dead, later ones may run', () => {
    log.apply(commit(1002, 1001))
    expect([999, 1000, 1001, 1002].map((xid) => snapshot().xminStatus(xid, 0))).toEqual(['aborted', 'in-progress', 'committed', 'committed'])
    expect([999, 1000, 1001].map((xid) => snapshot().isDead(xid, 0, 0))).toEqual([true, false, false])
    expect(() => snapshot().xminStatus(1003, 0)).toThrow(/never assigned/)
    log.apply(runningXacts(1002))
    expect(snapshot().xminStatus(1000, 0)).toBe('aborted')
  })

  test('a subtransaction that committed into its open parent is in progress, and dead after a crash', () => {
    log.apply(record(10, 0, words(), 1010))
    store.clog.change(0)[1001 >> 2]! |= 3 << ((1001 & 3) * 2)
    expect(snapshot().xminStatus(1001, 0)).toBe('in-progress')
    log.apply(checkPoint(true, 1011))
    expect(snapshot().xminStatus(1001, 0)).toBe('aborted')
  })

  test('a hint newer than what CLOG says is an error in both directions', () => {
    log.apply(record(10, 0, words(), 1010))
    expect(() => snapshot().isVisible(1001, 0, 0x0100)).toThrow(/hinted committed/)
    expect(snapshot().hintContradiction(1001, 0, 0x0200)).toMatch(/hinted aborted, CLOG says in-progress/)
  })

  test('the counter moves past every xid, never back but by a shutdown checkpoint; epochs widen', () => {
    log.apply(record(10, 0, words(), 4000))
    log.apply(commit(4001, 4002, 4005))
    expect(log.state.nextXid).toEqual({ low: 4006, epoch: 3 })
    log.apply(checkPoint(false, 3000))
    expect(log.state.nextXid).toEqual({ low: 4006, epoch: 3 })
    log.apply(checkPoint(true, 3000))
    expect(log.state).toMatchObject({ nextXid: { low: 3000, epoch: 3 }, unresolvedFrom: { low: 3000, epoch: 3 } })
    const wrapping = new TransactionLog(store, startState({ ...START, nextXid: { low: 0xfffffffe, epoch: 3 } }, [], store.clog), 17)
    wrapping.apply(record(10, 0, words(), 0xffffffff))
    expect(wrapping.state.nextXid).toEqual({ low: 3, epoch: 4 })
    expect(widenXid(0xfffffff0, wrapping.state.nextXid)).toEqual({ low: 0xfffffff0, epoch: 3 })
    expect(fullXidNumber(0xfffffff0, wrapping.state.nextXid)).toBe(3 * 2 ** 32 + 0xfffffff0)
  })

  test('a transaction that commits and aborts is corruption; the same end twice is not', () => {
    log.apply(commit(1001))
    log.apply(commit(1001))
    expect(() => log.apply(abort(1001))).toThrow(/xact.clog-conflict.*lsn 0\/1000028/)
  })

  test('statuses beyond the counter go when the server starts again', () => {
    store.clog.page(0)!.fill(0xaa, 1003 >> 2)
    log.apply(checkPoint(true, 1001))
    const page = store.clog.page(0)!
    expect(page[250], 'xid 1000 stays').toBe(0b00_00_00_10)
    expect(page.subarray(251).every((byte) => byte === 0)).toBe(true)
  })

  test('commit times and LSNs are found by full xid, for subtransactions too', () => {
    const commits = new CommitLog()
    const observed = new TransactionLog(store, startState(START, [], store.clog), 17, commits)
    observed.apply(commit(1002, 1001))
    observed.apply(abort(1003))
    expect(commits.find(1001, 3)).toEqual({ committed: true, endLsn: 0x1000028 + 64, time: 5n })
    expect(commits.find(1002, 3)).toEqual(commits.find(1001, 3))
    expect(commits.find(1003, 3)).toEqual({ committed: false, endLsn: 0x1000028 + 64, time: 6n })
    expect([commits.find(1002, 2), commits.find(1004, 3)]).toEqual([undefined, undefined])
  })
})

describe('multixacts', () => {
  const offset = (multi: number): number => readU32(store.multiOffsets.page(Math.floor(multi / 2048))!, (multi % 2048) * 4)

  test('WAL of older minors makes the next page of offsets after the multixact before it', () => {
    log.apply(createMulti(2046, 5000, 990, 991))
    log.apply(createMulti(2047, 5002, 990, 991, 992))
    expect([offset(2047), offset(2048)]).toEqual([5002, 5005])
    log.apply(zeroOffsets(1))
    expect(offset(2048), 'not cleared again').toBe(5005)
    log.apply(createMulti(2048, 5005, 990))
    expect(log.state).toMatchObject({ nextMulti: 2049, nextMultiOffset: 5006 })
    expect(snapshot()).toBeDefined()
  })

  test('WAL of newer minors makes it before; concurrent multixacts come in any order', () => {
    log.apply(zeroOffsets(1))
    log.apply(createMulti(2048, 5005, 990))
    log.apply(createMulti(2047, 5002, 990, 991, 992))
    expect([offset(2047), offset(2048), offset(2049)]).toEqual([5002, 5005, 5006])
    expect(log.state).toMatchObject({ nextMulti: 2049, nextMultiOffset: 5006 })
  })

  test('a page of offsets that was zeroed once is zeroed again by a second record for it', () => {
    store.multiOffsets.change(1)[0] = 9
    log.apply(zeroOffsets(1))
    expect(offset(2048)).toBe(0)
  })

  test('truncation beyond the next multixact, or beyond the next xid', () => {
    expect(() => log.apply(record(6, 0x30, words(1, 1, 3000, 1, 2)))).toThrow(/beyond the next one/)
    expect(() => log.apply(record(3, 0x10, words(32, 0, 32 * 32768, 1)))).toThrow(/beyond the next xid/)
  })
})

test('state files of transactions that ended, or that began after the checkpoint, are not prepared transactions', () => {
  log.apply(commit(990))
  log.apply(abort(991))
  const files = [989, 990, 991, 1000, 1001].map((xid) => ({ xid, database: 5, subxacts: [] }))
  expect(startState(START, files, store.clog).prepared.map(({ xid }) => xid)).toEqual([989])
})

describe('missing pages', () => {
  test('are an error once the pages are consistent, and at consistency', () => {
    log.apply(record(10, 0, words(), 32768 * 2))
    log.apply(commit(32768 + 5))
    expect(() => log.reachedConsistency()).toThrow(/xact.missing-page.*clog 1/)
    const consistent = new TransactionLog(new MemoryReplayStore(17), startState(START, [], store.clog), 17)
    consistent.reachedConsistency()
    expect(() => consistent.apply(commit(1001))).toThrow(/xact.missing-page.*clog 0/)
  })

  test('are explained by a truncation', () => {
    const far = new TransactionLog(store, startState({ ...START, nextXid: { low: 70 * 32768, epoch: 3 }, oldestXid: 34 * 32768 }, [], store.clog), 17)
    far.apply(commit(33 * 32768 + 5))
    far.apply(record(3, 0x10, words(65, 0, 65 * 32768, 1)))
    far.reachedConsistency()
    expect(far.state).toMatchObject({ oldestClogXid: 65 * 32768, oldestXid: 34 * 32768, missingPages: [] })
    expect([...store.clog.pages.keys()]).toEqual([])
  })
})

describe('timelines and opcodes', () => {
  test('a checkpoint of another timeline, or a switch from one', () => {
    expect(() => log.apply(checkPoint(false, 1000, { timeline: 2 }))).toThrow(/timeline 2 on timeline 1/)
    expect(() => log.apply(checkPoint(true, 1000, { timeline: 3, previous: 2 }))).toThrow(/from timeline 2 to 3 on timeline 1/)
    log.apply(checkPoint(true, 1000, { timeline: 3, previous: 1 }))
    expect(log.state.timeline).toBe(3)
  })

  test.each([[1, 0x70], [3, 0x20], [6, 0x40], [8, 0x30]])('resource manager %i has no opcode %i', (rmgr, info) => {
    expect(() => log.apply(record(rmgr, info, words(), 5))).toThrow(UnsupportedError)
  })

  test('damage has the LSN', () => {
    expect(() => log.apply(record(1, 0x00, words(1), 1001))).toThrow(CorruptionError)
    expect(() => log.apply(record(1, 0x00, words(1), 1001))).toThrow(/lsn 0\/1000028/)
  })
})
