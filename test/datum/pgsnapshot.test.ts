import { describe, test } from 'vitest'
import { pgSnapshotCodec } from '../../src/datum/types/pgsnapshot.ts'
import { expectLaws, expectVectors } from './textlaws.ts'

/** Stored by a server (PG 15). */
const VECTORS = [
  ['5b030000000a0000000000000014000000000000000a000000000000000e000000000000000f00000000000000', '10:20:10,14,15'],
  ['5b030000000a0000000000000014000000000000000a000000000000000e000000000000000f00000000000000', '10:20:10,14,15'],
] as const

describe('pg_snapshot', () => {
  test('server vectors, both directions', () => expectVectors(pgSnapshotCodec, VECTORS))
  test('laws over damaged payloads and texts', () => expectLaws(pgSnapshotCodec, VECTORS))
})
