import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter, hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { utf8Encode } from '../../src/common/utf8.ts'
import { byteaCodec } from '../../src/datum/types/bytea.ts'
import { charCodec } from '../../src/datum/types/char.ts'
import { type Codec, ParseError } from '../../src/datum/codec.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { textEncoding } from '../../src/datum/encoding/encodings.ts'
import { enumCodec } from '../../src/datum/types/enum.ts'
import { nameCodec } from '../../src/datum/types/name.ts'
import { opaqueCodec } from '../../src/datum/types/opaque.ts'
import { stringCodec } from '../../src/datum/types/text.ts'
import type { TypeDef } from '../../src/datum/typedef.ts'
import type { BytesVector } from '../../src/vector/vector.ts'
import { expectLawful, expectPair, expectStrictParse, parseOf, payloadOf, textOf } from './textlaws.ts'

const UTF8 = textEncoding(6)
const LATIN1 = textEncoding(8)
const EUC_JP = textEncoding(1)

const MOOD: TypeDef = {
  oid: 16384, name: 'mood', schema: 'public', kind: 'enum', len: 4, align: 4, storage: 'p', delimiter: ',',
  labels: [[16386, 'sad'], [16424, 'sád'], [16938, 'ok'], [16392, '\\x01000000'], [16394, '']],
}

const CODECS: Record<string, Codec> = {
  text: stringCodec(UTF8), 'text in LATIN1': stringCodec(LATIN1), 'text in EUC_JP': stringCodec(EUC_JP),
  'text in SQL_ASCII': stringCodec(textEncoding(0)), 'text in WIN1252': stringCodec(textEncoding(24)),
  name: nameCodec(UTF8), 'name in EUC_JP': nameCodec(EUC_JP),
  'char 15': charCodec(15, UTF8), 'char 14': charCodec(14, UTF8), 'char 14 in LATIN1': charCodec(14, LATIN1),
  bytea: byteaCodec, opaque: opaqueCodec, mood: enumCodec(MOOD),
}
const FIXED_SIZE: Record<string, number> = { name: 64, 'name in EUC_JP': 64, 'char 15': 1, 'char 14': 1, 'char 14 in LATIN1': 1, mood: 4 }

/** The column value in hex, null if it overflowed. */
function decode(codec: Codec, payload: string): string | null {
  const column = newVector(codec.column) as BytesVector
  column.push(Uint8Array.of(1, 2))
  const source = hexDecode(`ee${payload}ee`)
  const exact = codec.decode(source, 1, source.length - 1, column)
  expect(column.length).toBe(2)
  expect(column.isNull(1)).toBe(!exact)
  if (!exact) expect(column.end(1)).toBe(2)
  return exact ? hexEncode(column.view(1)) : null
}

/** Payload in hex that encode makes of a column value in hex. */
function encode(codec: Codec, value: string): string {
  const column = newVector(codec.column) as BytesVector
  column.push(Uint8Array.of(0x61))
  column.push(hexDecode(value))
  const out = new ByteWriter(1)
  out.u8(9)
  codec.encode!(column, 1, out)
  return hexEncode(out.take()).slice(2)
}

/** Stored datums with the server's ::text (Postgres 15). */
const SAMPLES: readonly (readonly [type: string, datumHex: string, text: string])[] = [
  ['char', '61', 'a'], ['char', '00', ''],
  ['name', `68656c6c6f${'00'.repeat(59)}`, 'hello'],
  ['text', '03', ''], ['text', '09616263', 'abc'], ['varchar', '09616263', 'abc'],
  ['bpchar', '0d6162202020', 'ab'], ['citext', '09416243', 'AbC'],
  ['bytea', '0900ff41', '\\x00ff41'], ['bytea', '03', '\\x'],
  ['json', '297b2262223a312c202261223a205b312c325d7d', '{"b":1, "a": [1,2]}'],
  ['xml', '133c613e783c2f613e', '<a>x</a>'],
  ['mood', '2a420000', 'ok'],
]

