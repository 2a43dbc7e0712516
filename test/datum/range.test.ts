import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hexDecode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { type Codec, ParseError } from '../../src/datum/codec.ts'
import { dateCodec } from '../../src/datum/types/date.ts'
import { int4Codec, int8Codec } from '../../src/datum/types/int.ts'
import { multirangeCodec } from '../../src/datum/types/multirange.ts'
import { numericCodec } from '../../src/datum/types/numeric.ts'
import { rangeCodec } from '../../src/datum/types/range.ts'
import { timestampCodec, timestamptzCodec } from '../../src/datum/types/timestamp.ts'
import { expectNative } from './codeclaws.ts'
import { INT4, INT8, textType, VARLENA } from './containers.ts'
import { expectLaws, expectVectors, parseOf, payloadOf, textOf } from './textlaws.ts'

const numeric = numericCodec(-1, { displayScale: 0 })
const int4range = rangeCodec(int4Codec, INT4, 3904)
const numrange = rangeCodec(numeric, VARLENA, 3906)
/** create type trange as range (subtype = text); 17767 = 0x4567. */
const trange = rangeCodec(textType, VARLENA, 17767)
const int4multirange = multirangeCodec(int4Codec, INT4, 4451)
const int8multirange = multirangeCodec(int8Codec, INT8, 4536)
const nummultirange = multirangeCodec(numeric, VARLENA, 4532)
const tmultirange = multirangeCodec(textType, VARLENA, 17768)

/** Both directions of the server's pairs, what the column gives back, and the laws over damage. */
function expectRanges(codec: Codec, vectors: readonly (readonly [datumHex: string, text: string])[]): void {
  const form = { text: codec.text, parse: codec.parse }
  expectVectors(form, vectors)
  for (const [hex] of vectors) expectNative(codec, payloadOf(hex))
  expectLaws(form, vectors, 1000)
}

