/** Bytes, checksums and line pointers are those of real pages; docs/formats/heap-page.md says what they mean. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dataView, hexDecode } from '../../src/common/bytes.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import {
  canonicalPage, checkLinePointers, checkPageChecksum, checkPageHeader, firstDifference, isZeroPage, linePointer, linePointerCount, LP_DEAD,
  LP_NORMAL, LP_REDIRECT, LP_UNUSED, lpFlags, lpLen, lpOff, makeLinePointer, newPageBuffer, pageChecksum, readPageHeader,
} from '../../src/page/index.ts'
import { canonicalOf, table } from '../support/arbitrarypages.ts'

function pageOf(...hex: string[]): Uint8Array<ArrayBuffer> {
  const page = new Uint8Array(8192)
  page.set(hexDecode(hex.join('').replaceAll(' ', '')))
  return page
}

const VM_PAGE = '00000000 8036c301 0000 0000 1800 0020 0020 0420 00000000 ff03'
const FRESH_PAGE = '00000000 00000000 0000 0000 1800 0020 0020 0420 00000000'
const HEAP_PAGE = '00000000 e035c702 7f81 0000 1c00 d01f 0020 0420 00000000 d09f6000'

function codeOf(call: () => void): string {
  try {
    call()
    return 'none'
  } catch (error) {
    if (error instanceof CorruptionError) return error.code
    throw error
  }
}

describe('page header', () => {
  test('of a real page', () => {
    const page = pageOf(HEAP_PAGE)
    expect(readPageHeader(dataView(page))).toEqual({
      lsn: 0x2c735e0n, checksum: 0x817f, flags: 0, lower: 28, upper: 8144, special: 8192, pagesizeVersion: 0x2004, pruneXid: 0,
    })
    expect(codeOf(() => checkPageHeader(page))).toBe('none')
    expect(linePointerCount(page)).toBe(1)
  })

  test.each([
    ['pd_upper 0', 14, 0], ['pd_lower below the header', 12, 20], ['pd_lower above pd_upper', 12, 8146], ['pd_upper above pd_special', 14, 8193],
    ['pd_special past the page', 16, 8200], ['pd_special unaligned', 16, 8190], ['layout version 3', 18, 0x2003], ['16 KiB pages', 18, 0x4004],
    ['unknown flags', 10, 8],
  ])('%s is refused', (_, at, value) => {
    const page = pageOf(HEAP_PAGE)
    dataView(page).setUint16(at, value, true)
    expect(codeOf(() => checkPageHeader(page))).toBe('page.header')
  })

  test('only a page of zeros is a zero page, wherever it lies', () => {
    const memory = new Uint8Array(8192 + 9)
    for (const start of [0, 1, 4]) expect(isZeroPage(memory.subarray(start, start + 8192))).toBe(true)
    for (const at of [0, 1, 4095, 8191]) {
      memory.fill(0)
      memory[3 + at] = 1
      expect(isZeroPage(memory.subarray(3, 3 + 8192))).toBe(false)
      expect(isZeroPage(memory.slice(3, 3 + 8192))).toBe(false)
    }
  })
})

describe('line pointers', () => {
  test.each([
    ['d09f6000', LP_NORMAL, 8144, 48], ['06000100', LP_REDIRECT, 6, 0], ['00800100', LP_DEAD, 0, 0], ['00000000', LP_UNUSED, 0, 0],
  ])('%s', (hex, flags, off, len) => {
    const word = dataView(hexDecode(hex)).getUint32(0, true)
    expect([lpFlags(word), lpOff(word), lpLen(word)]).toEqual([flags, off, len])
    expect(makeLinePointer(off, flags, len)).toBe(word)
    expect(linePointer(pageOf(HEAP_PAGE.slice(0, -8), hex), 1)).toBe(word)
  })

  function check(lower: number, ...words: number[]): string {
    const page = pageOf(HEAP_PAGE)
    const view = dataView(page)
    view.setUint16(12, lower, true)
    words.forEach((word, i) => view.setUint32(24 + i * 4, word, true))
    return codeOf(() => checkLinePointers(page))
  }

  test.each([
    ['a tuple at the end', [8168, 24], 'none'], ['unaligned', [8164, 28], 'page.line-pointer'], ['past the page', [8176, 24], 'page.line-pointer'],
    ['over the line pointers', [24, 24], 'page.line-pointer'], ['shorter than a header', [8168, 23], 'page.line-pointer'],
    ['longer than the page', [32, 0x7fff], 'page.line-pointer'],
  ] as const)('%s', (_, [off, len], code) => {
    expect(check(28, makeLinePointer(off, LP_NORMAL, len))).toBe(code)
    expect(check(28, makeLinePointer(off, LP_DEAD, len))).toBe('none')
  })

  test('pointers to one tuple pass until they claim more than the page has (PageRepairFragmentation)', () => {
    const half = makeLinePointer(4096, LP_NORMAL, 4080)
    expect(check(32, half, half)).toBe('none')
    expect(check(36, half, half, half)).toBe('page.line-pointer')
  })
})

describe('checksum', () => {
  test.each([
    [VM_PAGE, 0, 0xb3b6], [VM_PAGE, 1, 0xb3b5], [VM_PAGE, 131072, 0xb3b4], [FRESH_PAGE, 0, 0x6560], [FRESH_PAGE, 7, 0x655d],
  ])('of %s, block %i', (hex, block, checksum) => {
    const page = pageOf(hex)
    expect(pageChecksum(page, block)).toBe(checksum)
    page.set([0xab, 0xcd], 8)
    expect(pageChecksum(page, block)).toBe(checksum)
    const memory = new Uint8Array(8195)
    memory.set(page, 3)
    expect(pageChecksum(memory.subarray(3), block)).toBe(checksum)
    expect(codeOf(() => checkPageChecksum(page, block))).toBe('page.checksum')
    dataView(page).setUint16(8, checksum, true)
    expect(codeOf(() => checkPageChecksum(page, block))).toBe('none')
  })

  test('a zero page has none', () => {
    expect(codeOf(() => checkPageChecksum(new Uint8Array(8192), 3))).toBe('none')
  })

  test('every single flipped bit shows', () => {
    const page = pageOf(HEAP_PAGE)
    for (let at = 28; at < 8192; at++) page[at] = Math.imul(at, 0x9e3779b1) >>> 24
    dataView(page).setUint16(8, pageChecksum(page, 5), true)
    for (let bit = 0; bit < 8192 * 8; bit += 7) {
      page[bit >> 3]! ^= 1 << (bit & 7)
      expect(codeOf(() => checkPageChecksum(page, 5))).toBe('page.checksum')
      page[bit >> 3]! ^= 1 << (bit & 7)
    }
  })
})

describe('canonical form', () => {
  const pages = table({ columns: 5, rows: 20, pages: 1 }).map((t) => t.pages[0]!.bytes)
  const canonical = (page: Uint8Array): Uint8Array => {
    const out = newPageBuffer()
    out.bytes.fill(0xee)
    canonicalPage(new Int32Array(page.slice().buffer), 0, out)
    return out.bytes
  }

  test('keeps what line pointers reach, zeroes the rest, and is its own canonical form', () => {
    fc.assert(fc.property(pages, (page) => {
      const found = canonical(page)
      expect(Buffer.compare(found, canonicalOf(page))).toBe(0)
      expect(Buffer.compare(canonical(found), found)).toBe(0)
    }), { numRuns: 200 })
  })

  test('does not depend on any byte that it zeroes', () => {
    fc.assert(fc.property(pages, fc.uint8Array({ minLength: 64, maxLength: 64 }), (page, garbage) => {
      const marks = canonicalOf(page.map(() => 0xff).map((byte, i) => (i < 24 || i < dataView(page).getUint16(12, true) ? page[i]! : byte)))
      const other = page.map((byte, i) => (i >= 24 && marks[i] === 0 && i >= dataView(page).getUint16(12, true) ? garbage[i & 63]! : byte))
      if (dataView(page).getUint16(12, true) > 0) expect(Buffer.compare(canonical(other), canonical(page))).toBe(0)
    }), { numRuns: 100 })
  })

  test('firstDifference tells the word', () => {
    const a = new Int32Array(4096)
    const b = new Int32Array(4096)
    expect(firstDifference(a, 2048, b, 0)).toBe(-1)
    b[17] = 1
    expect(firstDifference(a, 2048, b, 0)).toBe(68)
    expect(firstDifference(a, 2048, b, 2048)).toBe(-1)
  })
})
