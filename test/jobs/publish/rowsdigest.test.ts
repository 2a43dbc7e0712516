/** The same visible row versions have the same digest in whatever files they are; any other page, or another hidden row, has another one. */
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../../src/common/blockset.ts'
import { RowsDigest } from '../../../src/jobs/publish/rowsdigest.ts'
import type { BlockIndex } from '../../../src/lake/blockindex.ts'
import { Random, TEST_SEED } from '../../support/random.ts'

interface Page { rows: number; lsn: number; crc: number; hidden: number[] }
type Pages = ReadonlyMap<number, Page>

function fileOf(pages: Pages): { index: Pick<BlockIndex, 'blocks' | 'pages'>; hidden: BlockSet } {
  const sorted = [...pages].sort(([a], [b]) => a - b)
  const hidden: number[] = []
  let start = 0
  for (const [, page] of sorted) {
    hidden.push(...page.hidden.map((row) => start + row))
    start += page.rows
  }
  const all = sorted.map(([, page]) => page)
  const index = {
    blocks: BlockSet.of(sorted.map(([block]) => block)),
    pages: { rows: Uint32Array.from(all, ({ rows }) => rows), lsns: Uint32Array.from(all.flatMap(({ lsn }) => [1, lsn])), crcs: Uint32Array.from(all, ({ crc }) => crc) },
  }
  return { index, hidden: BlockSet.of(hidden) }
}

/** Digest of files; of a block that several have, the last one counts. */
function digestOf(files: readonly Pages[]): string {
  const digest = new RowsDigest()
  for (const [i, pages] of files.entries()) {
    const newer = new Set(files.slice(i + 1).flatMap((file) => [...file.keys()]))
    const current = BlockSet.of([...pages.keys()].filter((block) => !newer.has(block)))
    // Rows of blocks that are not current are hidden, too.
    const { index, hidden } = fileOf(new Map([...pages].map(([block, page]) => (
      [block, current.has(block) ? page : { ...page, hidden: Array.from({ length: page.rows }, (_, row) => row) }]))))
    digest.add(index, current, hidden)
  }
  return digest.digest()
}

function somePages(random: Random, count: number): Map<number, Page> {
  return new Map(Array.from({ length: count }, (_, block) => {
    const rows = 1 + random.int(50)
    return [block, { rows, lsn: random.int(1e9), crc: random.int(1e9), hidden: Array.from({ length: rows }, (__, row) => row).filter(() => random.chance(20)) }]
  }))
}

describe('digests of visible rows', () => {
  const random = new Random(TEST_SEED)
  const pages = somePages(random, 40)
  const whole = digestOf([pages])

  test('layers and a merge of them are the same rows', () => {
    for (let round = 0; round < 50; round++) {
      const old = somePages(random, 40)
      const newer = new Map([...pages].filter(([block]) => random.chance(50) || block === 39))
      const rest = new Map([...pages].filter(([block]) => !newer.has(block)))
      expect(digestOf([old, newer, rest])).toBe(whole)
    }
  })

  test('a page without visible rows is as if it were not there', () => {
    const page = { rows: 3, lsn: 5, crc: 6, hidden: [0, 1, 2] }
    expect(digestOf([new Map([...pages, [40, page], [90, page]])])).toBe(whole)
    expect(digestOf([])).toBe(digestOf([new Map([[7, page]])]))
  })

  test('any difference is one', () => {
    const visible = [...pages].find(([, { rows, hidden }]) => hidden.length < rows - 1)!
    const [block, page] = visible
    const other = page.hidden.includes(0) ? page.hidden.filter((row) => row !== 0) : [0, ...page.hidden]
    for (const changed of [{ ...page, lsn: page.lsn + 1 }, { ...page, crc: page.crc + 1 }, { ...page, hidden: other }, { ...page, rows: page.rows + 1 }]) {
      expect(digestOf([new Map([...pages, [block, changed]])])).not.toBe(whole)
    }
    expect(digestOf([new Map([...pages].filter(([own]) => own !== block))])).not.toBe(whole)
    expect(digestOf([new Map([...pages].map(([own, value]) => [own + 1, value]))])).not.toBe(whole)
  })
})
