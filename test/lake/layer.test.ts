/** Entries of files and the objects beside them: there and back, and every damage is found. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import type { FileSummary, UnresolvedRun } from '../../src/columnar/filesummary.ts'
import { type BlockIndex, encodeBlockIndex, parseBlockIndex, rowsOfBlocks } from '../../src/lake/blockindex.ts'
import { type LayerFile, layerFile, layerFileJson, type PackedFile, parseLayerFile, storedBlocks } from '../../src/lake/layer.ts'
import { objectsOf } from '../../src/lake/state/objects.ts'

const STATE = { code: 'lake.state', name: 'the state' }
const word = fc.oneof(fc.nat(3), fc.nat(0xffffffff))

const summary: fc.Arbitrary<{ blocks: BlockSet; summary: FileSummary }> = fc.array(
  fc.record({ gap: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 1e6 })), rows: fc.integer({ min: 1, max: 300 }), high: fc.oneof(fc.constant(7), word), low: word, crc: word, damaged: fc.nat(9) }),
  { maxLength: 40 },
).chain((pages) => {
  let block = -1
  const numbers = pages.map(({ gap }) => (block += gap))
  const rows = pages.reduce((sum, page) => sum + page.rows, 0)
  const run = fc.record({
    place: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), length: fc.integer({ min: 1, max: 9 }), xid: fc.oneof(fc.nat(1000), fc.maxSafeNat()), deletes: fc.boolean(),
  }).map(({ place, length, xid, deletes }): UnresolvedRun => {
    const first = Math.floor(place * rows)
    return { first, count: Math.min(length, rows - first), xid, which: deletes ? 'xmax' : 'xmin' }
  })
  return fc.record({ unresolved: rows === 0 ? fc.constant([]) : fc.array(run, { maxLength: 20 }), hidden: rows === 0 ? fc.constant([]) : fc.array(fc.nat(rows - 1)) }).map(({ unresolved, hidden }) => ({
    blocks: BlockSet.of(numbers),
    summary: {
      columns: [{ id: 1, nulls: 0, lower: Uint8Array.of(0, 255), upper: new Uint8Array(0) }, { id: 10_007, nulls: 0 }], hidden: BlockSet.of(hidden), unresolved,
      pages: { lsns: Uint32Array.from(pages.flatMap(({ high, low }) => [high, low])), crcs: Uint32Array.from(pages, ({ crc }) => crc), rows: Uint32Array.from(pages, (page) => page.rows) },
      damaged: BlockSet.of(numbers.filter((_, i) => pages[i]!.damaged === 0)),
    },
  }))
})

const entryOf = (blocks: BlockSet, of: FileSummary): ReturnType<typeof layerFile> =>
  layerFile({ key: 'shop/public.orders-16385/data/b1-1-7-x.parquet', bytes: 1000, crc: 5 }, 'shop/b1-1-8-x.blocks', blocks, {
    summary: of, lanes: { pages: blocks.size, raw: 0 },
  })

function example(): { file: LayerFile; index: Uint8Array; summary: FileSummary; blocks: BlockSet } {
  const [made] = fc.sample(summary.filter((found) => found.blocks.size > 5 && found.summary.unresolved.length > 2 && found.summary.hidden.size > 2), { numRuns: 1, seed: 5 })
  const { file, index } = entryOf(made!.blocks, made!.summary)
  return { ...made!, file, index: index ?? file.index as Uint8Array }
}

describe('the entry of a file', () => {
  test('there and back as JSON', () => {
    fc.assert(fc.property(summary, ({ blocks, summary: of }) => {
      const { file, index } = entryOf(blocks, of)
      expect(parseLayerFile(JSON.parse(JSON.stringify(layerFileJson(file))), STATE, 'files[0]')).toEqual(file)
      expect(index === undefined).toBe(file.index instanceof Uint8Array)
      if (index) {
        expect(index.length).toBeGreaterThan(512)
        expect(file.index).toEqual({ key: 'shop/b1-1-8-x.blocks', bytes: index.length, crc: crc32c(index) })
      } else {
        expect((file.index as Uint8Array).length).toBeLessThanOrEqual(512)
        expect(objectsOf({ tree: 'layers', key: '5/1/1663@0/1' }, { layers: [{ lsn: '0/1', smallest: 0, length: 9, files: [layerFileJson(file)] }] })).toEqual([file.key])
      }
      const packed: PackedFile = {
        key: 'ltap/packs/b1-1-9-x.pack', pack: { start: 4, sizes: Array.from({ length: blocks.size }, (_, i) => i + 1), compressor: 'zstd:wasm' }, ...storedBlocks(blocks, of),
      }
      expect(parseLayerFile(JSON.parse(JSON.stringify(layerFileJson(packed))), STATE, 'files[0]')).toEqual(packed)
      expect(file.rows).toBe(of.pages.rows.reduce((a, b) => a + b, 0))
    }))
  })

  test('many unresolved rows are in the object beside it alone', () => {
    const { summary: of, blocks } = example()
    const many = Array.from({ length: 1000 }, (_, i): UnresolvedRun => ({ first: i % 3, count: 1, xid: i, which: 'xmin' }))
    const { file, index } = entryOf(blocks, { ...of, unresolved: many })
    expect(file).not.toHaveProperty('unresolved')
    expect(JSON.stringify(layerFileJson(file)).length).toBeLessThan(1000)
    expect(parseBlockIndex(index!).unresolved).toEqual(many)
  })

  test('members that are wrong, or do not fit each other, are damage with their path', () => {
    const { file } = example()
    const json = layerFileJson(file) as Record<string, unknown>
    const given = (more: object): (() => unknown) => () => parseLayerFile({ ...json, ...more }, STATE, 'files[3]')
    const bad: [object, string][] = [
      [{ key: '../x' }, 'files[3].key is "../x", not a key of an object'], [{ key: 'a//b' }, 'files[3].key'], [{ key: 'a%2F' }, 'files[3].key'], [{ key: '/a' }, 'files[3].key'],
      [{ blocks: '!' }, 'files[3].blocks is "!", not a set of blocks'], [{ rows: 1 }, `files[3].rows is 1, but it has ${file.blocks.size} blocks`], [{ crc: -1 }, 'files[3].crc'],
      [{ columns: [{ id: 0, nulls: 0 }] }, 'files[3].columns[0].id'], [{ columns: [{ id: 1, nulls: 1e9 }] }, 'files[3].columns[0].nulls is 1000000000 of'],
      [{ columns: [{ id: 1, nulls: 0 }, { id: 1, nulls: 0 }] }, 'has a field twice'], [{ columns: [{ id: 1, nulls: 0, nans: 1, lower: '' }] }, 'has bounds beside NaN'],
      [{ columns: [{ id: 1, nulls: 0, lower: 'A' }] }, 'files[3].columns[0].lower'], [{ columns: [{ id: 1, nulls: 0, lower: 'A'.repeat(400) }] }, 'files[3].columns[0].lower'],
      [{ unresolved: [[0, 1e9, 5, 'xmin']] }, 'files[3].unresolved[0] is not among the'], [{ unresolved: [[0, 1, 5, 'cmin']] }, 'files[3].unresolved[0][3] is "cmin", not xmin or xmax'],
      [{ index: {}, objects: ['a'] }, 'files[3].index.bytes is missing'], [{ index: { bytes: 1, crc: 1 } }, 'files[3].objects is missing'],
      [{ index: 'x' }, 'files[3].index'], [{ index: { bytes: 1, crc: 1 }, objects: ['../x'] }, 'files[3].objects[0] is "../x"'],
    ]
    for (const [more, message] of bad) expect(given(more), message).toThrow(message)
    expect(given({ later: 1 })).toThrow(expect.objectContaining({ name: 'UnsupportedError', code: 'lake.state' }))
  })

  test('members of a packed one, too', () => {
    const { blocks, summary: of } = example()
    const pack = { start: 4, sizes: Array.from({ length: blocks.size }, () => 9), compressor: 'zstd:wasm' }
    const json = layerFileJson({ key: 'ltap/packs/x.pack', pack, ...storedBlocks(blocks, of) }) as Record<string, unknown>
    const given = (more: object): (() => unknown) => () => parseLayerFile({ ...json, ...more }, STATE, 'files[3]')
    const bad: [object, string][] = [
      [{ pack: { ...pack, sizes: [1] } }, `files[3].pack.sizes has 1 pages of ${blocks.size} blocks`], [{ pack: { ...pack, sizes: [0] } }, 'files[3].pack.sizes[0]'],
      [{ pack: { ...pack, sizes: [20_000] } }, 'files[3].pack.sizes[0]'], [{ pack: { ...pack, start: -1 } }, 'files[3].pack.start'], [{ pack: { ...pack, start: 9007199254740990 } }, 'files[3].pack.start'], [{ pack: 5 }, 'files[3].pack'],
      [{ index: { bytes: 1, crc: 1 } }, 'files[3].index'], [{ index: 'x' }, 'files[3].index'], [{ rows: 1 }, 'files[3].rows is 1'], [{ key: '../x' }, 'files[3].key'],
    ]
    for (const [more, message] of bad) expect(given(more), message).toThrow(message)
    expect(given({ columns: [] })).toThrow(expect.objectContaining({ name: 'UnsupportedError', code: 'lake.state' }))
  })
})

describe('the block index', () => {
  const indexOf = ({ blocks, summary: { hidden, unresolved, pages, damaged } }: { blocks: BlockSet; summary: FileSummary }): BlockIndex => ({ blocks, hidden, unresolved, pages, damaged })

  test('there and back', () => {
    fc.assert(fc.property(summary, (made) => {
      expect(parseBlockIndex(encodeBlockIndex(indexOf(made)))).toEqual(indexOf(made))
    }))
  })

  test('no changed, missing or added byte passes', () => {
    const { index } = example()
    for (let at = 0; at < index.length; at++) {
      const flipped = index.slice()
      flipped[at]! ^= 1 << (at % 8)
      expect(() => parseBlockIndex(flipped), `byte ${at}`).toThrow(expect.objectContaining({ name: 'CorruptionError', code: 'lake.block-index' }))
      expect(() => parseBlockIndex(index.subarray(0, at)), `${at} bytes`).toThrow('lake.block-index')
    }
    expect(() => parseBlockIndex(Buffer.concat([index, Buffer.of(0)]))).toThrow('lake.block-index')
  })

  test('bytes with a right checksum that nobody writes are refused, or they mean what they say', () => {
    const { index } = example()
    for (let at = 4; at < index.length - 4; at++) {
      for (const value of [0, 1, 0x7f, 0xff]) {
        const forged = index.slice()
        forged[at] = value
        new DataView(forged.buffer).setUint32(forged.length - 4, crc32c(forged.subarray(0, -4)), true)
        let found: BlockIndex | undefined
        try {
          found = parseBlockIndex(forged)
        } catch (error) {
          expect(error).toMatchObject({ code: 'lake.block-index' })
        }
        if (found) expect(Buffer.compare(encodeBlockIndex(found), forged)).toBe(0)
      }
    }
  })

  test('a block costs some 9 bytes', () => {
    const count = 12_288
    const random = (i: number): number => Math.imul(i + 1, 0x9e3779b1) >>> 0
    const made = encodeBlockIndex({
      blocks: BlockSet.range(0, count), hidden: BlockSet.EMPTY, damaged: BlockSet.EMPTY, unresolved: [],
      pages: { rows: new Uint32Array(count).fill(61), crcs: Uint32Array.from({ length: count }, (_, i) => random(i)), lsns: Uint32Array.from({ length: count * 2 }, (_, i) => i % 2 === 0 ? 3 : random(i) % 30_000_000) },
    })
    expect(made.length).toBeLessThan(count * 9.1)
  })

  test('says which rows a set of blocks has', () => {
    fc.assert(fc.property(summary, fc.array(fc.nat(40)), ({ blocks, summary: { pages } }, picks) => {
      const wanted = BlockSet.of([...picks.filter((i) => i < blocks.size).map((i) => blocks.at(i)), 0xfffffff0])
      const all = [...blocks].flatMap((block, i) => new Array<number>(pages.rows[i]!).fill(block))
      expect([...rowsOfBlocks({ blocks, pages }, wanted)]).toEqual(all.flatMap((block, row) => wanted.has(block) ? [row] : []))
    }))
  })
})
