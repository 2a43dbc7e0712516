/** Tuples and varlenas of real pages; docs/formats/tuple.md says what their bytes mean. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hexDecode, hexEncode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import {
  alignmentOf, ATTR_ABSENT, ATTR_NULL, type AttributeLayout, bitmapLength, checkTupleHeader, decompress, deformTuple, headerLength,
  isCompressed, isExternal, newDeformedTuple, payloadStart, readToastPointer, readTupleHeader, varlenaLength, xmaxIsLockedOnly,
} from '../../src/tuple/index.ts'
import { lz4, pglz, table } from '../support/arbitrarypages.ts'

const hex = (text: string): Uint8Array => hexDecode(text.replaceAll(' ', ''))
const layout = (len: number, letter: string, plain = len > 0): AttributeLayout => ({ len, align: alignmentOf(letter), plain })
const INT4 = layout(4, 'i')
const TEXT = layout(-1, 'i')

function codeOf(call: () => unknown): string {
  try {
    call()
    return 'none'
  } catch (error) {
    if (error instanceof CorruptionError) return error.code
    throw error
  }
}

/** Each attribute's bytes in hex. */
function deform(bytes: Uint8Array, attributes: readonly AttributeLayout[], lead = 0): (string | null | undefined)[] {
  const source = new Uint8Array(bytes.length + lead + 3).fill(0x55)
  source.set(bytes, lead)
  const { hoff, natts, infomask } = readTupleHeader(source, lead)
  const out = newDeformedTuple(attributes.length)
  deformTuple(source, lead, lead + bytes.length, lead + hoff, natts, infomask & 1 ? lead + 23 : -1, attributes, out)
  return attributes.map((_, i) => {
    if (out.starts[i] === ATTR_ABSENT) return undefined
    return out.starts[i] === ATTR_NULL ? null : hexEncode(source.subarray(out.starts[i]!, out.ends[i]!))
  })
}

describe('tuple header', () => {
  const TUPLE = hex('31040000 00000000 00000000 0000 0000 0100 0600 0308 18 1f 07000000 01 0f 0081 0c00 8813 07 6869 00 0040e9d4d5b00200')
  const COLUMNS = [INT4, layout(1, 'c'), TEXT, TEXT, layout(8, 'd'), TEXT]

  test('of a real tuple', () => {
    expect(readTupleHeader(TUPLE, 0)).toEqual({
      xmin: 1073, xmax: 0, cid: 0, ctidBlock: 0, ctidOffset: 1, infomask2: 6, infomask: 0x0803, hoff: 24, natts: 6,
    })
    expect(headerLength(6, true)).toBe(24)
    expect(() => readTupleHeader(TUPLE.subarray(0, 20), 0)).toThrow(RangeError)
  })

  test('and its attributes, whatever lies before it', () => {
    for (const lead of [0, 8, 3]) {
      expect(deform(TUPLE, COLUMNS, lead)).toEqual(['07000000', '01', '0f00810c008813', '076869', '0040e9d4d5b00200', null])
    }
  })

  test('t_ctid has the high half of the block first; moved to another partition', () => {
    const bytes = TUPLE.slice()
    bytes.set(hex('ffff ffff fdff'), 12)
    expect(readTupleHeader(bytes, 0)).toMatchObject({ ctidBlock: 4294967295, ctidOffset: 65533 })
    bytes.set(hex('0100 0200'), 12)
    expect(readTupleHeader(bytes, 0).ctidBlock).toBe(65538)
  })

  test('columns added later are absent: rows of 1, 4 and 5 attributes', () => {
    const head = (natts: number, infomask: number): string => `31040000 00000000 00000000 0000 0000 0100 0${natts}00 0${infomask}08 18`
    const columns = [INT4, INT4, TEXT, INT4, INT4]
    expect(deform(hex(`${head(1, 0)} 00 01000000`), columns)).toEqual(['01000000', undefined, undefined, undefined, undefined])
    expect(deform(hex(`${head(4, 3)} 07 02000000 07000000 09686579`), columns)).toEqual(['02000000', '07000000', '09686579', null, undefined])
  })

  test.each([
    [24, 6, true, 24, 'none'], [16, 6, false, 40, 'tuple.header'], [24, 9, true, 40, 'tuple.header'], [32, 9, true, 40, 'none'],
    [28, 6, true, 40, 'tuple.header'], [48, 6, true, 40, 'tuple.header'], [0, 0, false, 40, 'tuple.header'], [32, 6, false, 40, 'none'],
  ])('t_hoff %i with %i attributes, bitmap %s, in %i bytes: %s', (hoff, natts, hasNull, length, code) => {
    expect(codeOf(() => checkTupleHeader(hoff, natts, hasNull, length))).toBe(code)
  })

  test.each([
    [0x1f, 'i', 'tuple.attribute'], [0x3f, 'c', 'tuple.attribute'],
  ])('bitmap 0x%s with one attribute more than the bytes: %s', (bitmap, letter, code) => {
    const bytes = TUPLE.slice()
    bytes[23] = bitmap
    const columns = [...COLUMNS.slice(0, 4), layout(bitmap === 0x1f ? 9 : 8, letter), TEXT]
    expect(codeOf(() => deform(bytes, columns))).toBe(code)
  })

  test.each([
    [0x01c2, true], [0x01d0, true], [0x0190, true], [0x11d0, true], [0x0040, true],
    [0x1140, false], [0x0501, false], [0x0100, false], [0x1040, false],
  ])('infomask 0x%s locks only: %s', (infomask, expected) => {
    expect(xmaxIsLockedOnly(infomask)).toBe(expected)
  })

  test('lengths', () => {
    expect([0, 1, 8, 9, 1600].map(bitmapLength)).toEqual([0, 1, 1, 2, 200])
    expect([headerLength(0, false), headerLength(8, true), headerLength(9, true), headerLength(1600, true)]).toEqual([24, 24, 32, 224])
    expect(() => alignmentOf('x')).toThrow(/^ltap bug: /)
  })
})

