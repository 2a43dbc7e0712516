/** The short cuts of generated code against the codecs they stand for, where the two could part: at the borders, and on odd bytes. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { numericUnscaled, writeNumeric } from '../../src/columnar/decimal.ts'
import { smallDecimalSource } from '../../src/columnar/decimalsource.ts'
import {
  DATE_EPOCH_DAYS, DATE_MAX, DATE_MIN, TIMESTAMP_EPOCH_HIGH, TIMESTAMP_EPOCH_LOW, TIMESTAMP_HIGH_MAX, TIMESTAMP_HIGH_MIN,
} from '../../src/columnar/inline.ts'
import { transcodePages } from '../../src/columnar/transcode.ts'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { ByteWriter } from '../../src/common/bytes.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { dateCodec } from '../../src/datum/types/date.ts'
import { numericCodec } from '../../src/datum/types/numeric.ts'
import { timestampCodec, timestamptzCodec } from '../../src/datum/types/timestamp.ts'
import { relationOf, transcodeOptions } from '../support/relation.ts'
import { valueAt } from './lakevalues.ts'

function bytesOf(...words: number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(words).buffer)
}

describe('dates and timestamps', () => {
  test('the last days and words before the codec takes over are native, and the same', () => {
    for (const days of [DATE_MIN, DATE_MIN + 1, -1, 0, DATE_MAX - 1, DATE_MAX]) {
      const vector = newVector(dateCodec.column)
      expect(dateCodec.decode(bytesOf(days), 0, 4, vector)).toBe(true)
      expect(valueAt(vector, dateCodec.column, 0)).toBe(days + DATE_EPOCH_DAYS)
    }
    for (const days of [DATE_MIN - 1, DATE_MAX + 1]) expect(dateCodec.decode(bytesOf(days), 0, 4, newVector(dateCodec.column))).toBe(false)
    const lows = [0, 1, -1, -TIMESTAMP_EPOCH_LOW, -TIMESTAMP_EPOCH_LOW - 1, 0x7fffffff, -0x80000000]
    for (const codec of [timestampCodec, timestamptzCodec]) {
      for (const high of [TIMESTAMP_HIGH_MIN, TIMESTAMP_HIGH_MIN + 1, -TIMESTAMP_EPOCH_HIGH - 1, -1, 0, TIMESTAMP_HIGH_MAX - 1, TIMESTAMP_HIGH_MAX]) {
        for (const low of lows) {
          const vector = newVector(codec.column)
          expect([high, low, codec.decode(bytesOf(low, high), 0, 8, vector)]).toEqual([high, low, true])
          const stored = BigInt(high) * 4294967296n + BigInt(low >>> 0)
          expect(valueAt(vector, codec.column, 0)).toBe(stored + 946684800000000n)
        }
      }
    }
  })
})

describe('numeric', () => {
  const digit = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 1, 10, 100, 1000, 9999, 5000) }, fc.integer({ min: 0, max: 9999 }), fc.constant(10000))
  const weight = fc.oneof(fc.integer({ min: -1, max: 1 }), fc.integer({ min: -4, max: 4 }))
  const digits = fc.oneof(fc.array(digit, { maxLength: 3 }), fc.array(digit, { maxLength: 6 }))
  /** Short-form payloads, canonical or not. */
  const payload = fc.record({ negative: fc.boolean(), shown: fc.integer({ min: 0, max: 63 }), weight, digits }).map(({ negative, shown, weight, digits }) => {
    const header = 0x8000 | (negative ? 0x2000 : 0) | (shown << 7) | (weight & 0x7f)
    return new Uint8Array(Uint16Array.from([header, ...digits]).buffer)
  })
  const typmod = (precision: number, scale: number): number => ((precision << 16) | scale) + 4
  const typmods = fc.constantFrom(-1, typmod(10, 2), typmod(15, 0), typmod(16, 8), typmod(18, 18), typmod(38, 10), typmod(5, 5), typmod(3, 1))

  test('what the double says is what the codec says, and digits follow from it', () => {
    let taken = 0
    fc.assert(fc.property(payload, typmods, (bytes, mod) => {
      const codec = numericCodec(mod, { displayScale: 0 })
      const { precision, scale } = codec.column
      const value = numericUnscaled(bytes, 0, bytes.length, scale)
      if (Number.isNaN(value) || Math.abs(value) >= 10 ** Math.min(precision, 16)) return
      taken++
      const vector = newVector(codec.column)
      expect(Object.is(value, -0)).toBe(false)
      if (bytes.length > 2 && bytes.at(-1) === 0 && bytes.at(-2) === 0) return
      expect(codec.decode(bytes, 0, bytes.length, vector)).toBe(true)
      expect(valueAt(vector, codec.column, 0)).toBe(BigInt(value))
    }), { numRuns: 20_000 })
    expect(taken).toBeGreaterThan(500)
  })

  test('what the generated code says of small ones is what the double says', () => {
    const readers = new Map(Array.from({ length: 12 }, (_, scale) => [scale, smallReader(scale)]))
    let taken = 0
    const scales = fc.oneof({ weight: 3, arbitrary: fc.constant(2) }, fc.integer({ min: 0, max: 11 }))
    const odd = fc.tuple(payload, fc.uint8Array({ maxLength: 1 })).map(([bytes, more]) => new Uint8Array([...bytes, ...more]))
    fc.assert(fc.property(fc.oneof({ weight: 9, arbitrary: payload }, odd), scales, (bytes, scale) => {
      const found = readers.get(scale)!(bytes, 0, bytes.length)
      if (found === undefined) return
      taken++
      expect(found).toBe(numericUnscaled(bytes, 0, bytes.length, scale))
    }), { numRuns: 50_000 })
    expect(taken).toBeGreaterThan(1000)
    // 0, 12.34, -0.05, 104949.50, 12000, the largest that is small and the smallest that is not.
    const at2 = (...digits: [number, number, ...number[]]): number | undefined => {
      const [sign, weight, ...rest] = digits
      const bytes = new Uint8Array(Uint16Array.from([0x8100 | sign | (weight & 0x7f), ...rest]).buffer)
      return readers.get(2)!(bytes, 0, bytes.length)
    }
    expect([at2(0, 0), at2(0, 0, 12, 3400), at2(0x2000, -1, 500), at2(0, 1, 10, 4949, 5000), at2(0, 1, 1, 2000)]).toEqual([0, 1234, -5, 10494950, 1200000])
    expect([at2(0, 1, 2147, 4735, 9900), at2(0, 1, 2147, 4737)]).toEqual([2147473599, undefined])
  })

  test('what it writes is what the codec forms', () => {
    let taken = 0
    const numbers = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -1000, max: 1000 }), fc.integer({ min: -10000, max: 10000 }).map((n) => n * 10 ** 8))
    fc.assert(fc.property(numbers, typmods, fc.integer({ min: 0, max: 63 }), (value, mod, shown) => {
      const codec = numericCodec(mod, { displayScale: shown })
      const { scale } = codec.column
      // As generateformer asks: it has no room for a larger display scale than the column's.
      if (shown > scale) return
      const found = new Uint8Array(64)
      const end = writeNumeric(found, 0, value, scale, shown)
      if (end < 0) return
      taken++
      const vector = newVector(codec.column)
      const words = [0n, 32n, 64n, 96n].map((shift) => Number(BigInt.asIntN(32, BigInt(value) >> shift))) as [number, number, number, number]
      ;(vector as unknown as { push4: (...given: number[]) => void }).push4(...words)
      const out = new ByteWriter()
      codec.encode(vector, 0, out)
      expect(found.slice(0, end)).toEqual(out.take())
    }), { numRuns: 20_000 })
    expect(taken).toBeGreaterThan(500)
  })
})

