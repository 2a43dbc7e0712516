import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteWriter, hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { julianDay, writeDate } from '../../src/datum/text/calendar.ts'
import { type Codec, ParseError } from '../../src/datum/codec.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { dateCodec } from '../../src/datum/types/date.ts'
import { intervalCodec } from '../../src/datum/types/interval.ts'
import { timeCodec } from '../../src/datum/types/time.ts'
import { timestampCodec, timestamptzCodec } from '../../src/datum/types/timestamp.ts'
import { timetzCodec } from '../../src/datum/types/timetz.ts'
import { expectCodec, expectCodecLawful, expectNative, roundTrip } from './codeclaws.ts'
import { parseOf, textOf } from './textlaws.ts'

/** Stored and printed by a server (PG 15; interval also 17). */
const PAIRS: Record<string, [Codec, [string, string][]]> = {
  date: [dateCodec, [
    ['00000000', '2000-01-01'], ['ffffffff', '1999-12-31'], ['ffffff7f', 'infinity'], ['00000080', '-infinity'], ['7b9df4ff',
      '0044-03-15 BC'],
    ['0c97da7f', '5874897-12-31'], ['1599daff', '4713-11-24 BC'],
  ]],
  'time portable': [timeCodec({ profile: 'portable' }), [['0060d71d14000000', '24:00:00'], ['0826e68b0a000000', '12:34:56.789']]],
  'time iceberg': [timeCodec({ profile: 'iceberg' }), [['0060d71d14000000', '24:00:00'], ['0826e68b0a000000', '12:34:56.789']]],
  timetz: [timetzCodec, [['001cda8b0a000000a8b2ffff', '12:34:56+05:30'], ['000000000000000080700000', '00:00:00-08']]],
  timestamp: [timestampCodec, [
    ['0000000000000000', '2000-01-01 00:00:00'], ['ffffffffffffffff', '1999-12-31 23:59:59.999999'], ['ffffffffffffff7f', 'infinity'],
    ['0000000000000080', '-infinity'], ['ff9fb2b35bffff7f', '294276-12-31 23:59:59.999999'], ['00a01f41c17c0ffd', '4714-11-24 00:00:00 BC'],
  ]],
  timestamptz: [timestamptzCodec, [['001078c482b50200', '2024-02-29 12:00:00+00']]],
  'interval 15': [intervalCodec({ major: 15 }), [
    ['88ca976c03000000030000000e000000', '1 year 2 mons 3 days 04:05:06.789'], ['c0bdf0ffffffffff02000000ffffffff',
      '-1 mons +2 days -00:00:01'],
    ['00000000000000000000000000000000', '00:00:00'], ['e05ef8ffffffffff0000000000000000', '-00:00:00.5'],
  ]],
  'interval 17': [intervalCodec({ major: 17 }), [
    ['88ca976c03000000030000000e000000', '1 year 2 mons 3 days 04:05:06.789'], ['ffffffffffffff7fffffff7fffffff7f', 'infinity'],
    ['00000000000000800000008000000080', '-infinity'],
  ]],
}

describe.each(Object.entries(PAIRS))('%s', (_name, [codec, pairs]) => {
  test('vectors and laws', () => expectCodec(codec, pairs))
})

function payload(...parts: [bits: 32 | 64, value: bigint][]): Uint8Array {
  const out = new ByteWriter()
  for (const [bits, value] of parts) {
    if (bits === 64) out.i64(value)
    else out.u32(Number(value))
  }
  return out.take()
}

test('date2j and j2date are inverse over every day a server accepts', () => {
  const out = new ByteWriter()
  for (let day = 0; day < 2_147_483_494; day += 9973) {
    out.length = 0
    const isBc = writeDate(day, out)
    const [year, month, dayOfMonth] = String.fromCharCode(...out.take()).split('-').map(Number) as [number, number, number]
    expect(julianDay(isBc ? 1 - year : year, month, dayOfMonth)).toBe(day)
  }
})

test('native is exactly 0001-01-01 to 9999-12-31', () => {
  const day = (text: string): Uint8Array => parseOf(dateCodec, text)
  expectNative(dateCodec, day('0001-01-01'))
  expectNative(dateCodec, day('9999-12-31'))
  expect(roundTrip(dateCodec, day('0001-12-31 BC'))).toMatchObject({ native: false, isNull: true })
  expect(roundTrip(dateCodec, day('10000-01-01'))).toMatchObject({ native: false, isNull: true })
  for (const [codec, zone] of [[timestampCodec, ''], [timestamptzCodec, '+00']] as const) {
    expectNative(codec, parseOf(codec, `0001-01-01 00:00:00${zone}`))
    expectNative(codec, parseOf(codec, `9999-12-31 23:59:59.999999${zone}`))
    expect(roundTrip(codec, parseOf(codec, `0001-12-31 23:59:59.999999${zone} BC`))).toMatchObject({ native: false, isNull: true })
    expect(roundTrip(codec, parseOf(codec, `10000-01-01 00:00:00${zone}`))).toMatchObject({ native: false, isNull: true })
  }
})

