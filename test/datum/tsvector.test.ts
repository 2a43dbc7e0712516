import { describe, test } from 'vitest'
import { tsvectorCodec } from '../../src/datum/types/tsvector.ts'
import { expectLaws, expectVectors } from './textlaws.ts'

/** Stored by a server (PG 15). */
const VECTORS = [
  ['4703000000030000000680000007b000006100020001c0050063617466617401000280', '\'a\':1A,5 \'cat\' \'fat\':2B'],
  ['0b00000000', ''],
  ['2301000000090000006974277301000300', '\'it\'\'s\':3'],
] as const

describe('tsvector', () => {
  test('server vectors, both directions', () => expectVectors(tsvectorCodec(undefined), VECTORS))
  test('laws over damaged payloads and texts', () => expectLaws(tsvectorCodec(undefined), VECTORS))
})