/** The source of a scale as a function: the unscaled value, undefined if it does not say. */
function smallReader(scale: number): (bytes: Uint8Array, at: number, e: number) => number | undefined {
  const body = `let h = bytes[at] | (bytes[at + 1] << 8), b = 0, c = 0, m = 0, n = 0, v = 0\n${smallDecimalSource(scale).text}\nreturn b ? v : undefined`
  return new Function('bytes', 'at', 'e', body) as ReturnType<typeof smallReader>
}

test('a cstring is in its column, not in raw', () => {
  const page = new Uint8Array(8192)
  const view = new DataView(page.buffer)
  const text = [0x61, 0x62, 0]
  const off = 8192 - 32
  for (const [at, value] of [[12, 28], [14, off], [16, 8192], [18, 0x2004]] as const) view.setUint16(at, value, true)
  view.setUint32(24, off | (1 << 15) | ((24 + text.length) << 17), true)
  view.setUint32(off, 4, true)
  for (const [at, value] of [[16, 1], [18, 1], [20, 0x0902]] as const) view.setUint16(off + at, value, true)
  page[off + 22] = 24
  page.set(text, off + 24)
  const desc = {
    attributes: [{ attnum: 1, name: 'v', type: { oid: 16432, typmod: -1 }, len: -2, align: 1, plain: true, dropped: false, virtual: false }],
    types: [{ oid: 16432, name: 'ctext', schema: 'public', kind: 'base' as const, len: -2, align: 1, storage: 'p', delimiter: ',' }],
  }
  const { parquet, lanes } = transcodePages(relationOf(desc, 1), page, transcodeOptions({ generate: false }))
  expect(lanes).toMatchObject({ native: 1, raw: 0, tupleLane: 0, reproved: 0 })
  expect(rebuildPages(parquet)).toEqual(page)
})
