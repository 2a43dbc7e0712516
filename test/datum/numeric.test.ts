import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteWriter, hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { newVector } from '../../src/vector/columntype.ts'
import { type NumericCodec, numericCodec } from '../../src/datum/types/numeric.ts'
import type { WordVector } from '../../src/vector/vector.ts'
import { expectCodecLawful } from './codeclaws.ts'
import { damaged, parseOf } from './textlaws.ts'

const typmod = (precision: number, scale: number): number => ((precision << 16) | (scale & 0x7ff)) + 4
const plain = (displayScale = 0): NumericCodec => numericCodec(-1, { displayScale })
const declared = (precision: number, scale: number, displayScale = scale): NumericCodec => numericCodec(typmod(precision, scale),
  { displayScale })

interface Decoded {
  native: boolean
  /** Unscaled column value. */
  value: bigint | undefined
  encoded: string
  predicted: number
}

function decode(codec: NumericCodec, payload: Uint8Array): Decoded {
  const vector = newVector(codec.column) as WordVector
  vector.pushNull()
  const native = codec.decode(payload, 0, payload.length, vector)
  expect(vector.length).toBe(2)
  if (vector.isNull(1)) return { native, value: undefined, encoded: '', predicted: -1 }
  const out = new ByteWriter(0)
  codec.encode(vector, 1, out)
  let value = 0n
  for (let i = 7; i >= 4; i--) value = (value << 32n) | BigInt(vector.words[i]! >>> 0)
  return { native, value: BigInt.asIntN(128, value), encoded: hexEncode(out.take()), predicted: codec.predictScale(vector, 1) }
}

const decodeText = (codec: NumericCodec, text: string): Decoded => decode(codec, parseOf(codec, text))

/** What a decimal(precision, scale) holds of a decimal text: computed by long arithmetic. */
function expected(text: string, precision: number, scale: number): { unscaled: bigint | undefined; exact: boolean } {
  const [whole, fraction = ''] = text.replace('-', '').split('.') as [string, string?]
  const digits = BigInt(whole + fraction)
  const divisor = 10n ** BigInt(Math.max(0, fraction.length - scale))
  let unscaled = (digits * 10n ** BigInt(Math.max(0, scale - fraction.length))) / divisor
  const rest = digits % divisor
  if (rest * 2n > divisor || (rest * 2n === divisor && unscaled % 2n === 1n)) unscaled++
  const fits = unscaled < 10n ** BigInt(precision)
  return { unscaled: fits ? (text.startsWith('-') ? -unscaled : unscaled) : undefined, exact: rest === 0n }
}

const decimalText = (whole: number, fraction: number): fc.Arbitrary<string> =>
  fc.tuple(fc.boolean(), fc.stringMatching(new RegExp(`^(0|[1-9][0-9]{0,${whole - 1}})$`)),
    fc.stringMatching(new RegExp(`^[0-9]{0,${fraction}}$`)),
    fc.constantFrom('', '0', '00000', '99999', '5', '50000', '49999')).map(([negative, integer, decimals, tail]) => {
    const text = `${integer}${decimals + tail === '' ? '' : `.${decimals}${tail}`}`
    return negative && /[1-9]/.test(text) ? `-${text}` : text
  })

describe('columns', () => {
  test('typmod', () => {
    expect(plain().column).toEqual({ kind: 'decimal', precision: 38, scale: 9 })
    expect(declared(15, 2).column).toEqual({ kind: 'decimal', precision: 15, scale: 2 })
    expect(declared(38, 38).column).toEqual({ kind: 'decimal', precision: 38, scale: 38 })
    for (const [precision, scale] of [[39, 2], [10, -2], [3, 5], [1000, 1000]] as const) {
      expect(declared(precision, scale, 0).column).toEqual({ kind: 'decimal', precision: 38, scale: 9 })
    }
  })
})

