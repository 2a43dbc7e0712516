/** Changes of heap pages against slow models of bufpage.c and visibilitymap.c. Servers are the judge elsewhere: test/oracle/recovery. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  initPage, normalItem, PD_HAS_FREE_LINES, placeItem, redirectItems, releaseItems, repairFragmentation, setPageLsn, pageLsn, setPrunable,
  truncateLinePointers,
} from '../../src/page/heappage.ts'
import { LP_DEAD, LP_NORMAL, LP_REDIRECT, LP_UNUSED, makeLinePointer } from '../../src/page/linepointer.ts'
import { clearMapBits, clearMapTail, HEAP_BLOCKS_PER_MAP_PAGE, mapBits, mapBlock, setMapBits } from '../../src/page/visibilitymap.ts'
import { MemoryPage } from '../../src/replay/memoryfork.ts'
import { TEST_SEED } from '../support/random.ts'

const LOWER = 6
const UPPER = 7
const SPECIAL = 8

interface Item {
  state: number
  length: number
  /** Bytes left free above it. */
  gap: number
  /** Where it lies among the others. */
  place: number
}

const item: fc.Arbitrary<Item> = fc.record({
  state: fc.oneof({ weight: 5, arbitrary: fc.constant(LP_NORMAL) }, fc.constantFrom(LP_UNUSED, LP_REDIRECT, LP_DEAD)),
  length: fc.oneof(fc.integer({ min: 24, max: 140 }), fc.integer({ min: 500, max: 1500 })),
  gap: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 12 })),
  place: fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 1000 })),
})

/** A page with random bytes everywhere, its items where `place` says; those that do not fit are unused. */
function makePage(items: Item[], sorted: boolean): MemoryPage {
  const page = new MemoryPage()
  for (let i = 0; i < page.words.length; i++) page.words[i] = Math.imul(i + 7, 0x9e3779b1)
  const lower = 24 + items.length * 4
  page.halves[5] = 0
  page.halves[LOWER] = lower
  page.halves[SPECIAL] = 8192
  const order = items.map((_, i) => i)
  if (!sorted) order.sort((a, b) => items[a]!.place - items[b]!.place || a - b)
  const offs = new Map<number, number>()
  let upper = 8192
  for (const i of order) {
    const { state, length, gap } = items[i]!
    const off = (upper - gap * 8 - length) & ~7
    if (state !== LP_NORMAL || off < lower) continue
    offs.set(i, upper = off)
  }
  page.halves[UPPER] = upper
  for (const [i, { state, length }] of items.entries()) {
    const off = offs.get(i)
    page.words[6 + i] = off !== undefined ? makeLinePointer(off, LP_NORMAL, length)
      : state === LP_REDIRECT ? makeLinePointer(1, LP_REDIRECT, 0)
        : state === LP_DEAD ? makeLinePointer(0, LP_DEAD, 0) : makeLinePointer(i % 3 === 0 ? 77 : 0, LP_UNUSED, 0)
  }
  return page
}

/** The text of bufpage.c's contract: everything from a picture, in the order of line pointers. */
function slowRepair(page: MemoryPage, truncates: boolean): void {
  const before = page.bytes.slice()
  const count = (page.halves[LOWER]! - 24) / 4
  let upper = page.halves[SPECIAL]!
  let last = 0
  let unused = 0
  for (let offset = 1; offset <= count; offset++) {
    const word = page.words[5 + offset]! >>> 0
    if (((word >>> 15) & 3) === LP_UNUSED) {
      page.words[5 + offset] = 0
      unused++
      continue
    }
    last = offset
    const length = ((word >>> 17) + 7) & ~7
    if (length === 0) continue
    upper -= length
    page.bytes.set(before.subarray(word & 0x7fff, (word & 0x7fff) + length), upper)
    page.words[5 + offset] = makeLinePointer(upper, (word >>> 15) & 3, word >>> 17)
  }
  page.halves[UPPER] = upper
  if (truncates) {
    page.halves[LOWER] = 24 + last * 4
    unused -= count - last
  }
  page.halves[5] = unused > 0 ? 1 : 0
}

function u16s(...values: number[]): DataView {
  return new DataView(Uint16Array.from(values).buffer)
}

describe('repairFragmentation', () => {
  test.each([['in order', true], ['in any order', false]])('items %s end where the model puts them, and no other byte changes', (_, sorted) => {
    let moved = 0
    fc.assert(fc.property(fc.array(item, { maxLength: 80 }), fc.boolean(), (items, truncates) => {
      const ours = makePage(items, sorted)
      const theirs = new MemoryPage(ours.bytes)
      const untouched = ours.bytes.slice()
      slowRepair(theirs, truncates)
      repairFragmentation(ours, truncates)
      expect(Buffer.from(ours.bytes).equals(Buffer.from(theirs.bytes))).toBe(true)
      if (!Buffer.from(untouched.subarray(2000)).equals(Buffer.from(ours.bytes.subarray(2000)))) moved++
      // Once more changes nothing.
      repairFragmentation(ours, truncates)
      expect(Buffer.from(ours.bytes).equals(Buffer.from(theirs.bytes))).toBe(true)
    }), { seed: TEST_SEED, numRuns: 1500 })
    expect(moved).toBeGreaterThan(500)
  })

  test.each([
    ['begins above pd_upper', (page: MemoryPage) => (page.halves[UPPER] = 8000)],
    ['is not aligned', (page: MemoryPage) => (page.words[6] = makeLinePointer(7804, LP_NORMAL, 100))],
    ['reaches beyond the page', (page: MemoryPage) => (page.words[6] = makeLinePointer(8184, LP_NORMAL, 100))],
    ['counts more than once', (page: MemoryPage) => page.words.fill(makeLinePointer(7000, LP_NORMAL, 1100), 6, 16)],
    ['lies in a page with impossible bounds', (page: MemoryPage) => (page.halves[SPECIAL] = 8190)],
  ])('an item that %s is corruption', (_, damage) => {
    const page = makePage(Array.from({ length: 10 }, () => ({ state: LP_NORMAL, length: 100, gap: 1, place: 0 })), true)
    damage(page)
    expect(() => repairFragmentation(page, true)).toThrow(expect.objectContaining({ name: 'CorruptionError' }))
  })
})

