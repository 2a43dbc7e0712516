/** Which layers are merged: relations stay at few layers, and a byte is written few times. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { walPosition } from '../../src/common/ids.ts'
import type { LayerFile } from '../../src/lake/layer.ts'
import { CurrentRelation, type Layer } from '../../src/lake/layerorder.ts'
import { MERGED_LAYERS_MAX, mergedLayer, planMerge } from '../../src/lake/mergeplan.ts'

const BYTES_OF_BLOCK = 3000
let key = 0

function layer(lsn: number, blocks: BlockSet, smallest: number, length: number): Layer<LayerFile> {
  const file: LayerFile = {
    key: `f${key++}`, bytes: blocks.size * BYTES_OF_BLOCK, crc: 0, blocks, rows: blocks.size, columns: [], lanes: {}, index: { key: 'i', bytes: 1, crc: 0 },
  }
  return { lsn: walPosition(BigInt(lsn)), smallest, length, files: blocks.size === 0 ? [] : [file] }
}

/** As a job does it: one plan after the other. */
function merged(layers: readonly Layer<LayerFile>[], all = false): { layers: Layer<LayerFile>[]; written: number } {
  let now = [...layers]
  let written = 0
  for (;;) {
    const plan = planMerge(now, all)
    if (plan === undefined) return { layers: now, written }
    const { smallest, length, files } = mergedLayer(now, plan.first)
    expect(now.length - plan.first).toBeGreaterThan(1)
    expect(now.length - plan.first).toBeLessThanOrEqual(MERGED_LAYERS_MAX)
    const blocks = files.reduce((sum, { current }) => sum.union(current), BlockSet.EMPTY)
    written += blocks.size
    const output = layer(Number(now.at(-1)!.lsn), blocks, smallest, length)
    // Throws if a block is missing or cut off.
    const [before, after] = [new CurrentRelation(now), new CurrentRelation([...now.slice(0, plan.first), output])]
    expect(after.length).toBe(before.length)
    now = [...now.slice(0, plan.first), output]
  }
}

interface Round {
  /** Share of the blocks that are written, and what becomes of the length. */
  share: number
  grow: number
  cut: number | undefined
}

const ROUNDS: fc.Arbitrary<Round[]> = fc.array(fc.record({
  share: fc.double({ min: 0, max: 1, noNaN: true }), grow: fc.nat(50), cut: fc.option(fc.nat(400), { nil: undefined, freq: 6 }),
}), { minLength: 1, maxLength: 40 })

describe('a plan of merges', () => {
  test('leaves the relation what it was, whatever its layers are', () => {
    fc.assert(fc.property(ROUNDS, fc.boolean(), (rounds, all) => {
      let layers: Layer<LayerFile>[] = []
      let length = 0
      for (const [i, { share, grow, cut }] of rounds.entries()) {
        const smallest = Math.min(length, cut ?? length)
        const next = smallest + grow
        const blocks = BlockSet.of(Array.from({ length: smallest }, (_, block) => block).filter((block) => (block * 7919 + i * 31) % 101 < share * share * 101))
        layers.push(layer(i + 1, blocks.union(BlockSet.range(smallest, next - smallest)), smallest, next))
        length = next
        ;({ layers } = merged(layers, all))
        expect(new CurrentRelation(layers).length).toBe(length)
        if (all) expect(layers.length).toBe(1)
      }
    }))
  })

  test('keeps few layers, and writes a block few times: one changed block a commit', () => {
    const length = 4096
    let layers = [layer(1, BlockSet.range(0, length), 0, length)]
    let written = 0
    let most = 0
    const commits = 2000
    for (let i = 0; i < commits; i++) {
      layers.push(layer(i + 2, BlockSet.of([(i * 7919) % length]), length, length))
      const result = merged(layers)
      layers = result.layers
      written += result.written
      most = Math.max(most, layers.length)
    }
    // Three of each tier up to that of the relation; log4 of its 12 MB is 11.8.
    expect(most).toBeLessThan(3 * 12)
    expect(written / commits).toBeLessThan(4 / 3 * 12 + 5)
    expect(written).toBeGreaterThan(0)
  })

  test('keeps what is superseded small, and writes the relation some times for it', () => {
    const length = 8192
    let layers = [layer(1, BlockSet.range(0, length), 0, length)]
    let [written, changed] = [0, 0]
    for (let i = 0; i < 100; i++) {
      const blocks = BlockSet.of(Array.from({ length: 200 }, (_, j) => ((i * 200 + j) * 7919) % length))
      changed += blocks.size
      layers.push(layer(i + 2, blocks, length, length))
      const result = merged(layers)
      layers = result.layers
      written += result.written
      const kept = layers.reduce((sum, { files }) => sum + files.reduce((all, file) => all + file.blocks.size, 0), 0)
      expect(kept).toBeLessThanOrEqual(length * 1.25)
    }
    expect(written / changed).toBeLessThan(4 + 4 / 3 * 12)
    expect(layers.length).toBeLessThan(30)
  })

  test('takes nothing where there is nothing to gain', () => {
    const base = layer(1, BlockSet.range(0, 4096), 0, 4096)
    expect(planMerge([])).toBeUndefined()
    expect(planMerge([base], true)).toBeUndefined()
    expect(planMerge([base, layer(2, BlockSet.range(0, 10), 4096, 4096)])).toBeUndefined()
    expect(planMerge([base, layer(2, BlockSet.EMPTY, 0, 0)], true)).toEqual({ first: 0 })
  })
})
