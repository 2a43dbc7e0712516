/** Which packs are merged: a lake of small relations stays at few packs, and a page is copied few times. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { walPosition } from '../../src/common/ids.ts'
import { isPacked, type LayerFile, storedBytes } from '../../src/lake/layer.ts'
import { CurrentRelation, type Layer } from '../../src/lake/layerorder.ts'
import { mergedLayer } from '../../src/lake/mergeplan.ts'
import { PackCensus, packedFiles, planPackMerge } from '../../src/lake/packplan.ts'

const BYTES_OF_PAGE = 1000
type Relations = Map<string, Layer<LayerFile>[]>

function packed(pack: string, lsn: number, blocks: BlockSet, smallest: number, length: number): Layer<LayerFile> {
  const file: LayerFile = {
    key: pack, pack: { start: 4, sizes: Array.from(blocks, () => BYTES_OF_PAGE), compressor: 'zstd' }, blocks, rows: blocks.size, lanes: {}, index: new Uint8Array(),
  }
  return { lsn: walPosition(BigInt(lsn)), smallest, length, files: blocks.size === 0 ? [] : [file] }
}

function censusOf(relations: Relations): PackCensus {
  const census = new PackCensus()
  for (const [key, layers] of relations) {
    const shares = packedFiles(layers)
    if (shares !== undefined) census.add(key, shares, layers.length > 1)
  }
  return census
}

/** Pages of each pack, as its directory has them: those of relations and layers that are gone, too. */
class Packs {
  readonly bytes = new Map<string, number>()
  copied = 0
  private next = 0

  name(): string {
    return `pack${this.next++}`
  }

  note({ files }: Layer<LayerFile>): void {
    for (const file of files) this.bytes.set(file.key, (this.bytes.get(file.key) ?? 0) + storedBytes(file))
  }

  /** As a job does it: one commit after the other, one pack each. */
  merge(relations: Relations, all: boolean): void {
    for (let rounds = 0; ; rounds++) {
      expect(rounds).toBeLessThan(20)
      const census = censusOf(relations)
      const packs = all ? census.untidy(this.bytes) : census.full()
      if (packs.size === 0) return
      const name = this.name()
      for (const key of census.relationsIn(packs)) {
        const layers = relations.get(key)!
        const { first } = all ? { first: 0 } : planPackMerge(layers, packs)!
        const { smallest, length, files } = mergedLayer(layers, first)
        const blocks = files.reduce((sum, { current }) => sum.union(current), BlockSet.EMPTY)
        const output = packed(name, Number(layers.at(-1)!.lsn), blocks, smallest, length)
        const after = [...layers.slice(0, first), output]
        // Throws if a block is missing or cut off.
        expect(new CurrentRelation(after).length).toBe(new CurrentRelation(layers).length)
        relations.set(key, after)
        this.note(output)
        this.copied += blocks.size
      }
      for (const pack of packs) expect([...relations.values()].some((layers) => layers.some(({ files }) => files.some(({ key }) => key === pack)))).toBe(false)
    }
  }
}

function packsOf(relations: Relations): Set<string> {
  return new Set([...relations.values()].flatMap((layers) => layers.flatMap(({ files }) => files.filter(isPacked).map(({ key }) => key))))
}

describe('packs', () => {
  test('a lake of 100 relations over 400 commits, of which ten change often and the others once in a while', () => {
    const relations: Relations = new Map()
    const packs = new Packs()
    const write = (key: string, pack: string, lsn: number, blocks: BlockSet): void => {
      const before = relations.get(key) ?? []
      const layer = packed(pack, lsn, blocks, before.length === 0 ? 0 : 8, 8)
      packs.note(layer)
      relations.set(key, [...before, layer])
    }
    const first = packs.name()
    for (let i = 0; i < 100; i++) write(`r${i}`, first, 1, BlockSet.range(0, 8))
    let [most, mostLayers, changed] = [0, 0, 0]
    for (let commit = 2; commit < 400; commit++) {
      const pack = packs.name()
      for (const i of new Set([commit % 10, (commit * 7) % 10, 10 + (commit * 31) % 90])) {
        write(`r${i}`, pack, commit, BlockSet.of([(commit * 13) % 8]))
        changed++
      }
      packs.merge(relations, false)
      most = Math.max(most, packsOf(relations).size)
      mostLayers = Math.max(mostLayers, ...[...relations.values()].map((layers) => layers.length))
    }
    // Three of each tier, from that of 64 KiB up to that of all pages, 0.8 MB.
    expect(most).toBeLessThanOrEqual(3 * 2)
    expect(mostLayers).toBeLessThanOrEqual(3 * 2)
    expect(packs.copied / changed).toBeLessThan(25)
    packs.merge(relations, true)
    expect(packsOf(relations).size).toBe(1)
    for (const layers of relations.values()) expect(layers.length).toBe(1)
    const { copied } = packs
    packs.merge(relations, true)
    expect(packs.copied, 'a tidy lake is left alone').toBe(copied)
  })

  test('whatever the layers are, a merge leaves each relation what it was, and --all leaves one pack in which each page is current', () => {
    const step = fc.record({ relation: fc.nat(5), write: fc.array(fc.nat(11), { maxLength: 4 }), grow: fc.nat(3), cut: fc.option(fc.nat(11), { nil: undefined, freq: 5 }), drop: fc.constantFrom(false, false, false, false, true) })
    fc.assert(fc.property(fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 25 }), fc.boolean(), (commits, all) => {
      const relations: Relations = new Map()
      const packs = new Packs()
      for (const [i, steps] of commits.entries()) {
        const pack = packs.name()
        for (const { relation, write, grow, cut, drop } of new Map(steps.map((one) => [one.relation, one])).values()) {
          const key = `r${relation}`
          const before = relations.get(key) ?? []
          if (drop) {
            relations.delete(key)
            continue
          }
          const length = before.at(-1)?.length ?? 0
          const smallest = Math.min(length, cut ?? length)
          const now = smallest + grow
          const layer = packed(pack, i + 1, BlockSet.of(write.filter((block) => block < smallest)).union(BlockSet.range(smallest, grow)), smallest, now)
          packs.note(layer)
          relations.set(key, [...before, layer])
        }
        packs.merge(relations, all)
      }
      if (!all) return
      expect(packsOf(relations).size).toBeLessThanOrEqual(1)
      const current = [...relations.values()].flatMap((layers) => new CurrentRelation(layers).files.map(({ current: { size } }) => size)).reduce((sum, size) => sum + size, 0)
      for (const pack of packsOf(relations)) expect(packs.bytes.get(pack)).toBe(current * BYTES_OF_PAGE)
    }))
  })

  test('full packs stay, and relations with Parquet files are not counted', () => {
    const census = new PackCensus()
    for (let i = 0; i < 8; i++) census.add(`r${i}`, [{ pack: `p${i}`, bytes: 20 << 20 }], false)
    expect(census.full().size).toBe(0)
    const parquet: LayerFile = { key: 'f', bytes: 10, crc: 0, blocks: BlockSet.range(0, 2), rows: 2, columns: [], lanes: {}, index: new Uint8Array() }
    const layers: Layer<LayerFile>[] = [packed('p', 1, BlockSet.range(0, 2), 0, 2), { lsn: walPosition(2n), smallest: 0, length: 2, files: [parquet] }]
    expect(packedFiles(layers)).toBeUndefined()
  })
})