describe('varlena', () => {
  test.each([
    ['03', 1], ['076869', 3], ['10000000', 4], ['14000000 61', 5], ['0112 04190000 00190000 cd450000 cb450000', 18], ['2e000000 b80b0000 000000', 11],
  ])('%s has %i bytes', (text, length) => {
    const bytes = hex(text)
    expect(varlenaLength(bytes, 0, Math.max(bytes.length, length))).toBe(length)
    expect(codeOf(() => varlenaLength(bytes, 0, length - 1))).toBe('tuple.varlena')
  })

  const IN_MEMORY = ['0101', '0102', '0103'].map((tag) => tag + '00'.repeat(16))
  test.each([...IN_MEMORY, '00000000', '0c000000', '0e000000', 'fcffffff', '1000'])('%s is no varlena', (text) => {
    const bytes = hex(text)
    expect(codeOf(() => varlenaLength(bytes, 0, bytes.length))).toBe('tuple.varlena')
  })

  test('forms', () => {
    expect([0x01, 0x03, 0x02, 0x00].map(isExternal)).toEqual([true, false, false, false])
    expect([0x01, 0x03, 0x02, 0x06, 0x00].map(isCompressed)).toEqual([false, false, true, true, false])
    expect([payloadStart(hex('076869'), 0), payloadStart(hex('14000000 61'), 0)]).toEqual([1, 4])
  })

  test.each([
    ['0112 58ba0000 c32e0000 2f450000 2d450000', { rawSize: 47700, extSize: 11971, compressed: true, valueId: 17711, toastRelId: 17709 }],
    ['0112 58ba0000 242d0040 2f450000 2d450000', { rawSize: 47700, extSize: 11556, compressed: true, valueId: 17711, toastRelId: 17709 }],
    ['0112 04190000 00190000 cd450000 cb450000', { rawSize: 6400, extSize: 6400, compressed: false, valueId: 0x45cd, toastRelId: 0x45cb }],
  ])('TOAST pointer %s', (text, pointer) => {
    expect(readToastPointer(hex(text), 0)).toEqual(pointer)
  })

  test('a TOAST pointer to less than nothing', () => {
    expect(codeOf(() => readToastPointer(hex('0112 03000000 00000000 cd450000 cb450000'), 0))).toBe('toast.pointer')
  })
})

