import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteWriter, hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { arrayCodec } from '../../src/datum/types/array.ts'
import { boolCodec } from '../../src/datum/types/bool.ts'
import { type Codec, ParseError } from '../../src/datum/codec.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { compositeCodec } from '../../src/datum/types/composite.ts'
import { boxCodec } from '../../src/datum/types/geometric.ts'
import { int4Codec, int8Codec } from '../../src/datum/types/int.ts'
import { int2vectorCodec, oidvectorCodec } from '../../src/datum/types/oidvector.ts'
import { timetzCodec } from '../../src/datum/types/timetz.ts'
import type { BytesVector, ListVector } from '../../src/vector/vector.ts'
import { expectCodec, expectNative, roundTrip } from './codeclaws.ts'
import { INT4, payloads, textType, VARLENA, VARLENA_DOUBLE } from './containers.ts'
import { expectLawful, expectStrictParse, parseOf, textOf } from './textlaws.ts'

const int4Array = arrayCodec(int4Codec, { oid: 23, len: 4, align: 4, delimiter: ',' })
const int8Array = arrayCodec(int8Codec, { oid: 20, len: 8, align: 8, delimiter: ',' })
const textArray = arrayCodec(textType, { oid: 25, len: -1, align: 4, delimiter: ',' })

/** Stored by a server (PG 15). */
const INT4_VECTORS = payloads([
  ['430100000000000000170000000300000001000000010000000200000003000000', '{1,2,3}'],
  ['4b010000002000000017000000030000000100000005000000000000000100000003000000', '{1,NULL,3}'],
  ['1b000000000000000017000000', '{}'],
  ['5b0200000000000000170000000200000002000000000000000500000001000000020000000300000004000000', '[0:1][5:6]={{1,2},{3,4}}'],
])
const TEXT_VECTORS = payloads([
  [
    '8301000000200000001900000006000000010000003b0000000000000014000000610000001c00000062206300200000004e554c4c100000001c00000064226500',
    '{a,"b c",NULL,"NULL","","d\\"e"}',
  ],
])

