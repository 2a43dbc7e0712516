import { describe, expect, test } from 'vitest'
import { ByteWriter, hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { hstoreCodec } from '../../src/datum/types/hstore.ts'
import type { BytesVector, ListVector, StructVector } from '../../src/vector/vector.ts'
import { expectLaws, expectVectors, parseOf, payloadOf, textOf } from './textlaws.ts'

const codec = hstoreCodec(undefined)

/** Stored by a server (PG 15). */
const VECTORS = [
  ['4b030000800100008002000000030000000600000008000000080000406131637820796262', '"a"=>"1", "c"=>"x y", "bb"=>NULL'],
  ['0b00000080', ''],
] as const

describe('hstore', () => {
  test('server vectors, both directions', () => expectVectors(codec, VECTORS))
  test('laws over damaged payloads and texts', () => expectLaws(codec, VECTORS))

  test('the column is a map', () => {
    const column = newVector(codec.column) as ListVector<StructVector>
    for (const [datum] of VECTORS) {
      const payload = payloadOf(datum)
      expect(codec.decode(payload, 0, payload.length, column)).toBe(true)
    }
    const [keys, values] = column.child.children as [BytesVector, BytesVector]
    expect([0, 1, 2].map((row) => Buffer.from(keys.view(row)).toString())).toEqual(['a', 'c', 'bb'])
    expect([0, 1, 2].map((row) => (values.isNull(row) ? null : Buffer.from(values.view(row)).toString()))).toEqual(['1', 'x y', null])
    VECTORS.forEach(([datum], row) => {
      const out = new ByteWriter()
      codec.encode!(column, row, out)
      expect(hexEncode(out.take())).toBe(hexEncode(payloadOf(datum)))
    })
  })

  test('strings that are no UTF-8 overflow as hex and leave nothing behind', () => {
    const payload = hexDecode('02000080' + '01000080' + '02000000' + '04000000' + '05000000' + '61' + '62' + 'ffff' + '63')
    const column = newVector(codec.column) as ListVector<StructVector>
    expect(codec.decode(payload, 0, payload.length, column)).toBe(false)
    expect([column.length, column.isNull(0), column.child.length]).toEqual([1, true, 0])
    expect(column.child.children.map((child) => child.length)).toEqual([0, 0])
    expect(textOf(codec, payload)).toBe(`\\x${hexEncode(payload)}`)
    expect(hexEncode(parseOf(codec, textOf(codec, payload)))).toBe(hexEncode(payload))
  })
})