describe('compression', () => {
  const TEN = '6162636465666768696a'
  const WORDS = 'abcdefghij'.repeat(300)
  const PGLZ = hex(`da000000 b80b0000 00 6162636465666768 fc 696a ${'0f0aff'.repeat(6)} 1f ${'0f0aff'.repeat(4)} 0f0af2`)
  const LZ4 = hex(`9e000000 b80b0040 af ${TEN} 0a00 ${'ff'.repeat(11)} a1 50 666768696a`)

  test.each([['pglz', PGLZ], ['lz4', LZ4]])('%s of a server', (_, datum) => {
    expect(varlenaLength(datum, 0, datum.length)).toBe(datum.length)
    expect(Buffer.from(decompress(datum, 4, datum.length)).toString()).toBe(WORDS)
  })

  test('streams of literals and runs', () => {
    const runs = fc.array(fc.tuple(fc.nat(255), fc.nat(400)), { maxLength: 6 })
      .map((pairs) => Uint8Array.from(pairs.flatMap(([byte, count]) => new Array<number>(count).fill(byte))))
    fc.assert(fc.property(fc.oneof(runs, fc.uint8Array({ maxLength: 600 })), (value) => {
      for (const compressed of [pglz(value), lz4(value)]) {
        expect(Buffer.compare(decompress(Uint8Array.from(compressed), 0, compressed.length), value)).toBe(0)
      }
    }))
  })

  test('damaged streams are refused or give as many bytes as they claim', () => {
    const damaged = fc.tuple(fc.constantFrom(PGLZ, LZ4), fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.nat(60))
    fc.assert(fc.property(damaged, ([datum, changes, cut]) => {
      const bytes = datum.slice()
      for (const [at, value] of changes) bytes[4 + (at % (bytes.length - 4))] = value
      const end = cut < 30 ? bytes.length : Math.min(bytes.length, cut)
      const claimed = new DataView(bytes.buffer).getUint32(4, true) & 0x3fffffff
      let found = -1
      const code = codeOf(() => {
        found = decompress(bytes, 4, end).length
      })
      if (code === 'none') expect(found).toBe(claimed)
      else expect(code).toMatch(/^compression\./)
    }), { numRuns: 5000 })
  })

  test.each([
    ['cut short', PGLZ.subarray(0, 40)], ['bytes behind', hex(`${hexEncode(PGLZ)}00`)], ['no tcinfo', hex('1a000000 b80b')],
    ['unknown method', hex('22000000 01000080 61')], ['a claim of a gigabyte', hex('22000000 ffffff3f 61')],
    ['a distance before the start', hex('2e000000 05000000 02 61 0002')], ['a distance of 0', hex('2e000000 05000000 02 61 0000')],
    ['lz4: a distance of 0', hex('00000000 09000040 10 61 0000')], ['lz4: a run cut short', hex('00000000 ff000040 f0 ff')],
    ['lz4: a distance cut short', hex('00000000 09000040 10 61 01')], ['lz4: more than claimed', hex('00000000 01000040 20 6161')],
  ])('%s', (_, datum) => {
    expect(codeOf(() => decompress(datum, 4, datum.length))).toMatch(/^compression\./)
  })
})

test('deform finds every value that an independent former stored', () => {
  fc.assert(fc.property(table({ columns: 20, rows: 6, pages: 1 }), ({ columns, pages }) => {
    const attributes = columns.map(({ attribute }) => attribute)
    for (const tuple of pages[0]!.tuples) {
      if (!tuple || tuple.extra > 0) continue
      const found = deform(tuple.bytes, attributes)
      tuple.values.forEach((value, i) => {
        if (!value) {
          expect(found[i]).toBe(value)
        } else if (value.form === 'usual') {
          const { len } = attributes[i]!
          const datum = hexDecode(found[i]!)
          const from = len === -1 ? payloadStart(datum, 0) : 0
          expect(hexEncode(datum.subarray(from, len === -2 ? -1 : undefined))).toBe(hexEncode(value.payload))
        }
      })
    }
  }), { numRuns: 100 })
})