function samples(type: string): (readonly [datumHex: string, text: string])[] {
  return SAMPLES.filter((sample) => sample[0] === type).map(([, datumHex, text]) => [datumHex, text])
}

function payloads(name: string): fc.Arbitrary<Uint8Array> {
  const size = FIXED_SIZE[name]
  const any = fc.uint8Array({ maxLength: 70 })
  const high = fc.uint8Array({ min: 0xa1, max: 0xfe, maxLength: 8 })
  const text = fc.string({ unit: 'grapheme', maxLength: 12 }).map(utf8Encode)
  if (name === 'mood') {
    const known = fc.constantFrom(...MOOD.labels!).map(([oid]) => Uint8Array.of(oid, oid >> 8, 0, 0))
    return fc.oneof(known, fc.uint8Array({ minLength: 4, maxLength: 4 }), any)
  }
  if (size === undefined) return fc.oneof(any, high, text)
  const padded = fc.oneof(fc.uint8Array({ maxLength: size }), high, text).map((bytes) => {
    const payload = new Uint8Array(size)
    payload.set(bytes.subarray(0, size === 1 ? 1 : size - 1))
    return payload
  })
  return fc.oneof({ weight: 5, arbitrary: padded }, { weight: 1, arbitrary: any })
}

describe.each(Object.keys(CODECS))('laws of %s', (name) => {
  const codec = CODECS[name]!

  it('any payload: CorruptionError, or an exact value that encodes to a payload of the same value, or null', () => {
    fc.assert(fc.property(payloads(name), (payload) => {
      let value: string | null
      try {
        value = decode(codec, hexEncode(payload))
      } catch (error) {
        expect(error).toBeInstanceOf(CorruptionError)
        expect(() => textOf(codec, payload)).toThrow(CorruptionError)
        return
      }
      expect(codec.overflows || value !== null).toBe(true)
      if (value !== null) expect(decode(codec, encode(codec, value))).toBe(value)
      else expect(textOf(codec, payload)).toMatch(/^\\x([0-9a-f]{2})*$/)
      if (value !== null && codec.column.kind === 'string') expect(hexEncode(utf8Encode(textOf(codec, payload)))).toBe(value)
    }), { numRuns: 3000 })
  })

  it('parse is the inverse of text, and takes nothing else', () => {
    fc.assert(fc.property(payloads(name), (payload) => expectLawful(codec, payload)), { numRuns: 2000 })
    const texts = fc.oneof(fc.string({ maxLength: 8 }).map(utf8Encode), fc.string({ unit: 'grapheme', maxLength: 8 }).map(utf8Encode),
      fc.uint8Array({ maxLength: 8 }).map((bytes) => utf8Encode(`\\x${hexEncode(bytes)}`)), fc.uint8Array({ maxLength: 8 }))
    fc.assert(fc.property(texts, (text) => expectStrictParse(codec, text)), { numRuns: 2000 })
  })

  it('an overflowed payload comes back from its text', () => {
    fc.assert(fc.property(payloads(name), (payload) => {
      const size = FIXED_SIZE[name]
      if (size !== undefined && (payload.length !== size || (size === 64 && !payload.includes(0)))) return
      if (decode(codec, hexEncode(payload)) !== null) return
      if (size === 64) payload.fill(0, payload.indexOf(0))
      expect(hexEncode(parseOf(codec, textOf(codec, payload)))).toBe(hexEncode(payload))
    }), { numRuns: 3000 })
  })

  it('bytes that are not there throw', () => {
    const column = newVector(codec.column)
    for (const [start, end] of [[-1, 3], [3, 2], [0, 65], [60, 124]] as const) {
      expect(() => codec.decode(new Uint8Array(64).fill(0x61), start, end, column)).toThrow(CorruptionError)
      expect(() => codec.text(new Uint8Array(64).fill(0x61), start, end, new ByteWriter())).toThrow(CorruptionError)
    }
    expect(column.length).toBe(0)
  })
})