describe('array', () => {
  test('int4[]: server vectors and laws', () => expectCodec(int4Array, INT4_VECTORS))
  test('text[]: server vectors and laws', () => expectCodec(textArray, TEXT_VECTORS))

  test('fixed-width elements of other sizes', () => {
    expectCodec(int8Array, payloads([['4b010000002000000014000000020000000100000001000000000000000100000000000000', '{1,NULL}']]))
    const bools = arrayCodec(boolCodec, { oid: 16, len: 1, align: 1, delimiter: ',' })
    expectCodec(bools, payloads([['310100000000000000100000000300000001000000010001', '{t,f,t}']]))
    const timetzs = arrayCodec(timetzCodec, { oid: 1266, len: 12, align: 8, delimiter: ',' })
    expectCodec(timetzs, payloads([[
      '6b0100000000000000f2040000020000000100000000b0eb0e0a000000f0f1ffff0000000000547fe50a000000201c000000000000',
      '{12:00:00+01,13:00:00-02}',
    ]]))
    const boxes = arrayCodec(boxCodec, { oid: 603, len: 32, align: 8, delimiter: ';' })
    expectCodec(boxes, payloads([[
      'ab01000000000000005b020000020000000100000000000000000008400000000000001040000000000000f03f0000000000000040' +
        '0000000000001c40000000000000204000000000000014400000000000001840',
      '{(3,4),(1,2);(7,8),(5,6)}',
    ]]))
  })

  test('which arrays a list holds', () => {
    const native = (text: string) => roundTrip(int4Array, parseOf(int4Array, text))?.native
    expect(native('{}')).toBe(true)
    expect(native('{NULL,1}')).toBe(true)
    expect(native('{{1}}')).toBe(false)
    expect(native('[0:0]={1}')).toBe(false)
    expect(native('[2:3]={1,NULL}')).toBe(false)
  })

  test('an element that overflows makes the whole array overflow, and leaves no child rows', () => {
    const bad = hexDecode('01000000000000001900000002000000010000001400000061000000' + '14000000ff000000')
    const list = newVector(textArray.column) as ListVector<BytesVector>
    expect(textArray.decode(bad, 0, bad.length, list)).toBe(false)
    expect([list.length, list.child.length, list.child.data.length, list.isNull(0)]).toEqual([1, 0, 0, true])
    const good = parseOf(textArray, '{x,NULL,yz}')
    expect(textArray.decode(good, 0, good.length, list)).toBe(true)
    expect([list.start(1), list.end(1), list.child.isNull(1)]).toEqual([0, 3, true])
    expect(textOf(textArray, bad)).toBe('{a,"\\\\xff"}')
    expect(hexEncode(parseOf(textArray, '{a,"\\\\xff"}'))).toBe(hexEncode(bad))
  })

  test('short and compressed elements are read, out-of-line ones are corruption', () => {
    const header = '010000000000000019000000' + '0100000001000000'
    expect(textOf(textArray, hexDecode(`${header}0561`))).toBe('{a}')
    // 4B_C, pglz: one literal 'a' and a match of 20 at distance 1
    const compressed = '36000000' + '15000000' + '02610f0102'
    expect(textOf(textArray, hexDecode(header + compressed))).toBe(`{${'a'.repeat(21)}}`)
    expect(() => textOf(textArray, hexDecode(`${header}0112${'00'.repeat(16)}`))).toThrow(CorruptionError)
  })

  test('lying headers are corruption, soon', () => {
    const lies = [
      '070000000000000017000000', 'ffffffff0000000017000000', '010000000000000017000000', '010000000000000017000000ffffffff01000000',
      '010000000000000017000000ffffff7f01000000', '01000000000000001700000002000000ffffff7f0000000000000000',
      '01000000000000001900000001000000010000000100000000', '0100000018000000170000000100000001000000',
      '01000000210000001700000001000000010000000100000000',
      '0100000000000000170000000000000401000000', '06000000000000001700000000100000001000000010000000100000001000000010000001000000',
    ]
    for (const lie of lies) {
      expect(() => textOf(int4Array, hexDecode(lie)), lie).toThrow(CorruptionError)
      expect(roundTrip(int4Array, hexDecode(lie)), lie).toBeUndefined()
    }
  })

  test('text that is not canonical is refused', () => {
    const wrong = [
      '', '{', '}', '{1', '{1}}', '{1,}', '{,1}', '{ 1}', '{1 }', '{"1"}', '{null}', '{{1},2}', '{{1},{2,3}}', '{{}}', '[1:1]={1}',
      '[0:1]={1}',
      '[0:0]{1}', '[0:]={1}', '[00:0]={1}', '[0:0][0:0]={1}', '{{{{{{{1}}}}}}}', '{1}x', '[0:-1]={}', '{1\\2}',
    ]
    for (const text of wrong) expect(() => parseOf(int4Array, text), text).toThrow(ParseError)
    const texts = ['{a"b"}', '{"ab}', '{"a\\b"}', '{a\\"}', '{"x"y}', '{"a"}', '{"a""b"}']
    for (const text of texts) expect(() => parseOf(textArray, text), text).toThrow(ParseError)
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'{}",\\[]:=N1U L') }), (text) => {
      expectStrictParse(textArray, new TextEncoder().encode(text))
    }), { numRuns: 3000 })
  })
})

/** Words that need every rule of quoting. */
const word = fc.oneof(
  fc.constantFrom('', 'NULL', 'null', 'Nul', '\\', '"', '\\"', '""', '{}', '(,)', '[a,b)', ' ', '\t\n\v\f\r', 'é€😀', '\u00a0', '\\x',
    'a;b', "'"),
  fc.string({ unit: fc.constantFrom(...'ab"\\{}(),[] ;N') }),
  fc.string({ unit: 'binary' }).filter((s) => !s.includes('\0')),
)

/** (text, text[]) in an array in a composite: every level quotes what the inner one wrote. */
const pair = compositeCodec(70001, [
  { name: 'a', layout: VARLENA, codec: textType },
  { name: 'gone', layout: INT4, codec: null },
  { name: 'b', layout: VARLENA, codec: textArray },
])
const pairArray = arrayCodec(pair, { oid: 70001, len: -1, align: 8, delimiter: ',' })
const outer = compositeCodec(70002, [
  { name: 'n', layout: INT4, codec: int4Codec },
  { name: 'pairs', layout: VARLENA_DOUBLE, codec: pairArray },
])

type Pair = { a: string | null; b: (string | null)[] | null } | null

