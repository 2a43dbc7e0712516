import { expect, test } from 'vitest'
import { firstTimelineHistory, parseTimelineHistory, timelineAt } from '../../src/wal/timelinehistory.ts'

/** The first line is a real server's, 18.4; test/io/wal.test.ts reads those of all majors. */
const REAL = '1\t0/1C35420\tno recovery target specified\n'

test('history files', () => {
  expect(parseTimelineHistory(REAL, 2)).toEqual([{ timeline: 1, begin: 0, end: 0x1c35420 }, { timeline: 2, begin: 0x1c35420, end: Infinity }])
  const text = `# comment\n\n${REAL}\n  3\t1/00000000\tbefore 2024-05-06 07:08:09+00\n4\t1/0`
  const history = parseTimelineHistory(text, 7)
  expect(history.map(({ timeline }) => timeline)).toEqual([1, 3, 4, 7])
  expect(timelineAt(history, 0).timeline).toBe(1)
  expect(timelineAt(history, 0x1c3541f).timeline).toBe(1)
  expect(timelineAt(history, 0x1c35420).timeline).toBe(3)
  // Nothing was written on 4.
  expect(timelineAt(history, 2 ** 32).timeline).toBe(7)
  expect(parseTimelineHistory('', 5)).toEqual(firstTimelineHistory(5))
})

test.each([
  ['x', 'no timeline'], ['1', 'no timeline'], ['1\t0', 'no timeline'], ['1\t0/100000000\tx', 'no timeline'], ['1\t0/10x', 'no timeline'],
  [`${REAL}1\t0/2000000\tx`, 'timeline 1 after 1'], [`${REAL}2\t0/1000000\tx`, 'before it begins'], ['9\t0/1\tx', 'no ancestor'],
  ['0\t0/1\tx', 'timeline 0 after 0'],
])('a damaged history: %j', (text, reason) => {
  expect(() => parseTimelineHistory(text, 9)).toThrow(`wal.history: history of timeline 9, line`)
  expect(() => parseTimelineHistory(text, 9)).toThrow(reason)
})
