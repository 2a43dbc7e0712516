import { describe, test } from 'vitest'
import { cubeCodec } from '../../src/datum/types/cube.ts'
import { expectLaws, expectVectors } from './textlaws.ts'

/** Stored by a server (PG 15). */
const VECTORS = [
  ['6000000002000080000000000000f03f0000000000000040', '(1, 2)'],
  ['a000000002000000000000000000f03f000000000000004000000000000008400000000000001040', '(1, 2),(3, 4)'],
] as const

describe('cube', () => {
  test('server vectors, both directions', () => expectVectors(cubeCodec, VECTORS))
  test('laws over damaged payloads and texts', () => expectLaws(cubeCodec, VECTORS))
})
