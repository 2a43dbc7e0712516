import { describe, expect, test } from 'vitest'
import {
  timelineHistoryName, isSegmentSize, parseTimelineHistoryName, parseSegmentName, segmentName, segmentNumber, segmentOf,
} from '../../src/wal/segment.ts'
import { majors, withCluster } from '../support/oracle.ts'

const MIB = 1 << 20

describe.each(majors())('segment names of Postgres %i', major => {
  test.each([1, 16, 1024])('are those of the server, with segments of %i MiB', async megabytes => {
    // One gigabyte of zeros per segment is more than a quick test should write.
    if (megabytes === 1024) return checkNames(1024 * MIB, [['0/40000000', '000000010000000000000001'], ['1/0', '000000010000000100000000']])
    await withCluster(major, { initdbArgs: [`--wal-segsize=${megabytes}`], settings: { max_wal_size: `${4 * megabytes}MB`, min_wal_size: `${2 * megabytes}MB` } }, async (_, sql) => {
      const lsns = ['0/1', '0/100000', '0/1000000', '0/FFFFFFF0', '1/0', '12/3456789A', '1FFFF/FF000001']
      const rows = await sql.rows(`SELECT l, pg_walfile_name(l::pg_lsn + 1) FROM unnest($1::text[]) l`, [lsns])
      expect(rows.length).toBe(lsns.length)
      checkNames(megabytes * MIB, rows as [string, string][])
    })
  })
})

/** Before 17 the server names the segment of the byte before an LSN, so it was asked for one byte more; at a boundary majors differ. */
function checkNames(size: number, rows: readonly [lsn: string, name: string][]): void {
  for (const [lsn, name] of rows) {
    const [high, low] = lsn.split('/').map(text => Number.parseInt(text, 16))
    const number = segmentOf(high! * 2 ** 32 + low!, size)
    expect(segmentName(1, number, size)).toBe(name)
    expect(segmentNumber(parseSegmentName(name)!, size)).toBe(number)
  }
}

test('names', () => {
  expect(parseSegmentName('0000000A00000002000000A3')).toEqual({ timeline: 10, high: 2, low: 0xa3, partial: false })
  expect(parseSegmentName('0000000A00000002000000A3.partial')).toMatchObject({ timeline: 10, partial: true })
  for (const name of ['0000000A00000002000000a3', '0000000A00000002000000A', '0000000A00000002000000A3.gz', '00000002.history', 'x']) {
    expect(parseSegmentName(name)).toBeUndefined()
  }
  expect(segmentNumber({ timeline: 1, high: 1, low: 256, partial: false }, 16 * MIB)).toBeUndefined()
  expect(segmentNumber({ timeline: 1, high: 1, low: 255, partial: false }, 16 * MIB)).toBe(511)
  expect(timelineHistoryName(26)).toBe('0000001A.history')
  expect(parseTimelineHistoryName('0000001A.history')).toBe(26)
  expect(parseTimelineHistoryName('0000001A.history.gz')).toBeUndefined()
  expect([MIB, 16 * MIB, 1024 * MIB].every(isSegmentSize)).toBe(true)
  expect([0, MIB / 2, 3 * MIB, 2048 * MIB, 1.5 * MIB].some(isSegmentSize)).toBe(false)
})
