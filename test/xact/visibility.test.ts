/** The rules of HeapTupleSatisfiesMVCC on headers of real pages (docs/formats/tuple.md), and the ends of the xid range. */
import { describe, expect, test } from 'vitest'
import { CorruptionError } from '../../src/common/errors.ts'
import { MultiXacts } from '../../src/xact/multixact.ts'
import { Snapshot } from '../../src/xact/snapshot.ts'

const COMMITTED = 800
const ABORTED = 801
const PREPARED = 802
const CRASHED = 803
const NEXT = 1000
const OLDEST = 700

const none = { page: () => undefined }

function snapshot(nextXid = { low: NEXT, epoch: 0 }, oldestXid = OLDEST): Snapshot {
  const page = new Uint8Array(8192)
  page[200] = 0b00_00_10_01
  const multixacts = new MultiXacts({ offsets: none, members: none, oldestMulti: 1, nextMulti: 1, nextMultiOffset: 0 })
  return new Snapshot({ clog: { page: () => page }, multixacts, nextXid, oldestXid, prepared: new Set([PREPARED]) })
}

describe('visibility', () => {
  test.each([
    ['plain insert, no hint', COMMITTED, 0, 0x0802, true],
    ['plain insert, hinted', COMMITTED, 0, 0x0902, true],
    ['aborted', ABORTED, 0, 0x0802, false],
    ['aborted, hinted', ABORTED, 0, 0x0a02, false],
    ['prepared', PREPARED, 0, 0x0802, false],
    ['crashed', CRASHED, 0, 0x0802, false],
    ['frozen, whatever xmin', 5, 0, 0x0b03, true],
    ['bootstrap', 1, 0, 0x0800, true],
    ['frozen xmin of 9.3', 2, 0, 0x0800, true],
    ['speculative insert taken back', 0, 0, 0x0800, false],
    ['deleted', COMMITTED, COMMITTED, 0x0501, false],
    ['deleted, no hint', COMMITTED, COMMITTED, 0x0101, false],
    ['delete aborted', COMMITTED, ABORTED, 0x0101, true],
    ['delete prepared', COMMITTED, PREPARED, 0x0101, true],
    ['delete crashed', COMMITTED, CRASHED, 0x0101, true],
    ['FOR UPDATE', COMMITTED, COMMITTED, 0x01c2, true],
    ['FOR KEY SHARE', COMMITTED, COMMITTED, 0x0190, true],
    ['exclusive lock before 9.3', COMMITTED, COMMITTED, 0x0140, true],
    ['multixact of locks', COMMITTED, 77, 0x11c0, true],
    ['multixact of locks before 9.3', COMMITTED, 77, 0x1180, true],
  ])('%s', (_, xmin, xmax, infomask, visible) => {
    expect(snapshot().isVisible(xmin, xmax, infomask)).toBe(visible)
    expect(snapshot().hintContradiction(xmin, xmax, infomask)).toBeUndefined()
  })

  test.each([
    ['moved off, move committed', 0x4800, COMMITTED, false],
    ['moved off, move aborted', 0x4800, ABORTED, true],
    ['moved off, frozen as failed', 0x4800, 0, true],
    ['moved in, move committed', 0x8800, COMMITTED, true],
    ['moved in, move aborted', 0x8800, ABORTED, false],
    ['moved in, frozen', 0x8800, 2, true],
    ['moved off, xmin hinted', 0x4900, 0, true],
    ['moved off, xmin hinted aborted', 0x4a00, ABORTED, false],
  ])('%s', (_, infomask, xvac, visible) => {
    expect(snapshot().isVisible(COMMITTED, 0, infomask, xvac)).toBe(visible)
  })

  test('a moved tuple without its xvac is refused', () => {
    expect(() => snapshot().isVisible(COMMITTED, 0, 0x4800)).toThrow(/xact.moved/)
  })

  test('dead is what nobody will ever see', () => {
    const s = snapshot()
    expect([ABORTED, CRASHED, COMMITTED, PREPARED].map((xmin) => s.isDead(xmin, 0, 0x0802))).toEqual([true, true, false, false])
    expect([ABORTED, CRASHED, COMMITTED, PREPARED].map((xmax) => s.isDead(COMMITTED, xmax, 0x0102))).toEqual([false, false, true, false])
  })

  test('statuses', () => {
    const s = snapshot()
    expect([COMMITTED, ABORTED, PREPARED, CRASHED].map((xid) => s.xminStatus(xid, 0))).toEqual(['committed', 'aborted',
      'in-progress', 'aborted'])
    expect(s.xminStatus(9, 0x0300)).toBe('frozen')
    expect([[0, 0x0800], [COMMITTED, 0x01c0], [COMMITTED, 0], [PREPARED, 0], [ABORTED, 0x0800]].map(([xmax,
      im]) => s.xmaxStatus(xmax!, im!)))
      .toEqual(['none', 'locked', 'committed', 'in-progress', 'aborted'])
  })

  test('xids outside CLOG', () => {
    const s = snapshot()
    expect(() => s.isVisible(NEXT, 0, 0x0802)).toThrow(/xact.future/)
    expect(() => s.isVisible(NEXT, 0, 0x0902)).toThrow(/xact.future/)
    expect(() => s.isVisible(OLDEST - 1, 0, 0x0802)).toThrow(/xact.clog-truncated/)
    expect(s.isVisible(OLDEST - 1, 0, 0x0902)).toBe(true)
    expect(s.isVisible(OLDEST - 1, 0, 0x0a02)).toBe(false)
    expect(s.isVisible(COMMITTED, OLDEST - 1, 0x0502)).toBe(false)
    expect(() => s.isVisible(COMMITTED, OLDEST - 1, 0x0102)).toThrow(/xact.clog-truncated/)
  })

  test('the range wraps', () => {
    const s = snapshot({ low: 900, epoch: 3 }, 0xfffffff0)
    expect(s.isVisible(COMMITTED, 0, 0x0802)).toBe(true)
    expect(() => s.isVisible(0xffffff00, 0, 0x0802)).toThrow(/xact.clog-truncated/)
    expect(() => s.isVisible(901, 0, 0x0802)).toThrow(/xact.future/)
  })

  test('hints that CLOG contradicts', () => {
    const s = snapshot()
    expect(() => s.isVisible(ABORTED, 0, 0x0902)).toThrow(CorruptionError)
    expect(() => s.isVisible(COMMITTED, PREPARED, 0x0502)).toThrow(CorruptionError)
    expect(s.hintContradiction(ABORTED, 0, 0x0902)).toMatch(/xmin 801 is hinted committed, CLOG says aborted/)
    expect(s.hintContradiction(ABORTED, 0, 0x0b02)).toMatch(/xmin/)
    expect(s.hintContradiction(PREPARED, 0, 0x0902)).toMatch(/xmin 802 is hinted committed, CLOG says in-progress/)
    // CREATE MATERIALIZED VIEW before its PREPARE TRANSACTION.
    expect(s.hintContradiction(PREPARED, 0, 0x0b02)).toBeUndefined()
    expect(s.hintContradiction(COMMITTED, 0, 0x0a02)).toMatch(/hinted aborted, CLOG says committed/)
    expect(s.hintContradiction(COMMITTED, COMMITTED, 0x0902)).toMatch(/xmax/)
    expect(s.hintContradiction(COMMITTED, COMMITTED, 0x09c2)).toBeUndefined()
    expect(s.hintContradiction(5, 0, 0x0902)).toBeUndefined()
  })
})
