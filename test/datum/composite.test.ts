import { describe, expect, test } from 'vitest'
import { hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { type Codec, ParseError } from '../../src/datum/codec.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { compositeCodec } from '../../src/datum/types/composite.ts'
import { float8Codec } from '../../src/datum/types/float.ts'
import { int4Codec } from '../../src/datum/types/int.ts'
import type { BytesVector, StructVector } from '../../src/vector/vector.ts'
import { expectCodec, expectNative, roundTrip } from './codeclaws.ts'
import { INT4, INT8, payloads, textType, VARLENA } from './containers.ts'
import { parseOf, textOf } from './textlaws.ts'

/** create type comp as (a int4, b text, c float8); 16943 = 0x422f. */
const comp = compositeCodec(16943, [
  { name: 'a', layout: INT4, codec: int4Codec },
  { name: 'b', layout: VARLENA, codec: textType },
  { name: 'c', layout: INT8, codec: float8Codec },
])

/** Stored by a server (PG 15). */
const VECTORS = payloads([
  ['4bffffffff2f420000ffffffff000003000200180001000000096162630000000000000440', '(1,abc,2.5)'],
  ['33ffffffff2f420000ffffffff000003000300180209782079', '(,"x y",)'],
  ['35ffffffff2f420000ffffffff00000300030018030100000003', '(1,"",)'],
])

const header = (natts: string, infomask: string, hoff: string) => `ffffffff2f420000ffffffff0000${natts}${infomask}${hoff}`

describe('composite', () => {
  test('server vectors and laws', () => expectCodec(comp, VECTORS))

  test('a null composite is not a composite of nulls', () => {
    const struct = newVector(comp.column) as StructVector
    const nulls = parseOf(comp, '(,,)')
    expect(comp.decode(nulls, 0, nulls.length, struct)).toBe(true)
    struct.pushNull()
    expect([struct.isNull(0), struct.isNull(1)]).toEqual([false, true])
    expect(struct.children.map((child) => [child.length, child.isNull(0)])).toEqual([[2, true], [2, true], [2, true]])
    expectNative(comp, nulls)
  })

  test('a field that overflows takes the value with it', () => {
    const bad = hexDecode(`${header('0300', '0300', '18')}03` + '01000000' + '05ff')
    const struct = newVector(comp.column) as StructVector
    expect(comp.decode(bad, 0, bad.length, struct)).toBe(false)
    expect([struct.length, struct.isNull(0), struct.children.map((child) => child.length)]).toEqual([1, true, [1, 1, 1]])
    expect((struct.children[1] as BytesVector).data.length).toBe(0)
    expect(textOf(comp, bad)).toBe('(1,"\\\\xff",)')
    expect(hexEncode(parseOf(comp, '(1,"\\\\xff",)'))).toBe(hexEncode(bad))
  })

  test('a value older than its last attributes reads null there', () => {
    const old = hexDecode(`${header('0100', '0000', '18')}00` + '07000000')
    expect(textOf(comp, old)).toBe('(7,,)')
    const found = roundTrip(comp, old)
    expect(found?.native).toBe(true)
    expect(found?.encoded).not.toBe(hexEncode(old))
  })

  test('a field is compressed or has a long header', () => {
    const compressed = hexDecode(`${header('0300', '0300', '18')}02` + '36000000' + '15000000' + '02610f0102')
    expect(textOf(comp, compressed)).toBe(`(,${'a'.repeat(21)},)`)
    expect(roundTrip(comp, compressed)?.native).toBe(true)
    for (const length of [126, 127, 128, 3000]) {
      for (const text of [`(,${'é'.repeat(length >> 1)}${'x'.repeat(length & 1)},)`, `(1,${'z'.repeat(length)},2)`]) {
        const payload = parseOf(comp, text)
        expectNative(comp, payload)
        expect(textOf(comp, payload)).toBe(text)
      }
    }
  })

  test('dropped attributes are null, a value in one is left to the raw lane', () => {
    const dropped = compositeCodec(16943, [
      { name: '........pg.dropped.1........', layout: INT8, codec: null },
      { name: 'b', layout: VARLENA, codec: textType },
    ])
    expect(dropped.column).toEqual({ kind: 'struct', fields: [{ name: 'b', type: { kind: 'string' } }] })
    expectNative(dropped, parseOf(dropped, '(abc)'))
    const full = hexDecode(`${header('0200', '0200', '18')}00` + '0102030405060708' + '0561')
    expect(textOf(dropped, full)).toBe('(a)')
    expect(roundTrip(dropped, full)).toMatchObject({ native: true, encoded: hexEncode(parseOf(dropped, '(a)')) })
  })

  test('no live attributes: the text, for there is no empty struct', () => {
    const empty = compositeCodec(16943, [])
    const gone = compositeCodec(16943, [{ name: 'x', layout: INT4, codec: null }])
    for (const codec of [empty, gone]) {
      expect(codec.column).toEqual({ kind: 'string' })
      expect(textOf(codec, parseOf(codec, '()'))).toBe('()')
      expectNative(codec, parseOf(codec, '()'))
    }
    expect(parseOf(empty, '()').length).toBe(20)
  })

  test('names that differ only in case become different', () => {
    const names = ['A', 'a', 'B', 'a_2', 'a']
    const codec = compositeCodec(1, names.map((name) => ({ name, layout: INT4, codec: int4Codec })))
    const fields = codec.column.kind === 'struct' ? codec.column.fields.map((field) => field.name) : []
    expect(fields).toEqual(['A', 'a_2', 'B', 'a_2_4', 'a_5'])
  })

  test('what its fields lack it lacks', () => {
    const opaque: Codec = { column: { kind: 'binary' }, overflows: false, decode: () => true, text: () => {} }
    const codec = compositeCodec(1, [{ name: 'a', layout: VARLENA, codec: opaque }, { name: 'b', layout: INT4, codec: int4Codec }])
    expect([codec.encode, codec.parse, codec.overflows]).toEqual([undefined, undefined, false])
    expect(comp.overflows).toBe(true)
  })

  test('damage is corruption', () => {
    const bad = [
      '', 'ffffffff2f420000ffffffff000003000200',
      `ffffffff30420000${hexEncode(hexDecode(VECTORS[0]![0]).slice(8))}`,
      `${header('0300', '0200', '10')}00`,
      `${header('0300', '0200', '20')}00`,
      `${header('0300', '0200', '18')}00` + '0100',
      `${header('0300', '0300', '18')}02` + '0112' + '00'.repeat(16),
      `${header('0300', '0300', '18')}02` + '1561',
      `${header('ff07', '0100', '18')}02`,
    ]
    for (const hex of bad) {
      expect(() => textOf(comp, hexDecode(hex)), hex).toThrow(CorruptionError)
      expect(roundTrip(comp, hexDecode(hex)), hex).toBeUndefined()
    }
  })

  test('text that is not canonical is refused', () => {
    for (const text of ['', '(', '(1,a)', '(1,a,2,)', '(1,a,2)x', ' (1,a,2)', '(1,"a",2)', '(1,a b,2)', '(1,a\\,2)', '(1,"a\\""b",2)',
      '(1,"\\a",2)']) {
      expect(() => parseOf(comp, text), text).toThrow(ParseError)
    }
  })
})
