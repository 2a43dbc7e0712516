/** Which file has a block now, against a plain model: random histories of writes, truncations, extensions, drops, and numbers that are used again. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { CurrentRelation, type Layer } from '../../src/lake/layerorder.ts'

interface File {
  name: string
  blocks: BlockSet
}

type Step = { do: 'write'; blocks: number[] } | { do: 'truncate'; to: number } | { do: 'extend'; by: number } | { do: 'layer'; files: number } | { do: 'drop' } | { do: 'recreate' }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('write' as const), blocks: fc.array(fc.nat(30), { maxLength: 6 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('truncate' as const), to: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('extend' as const), by: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('layer' as const), files: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.constantFrom<Step[]>({ do: 'drop' }, { do: 'recreate' }) },
)

/** The relation as a server has it: of each block its version. And the layers that are written of it now and then. */
class Model {
  pages: number[] = []
  layers: Layer<File>[] = []
  /** Of each file: the version of each of its blocks. */
  readonly contents = new Map<string, Map<number, number>>()
  private dirty = new Set<number>()
  private smallest = 0
  private version = 0
  private lsn = 0
  private dropped = false

  run(step: Step): void {
    if (this.dropped && step.do !== 'recreate') return
    if (step.do === 'write') for (const block of step.blocks) if (block < this.pages.length) this.write(block)
    if (step.do === 'truncate' && step.to < this.pages.length) {
      this.pages.length = step.to
      this.smallest = Math.min(this.smallest, step.to)
    }
    if (step.do === 'extend') for (let i = 0; i < step.by; i++) this.write(this.pages.length)
    if (step.do === 'layer') this.layer(step.files)
    if (step.do === 'drop') {
      this.layers.push({ lsn: ++this.lsn, smallest: 0, length: 0, files: [], dropped: true })
      this.pages = []
      this.dropped = true
    }
    // The number is used again: another relation, whose layers are another list.
    if (step.do === 'recreate') {
      this.layers = []
      this.pages = []
      this.dirty = new Set()
      this.smallest = 0
      this.dropped = false
    }
  }

  /** What a reader gets by the layers as far as they were written. */
  saved: number[] = []

  private write(block: number): void {
    this.pages[block] = ++this.version
    this.dirty.add(block)
  }

  private layer(count: number): void {
    const blocks = this.pages.flatMap((_, block) => block >= this.smallest || this.dirty.has(block) ? [block] : [])
    const files = Array.from({ length: count }, (_, i): File => {
      const own = blocks.filter((block) => block % count === i)
      const name = `${this.lsn}-${i}`
      this.contents.set(name, new Map(own.map((block) => [block, this.pages[block]!])))
      return { name, blocks: BlockSet.of(own) }
    })
    this.layers.push({ lsn: ++this.lsn, smallest: this.smallest, length: this.pages.length, files })
    this.saved = [...this.pages]
    this.smallest = this.pages.length
    this.dirty = new Set()
  }
}

describe('the layers of a relation', () => {
  test('give each block from the newest file that has it', () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const model = new Model()
      for (const next of [...steps, { do: 'layer', files: 2 } as const]) {
        model.run(next)
        if (next.do !== 'layer' && next.do !== 'drop') continue
        const relation = new CurrentRelation(model.layers)
        const dropped = model.layers.at(-1)?.dropped === true
        const expected = dropped ? [] : model.saved
        expect(relation.length).toBe(expected.length)
        expect(expected.map((_, block) => model.contents.get(relation.fileOf(block)!.name)!.get(block))).toEqual(expected)
        expect(relation.fileOf(expected.length)).toBeUndefined()
        const current = relation.files.flatMap(({ current: blocks }) => [...blocks])
        expect(current.toSorted((a, b) => a - b)).toEqual(expected.map((_, block) => block))
        for (const { file, current: blocks } of relation.files) for (const block of blocks) expect(relation.fileOf(block)).toBe(file)
      }
    }), { numRuns: 300 })
  })

  test('without layers there is nothing', () => {
    const relation = new CurrentRelation<File>([])
    expect(relation).toMatchObject({ length: 0, files: [] })
    expect(relation.fileOf(0)).toBeUndefined()
  })

  const layer = (lsn: number, smallest: number, length: number, ...blocks: number[][]): Layer<File> => {
    return { lsn, smallest, length, files: blocks.map((list, i) => ({ name: `${lsn}-${i}`, blocks: BlockSet.of(list) })) }
  }

  test.each<[string, string, Layer<File>[]]>([
    ['a block that no file has', 'block 1 is not in its files, though the relation was 0 blocks long', [layer(1, 0, 3, [0, 2])]],
    ['a truncation whose blocks were not written', 'block 2 is not in its files, though the relation was 1 blocks long', [layer(1, 0, 3, [0, 1, 2]), layer(2, 1, 3, [1])]],
    ['a block in two files', 'a block is in two of its files', [layer(1, 0, 3, [0, 1, 2], [2])]],
    ['a block beyond the length', 'block 3 of 3', [layer(1, 0, 3, [0, 1, 2, 3])]],
    ['a smallest length above the one before', 'its smallest length is 3, before 2, then 4', [layer(1, 0, 2, [0, 1]), layer(2, 3, 4, [3])]],
    ['a smallest length above the one now', 'its smallest length is 2, before 2, then 1', [layer(1, 0, 2, [0, 1]), layer(2, 2, 1)]],
    ['layers out of order', 'it follows one at 0/2', [layer(2, 0, 1, [0]), layer(1, 0, 1, [0])]],
    ['a layer behind a drop', 'it follows the drop', [layer(1, 0, 1, [0]), { ...layer(2, 0, 0), dropped: true }, layer(3, 0, 1, [0])]],
    ['a drop that has blocks', 'it drops the relation and has blocks', [layer(1, 0, 1, [0]), { ...layer(2, 0, 1, [0]), dropped: true }]],
  ])('%s is found', (_, message, layers) => {
    expect(() => new CurrentRelation(layers)).toThrow(expect.objectContaining({ name: 'CorruptionError', code: 'lake.layers', message: expect.stringContaining(message) as string }))
  })
})