test('truncateLinePointers drops unused ones at the end, never the first, and says whether others are unused', () => {
  fc.assert(fc.property(fc.array(fc.constantFrom(LP_UNUSED, LP_UNUSED, LP_DEAD, LP_REDIRECT), { minLength: 1, maxLength: 12 }), (states) => {
    const page = new MemoryPage()
    initPage(page)
    page.halves[LOWER] = 24 + 4 * states.length
    states.forEach((state, i) => (page.words[6 + i] = makeLinePointer(state === LP_REDIRECT ? 1 : 0, state, 0)))
    const last = Math.max(1, states.findLastIndex((state) => state !== LP_UNUSED) + 1)
    truncateLinePointers(page)
    expect(page.halves[LOWER]).toBe(24 + 4 * last)
    expect(page.halves[5]! & PD_HAS_FREE_LINES).toBe(states.slice(0, last).includes(LP_UNUSED) ? 1 : 0)
    expect(page.halves[UPPER]).toBe(8192)
  }), { seed: TEST_SEED })
})

describe('items', () => {
  test('are placed below pd_upper, 8-aligned, with the next line pointer or an unused one', () => {
    const page = new MemoryPage()
    initPage(page)
    expect(placeItem(page, 1, 41)).toBe(8144)
    expect(placeItem(page, 2, 24)).toBe(8120)
    releaseItems(page, LP_UNUSED, u16s(1), 0, 1)
    expect(placeItem(page, 1, 30)).toBe(8088)
    expect(page.halves[LOWER]).toBe(32)
    expect(normalItem(page, 1) >>> 0).toBe(makeLinePointer(8088, LP_NORMAL, 30))
  })

  test('are refused where one is, beyond the next, without room, past the 291 that a page can have', () => {
    const page = new MemoryPage()
    initPage(page)
    placeItem(page, 1, 8000)
    for (const offset of [0, 1, 3]) expect(() => placeItem(page, offset, 24)).toThrow(/page.item/)
    expect(() => placeItem(page, 2, 161)).toThrow(/no room/)
    expect(placeItem(page, 2, 160)).toBe(32)
    const full = new MemoryPage()
    initPage(full)
    for (let offset = 1; offset <= 291; offset++) placeItem(full, offset, 8)
    expect(() => placeItem(full, 292, 8)).toThrow(/page.item/)
  })

  test('are refused as tuples if they do not point to one', () => {
    const page = new MemoryPage()
    initPage(page)
    placeItem(page, 1, 24)
    placeItem(page, 2, 20)
    placeItem(page, 3, 24)
    redirectItems(page, u16s(3, 1), 0, 1)
    for (const offset of [0, 2, 3, 4, 65535]) expect(() => normalItem(page, offset)).toThrow(expect.objectContaining({ position: { offset } }))
    expect(() => redirectItems(page, u16s(1, 9), 0, 1)).toThrow(/page.item/)
    expect(() => releaseItems(page, LP_DEAD, u16s(9), 0, 1)).toThrow(/page.item/)
    for (const word of [makeLinePointer(8188, LP_NORMAL, 24), makeLinePointer(8176, LP_NORMAL, 24), makeLinePointer(16, LP_NORMAL, 24)]) {
      page.words[6] = word
      expect(() => normalItem(page, 1)).toThrow(/not that of a tuple/)
    }
  })
})

test('page header fields', () => {
  const page = new MemoryPage()
  setPageLsn(page, 0x16_b374d848)
  expect(pageLsn(page)).toBe(0x16_b374d848)
  expect(Buffer.from(page.bytes.subarray(0, 8)).toString('hex')).toBe('1600000048d874b3')
  // Only an older transaction replaces pd_prune_xid, in circular order.
  for (const [xid, expected] of [[100, 100], [101, 100], [4294967290, 4294967290], [50, 4294967290]] as const) {
    setPrunable(page, xid)
    expect(page.words[5]! >>> 0).toBe(expected)
  }
})

test('the visibility map: two bits per block, 32672 blocks per page', () => {
  expect(HEAP_BLOCKS_PER_MAP_PAGE).toBe(32672)
  expect([0, 32671, 32672, 2 ** 32 - 2].map(mapBlock)).toEqual([0, 0, 1, 131457])
  const page = new Uint8Array(8192)
  expect(setMapBits(page, 5, 3)).toBe(true)
  expect(setMapBits(page, 5, 3)).toBe(false)
  expect(page[25]).toBe(0b1100)
  // Bits are added, never taken: all-visible on top of all-frozen counts as a change, and stays both.
  expect(setMapBits(page, 5, 1)).toBe(true)
  expect(mapBits(page, 5)).toBe(3)
  expect(clearMapBits(page, 5, 2)).toBe(true)
  expect(clearMapBits(page, 5, 2)).toBe(false)
  expect(mapBits(page, 5)).toBe(1)
  page.fill(0xff)
  clearMapTail(page, 32672 + 4 * 10 + 1)
  expect([page[33], page[34], page[35], page[8191]]).toEqual([255, 3, 0, 0])
})
