/** The tree of pages against a Map, over random changes. */
import { describe, expect, test } from 'vitest'
import type { PageRef } from '../../../src/lake/state/page.ts'
import { findEntries, scanTree, rewriteTree, updateTree } from '../../../src/lake/state/tree.ts'
import { Random, TEST_SEED } from '../../support/random.ts'
import { StagedPages } from './states.ts'

function entriesOf(pages: StagedPages, root: PageRef | undefined): [string, unknown][] {
  const found: [string, unknown][] = []
  pages.run(scanTree('layers', root, (entries) => found.push(...entries.map(([key, value]): [string, unknown] => [key, value]))))
  return found
}

const byKey = ([a]: [string, unknown], [b]: [string, unknown]): number => a < b ? -1 : 1

describe.each([20, 2000, 30_000])('values of up to %i characters', (size) => {
  test('holds what a Map holds, old roots what they held', () => {
    const random = new Random(TEST_SEED + size)
    const pages = new StagedPages()
    const model = new Map<string, string>()
    const old: { root: PageRef | undefined; entries: [string, unknown][] }[] = []
    let root: PageRef | undefined
    for (let round = 0; round < 40; round++) {
      const count = random.chance(20) ? random.int(300) : 1 + random.int(5)
      const isRemoving = round % 10 > 6
      const edits = Array.from({ length: isRemoving ? model.size >> 1 : count }, (): [string, string | undefined] => {
        const key = isRemoving ? [...model.keys()][random.int(model.size)]! : `k${random.int(100_000)}`
        return [key, isRemoving ? undefined : 'v'.repeat(random.int(size))]
      })
      for (const [key, value] of edits) {
        if (value === undefined) model.delete(key)
        else model.set(key, value)
      }
      const [packer, another] = [pages.packer(), pages.packer()]
      const rewritten = pages.run(rewriteTree('layers', root, edits, another))
      root = pages.run(updateTree('layers', root, edits, packer))
      pages.keep(packer.objects())
      const objects = another.objects()
      pages.keep(objects)
      const expected = [...model].sort(byKey)
      expect(entriesOf(pages, root)).toEqual(expected)
      expect(entriesOf(pages, rewritten)).toEqual(expected)
      // The objects have the pages of the tree, and nothing else.
      const bytes = new Map<string, number>()
      pages.run(scanTree('layers', rewritten, () => {}, ({ key, length }) => (bytes.set(key, (bytes.get(key) ?? 0) + length), true)))
      expect([...bytes].sort(byKey)).toEqual(objects.map(({ key, bytes: { length } }): [string, number] => [key, length]).sort(byKey))
      const asked = [...edits.slice(0, 20).map(([key]) => key), 'absent']
      expect(pages.run(findEntries('layers', root, asked))).toEqual(new Map(asked.filter((key) => model.has(key)).sort().map((key) => [key, model.get(key)])))
      if (random.chance(20)) old.push({ root, entries: expected })
    }
    for (const { root: before, entries } of old) expect(entriesOf(pages, before)).toEqual(entries)
  })
})

test('100,000 entries: pages of 64 to 192 KB, and a change writes one of them and the root', () => {
  const pages = new StagedPages()
  const keyOf = (i: number): string => `5/${16384 + i}/1663@0/${(0x1000000 + i).toString(16).toUpperCase()}`
  const value = { layers: [{ lsn: '0/12345678', smallest: 100, length: 120, files: [{ key: 'shop/public.orders-16384/data/abcdefghij0123456789-1-17-abcdefghij0123456789.parquet', rows: 1000 }] }] }
  const packer = pages.packer()
  let root = pages.run(updateTree('layers', undefined, Array.from({ length: 100_000 }, (_, i) => [keyOf(i), value] as const), packer))
  const total = pages.keep(packer.objects())
  const sizes: number[] = []
  pages.run(scanTree('layers', root, () => undefined, (ref) => {
    sizes.push(ref.length)
    return true
  }))
  const changed = pages.packer()
  pages.reads = 0
  root = pages.run(updateTree('layers', root, [[keyOf(77_777), { layers: [] }]], changed))
  const objects = changed.objects()
  const bytes = pages.keep(objects)
  console.info(`${sizes.length} pages of ${Math.min(...sizes)} to ${Math.max(...sizes)} bytes, ${total} in all; one change reads ${pages.reads} pages and writes ${bytes} bytes in ${objects.length} object`)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(193 << 10)
  expect(Math.min(...sizes.slice(1))).toBeGreaterThanOrEqual(64 << 10)
  expect(objects).toHaveLength(1)
  expect(bytes).toBeLessThan(300_000)
  expect(pages.reads).toBe(2)
})

test('an entry above what a reader takes of one page is refused, and named', () => {
  const pages = new StagedPages()
  expect(() => pages.run(updateTree('layers', undefined, [['5/1/2@0/8', 'x'.repeat(64 << 20)], ['5/2/2@0/8', 'y']], pages.packer())))
    .toThrow(/lake\.entry-size: the entry 5\/1\/2@0\/8 of layers would have \d+ bytes, above \d+: .*merge/)
})
