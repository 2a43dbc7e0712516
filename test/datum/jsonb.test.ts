import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteWriter, hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { utf8Encode } from '../../src/common/utf8.ts'
import { ParseError } from '../../src/datum/codec.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { jsonbCodec } from '../../src/datum/types/jsonb.ts'
import type { BytesVector } from '../../src/vector/vector.ts'
import { expectLaws, expectVectors, parseOf, textOf } from './textlaws.ts'

const codec = jsonbCodec(undefined)
const form = { text: codec.text, parse: codec.parse }

/** Stored by a server (PG 15). */
const VECTORS = [
  ['0b00000020', '{}'],
  ['0b00000040', '[]'],
  ['1301000050000000c0', 'null'],
  ['1301000050000000b0', 'true'],
  ['2301000050080000902000000000800100', '1'],
  ['190100005003000080737472', '"str"'],
  [
    '73030000200100008001000000020000000800001008000010080000106162616120000000008003002000000000800100200000000080' +
      '0200',
    '{"a": 3, "b": 1, "aa": 2}',
  ],
  [
    '97060000400800009001000000000000400000003000000020250000502000000000800100780000000100002001000080150000506b00' +
      '0000010000400a00009028000000808001008813',
    '[1, "x", null, true, false, {"k": [1.5]}]',
  ],
  [
    '830400002001000080010000000100000001000000010000000d000010020000000800001061626364780000002800000000810100c409' +
      '79792000000000a00700',
    '{"a": "x", "b": 1.25, "c": "yy", "d": -7}',
  ],
  ['1d0100005005000080c3a90a225c', '"é\\n\\"\\\\"'],
  ['2b02000040040000d0040000500000004000000020', '[[], {}]'],
  ['27010000500a00009028000000008101008813', '1.50'],
  ['230100005008000090200000000080e803', '1000'],
] as const

/** Canonical text of a value built by fast-check: keys by length then bytes, separators as jsonb_out writes them. */
function print(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return `[${value.map(print).join(', ')}]`
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).map(([key, item]) => [utf8Encode(key), key, item] as const)
    entries.sort(([a], [b]) => a.length - b.length || (hexEncode(a) < hexEncode(b) ? -1 : 1))
    return `{${entries.map(([, key, item]) => `${JSON.stringify(key)}: ${print(item)}`).join(', ')}}`
  }
  return JSON.stringify(value)
}

const word = fc.string({ unit: 'binary', maxLength: 12 }).filter((text) => !text.includes('\0'))
const scalar = fc.oneof(word, fc.boolean(), fc.constant(null), fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }))
const document = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    scalar,
    fc.array(tie('value'), { maxLength: 70 }),
    fc.dictionary(word, tie('value'), { maxKeys: 70 }),
  ),
})).value

describe('jsonb', () => {
  test('server vectors, both directions', () => expectVectors(form, VECTORS))

  test('laws over damaged payloads and texts', () => expectLaws(form, VECTORS, 10_000))

  test('canonical text survives', () => {
    fc.assert(
      fc.property(document, (value) => {
        const text = print(value)
        expect(textOf(form, parseOf(form, text))).toBe(text)
      }),
      { numRuns: 500 },
    )
  })

  test('texts no server prints are refused', () => {
    const texts = [
      '', ' ', '{', '[', '[1,2]', '[1, 2', '[1, 2]]', '[1, 2] ', '[ ]', '{ }', '{"a":1}', '{"b": 1, "a": 1}', '{"a": 1, "a": 1}',
        '{"bb": 1, "a": 1}',
      '1e5', '01', '-0', '+1', 'nul', 'True', '"\\u0041"', '"\\u0000"', '"\\u0008"', '"\\u001F"', '"\\/"', '"\t"', '"', '"\\', '"a',
        '[1, ]', '[, 1]',
      '{1: 2}', '{"a": }', '{"a"}', '["a": 1]', '{"a", "b"}', 'NaN', '{"x": 1"a": :::}', '[}', '{]', '\\x0', '\\xAB', '\\',
    ]
    for (const text of texts) expect(() => parseOf(form, text), text).toThrow(ParseError)
    expect(() => parseOf(form, hexDecode('22ff22'))).toThrow(ParseError)
  })

  test('strings that are no UTF-8 overflow as hex', () => {
    for (const stringHex of ['ff', 'c0', '6100', 'eda080', 'e282']) {
      const bytes = hexDecode(stringHex)
      const payload = new Uint8Array([1, 0, 0, 0x50, bytes.length, 0, 0, 0x80, ...bytes])
      const column = newVector(codec.column) as BytesVector
      expect(codec.decode(payload, 0, payload.length, column)).toBe(false)
      expect(column.length).toBe(1)
      expect(column.isNull(0)).toBe(true)
      expect(textOf(form, payload)).toBe(`\\x${hexEncode(payload)}`)
      expect(hexEncode(parseOf(form, textOf(form, payload)))).toBe(hexEncode(payload))
    }
  })

  test('decode and encode through a column', () => {
    const column = newVector(codec.column) as BytesVector
    VECTORS.forEach(([datum]) => {
      const bytes = hexDecode(datum)
      expect(codec.decode(bytes, bytes[0]! & 1 ? 1 : 4, bytes.length, column)).toBe(true)
    })
    VECTORS.forEach(([datum, text], row) => {
      expect(Buffer.from(column.view(row)).toString()).toBe(text)
      const out = new ByteWriter()
      codec.encode!(column, row, out)
      expect(datum.endsWith(hexEncode(out.take()))).toBe(true)
    })
  })

  test('a million levels', () => {
    const depth = 1_000_000
    const text = `${'['.repeat(depth)}${']'.repeat(depth)}`
    expect(textOf(form, parseOf(form, text)) === text).toBe(true)
    const objects = `${'{"a": '.repeat(depth)}1${'}'.repeat(depth)}`
    expect(textOf(form, parseOf(form, objects)) === objects).toBe(true)
    const unclosed = '['.repeat(depth)
    expect(() => parseOf(form, unclosed)).toThrow(ParseError)
  })

  test('damage is told', () => {
    for (const payload of ['', '0000', '00000000', '01000040', 'ffffff4f', 'ffffff2f', '0100005000000060', '0200005000000080',
      '0100004005000000']) {
      expect(() => textOf(form, hexDecode(payload)), payload).toThrow(CorruptionError)
    }
  })
})