describe('server samples', () => {
  it.each(['text', 'varchar', 'json', 'xml', 'citext'])('%s', (type) => {
    expect(samples(type).length).toBeGreaterThan(0)
    for (const [datumHex, text] of samples(type)) expectPair(stringCodec(UTF8), payloadOf(datumHex), text)
  })

  it('bpchar keeps the blanks that the cast to text strips', () => {
    for (const [datumHex, text] of samples('bpchar')) expectPair(stringCodec(UTF8), payloadOf(datumHex), text.padEnd(5))
  })

  it('bytea, name, "char", enum', () => {
    for (const [datumHex, text] of samples('bytea')) expectPair(byteaCodec, payloadOf(datumHex), text)
    for (const [datumHex, text] of samples('name')) expectPair(nameCodec(UTF8), hexDecode(datumHex), text)
    for (const [datumHex, text] of samples('char')) expectPair(charCodec(15, UTF8), hexDecode(datumHex), text)
    for (const [datumHex, text] of samples('mood')) expectPair(enumCodec(MOOD), hexDecode(datumHex), text)
  })
})

describe('string types', () => {
  it('what is text in the database encoding is UTF-8 in the column', () => {
    expect(decode(stringCodec(LATIN1), '636166e9')).toBe('636166c3a9')
    expect(encode(stringCodec(LATIN1), '636166c3a9')).toBe('636166e9')
    expect(decode(stringCodec(UTF8), '636166e9')).toBeNull()
    expect(() => encode(stringCodec(LATIN1), 'e6bca2')).toThrow(ParseError)
  })

  it('hex of text that is valid is that text, not its bytes', () => {
    expect(hexEncode(parseOf(stringCodec(UTF8), '\\x41'))).toBe('5c783431')
    expect(hexEncode(parseOf(stringCodec(UTF8), '\\xff'))).toBe('ff')
    expect(hexEncode(parseOf(stringCodec(UTF8), '\\x'))).toBe('5c78')
  })

  it('a name ends at its first zero byte and has one', () => {
    expect(decode(nameCodec(UTF8), `61${'00'.repeat(62)}62`)).toBe('61')
    expect(() => decode(nameCodec(UTF8), '61'.repeat(64))).toThrow('no zero byte')
    expect(() => encode(nameCodec(UTF8), '61'.repeat(64))).toThrow(ParseError)
    expect(encode(nameCodec(UTF8), '61'.repeat(63))).toBe(`${'61'.repeat(63)}00`)
  })

  it('a zero byte is the empty "char" and no other text', () => {
    for (const name of ['char 15', 'char 14', 'char 14 in LATIN1']) {
      expect(decode(CODECS[name]!, '00')).toBe('')
      expect(encode(CODECS[name]!, '')).toBe('00')
      for (const text of ['\0', '\\000', '\\x00', '\\101', 'ab']) expect(() => parseOf(CODECS[name]!, text)).toThrow(ParseError)
    }
    expect(decode(CODECS['char 15']!, 'e9')).toBe(hexEncode(utf8Encode('\\351')))
    expect(decode(CODECS['char 14']!, 'e9')).toBeNull()
    expect(decode(CODECS['char 14 in LATIN1']!, 'e9')).toBe('c3a9')
  })

  it('an oid without a label overflows', () => {
    expect(decode(enumCodec(MOOD), '28400000')).toBe(hexEncode(utf8Encode('sád')))
    expect(decode(enumCodec(MOOD), '01000000')).toBeNull()
    expect(() => enumCodec(MOOD, true).text(Uint8Array.of(1, 0, 0, 0), 0, 4, new ByteWriter())).toThrow(/^datum.enum: enum mood has no label of oid 1$/)
    expect(hexEncode(parseOf(enumCodec(MOOD), '\\x02000000'))).toBe('02000000')
    expect(() => parseOf(enumCodec(MOOD), '\\x02400000')).toThrow(ParseError)
    expect(() => encode(enumCodec(MOOD), '6f6b6f')).toThrow(ParseError)
  })
})