test('columns count from 1970', () => {
  const date = newVector({ kind: 'date' }) as unknown as { words: Int32Array }
  dateCodec.decode(payload([32, -10957n]), 0, 4, date as never)
  expect(date.words[0]).toBe(0)
  fc.assert(
    fc.property(fc.bigInt({ min: -63082281600000000n, max: 252455615999999999n }), (micros) => {
      const vector = newVector({ kind: 'timestamp', utc: false }) as unknown as { words: Int32Array }
      expect(timestampCodec.decode(payload([64, micros]), 0, 8, vector as never)).toBe(true)
      const found = (BigInt(vector.words[1]!) << 32n) | BigInt(vector.words[0]! >>> 0)
      expect(found).toBe(micros + 946684800000000n)
      expectNative(timestampCodec, payload([64, micros]))
    }),
  )
})

test('valid timestamps, dates, times and intervals of any size: text and back', () => {
  const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  const i32 = fc.oneof(fc.integer(), fc.integer({ min: -40, max: 40 }), fc.constantFrom(0x7fffffff, -0x80000000)).map(BigInt)
  const exact = (codec: Codec, bytes: Uint8Array): void => {
    expect(hexEncode(parseOf(codec, textOf(codec, bytes)))).toBe(hexEncode(bytes))
  }
  fc.assert(
    fc.property(fc.bigInt({ min: -211813488000000000n, max: 9223371331199999999n }), (micros) => {
      exact(timestamptzCodec, payload([64, micros]))
    }),
    { numRuns: 2000 },
  )
  fc.assert(fc.property(fc.integer({ min: -2451545, max: 2145031948 }), (days) => {
    exact(dateCodec, payload([32, BigInt(days)]))
  }), { numRuns: 2000 })
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 86400000000n }), fc.integer({ min: -57599, max: 57599 }), (micros, zone) => {
      exact(timeCodec({ profile: 'portable' }), payload([64, micros]))
      expectNative(timeCodec({ profile: 'portable' }), payload([64, micros]))
      exact(timetzCodec, payload([64, micros], [32, BigInt(zone)]))
      expectNative(timetzCodec, payload([64, micros], [32, BigInt(zone)]))
    }),
    { numRuns: 2000 },
  )
  const small = fc.bigInt({ min: -4000000000000n, max: 4000000000000n })
  fc.assert(
    fc.property(fc.oneof(i64, small, fc.constantFrom(0n, 2n ** 63n - 1n, -(2n ** 63n))), i32, i32, (micros, days, months) => {
      const bytes = payload([64, micros], [32, days], [32, months])
      exact(intervalCodec({ major: 14 }), bytes)
      exact(intervalCodec({ major: 18 }), bytes)
      expectNative(intervalCodec({ major: 14 }), bytes)
    }),
    { numRuns: 5000 },
  )
})

test('infinite intervals exist from 17 on', () => {
  for (const hex of ['ffffffffffffff7fffffff7fffffff7f', '00000000000000800000008000000080']) {
    expect(roundTrip(intervalCodec({ major: 17 }), hexDecode(hex))).toMatchObject({ native: false, isNull: true })
    expectNative(intervalCodec({ major: 16 }), hexDecode(hex))
  }
})

test('no value of the type', () => {
  const before = payload([64, -211813488000000001n])
  const cases: [Codec, Uint8Array][] = [
    [timeCodec({ profile: 'portable' }), payload([64, 86400000001n])],
    [timeCodec({ profile: 'iceberg' }), payload([64, -1n])],
    [timetzCodec, payload([64, -1n], [32, 0n])],
    [timestampCodec, before],
    [timestamptzCodec, before],
  ]
  for (const [codec, bytes] of cases) {
    expect(roundTrip(codec, bytes)).toBeUndefined()
    expect(() => textOf(codec, bytes)).toThrow(CorruptionError)
  }
})

test('days that old servers let through are lawful', () => {
  for (const days of [-2451546n, -2147483647n, 2145031949n, 2147483646n]) expect(expectCodecLawful(dateCodec, payload([32,
    days]))).toBe(true)
})

test('text no output function writes is refused', () => {
  const cases: [Codec, string[]][] = [
    [dateCodec, ['2001-02-29', '2000-13-01', '2000-00-10', '0000-01-01', '02000-01-01', '2000-1-1', 'Infinity']],
    [timestampCodec, ['2001-02-29 00:00:00', '2000-01-01 24:00:00', '2000-01-01 00:00:00.10', '2000-01-01 00:00:00+00',
      '999999-01-01 00:00:00']],
    [timestamptzCodec, ['2000-01-01 00:00:00']],
    [timeCodec({ profile: 'portable' }), ['24:00:00.1', '24:00:01', '12:60:00', '12:00:60', '1:00:00', '12:00:00.', '12:00:00.0000001']],
    [timetzCodec, ['12:00:00', '12:00:00+00:00', '12:00:00-00', '12:00:00+5']],
    [intervalCodec({ major: 18 }), ['', '0 years', '1 years', '2 year', '13 mons', '1 mon 00:00:00', '1 day -2 days', '+00:00:01',
      '2147483648 days']],
    [intervalCodec({ major: 16 }), ['infinity']],
  ]
  for (const [codec, texts] of cases) for (const text of texts) expect(() => parseOf(codec, text), text).toThrow(ParseError)
})