/** Blanks beyond ASCII need no quotes. */
function ascii(text: string): string {
  return text.replaceAll(/[^\x00-\x7f]/g, 'x')
}

function quotedArray(items: (string | null)[]): string {
  const special = /^$|^null$|[\s"\\{},]/i
  const quote = (s: string) => (special.test(ascii(s)) ? `"${s.replaceAll(/["\\]/g, '\\$&')}"` : s)
  return `{${items.map((item) => (item === null ? 'NULL' : quote(item))).join(',')}}`
}

function quotedRow(fields: (string | null)[]): string {
  const quote = (s: string) => (/^$|[\s"\\(),]/.test(ascii(s)) ? `"${s.replaceAll(/["\\]/g, '$&$&')}"` : s)
  return `(${fields.map((field) => (field === null ? '' : quote(field))).join(',')})`
}

const words = fc.array(fc.option(word), { maxLength: 4 })
const arbitraryPair: fc.Arbitrary<Pair> = fc.option(fc.record({ a: fc.option(word), b: fc.option(words) }))

describe('nesting', () => {
  test('array of words: parse of text is the identity, and the list holds it', () => {
    fc.assert(fc.property(fc.array(fc.option(word), { maxLength: 9 }), (words) => {
      const text = quotedArray(words)
      const payload = parseOf(textArray, text)
      expect(textOf(textArray, payload)).toBe(text)
      expectNative(textArray, payload)
    }))
  })

  test('composites of arrays of composites of arrays', () => {
    fc.assert(fc.property(fc.option(fc.integer()), fc.option(fc.array(arbitraryPair, { maxLength: 4 })), (n, pairs) => {
      const inner = pairs?.map((p) => p && quotedRow([p.a, p.b && quotedArray(p.b)]))
      const text = quotedRow([n === null ? null : String(n), inner ? quotedArray(inner) : null])
      const payload = parseOf(outer, text)
      expect(textOf(outer, payload)).toBe(text)
      expectNative(outer, payload)
      const cut = payload.slice(0, -1)
      expectLawful(outer, cut)
    }))
  })

  test('damage deep inside is corruption or a value', () => {
    const inner = [quotedRow(['abc,', quotedArray(['x', null, '"'])]), null]
    const payload = parseOf(outer, quotedRow(['7', quotedArray(inner)]))
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(payload.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }), (edits) => {
      const bytes = payload.slice()
      for (const [at, byte] of edits) bytes[at] = byte
      expectLawful(outer, bytes)
      roundTrip(outer, bytes)
    }), { numRuns: 3000 })
  })

  test('cstrings lie without header or alignment', () => {
    const cstrings = arrayCodec(textType, { oid: 2275, len: -2, align: 1, delimiter: ',' })
    const payload = parseOf(cstrings, '{ab,NULL,"",c}')
    expect(hexEncode(payload).slice(-12)).toBe('616200006300')
    expect(textOf(cstrings, payload)).toBe('{ab,NULL,"",c}')
    expectNative(cstrings, payload)
    expect(() => textOf(cstrings, payload.slice(0, -1))).toThrow(CorruptionError)
  })

  test('an array whose elements have no parse has none', () => {
    const opaque: Codec = { column: { kind: 'binary' }, overflows: false, decode: () => true, text: () => {} }
    const codec = arrayCodec(opaque, { oid: 1, len: -1, align: 4, delimiter: ',' })
    expect([codec.encode, codec.parse]).toEqual([undefined, undefined])
  })
})

describe('oidvector, int2vector', () => {
  test('server vectors and laws', () => {
    expectCodec(oidvectorCodec, payloads([
      ['9000000001000000000000001a0000000300000000000000010000000200000003000000', '1 2 3'],
    ]))
    expectCodec(int2vectorCodec, payloads([['7000000001000000000000001500000002000000000000000100feff', '1 -2']]))
    expectNative(int2vectorCodec, parseOf(int2vectorCodec, ''))
  })

  test('every value is native', () => {
    fc.assert(fc.property(fc.array(fc.nat(0xffffffff), { maxLength: 20 }), (oids) => {
      const out = new ByteWriter()
      oidvectorCodec.parse!(new TextEncoder().encode(oids.join(' ')), 0, oids.join(' ').length, out)
      expectNative(oidvectorCodec, out.take())
      expect(textOf(oidvectorCodec, out.take())).toBe(oids.join(' '))
    }))
  })
})
