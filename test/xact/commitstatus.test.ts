/** What of pg_xact counts as lost: missing and short pages, and pages of zeros where transactions must have ended. */
import { describe, expect, test } from 'vitest'
import { CommitStatus, STATUS_LOST } from '../../src/xact/commitstatus.ts'
import { MultiXacts } from '../../src/xact/multixact.ts'
import { Snapshot } from '../../src/xact/snapshot.ts'

const PAGE = 32768
const none = { page: () => undefined }

function zeros(settled: { start: number; end: number }, prepared: number[] = []): CommitStatus {
  return new CommitStatus({ page: () => new Uint8Array(8192) }, settled, new Set(prepared))
}

describe('a page of zeros', () => {
  test.each([
    ['a page that has just begun', 10, PAGE + 1023, PAGE + 5, 0],
    ['1,024 settled transactions on it', 10, PAGE + 1024, PAGE + 5, STATUS_LOST],
    ['all of it settled', 10, 5 * PAGE, PAGE + 5, STATUS_LOST],
    ['most of it older than the oldest', 2 * PAGE - 1023, 5 * PAGE, 2 * PAGE - 5, 0],
    ['1,024 younger than the oldest', 2 * PAGE - 1024, 5 * PAGE, 2 * PAGE - 5, STATUS_LOST],
    ['a range over the end of the circle', 0xffffffff - PAGE - 100, 2000, 5, STATUS_LOST],
    ['a range that ends soon after the end of the circle', 0xffffffff - PAGE - 100, 1000, 5, 0],
    ['the last page of the circle', 0xffffffff - 5000, 1000, 0xffffffff - 7, STATUS_LOST],
  ])('%s', (_, start, end, xid, expected) => {
    expect(zeros({ start, end }).bits(xid)).toBe(expected)
  })

  test('prepared transactions are not settled', () => {
    const prepared = Array.from({ length: 10 }, (_, i) => PAGE + i)
    expect(zeros({ start: 10, end: PAGE + 1030 }, prepared).bits(PAGE + 50)).toBe(0)
    expect(zeros({ start: 10, end: PAGE + 1034 }, prepared).bits(PAGE + 50)).toBe(STATUS_LOST)
  })

  test('one bit that is set says that the page is there', () => {
    const page = new Uint8Array(8192)
    page[8191] = 0x40
    const status = new CommitStatus({ page: () => page }, { start: 3, end: 5 * PAGE }, new Set())
    expect([status.bits(PAGE + 5), status.bits(2 * PAGE - 1)]).toEqual([0, 1])
    expect(status.losses).toEqual([])
  })
})

test('missing and short pages, each said once', () => {
  const status = new CommitStatus({ page: (n) => (n === 33 ? new Uint8Array(4).fill(0x55) : undefined) }, { start: 3, end: 99 * PAGE }, new Set())
  expect([33 * PAGE + 15, 33 * PAGE + 16, 33 * PAGE + 17, 34 * PAGE].map((xid) => status.bits(xid))).toEqual([1, STATUS_LOST, STATUS_LOST, STATUS_LOST])
  expect(status.losses).toEqual([
    'page 1 of pg_xact/0001 ends after 4 of 8192 bytes: whether transactions 1081344 to 1114111 committed is lost',
    'page 2 of pg_xact/0001 is missing: whether transactions 1114112 to 1146879 committed is lost',
  ])
})

describe('a snapshot that goes on', () => {
  const multixacts = new MultiXacts({ offsets: none, members: none, oldestMulti: 1, nextMulti: 100, nextMultiOffset: 200 })
  const snapshot = (unknown: 'hide' | 'show'): Snapshot =>
    new Snapshot({ clog: none, multixacts, nextXid: { low: 1000, epoch: 0 }, oldestXid: 700, prepared: new Set(), unknown })

  test.each([
    // xmin, xmax, infomask; visible if unknown is hidden, shown; unknown; dead
    ['hinted', 800, 0, 0x0900, true, true, false, false],
    ['hinted aborted', 800, 0, 0x0a00, false, false, false, true],
    ['no hint', 800, 0, 0x0800, false, true, true, false],
    ['deleted, hinted', 800, 801, 0x0500, false, false, false, true],
    ['deleted, no hint', 800, 801, 0x0100, false, true, true, false],
    ['inserter unknown, deleter hinted', 800, 801, 0x0400, false, false, false, true],
    ['neither hinted', 800, 801, 0x0000, false, true, true, false],
    ['delete hinted as failed', 800, 801, 0x0900, true, true, false, false],
    ['frozen', 5, 0, 0x0b00, true, true, false, false],
    ['lock only', 800, 801, 0x0180, true, true, false, false],
    ['multixact of locks', 800, 7, 0x1180, true, true, false, false],
    ['multixact with an updater', 800, 7, 0x1100, false, true, true, false],
    ['multixact that never was', 800, 7000, 0x1100, false, true, true, false],
    ['older than the oldest', 600, 0, 0x0800, false, true, true, false],
    ['never assigned', 1001, 0, 0x0800, false, true, true, false],
    ['never assigned, hinted', 1001, 0, 0x0900, false, true, true, false],
  ] as const)('%s', (_, xmin, xmax, infomask, hidden, shown, unknown, dead) => {
    expect(snapshot('hide').isVisible(xmin, xmax, infomask)).toBe(hidden)
    expect(snapshot('show').isVisible(xmin, xmax, infomask)).toBe(shown)
    for (const policy of ['hide', 'show'] as const) {
      expect(snapshot(policy).isUnknown(xmin, xmax, infomask)).toBe(unknown)
      expect(snapshot(policy).isDead(xmin, xmax, infomask)).toBe(dead)
      expect(snapshot(policy).hintContradiction(xmin, xmax, infomask)).toBeUndefined()
    }
  })

  test('hint bits are believed against CLOG, and that is said', () => {
    const page = new Uint8Array(8192)
    page[200] = 0b10
    const sources = { clog: { page: () => page }, multixacts, nextXid: { low: 1000, epoch: 0 }, oldestXid: 700, prepared: new Set<number>() }
    expect(() => new Snapshot(sources).isVisible(800, 0, 0x0900)).toThrow(/xact.hint: xid 800 is hinted committed, CLOG says aborted \(page 0 of pg_xact\/0000\)/)
    const lenient = new Snapshot({ ...sources, unknown: 'hide' })
    expect(lenient.isVisible(800, 0, 0x0900)).toBe(true)
    expect(lenient.losses).toEqual(['page 0 of pg_xact/0000 contradicts hint bits, which say that transactions committed: they are believed'])
  })
})