describe('numeric ↔ decimal', () => {
  test('values of any size against long arithmetic', () => {
    const codecs = fc.constantFrom(plain(), declared(15, 2), declared(4, 4), declared(38, 0), declared(38, 10), declared(38, 38),
      declared(1, 0), declared(18, 3), declared(9, 1))
    fc.assert(
      fc.property(codecs, fc.oneof(decimalText(13, 2), decimalText(5, 12), decimalText(40, 40)), (codec, text) => {
        const { precision, scale } = codec.column
        const { unscaled, exact } = expected(text, precision, scale)
        const found = decodeText(codec, text)
        const kept = exact || scale === 9 ? unscaled : undefined
        expect(found.value).toBe(kept)
        expect(found.native).toBe(kept !== undefined && exact)
        if (!found.native) return
        expect(codec.displayScale(hexDecode(found.encoded), 0, found.encoded.length / 2)).toBe(found.predicted)
        expect(hexEncode(encodeScaled(codec, text, text.split('.')[1]?.length ?? 0))).toBe(hexEncode(parseOf(codec, text)))
      }),
      { numRuns: 20_000 },
    )
  })

  test('prices are native and come back', () => {
    const codec = declared(15, 2)
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 15n) + 1n, max: 10n ** 15n - 1n }), (cents) => {
        const digits = String(cents < 0n ? -cents : cents).padStart(3, '0')
        const payload = parseOf(codec, `${cents < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`)
        expect(decode(codec, payload)).toEqual({ native: true, value: cents, encoded: hexEncode(payload), predicted: 2 })
      }),
      { numRuns: 5000 },
    )
  })

  test('the edges of 2^53 and of the decimal', () => {
    for (const text of ['9007199254740991', '9007199254740992', '9007199254740993', '90071992547409910000', '900719925474099.1',
      '18014398509481985']) {
      for (const sign of ['', '-']) {
        const codec = declared(38, 4, 0)
        const payload = parseOf(codec, sign + text)
        expect(decode(codec, payload)).toMatchObject({ native: true, encoded: hexEncode(payload) })
      }
    }
    const nines = '9'.repeat(38)
    expect(decodeText(declared(38, 0), `-${nines}`)).toMatchObject({ native: true, value: -BigInt(nines) })
    expect(decodeText(declared(38, 0), `1${'0'.repeat(38)}`)).toMatchObject({ native: false, value: undefined })
    expect(decodeText(plain(), `${'9'.repeat(29)}.${'9'.repeat(9)}`)).toMatchObject({ native: true, value: BigInt(nines) })
    expect(decodeText(plain(), `${'9'.repeat(29)}.${'9'.repeat(10)}`)).toMatchObject({ native: false, value: undefined })
    expect(decodeText(plain(), '9'.repeat(131072))).toMatchObject({ native: false, value: undefined })
    expect(decodeText(plain(), `0.${'0'.repeat(16382)}1`)).toMatchObject({ native: false, value: 0n })
  })

  test('half goes to even, only without a declared scale', () => {
    for (const [text, value] of [['0.0000000005', 0n], ['0.0000000015', 2n], ['-0.0000000025', -2n], ['0.00000000050001', 1n],
      ['1.0000000004999', 10n ** 9n]] as const) {
      expect(decodeText(plain(), text)).toMatchObject({ native: false, value })
      expect(decodeText(declared(38, 9), text)).toMatchObject({ native: false, value: undefined })
    }
  })

  test('specials are null', () => {
    for (const text of ['NaN', 'Infinity', '-Infinity']) {
      expect(decodeText(plain(), text)).toMatchObject({ native: false, value: undefined })
      expect(plain().displayScale(parseOf(plain(), text), 0, 2)).toBe(-1)
    }
  })
})

function encodeScaled(codec: NumericCodec, text: string, dscale: number): Uint8Array {
  const payload = parseOf(codec, text)
  const vector = newVector(codec.column)
  codec.decode(payload, 0, payload.length, vector)
  const out = new ByteWriter(0)
  codec.encodeScaled(vector, 0, dscale, out)
  return out.take()
}

describe('display scale', () => {
  test('predicted: the minimal one, at least the usual one', () => {
    expect(decodeText(plain(2), '1.5').predicted).toBe(2)
    expect(decodeText(plain(2), '1.23450').predicted).toBe(4)
    expect(decodeText(plain(0), '10000').predicted).toBe(0)
    expect(decodeText(plain(0), '0.00000').predicted).toBe(0)
    expect(decodeText(plain(0), '0.0001').predicted).toBe(4)
    expect(decodeText(plain(100), '7')).toMatchObject({ predicted: 100, encoded: '640000000700' })
  })

  test('any display scale comes back, also one that hides digits and one that needs the long header', () => {
    fc.assert(
      fc.property(decimalText(28, 4), fc.integer({ min: 0, max: 0x3fff }), (text, dscale) => {
        const codec = plain()
        const payload = encodeScaled(codec, text, dscale)
        expect(codec.displayScale(payload, 0, payload.length)).toBe(dscale)
        const { value } = decode(codec, payload)
        expect(value).toBe(decodeText(codec, text).value)
      }),
      { numRuns: 2000 },
    )
  })
})

test('laws over damaged and arbitrary payloads', () => {
  const payloads = ['0', '-1.50', '12345678901234.567', '0.0001', 'NaN', '9'.repeat(37)].map((text) => parseOf(plain(), text))
  for (const codec of [plain(), declared(15, 2), declared(38, 38), declared(5, 0)]) {
    fc.assert(fc.property(damaged(payloads), (payload) => void expectCodecLawful(codec, payload)), { numRuns: 3000 })
    fc.assert(fc.property(fc.uint8Array({ maxLength: 30 }), (payload) => void expectCodecLawful(codec, payload)), { numRuns: 3000 })
    const digits = fc.array(fc.oneof(fc.constantFrom(0, 0, 9999, 5000), fc.integer({ min: 0, max: 9999 })), { maxLength: 14 })
    fc.assert(
      fc.property(fc.boolean(), fc.integer({ min: -14, max: 14 }), fc.nat(63), digits, (negative, weight, dscale, groups) => {
        const out = new ByteWriter()
        out.u16(0x8000 | (negative ? 0x2000 : 0) | (dscale << 7) | (weight & 0x7f))
        for (const group of groups) out.u16(group)
        expect(expectCodecLawful(codec, out.take())).toBe(true)
        const { column: { precision, scale } } = codec
        const shift = BigInt(4 * (weight + 1 - groups.length))
        const number = groups.reduce((sum, group) => sum * 10000n + BigInt(group), 0n)
        const numerator = number * 10n ** BigInt(scale + 80) * (shift > 0n ? 10n ** shift : 1n)
        const unscaled = numerator / 10n ** (80n + (shift < 0n ? -shift : 0n))
        const exact = unscaled * 10n ** (80n + (shift < 0n ? -shift : 0n)) === numerator
        const fits = unscaled < 10n ** BigInt(precision)
        const found = decode(codec, out.take())
        expect(found.native).toBe(exact && fits)
        if (found.native) expect(found.value).toBe(negative ? -unscaled : unscaled)
      }),
      { numRuns: 3000 },
    )
  }
})

test('no numeric', () => {
  for (const hex of ['', '00', '0000', '008000', '00801027', '0080010010270000', '01c0', '00e0']) {
    expect(() => decode(plain(), hexDecode(hex)), hex).toThrow(CorruptionError)
  }
})
