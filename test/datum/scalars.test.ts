import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteWriter, hexDecode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { boolCodec } from '../../src/datum/types/bool.ts'
import { type Codec, ParseError } from '../../src/datum/codec.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { float4Codec, float8Codec } from '../../src/datum/types/float.ts'
import { int2Codec, int4Codec, int8Codec } from '../../src/datum/types/int.ts'
import { macaddr8Codec, macaddrCodec } from '../../src/datum/types/macaddr.ts'
import { moneyCodec } from '../../src/datum/types/money.ts'
import { oidCodec, regCodec } from '../../src/datum/types/oid.ts'
import { lsnCodec } from '../../src/datum/types/pglsn.ts'
import { tidCodec } from '../../src/datum/types/tid.ts'
import { uuidCodec } from '../../src/datum/types/uuid.ts'
import type { WordVector } from '../../src/vector/vector.ts'
import { xid8Codec } from '../../src/datum/types/xid8.ts'
import { expectCodec, expectNative } from './codeclaws.ts'
import { parseOf } from './textlaws.ts'

/** Stored and printed by a server (PG 15); the bounds of int2, int4, int8, money and the reg types: see test/oracle/datum-scalars. */
const PAIRS: Record<string, [Codec, [string, string][]]> = {
  bool: [boolCodec, [['01', 't'], ['00', 'f']]],
  int2: [int2Codec, [['0080', '-32768'], ['ff7f', '32767']]],
  int4: [int4Codec, [['00000080', '-2147483648'], ['ffffff7f', '2147483647'], ['00000000', '0']]],
  int8: [int8Codec, [['fcffffffffffffff', '-4'], ['ffffffffffffff7f', '9223372036854775807'], ['0000000000000080',
    '-9223372036854775808']]],
  oid: [oidCodec, [['ffffffff', '4294967295'], ['4d000000', '77']]],
  reg: [regCodec, [['ffffffff', '4294967295'], ['00000000', '-']]],
  xid8: [xid8Codec, [['ffffffffffffffff', '18446744073709551615']]],
  tid: [tidCodec, [['ffffffffffff', '(4294967295,65535)'], ['000001000200', '(1,2)']]],
  float4: [float4Codec, [
    ['0000c03f', '1.5'], ['0000c07f', 'NaN'], ['000080ff', '-Infinity'], ['0050c347', '100000'], ['00247449', '1e+06'], ['38b49649',
      '1.234567e+06'],
    ['acc52737', '1e-05'], ['17b7d138', '0.0001'], ['00000080', '-0'], ['ffff7f7f', '3.4028235e+38'],
  ]],
  float8: [float8Codec, [
    ['0000901ec4bcd642', '100000000000000'], ['00003426f56b0c43', '1e+15'], ['350f63bab4697b43', '1.2345678901234568e+17'],
    ['9a9999999999b93f', '0.1'], ['f168e388b5f8e43e', '1e-05'], ['2d431cebe2361a3f', '0.0001'], ['000000000000f87f', 'NaN'],
    ['000000000000f07f', 'Infinity'], ['0000000000000080', '-0'], ['0100000000000000', '5e-324'], ['40de77832112dc42', '123456789012345'],
  ]],
  money: [moneyCodec, [['eb32a4f8ffffffff', '-$1,234,567.89'], ['0500000000000000', '$0.05'], ['0000000000000080',
    '-$92,233,720,368,547,758.08']]],
  'uuid portable': [uuidCodec({ profile: 'portable' }), [['a0eebc999c0b4ef8bb6d6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']]],
  'uuid iceberg': [uuidCodec({ profile: 'iceberg' }), [['a0eebc999c0b4ef8bb6d6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']]],
  macaddr: [macaddrCodec, [['08002b010203', '08:00:2b:01:02:03']]],
  macaddr8: [macaddr8Codec, [['08002b0102030405', '08:00:2b:01:02:03:04:05']]],
  pg_lsn: [lsnCodec, [['48d874b316000000', '16/B374D848']]],
}

describe.each(Object.entries(PAIRS))('%s', (_name, [codec, pairs]) => {
  test('vectors and laws', () => expectCodec(codec, pairs))

  test('every payload is native', () => {
    if (codec === boolCodec) return
    const length = pairs[0]![0].length / 2
    fc.assert(fc.property(fc.uint8Array({ minLength: length, maxLength: length }), (payload) => expectNative(codec, payload)),
      { numRuns: 2000 })
  })
})

test('a bool is 0 or 1', () => {
  expect(() => boolCodec.decode(hexDecode('02'), 0, 1, newVector(boolCodec.column))).toThrow(CorruptionError)
})

test('signalling NaNs keep their bits', () => {
  expectNative(float4Codec, hexDecode('0100807f'))
  expectNative(float8Codec, hexDecode('010000000000f07f'))
})

test('columns hold the number', () => {
  const decodeWords = (codec: Codec, hex: string): number[] => {
    const vector = newVector(codec.column) as WordVector
    codec.decode(hexDecode(hex), 0, hex.length / 2, vector)
    return [...vector.words.subarray(0, vector.wordsPerValue)]
  }
  expect(decodeWords(int2Codec, 'feff')).toEqual([-2])
  expect(decodeWords(oidCodec, 'ffffffff')).toEqual([-1, 0])
  expect(decodeWords(xid8Codec, 'ffffffffffffffff')).toEqual([-1, -1, 0, 0])
  expect(decodeWords(moneyCodec, 'eb32a4f8ffffffff')).toEqual([-123456789, -1, -1, -1])
})

test('a column value that does not fit the type is refused', () => {
  const push = (codec: Codec, words: number[]): WordVector => {
    const vector = newVector(codec.column) as WordVector
    if (words.length === 1) vector.push1(words[0]!)
    else if (words.length === 2) vector.push2(words[0]!, words[1]!)
    else vector.push4(words[0]!, words[1]!, words[2]!, words[3]!)
    return vector
  }
  const cases: [Codec, number[]][] = [[int2Codec, [32768]], [oidCodec, [0, 1]], [xid8Codec, [0, 0, 1, 0]], [moneyCodec, [0, -1, 0, 0]]]
  for (const [codec, words] of cases) expect(() => codec.encode!(push(codec, words), 0, new ByteWriter())).toThrow(CorruptionError)
})

test('text no output function writes is refused', () => {
  const cases: [Codec, string[]][] = [
    [int4Codec, ['', '-', '-0', '01', '+1', '2147483648', '-2147483649', '99999999999999999999', ' 1']],
    [oidCodec, ['-1', '4294967296']],
    [regCodec, ['0']],
    [xid8Codec, ['18446744073709551616', '99999999999999999999']],
    [moneyCodec, ['1.00', '$1', '$1.0', '$1000.00', '-$0.00', '$,100.00']],
    [float8Codec, ['1.0', '01', '1e5', '1e+15.0', '-NaN', 'nan', '.5', '3.99021125244555e+16']],
    [float4Codec, ['1.0', '0.10000000149', '16777217']],
    [lsnCodec, ['0/0a', '00/1']],
    [uuidCodec({ profile: 'portable' }), ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11']],
  ]
  for (const [codec, texts] of cases) for (const text of texts) expect(() => parseOf(codec, text), text).toThrow(ParseError)
})
