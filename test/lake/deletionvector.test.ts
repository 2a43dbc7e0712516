import { crc32 as zlibCrc32 } from 'node:zlib'
import fc from 'fast-check'
import { RoaringBitmap32, roaringLibraryInitialize } from 'roaring-wasm'
import { beforeAll, describe, expect, test } from 'vitest'
import { BlockSet, type BlockRun } from '../../src/common/blockset.ts'
import { concatBytes, hexEncode } from '../../src/common/bytes.ts'
import { crc32 } from '../../src/common/crc32.ts'
import { encodeBitmap, framedBitmap } from '../../src/lake/deletionvector.ts'
import { decodeBitmap } from '../support/roaring.ts'

beforeAll(() => roaringLibraryInitialize())

/** Rows that make containers of every form, alone and beside each other, near their borders. */
const run: fc.Arbitrary<BlockRun> = fc.oneof(
  fc.record({ first: fc.nat(300_000), count: fc.constant(1) }),
  fc.record({ first: fc.nat(70_000), count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ first: fc.integer({ min: 65_530, max: 65_540 }), count: fc.nat(9000) }),
  fc.record({ first: fc.integer({ min: 2 ** 32 - 5, max: 2 ** 32 + 5 }), count: fc.nat(9000) }),
  fc.record({ first: fc.constantFrom(0, 65_536 * 9, 2 ** 40), count: fc.constantFrom(1, 2, 4095, 4096, 4097, 65_537) }),
)
/** Every `step`th row: as many runs as rows. */
const scattered = fc.record({ first: fc.constantFrom(0, 65_536 * 3, 2 ** 32 * 7), step: fc.integer({ min: 2, max: 20 }), rows: fc.nat(5000) })
const rowSet = fc.tuple(fc.array(run, { maxLength: 12 }), fc.array(scattered, { maxLength: 1 })).map(([runs, steps]) =>
  BlockSet.ofRuns([...runs, ...steps.flatMap(({ first, step, rows }) => Array.from({ length: rows }, (_, i) => ({ first: first + i * step, count: 1 })))]))

const sets: readonly [string, BlockSet][] = [
  ['no row', BlockSet.EMPTY], ['the first row', BlockSet.of([0])], ['two rows', BlockSet.range(3, 2)], ['three rows', BlockSet.range(3, 3)],
  ['two runs of two, as long as an array', BlockSet.of([1, 2, 7, 8])], ['a run of three and a row', BlockSet.of([1, 2, 3, 8])],
  ['4096 odd rows', BlockSet.of(Array.from({ length: 4096 }, (_, i) => i * 2 + 1))], ['4097 odd rows', BlockSet.of(Array.from({ length: 4097 }, (_, i) => i * 2 + 1))],
  ['2047 runs of 30', BlockSet.ofRuns(Array.from({ length: 2047 }, (_, i) => ({ first: i * 32, count: 30 })))],
  ['2048 runs of 30', BlockSet.ofRuns(Array.from({ length: 2048 }, (_, i) => ({ first: i * 32, count: 30 })))],
  ['a whole container', BlockSet.range(0, 65_536)], ['over its border', BlockSet.range(65_535, 2)],
  ['three containers, one with runs', BlockSet.ofRuns([{ first: 1, count: 1 }, { first: 65_536, count: 9 }, { first: 200_000, count: 1 }])],
  ['four containers, one with runs', BlockSet.ofRuns([{ first: 1, count: 1 }, { first: 65_536, count: 9 }, { first: 200_000, count: 1 }, { first: 300_000, count: 1 }])],
  ['nine containers with runs', BlockSet.range(0, 9 * 65_536)], ['both sides of 2^32', BlockSet.range(2 ** 32 - 2, 4)],
]

/** What CRoaring writes: a 32-bit bitmap per bucket, framed as the 64-bit form is. */
function byCRoaring(rows: BlockSet): Uint8Array {
  const buckets = new Map<number, number[]>()
  for (const row of rows) {
    const upper = Math.floor(row / 2 ** 32)
    if (!buckets.has(upper)) buckets.set(upper, [])
    buckets.get(upper)!.push(row % 2 ** 32)
  }
  let bytes: Uint8Array = Uint8Array.from([0xd1, 0xd3, 0x39, 0x64, buckets.size, 0, 0, 0, 0, 0, 0, 0])
  for (const [upper, values] of buckets) {
    const bitmap = new RoaringBitmap32(values)
    bitmap.runOptimize()
    bytes = concatBytes(concatBytes(bytes, new Uint8Array(Uint32Array.of(upper).buffer)), bitmap.serialize('portable'))
    bitmap.dispose()
  }
  return bytes
}

describe('a deletion vector', () => {
  test.each(sets)('%s: the bytes of CRoaring', (_, rows) => {
    expect(Buffer.from(encodeBitmap(rows)).equals(byCRoaring(rows))).toBe(true)
    expect(decodeBitmap(encodeBitmap(rows))).toEqual(rows)
  })

  test('any rows: the bytes of CRoaring, and the same rows again', () => {
    fc.assert(fc.property(rowSet, (rows) => {
      const bytes = encodeBitmap(rows)
      expect(Buffer.from(bytes).equals(byCRoaring(rows))).toBe(true)
      expect(decodeBitmap(bytes)).toEqual(rows)
    }), { numRuns: 40 })
  })

  test('golden bytes', () => {
    expect(hexEncode(framedBitmap(encodeBitmap(BlockSet.of([3, 4, 5, 6, 100_000, 2 ** 32]))))).toBe(
      '0000003bd1d339640200000000000000000000003b300100010000030001000000010003000300a086010000003a30000001000000000000001000000000005de6f523')
  })

  test('its CRC is zlib\'s', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => crc32(bytes) === zlibCrc32(bytes)))
  })
})

test('what CRoaring and the decoder find: one row more, another form, a wrong place', () => {
  const rows = BlockSet.ofRuns([{ first: 1, count: 1 }, { first: 65_536, count: 9 }, { first: 200_000, count: 1 }, { first: 300_000, count: 1 }])
  const bytes = encodeBitmap(rows)
  expect(Buffer.from(encodeBitmap(rows.union(BlockSet.of([2])))).equals(byCRoaring(rows))).toBe(false)
  // Runs where CRoaring has an array, since both are as long.
  const [array, runs] = [encodeBitmap(BlockSet.of([1, 2, 7, 8])), Uint8Array.of(2, 0, 1, 0, 1, 0, 7, 0, 1, 0)]
  const asRuns = Uint8Array.from([...array.subarray(0, 16), 0x3b, 0x30, 0, 0, 1, 0, 0, 3, 0, ...runs])
  expect(decodeBitmap(asRuns)).toEqual(BlockSet.of([1, 2, 7, 8]))
  expect(Buffer.from(asRuns).equals(byCRoaring(BlockSet.of([1, 2, 7, 8])))).toBe(false)
  for (const at of [0, 4, 16, 21, 23, 37, bytes.length - 8]) {
    const damaged = bytes.slice()
    damaged[at]! ^= 1
    let found: unknown
    try {
      found = decodeBitmap(damaged)
    } catch {
      continue
    }
    expect(found, `byte ${at}`).not.toEqual(rows)
  }
})
