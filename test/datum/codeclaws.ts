import fc from 'fast-check'
import { expect } from 'vitest'
import { ByteWriter, hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import type { Codec } from '../../src/datum/codec.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { damaged, expectLawful, expectPair, expectStrictParse } from './textlaws.ts'

const LEAD = 3

/** Decodes one payload, in the middle of other bytes and behind another row; undefined where the payload is no value of the type. */
export function roundTrip(codec: Codec, payload: Uint8Array): { native: boolean; isNull: boolean; encoded: string } | undefined {
  const around = new Uint8Array(payload.length + LEAD + 2).fill(0xee)
  around.set(payload, LEAD)
  const vector = newVector(codec.column)
  vector.pushNull()
  let native: boolean
  try {
    native = codec.decode(around, LEAD, LEAD + payload.length, vector)
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
    return undefined
  }
  expect(vector.length).toBe(2)
  expect(vector.isNull(0)).toBe(true)
  const isNull = vector.isNull(1)
  expect(native && isNull).toBe(false)
  const out = new ByteWriter(0)
  out.zeros(LEAD)
  if (!isNull) codec.encode!(vector, 1, out)
  return { native, isNull, encoded: hexEncode(out.take().subarray(LEAD)) }
}

/** The payload is native and comes back as it was. */
export function expectNative(codec: Codec, payload: Uint8Array): void {
  expect(roundTrip(codec, payload)).toEqual({ native: true, isNull: false, encoded: hexEncode(payload) })
}

/** Law 1 and 3 for one payload; returns whether it was a value of the type. */
export function expectCodecLawful(codec: Codec, payload: Uint8Array): boolean {
  expectLawful(codec, payload)
  const first = roundTrip(codec, payload)
  if (first === undefined) return false
  if (!first.native) expect(codec.overflows).toBe(true)
  if (!first.isNull) expect(roundTrip(codec, hexDecode(first.encoded))?.encoded).toBe(first.encoded)
  return true
}

/** Payload and text pairs of a server; the laws over damaged ones, arbitrary bytes and damaged texts. */
export function expectCodec(codec: Codec, pairs: readonly (readonly [payloadHex: string, text: string])[], numRuns = 1000): void {
  const payloads = pairs.map(([hex]) => hexDecode(hex))
  pairs.forEach(([, text], i) => {
    expectPair(codec, payloads[i]!, text)
    const found = roundTrip(codec, payloads[i]!)
    if (found?.native) expect(found.encoded, text).toBe(hexEncode(payloads[i]!))
    else expect(found?.native, text).toBe(false)
  })
  const length = payloads[0]!.length
  const exact = fc.uint8Array({ minLength: length, maxLength: length })
  fc.assert(fc.property(damaged(payloads), (payload) => void expectCodecLawful(codec, payload)), { numRuns })
  fc.assert(fc.property(exact, (payload) => void expectCodecLawful(codec, payload)), { numRuns })
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (payload) => void expectCodecLawful(codec, payload)), { numRuns })
  const texts = pairs.map(([, text]) => new TextEncoder().encode(text))
  fc.assert(fc.property(damaged(texts), (text) => expectStrictParse(codec, text)), { numRuns })
}