describe('range', () => {
  test('server vectors and laws', () => {
    expectRanges(int4range, [
      ['1d400f0000010000000500000002', '[1,5)'],
      ['0d400f000001', 'empty'],
      ['15400f00000500000008', '(,5)'],
      ['15400f00000100000012', '[1,)'],
      ['0d400f000018', '(,)'],
    ])
    expectRanges(numrange, [['29420f00000f8080010088130f80800200881304', '(1.5,2.5]']])
    expectRanges(trange, [['196745000009612062056306', '["a b",c]']])
  })

  test('server vectors of date and time ranges', () => {
    const of = (hex: string, text: string) => [[hex, text]] as const
    const infinity = '["2000-01-01 00:00:00",infinity)'
    expectRanges(rangeCodec(timestampCodec, INT8, 3908), of('2d440f00000000000000000000ffffffffffffff7f02', infinity))
    const days = '["2000-01-01 00:00:00+00","2000-01-02 00:00:00+00"]'
    expectRanges(rangeCodec(timestamptzCodec, INT8, 3910), of('2d460f000000000000000000000060d71d1400000006', days))
    expectRanges(rangeCodec(dateCodec, INT4, 3912), of('1d480f0000000000000500000002', '[2000-01-01,2000-01-06)'))
    expectRanges(rangeCodec(int8Codec, INT8, 3926), of('2d560f00000100000000000000030000000000000002', '[1,3)'))
  })

  test('bounds of any text', () => {
    const word = fc.oneof(fc.constantFrom('', 'empty', '"', '\\', '[', '(,)'), fc.string({ unit: fc.constantFrom(...'ab"\\()[], é') }),
      fc.nat(300).map((n) => 'x'.repeat(n)))
    const quote = (s: string) => (/^$|[\s"\\()[\],]/.test(s) ? `"${s.replaceAll(/["\\]/g, '$&$&')}"` : s)
    fc.assert(fc.property(fc.option(word), fc.option(word), fc.boolean(), fc.boolean(), (lower, upper, low, high) => {
      const text = `${low && lower !== null ? '[' : '('}${lower === null ? '' : quote(lower)},${upper === null ? '' : quote(upper)}${
        high && upper !== null ? ']' : ')'}`
      const many = `{${text},${text},empty,${text},${text},${text}}`
      for (const [codec, written] of [[trange, text], [tmultirange, `{${text}}`], [tmultirange, many]] as const) {
        const payload = parseOf(codec, written)
        expect(textOf(codec, payload)).toBe(written)
        expectNative(codec, payload)
      }
    }))
  })

  test('damage is corruption', () => {
    for (const hex of ['', '400f0000', '410f000001', '400f000002', '400f0000010000000202', '400f00000100000002000002']) {
      expect(() => textOf(int4range, hexDecode(hex)), hex).toThrow(CorruptionError)
    }
    expect(() => textOf(trange, hexDecode(`674500000112${'00'.repeat(16)}0502`))).toThrow(CorruptionError)
  })

  test('text that is not canonical is refused', () => {
    for (const text of ['', 'empty ', 'EMPTY', '[1,2', '1,2)', '[1 ,2)', '["1",2)', '[1,2)x', '[1)', '(1,2,3)', '[01,2)']) {
      expect(() => parseOf(int4range, text), text).toThrow(ParseError)
    }
  })
})

describe('multirange', () => {
  test('server vectors and laws', () => {
    expectRanges(int4multirange, [
      ['136311000000000000', '{}'],
      ['436311000002000000080000000202000001000000030000000500000009000000', '{[1,3),[5,9)}'],
      ['33631100000200000004000000081200000300000005000000', '{(,3),[5,)}'],
    ])
    expectRanges(nummultirange, [
      ['5bb41100000200000010000000060000000f8080010088130f80800200881300000b008003000b008004000000', '{[1.5,2.5],(3,4)}'],
    ])
    const items = Array.from({ length: 20 }, (_, i) => `[${10 * i + 10},${10 * i + 13})`)
    expectNative(int8multirange, parseOf(int8multirange, `{${items.join(',')}}`))
    expectRanges(int8multirange, [[TWENTY_RANGES, `{${items.join(',')}}`]])
  })

  test('damage is corruption', () => {
    const bad = ['', '63110000', '6411000000000000', '6311000001000000', '63110000ffffffff', '63110000ffffff7f',
      '6311000002000000070000000202000001000000030000000500000009000000', '6311000002000000080000800202000001000000030000000500000009']
    for (const hex of bad) expect(() => textOf(int4multirange, hexDecode(hex)), hex).toThrow(CorruptionError)
  })

  test('text that is not canonical is refused', () => {
    for (const text of ['', '{', '{[1,2)', '{[1,2),}', '{,[1,2)}', '{[1,2) ,[3,4)}', '{[1,2}', '{[1,2)[3,4)}', '{}x', '{[1,2)}}']) {
      expect(() => parseOf(int4multirange, text), text).toThrow(ParseError)
    }
  })
})

/** int8multirange of 20 ranges, stored by a server (PG 15): every fourth item is an offset. */
const TWENTY_RANGES =
  'c0060000b8110000140000001000000010000000100000004000008010000000100000001000000080000080100000001000000010000000c0000080' +
  '100000001000000010000000000100801000000010000000100000000202020202020202020202020202020202020202000000000a00000000000000' +
  '0d00000000000000140000000000000017000000000000001e00000000000000210000000000000028000000000000002b0000000000000032000000' +
  '0000000035000000000000003c000000000000003f000000000000004600000000000000490000000000000050000000000000005300000000000000' +
  '5a000000000000005d00000000000000640000000000000067000000000000006e00000000000000710000000000000078000000000000007b000000' +
  '00000000820000000000000085000000000000008c000000000000008f0000000000000096000000000000009900000000000000a000000000000000' +
  'a300000000000000aa00000000000000ad00000000000000b400000000000000b700000000000000be00000000000000c100000000000000c8000000' +
  '00000000cb00000000000000'
