import { describe, expect, test } from 'vitest'
import { ByteWriter, hexEncode } from '../../src/common/bytes.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { floatToHalf, halfToFloat } from '../../src/datum/types/half.ts'
import { halfvecCodec, sparsevecCodec, vectorCodec } from '../../src/datum/types/pgvector.ts'
import { expectLaws, expectVectors, payloadOf } from './textlaws.ts'

/*
 * By the extension's documentation and headers; no server of the test set has pgvector.
 */
const VECTOR = [
  ['21' + '03000000' + '0000803f' + '00000040' + '00004040', '[1,2,3]'],
  ['19' + '02000000' + '0000003f' + '000080bf', '[0.5,-1]'],
] as const
const HALFVEC = [['11' + '02000000' + '003e' + '00c0', '[1.5,-2]']] as const
const SPARSEVEC = [
  ['2b' + '05000000' + '01000000' + '00000000' + '02000000' + '0000c03f', '{3:1.5}/5'],
  ['19' + '05000000' + '00000000' + '00000000', '{}/5'],
] as const

describe('pgvector', () => {
  test('vectors, both directions', () => {
    expectVectors(vectorCodec, VECTOR)
    expectVectors(halfvecCodec, HALFVEC)
    expectVectors(sparsevecCodec, SPARSEVEC)
  })

  test('laws over damaged payloads and texts', () => {
    expectLaws(vectorCodec, VECTOR)
    expectLaws(halfvecCodec, HALFVEC)
    expectLaws(sparsevecCodec, SPARSEVEC)
  })

  test('lists bring back the payload', () => {
    for (const [codec, datum] of [[vectorCodec, VECTOR[0][0]], [halfvecCodec, HALFVEC[0][0]]] as const) {
      const payload = payloadOf(datum)
      const column = newVector(codec.column)
      expect(codec.decode(payload, 0, payload.length, column)).toBe(true)
      const out = new ByteWriter()
      codec.encode!(column, 0, out)
      expect(hexEncode(out.take())).toBe(hexEncode(payload))
    }
  })

  test('every half is a float, no other float is a half', () => {
    const view = new DataView(new ArrayBuffer(4))
    for (let half = 0; half < 0x10000; half++) {
      const float = halfToFloat(half)
      expect(floatToHalf(float)).toBe(half)
      view.setInt32(0, float)
      const fraction = half & 0x3ff
      const scale = (half & 0x7c00) === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (((half >> 10) & 31) - 25)
      if ((half & 0x7c00) !== 0x7c00) expect(view.getFloat32(0)).toBe(half & 0x8000 ? -scale : scale)
    }
    for (const value of [0.1, 65536, 1e-10, 65519, 1e38]) {
      view.setFloat32(0, value)
      expect(floatToHalf(view.getInt32(0))).toBeUndefined()
    }
  })
})
