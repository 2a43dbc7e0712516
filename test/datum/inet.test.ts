import { describe, test } from 'vitest'
import { cidrCodec } from '../../src/datum/types/inet.ts'
import { expectLaws, expectVectors } from './textlaws.ts'

/** Stored by a server (PG 15), inet as ::text prints it, which is how cidr prints: always with the bits. */
const VECTORS = [
  ['0f0220c0a80001', '192.168.0.1/32'],
  ['0f0218c0a80001', '192.168.0.1/24'],
  ['0f02080a000000', '10.0.0.0/8'],
  ['27038000000000000000000000000000000001', '::1/128'],
  ['27034020010db8000000000000000000000001', '2001:db8::1/64'],
  ['27038000000000000000000000ffff01020304', '::ffff:1.2.3.4/128'],
] as const

describe('inet', () => {
  test('server vectors, both directions', () => expectVectors(cidrCodec, VECTORS))
  test('laws over damaged payloads and texts', () => expectLaws(cidrCodec, VECTORS))
})
