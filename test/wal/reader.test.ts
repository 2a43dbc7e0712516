import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { crc32cUpdate } from '../../src/common/crc32c.ts'
import { formatWalPosition, type WalPosition } from '../../src/common/ids.ts'
import { WAL_PAGE_SIZE } from '../../src/wal/pageheader.ts'
import { WalReader } from '../../src/wal/reader.ts'
import { walCorruption } from '../../src/wal/walend.ts'
import { RecordMemory } from '../../src/wal/recordmemory.ts'
import { fewerMajors, withCluster } from '../support/oracle.ts'
import { TEST_SEED } from '../support/random.ts'
import { busyBoundary, inspected, inspectWal, readAll, readerOf, type SeenRecord, SEGMENT_SIZE, type Wal, WAL_CLUSTER, walNow, writeWal } from '../support/walfiles.ts'

const parameters = (numRuns: number): { seed: number; numRuns: number } => ({ seed: TEST_SEED, numRuns })

describe.each(fewerMajors('majors of the WAL reader'))('WAL of Postgres %i', major => {
  let wal: Wal
  let records: SeenRecord[]
  let server: string[] | undefined

  beforeAll(() => withCluster(major, WAL_CLUSTER, async (cluster, sql) => {
    await writeWal(sql)
    wal = await walNow(cluster, sql)
    records = readAll(readerOf(wal), wal.bytes).records
    if (major >= 15) server = await inspectWal(sql, records[0]!.startLsn, wal.end)
  }))

  /** Records and end of a part of the WAL that begins at a page. */
  const read = (start: WalPosition, sizes?: Iterator<number>): ReturnType<typeof readAll> =>
    readAll(readerOf(wal, start), wal.bytes.subarray(start - start % WAL_PAGE_SIZE - wal.start), sizes)

  test('has the records that the server sees', () => {
    const { end } = read(wal.start)
    expect(records.length).toBeGreaterThan(3000)
    expect(records.at(-1)!.endLsn).toBe(wal.end)
    expect(end).toMatchObject({ lsn: wal.end })
    // No gaps: each record is linked to the one before, and begins where that ends, but for page headers.
    for (const [i, { prev, startLsn }] of records.entries()) {
      if (i === 0) continue
      expect(prev).toBe(records[i - 1]!.startLsn)
      expect(startLsn - records[i - 1]!.endLsn).toBeLessThanOrEqual(40)
    }
    expect(records.some(({ startLsn, endLsn }) => endLsn - startLsn > 2 * SEGMENT_SIZE)).toBe(true)
    expect(records.some(({ rmgr, info, endLsn }) => rmgr === 0 && info === 0x40 && endLsn % SEGMENT_SIZE === 0)).toBe(true)
    if (server !== undefined) expect(inspected(records)).toEqual(server)
  })

  test(`gives the same records in every split (seed ${TEST_SEED})`, () => {
    const expected = read(wal.start)
    fc.assert(fc.property(fc.array(fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 300_000 })), { minLength: 1, maxLength: 20 }), sizes => {
      expect(read(wal.start, cycle(sizes))).toEqual(expected)
    }), parameters(6))
  })

  test(`gives the same records and ends where WebAssembly checks them, of damaged WAL, too (seed ${TEST_SEED})`, () => {
    const memory = RecordMemory.create(wal.bytes.length)!
    const inMemory = (bytes: Uint8Array, sizes?: Iterator<number>): ReturnType<typeof readAll> => {
      memory.piece.set(bytes)
      return readAll(readerOf(wal, wal.start, memory), memory.piece.subarray(0, bytes.length), sizes)
    }
    expect(inMemory(wal.bytes)).toEqual(read(wal.start))
    const sizes = fc.option(fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 9 }), { nil: undefined })
    fc.assert(fc.property(fc.nat(wal.end - wal.start - 1), fc.nat(7), sizes, (at, bit, split) => {
      const bytes = wal.bytes.slice()
      bytes[at]! ^= 1 << bit
      expect(inMemory(bytes, split && cycle(split))).toEqual(readAll(readerOf(wal), bytes))
    }), parameters(12))
  })

  test('gives the same records byte by byte, around a segment boundary', () => {
    const boundary = busyBoundary(wal, records)
    const from = boundary - 2 * WAL_PAGE_SIZE
    const bytes = wal.bytes.subarray(from - wal.start, boundary - wal.start + 3 * WAL_PAGE_SIZE)
    const whole = readAll(readerOf(wal, from), bytes)
    expect(whole.records.length).toBeGreaterThan(10)
    expect(readAll(readerOf(wal, from), bytes, cycle([1]))).toEqual(whole)
    for (const size of [2, 3, 5, 7, 8, 23, 24, 8191, 8193]) expect(readAll(readerOf(wal, from), bytes, cycle([size]))).toEqual(whole)
  })

  test('takes several pieces before it is asked', () => {
    const reader = readerOf(wal)
    const found: number[] = []
    for (let at = 0; at < wal.bytes.length && found.length < records.length; at += 20_000) {
      reader.feed(wal.bytes.subarray(at, at + 7001))
      for (let k = 0; k < 3; k++) {
        const record = reader.next()
        if (record !== undefined) found.push(record.startLsn)
      }
      reader.feed(wal.bytes.subarray(at + 7001, at + 20_000))
    }
    for (let record = reader.next(); record !== undefined; record = reader.next()) found.push(record.startLsn)
    expect(found).toEqual(records.map(({ startLsn }) => startLsn))
    expect(reader.end?.lsn).toBe(wal.end)
  })

  test('has no record with a right CRC that makes no sense', () => {
    const i = records.findIndex(({ rmgr, startLsn, endLsn, length }) => rmgr === 10 && Math.ceil(length / 8) * 8 === endLsn - startLsn)
    const { startLsn, length } = records[i]!
    const at = startLsn - wal.start
    const bytes = wal.bytes.slice(0, at + 5 * WAL_PAGE_SIZE)
    const view = new DataView(bytes.buffer)
    // 251 is no id of a header.
    bytes[at + 24] = 251
    view.setInt32(at + 20, crc32cUpdate(crc32cUpdate(-1, view, at + 24, at + length), view, at, at + 20) ^ -1, true)
    const reader = readerOf(wal)
    reader.feed(bytes)
    for (let k = 0; k < i; k++) expect(reader.next()?.startLsn).toBe(records[k]!.startLsn)
    expect(() => reader.next()).toThrow(`wal.record: unknown header id 251 (lsn ${formatWalPosition(startLsn)})`)
    expect(reader.end).toMatchObject({ lsn: startLsn, code: 'wal.record' })
    expect(reader.next()).toBeUndefined()
  })

  test('begins at a true record from every page', () => {
    const byStart = new Map(records.map((record, i) => [record.startLsn, i]))
    for (let start = wal.start; start < wal.end - 1; start += WAL_PAGE_SIZE) {
      const reader = readerOf(wal, start)
      const at = start - wal.start
      // As much as it takes to find one record and a few more.
      for (let end = at + WAL_PAGE_SIZE, fed = at; fed < wal.bytes.length && reader.end === undefined && reader.previous === undefined; fed = end, end += SEGMENT_SIZE) {
        reader.feed(wal.bytes.subarray(fed, end))
        const record = reader.next()
        if (record === undefined) continue
        const i = byStart.get(record.startLsn)
        expect(i).toBeDefined()
        expect(i === 0 || records[i! - 1]!.startLsn < start).toBe(true)
        for (let k = 1; k < 20; k++) {
          const next = reader.next()
          if (next === undefined) break
          expect(next.startLsn).toBe(records[i! + k]!.startLsn)
        }
      }
    }
  })

  test('begins at the record asked for', () => {
    for (let i = 5; i < records.length - 1; i += 97) {
      const { startLsn, endLsn } = records[i]!
      const one = (start: WalPosition, exact: boolean): WalPosition | undefined => firstFrom(wal, start, { exact })
      expect(one(startLsn, true)).toBe(startLsn)
      expect(one(startLsn, false)).toBe(startLsn)
      // The end of one is the beginning of the next.
      expect(one(endLsn, true)).toBe(records[i + 1]!.startLsn)
      expect(one(endLsn, false)).toBe(records[i + 1]!.startLsn)
      expect(one(startLsn + 1, false)).toBe(records[i + 1]!.startLsn)
      expect(one(startLsn + 8, true)).toBeUndefined()
      expect(one(startLsn + 4, true)).toBeUndefined()
      expect(firstFrom(wal, startLsn, { startsMidPage: true })).toBe(startLsn)
      expect(firstFrom(wal, startLsn, { exact: true, previous: records[i - 1]!.startLsn })).toBe(startLsn)
      expect(firstFrom(wal, startLsn, { exact: true, previous: records[i - 1]!.startLsn - 8 })).toBeUndefined()
    }
  })

  test('says what is wrong when it is of another server', () => {
    const other = (change: Partial<ConstructorParameters<typeof WalReader>[0]>): string | undefined => {
      const reader = new WalReader({ major: wal.major, start: wal.start, timeline: 1, segmentSize: SEGMENT_SIZE, ...change })
      reader.feed(wal.bytes.subarray(0, 2 * WAL_PAGE_SIZE))
      expect(reader.next()).toBeUndefined()
      expect(() => { throw walCorruption(reader.end!) }).toThrow(/lsn /)
      return reader.end?.code
    }
    expect(other({ major: wal.major === 16 ? 15 : 16 })).toBe('wal.magic')
    expect(other({ systemIdentifier: 5n })).toBe('wal.system-identifier')
    expect(other({ segmentSize: 2 * SEGMENT_SIZE, start: Math.ceil(wal.start / 2 / SEGMENT_SIZE) * 2 * SEGMENT_SIZE })).toMatch(/wal.(segment-size|page-address)/)
    expect(other({ start: wal.start + SEGMENT_SIZE })).toBe('wal.page-address')
    expect(other({ timeline: 0 })).toBe('wal.timeline')
    expect(() => new WalReader({ major: wal.major, start: 0, timeline: 1, segmentSize: 3_000_000 })).toThrow(/3000000/)
  })
})

function firstFrom(wal: Wal, start: WalPosition, options: { exact?: boolean; startsMidPage?: boolean; previous?: number }): WalPosition | undefined {
  const reader = new WalReader({ major: wal.major, start, timeline: 1, segmentSize: SEGMENT_SIZE, ...options })
  const at = options.startsMidPage === true ? start : start - start % WAL_PAGE_SIZE
  reader.feed(wal.bytes.subarray(at - wal.start))
  return reader.next()?.startLsn
}

function* cycle(sizes: readonly number[]): Generator<number, number> {
  for (;;) yield* sizes
}
