import { describe, expect, test } from 'vitest'
import { hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { ParseError } from '../../src/datum/codec.ts'
import { boxCodec, circleCodec, lineCodec, lsegCodec, pathCodec, pointCodec, polygonCodec } from '../../src/datum/types/geometric.ts'
import { expectCodec, roundTrip } from './codeclaws.ts'
import { payloads } from './containers.ts'
import { parseOf, textOf } from './textlaws.ts'

const ONE = '000000000000f03f'
const TWO = '0000000000000040'
const THREE = '0000000000000840'
const FOUR = '0000000000001040'
const ZERO = '0000000000000000'

/** Stored by a server (PG 15). */
describe('geometric types: server vectors and laws', () => {
  test('point', () => expectCodec(pointCodec, [[ONE + TWO, '(1,2)']]))
  test('lseg', () => expectCodec(lsegCodec, [[ONE + TWO + THREE + FOUR, '[(1,2),(3,4)]']]))
  test('box', () => expectCodec(boxCodec, [[THREE + FOUR + ONE + TWO, '(3,4),(1,2)']]))
  test('line', () => expectCodec(lineCodec, [[`${ONE}000000000000f0bf${ZERO}`, '{1,-1,0}']]))
  test('circle', () => expectCodec(circleCodec, [[ONE + TWO + THREE, '<(1,2),3>']]))
  test('path', () => {
    expectCodec(pathCodec, payloads([
      [`5b020000000100000000000000${ONE}${TWO}${THREE}${FOUR}`, '((1,2),(3,4))'],
      [`5b020000000000000000000000${ONE}${TWO}${THREE}${FOUR}`, '[(1,2),(3,4)]'],
    ]))
  })
  test('polygon', () => {
    const text = '((0,0),(1,1),(1,0))'
    expectCodec(polygonCodec, payloads([[`ab03000000${ONE}${ONE}${ZERO}${ZERO}${ZERO}${ZERO}${ONE}${ONE}${ONE}${ZERO}`, text]]))
  })
})

describe('geometric types', () => {
  test('minus zero stays, odd NaNs are left to the raw lane', () => {
    expect(hexEncode(parseOf(pointCodec, '(-0,Infinity)'))).toBe('0000000000000080000000000000f07f')
    const odd = hexDecode(`000000000000f8ff${ONE}`)
    expect(textOf(pointCodec, odd)).toBe('(NaN,1)')
    expect(roundTrip(pointCodec, odd)).toMatchObject({ native: true, encoded: `000000000000f87f${ONE}` })
  })

  test('counts that lie are corruption', () => {
    for (const hex of ['', '00000000', '020000000100000000000000', 'ffffffff0100000000000000', `010000000100000000000000${ONE}${TWO}00`]) {
      expect(() => textOf(pathCodec, hexDecode(hex)), hex).toThrow(CorruptionError)
      expect(() => textOf(polygonCodec, hexDecode(hex)), hex).toThrow(CorruptionError)
    }
    expect(() => textOf(pointCodec, hexDecode(ONE))).toThrow(CorruptionError)
  })

  test('text that is not canonical is refused', () => {
    for (const text of ['', '(1,2', '(1,2) ', '1,2', '(1,2,3)', '(01,2)', '(1,)', '(1;2)']) {
      expect(() => parseOf(pointCodec, text), text).toThrow(ParseError)
    }
    for (const text of ['', '(', '((1,2)]', '[(1,2),]', '[(1,2)(3,4)]', '[1,2]', '[,(1,2)]']) {
      expect(() => parseOf(pathCodec, text), text).toThrow(ParseError)
    }
  })
})
