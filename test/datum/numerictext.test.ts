import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { ParseError } from '../../src/datum/codec.ts'
import { numericParse, numericText } from '../../src/datum/text/numerictext.ts'
import { expectLaws, expectPair, expectStrictParse, expectVectors, parseOf, textOf } from './textlaws.ts'

const form = { text: numericText, parse: numericParse }

/** Stored by a server (PG 15). */
const VECTORS = [
  ['070080', '0'],
  ['070081', '0.00'],
  ['0b00800100', '1'],
  ['0b00a00100', '-1'],
  ['0b01800100', '10000'],
  ['0b02800100', '100000000'],
  ['1f828401002909851ad2042e162823', '123456789.123456789'],
  ['0b7f820100', '0.0001'],
  ['0bfe82e803', '0.00001'],
  ['0b7b8a0100', '0.00000000000000000001'],
  ['0bffa08813', '-0.5'],
  ['0700c0', 'NaN'],
  ['0700d0', 'Infinity'],
  ['0700f0', '-Infinity'],
  ['0f4700eeff9600', '0.00000000000000000000000000000000000000000000000000000000000000000000015'],
  [
    '6344000400d2042e163423800dd21ed2042e163423800dd21ed2042e163423800dd21ed2042e163423800dd21ed2042e16',
    '12345678901234567890.12345678901234567890123456789012345678901234567890123456789012345678',
  ],
  ['0f00810100e803', '1.10'],
  ['0f00820f270f27', '9999.9999'],
  ['0f00810c00b80b', '12.30'],
  ['2f0983d2042e163423800dd21ed2042e163423800dd21e', '1234567890123456789012345678901234567890.000000'],
] as const

describe('numeric text', () => {
  test('server vectors, both directions', () => {
    expectVectors(form, VECTORS)
    expectVectors(form, [['0f00004b000100', `1${'0'.repeat(300)}`]])
    expectVectors(form, [['0f4700eeff9600', `0.${'0'.repeat(69)}15`]])
  })

  test('laws over damaged payloads and texts', () => expectLaws(form, VECTORS))

  test('every decimal text survives', () => {
    const digits = fc.stringMatching(/^(0|[1-9][0-9]{0,40})(\.[0-9]{1,80})?$/)
    fc.assert(
      fc.property(digits, fc.boolean(), (unsigned, negative) => {
        const text = negative && /[1-9]/.test(unsigned) ? `-${unsigned}` : unsigned
        expect(textOf(form, parseOf(form, text))).toBe(text)
      }),
      { numRuns: 3000 },
    )
    fc.assert(fc.property(fc.stringMatching(/^[-0-9.NaInfity]{0,9}$/), (text) => expectStrictParse(form, new TextEncoder().encode(text))))
  })

  test('what numeric_out does not write is refused', () => {
    for (const text of ['', '-', '.', '1.', '.5', '-0', '-0.00', '01', '+1', '1e5', ' 1', 'nan', 'Inf', '--1', '1.2.3',
      '9'.repeat(131073)]) {
      expect(() => parseOf(form, text), text.slice(0, 20)).toThrow(ParseError)
    }
    expect(() => parseOf(form, `0.${'1'.repeat(16384)}`)).toThrow(ParseError)
  })

  test('the limits of the format', () => {
    const widest = `${'9'.repeat(131072)}.${'9'.repeat(16383)}`
    expect(textOf(form, parseOf(form, widest))).toBe(widest)
    expect(hexEncode(parseOf(form, widest).subarray(0, 6))).toBe('ff3fff7f0f27')
  })

  test('odd payloads keep their meaning', () => {
    expect(textOf(form, hexDecode('00c00000'))).toBe('NaN')
    expect(textOf(form, hexDecode('000000000100'))).toBe('1')
    expectPair(form, hexDecode('0080'), '0')
  })
})
