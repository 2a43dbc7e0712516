import { describe, expect, test } from 'vitest'
import { tsqueryCodec } from '../../src/datum/types/tsquery.ts'
import { expectLaws, expectVectors, parseOf, textOf } from './textlaws.ts'

const codec = tsqueryCodec(undefined)

/** Stored by a server (PG 15). */
const VECTORS = [
  [
    '480200000a000000020200000900000000000000020403000200000000000000010000007c16dc7301000100020401000200' +
      '000000000000010000009284853703c00000020300000300000000000000020100000100000000000000010c010011d669de0380000001' +
      '000000c8fc15fa0340000001000000a3339be903000000666174007261740063617400646f67007800',
    '\'fat\' & ( \'rat\' | !\'cat\':*AB ) <-> \'dog\' <3> \'x\'',
  ],
  ['2000000000000000', ''],
] as const

describe('tsquery', () => {
  test('server vectors, both directions', () => expectVectors(codec, VECTORS))
  test('laws over damaged payloads and texts', () => expectLaws(codec, VECTORS))

  test('depth does not matter', () => {
    const text = `${'!'.repeat(100_000)}'a'${" & 'b'".repeat(50_000)}`
    expect(textOf(codec, parseOf(codec, text)) === text).toBe(true)
  })
})
