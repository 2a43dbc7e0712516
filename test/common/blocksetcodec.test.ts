import fc from 'fast-check'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { blockSet, blockSetText, readBlockSet, writeBlockSet } from '../../src/common/blocksetcodec.ts'
import { ByteReader, writeVarint } from '../../src/common/bytereader.ts'
import { ByteWriter } from '../../src/common/bytes.ts'

const OURS = { code: 'test.bytes', name: 'the test' }
const blocks = fc.array(fc.oneof(fc.integer({ min: 0, max: 60 }), fc.nat(1e6), fc.integer({ min: 0xfffffff0, max: 0xfffffffe })), { maxLength: 60 })

function bytesOf(...numbers: number[]): Uint8Array {
  const out = new ByteWriter()
  for (const number of numbers) writeVarint(number, out)
  return out.take()
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replace(/=+$/, '')

describe('a set of blocks in bytes', () => {
  test('there and back, one text for each set', () => {
    fc.assert(fc.property(blocks, (list) => {
      const set = BlockSet.of(list)
      const text = blockSetText(set)
      expect(v.parse(blockSet, text)).toEqual(set)
      expect(blockSetText(BlockSet.ofRuns(list.toReversed().map((first) => ({ first, count: 1 }))))).toBe(text)
      const out = new ByteWriter()
      writeBlockSet(set, out)
      out.u8(7)
      const reader = new ByteReader(out.take(), OURS)
      expect(readBlockSet(reader)).toEqual(set)
      expect(reader.u8()).toBe(7)
      reader.end()
    }))
  })

  test('as its head says it', () => {
    // Two runs: block 5 alone, then 3 blocks behind a gap of one block.
    expect(v.parse(blockSet, textOf(bytesOf(2, 10, 1, 1))).runs).toEqual([{ first: 5, count: 1 }, { first: 7, count: 3 }])
    expect(v.parse(blockSet, textOf(bytesOf(0))).size).toBe(0)
    expect(v.parse(blockSet, textOf(bytesOf(1, 1, 0xfffffffd))).size).toBe(0xffffffff)
  })

  test('what nobody writes is refused', () => {
    const forged: unknown[] = [
      '', 'A=', '!', 5, null, textOf(bytesOf(1)), textOf(bytesOf(2, 10)), textOf(bytesOf(0, 0)), textOf(bytesOf(1, 1, 0xfffffffe)), textOf(bytesOf(1, 0x1fffffffe)),
      textOf(Uint8Array.of(1, 0x80, 0x00)), textOf(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)), `${textOf(bytesOf(1, 10)).slice(0, -1)}p`,
    ]
    for (const text of forged) expect(v.is(blockSet, text), String(text)).toBe(false)
  })

  test('thousands of runs stay small: 12,288 single blocks of a relation of 100 GB', () => {
    let state = 1
    const random = (): number => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32
    const set = BlockSet.of(Array.from({ length: 12_288 }, () => Math.floor(random() * 13_107_200)))
    expect(set.runs.length).toBeGreaterThan(12_000)
    // Two bytes for each, in base64.
    expect(blockSetText(set).length).toBeLessThan(12_288 * 2 * 4 / 3 + 100)
    expect(blockSetText(BlockSet.range(4096, 12_288)).length).toBeLessThan(10)
  })
})

describe('a byte reader', () => {
  test('numbers there and back, the largest too', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.nat(300), fc.maxSafeNat())), (numbers) => {
      const reader = new ByteReader(bytesOf(...numbers), OURS)
      expect(numbers.map(() => reader.varint())).toEqual(numbers)
      reader.end()
    }))
  })

  test('names the structure and the byte where it stops', () => {
    const reader = new ByteReader(Uint8Array.of(1, 2, 3, 0xff), OURS)
    expect(reader.u8()).toBe(1)
    expect(() => reader.u32()).toThrow(expect.objectContaining({ name: 'CorruptionError', code: 'test.bytes', reason: 'the test is damaged: it ends where 4 bytes more must follow (byte 1)' }))
    expect(() => reader.end()).toThrow('3 bytes behind its end')
    expect(() => reader.varint(1)).toThrow('the number 2, more than 1')
    expect(() => reader.text()).toThrow('the number 3, more than 2')
    expect(() => new ByteReader(Uint8Array.of(1, 0xff), OURS).text()).toThrow('not UTF-8')
  })
})
