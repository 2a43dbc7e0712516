import { describe, test } from 'vitest'
import { ltreeCodec } from '../../src/datum/types/ltree.ts'
import { expectLaws, expectVectors } from './textlaws.ts'

/** Stored by a server (PG 15). */
const VECTORS = [
  ['4b030000000300546f700000000700536369656e6365000000000000000500417374726f00', 'Top.Science.Astro'],
  ['0b00000000', ''],
] as const

describe('ltree', () => {
  test('server vectors, both directions', () => expectVectors(ltreeCodec(undefined), VECTORS))
  test('laws over damaged payloads and texts', () => expectLaws(ltreeCodec(undefined), VECTORS))
})
