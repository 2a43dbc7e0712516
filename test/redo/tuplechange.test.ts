/** Copies onto pages at every alignment against plain byte copies. */
import { expect, test } from 'vitest'
import { copyFromRecord, copyWithinPage } from '../../src/redo/tuplechange.ts'
import { MemoryPage } from '../../src/replay/memoryfork.ts'

const page = (): MemoryPage => new MemoryPage(Uint8Array.from({ length: 8192 }, (_, i) => (i * 131) & 0xff))

test('copies change exactly the bytes asked for, whatever the alignment', () => {
  const wrong: number[][] = []
  const record = Uint8Array.from({ length: 64 }, (_, i) => 255 - i)
  for (let to = 4000; to < 4008; to++) {
    for (let from = 8; from < 16; from++) {
      for (let length = 0; length < 20; length++) {
        const expected = page().bytes
        const within = expected.slice()
        expected.set(record.subarray(from, from + length), to)
        within.set(within.slice(from + 1000, from + 1000 + length), to)
        const [ours, oursWithin] = [page(), page()]
        copyFromRecord(ours, to, new DataView(record.buffer), from, length)
        copyWithinPage(oursWithin, to, from + 1000, length)
        if (Buffer.compare(ours.bytes, expected) !== 0 || Buffer.compare(oursWithin.bytes, within) !== 0) wrong.push([to, from, length])
      }
    }
  }
  expect(wrong).toEqual([])
})

test('bytes that the record does not have are an error', () => {
  expect(() => copyFromRecord(page(), 100, new DataView(new ArrayBuffer(10)), 5, 6)).toThrow(RangeError)
})
