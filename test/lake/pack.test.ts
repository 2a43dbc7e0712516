/** Packs: pages of many small relations in one object, read by ranges, merged without being compressed again. */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import {
  encodePack, mergePacks, type OpenPack, PACK_TAIL_LENGTH, packDirectoryRange, packKey, packRanges, parsePackDirectory, type RelationPages, unpackPage,
} from '../../src/lake/pack.ts'
import type { Compressor } from '../../src/parquet/compressor.ts'

const DEFLATE: Compressor = {
  name: 'deflate:node',
  compress: (bytes) => new Uint8Array(deflateRawSync(bytes)),
  decompress: (bytes, size) => {
    try {
      return new Uint8Array(inflateRawSync(bytes, { maxOutputLength: size }))
    } catch (error) {
      throw new CorruptionError('compression.deflate', String(error))
    }
  },
}

/** A page whose bytes tell which it is. */
function page(seed: number): Uint8Array {
  const bytes = new Uint8Array(8192)
  for (let i = 0, state = seed; i < 400; i++) bytes[i] = (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 16
  return bytes
}

/** What reads an object by ranges, and counts the bytes. */
function open(pack: Uint8Array): OpenPack & { bytesRead: number } {
  let bytesRead = 0
  const read = (start: number, end: number): Uint8Array => {
    bytesRead += end - start
    return pack.slice(start, end)
  }
  const { start } = packDirectoryRange(read(pack.length - PACK_TAIL_LENGTH, pack.length), pack.length)
  const directory = parsePackDirectory(read(start, pack.length), start)
  return { directory, read, get bytesRead() { return bytesRead } }
}

/** Bytes are compared as text: item by item they take a hundred times as long. */
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

function pagesOf({ directory, read }: OpenPack): Map<string, Map<number, string>> {
  return new Map(directory.relations.map((relation) => [packKey(relation), new Map(packRanges(relation, BlockSet.range(0, 0xffffffff)).flatMap(({ blocks, start, end }) => {
    const bytes = read(start, end)
    return [...blocks].map((block): [number, string] => {
      const [own] = packRanges(relation, BlockSet.of([block]))
      return [block, latin1(unpackPage(directory, relation, block, bytes.subarray(own!.start - start, own!.end - start), DEFLATE))]
    })
  }))]))
}

interface Change {
  /** Per relation: what was written, how long it was at the least, how long it is. */
  relation: number
  blocks: number[]
  smallest: number
  length: number
  xid: number
}

/** A round of changes of up to four relations that were made earlier, as a materialization writes it. */
const round = fc.uniqueArray(fc.record({
  relation: fc.nat(3), blocks: fc.array(fc.nat(11), { maxLength: 5 }), smallest: fc.nat(8), length: fc.nat(12), xid: fc.integer({ min: 3, max: 50 }),
}), { selector: ({ relation }) => relation, maxLength: 4 })

class Model {
  readonly pages = new Map<number, (Uint8Array | undefined)[]>()
  private seed = 0

  /** @returns the round as a pack has it */
  apply(changes: readonly Change[]): RelationPages[] {
    return changes.map(({ relation, blocks, smallest: wanted, length, xid }) => {
      const before = this.pages.get(relation) ?? []
      const smallest = Math.min(wanted, before.length, length)
      const now = before.slice(0, smallest === before.length ? smallest : Math.min(before.length, length))
      const written = BlockSet.of([...blocks.filter((block) => block < length), ...Array.from({ length: length - smallest }, (_, i) => smallest + i)])
      for (const block of written) now[block] = page(++this.seed)
      this.pages.set(relation, now.slice(0, length))
      return {
        spcOid: 1663, dbOid: 5, relNumber: 16384 + relation, created: 0x5_0000_0000n + BigInt(relation), smallest, length, blocks: written,
        pages: [...written].map((block) => now[block]!), unresolved: [xid, xid + 7],
      }
    })
  }
}

const keyOf = (relation: number): string => `1663/5/${16384 + relation}@5/${relation.toString(16).toUpperCase()}`

describe('a pack', () => {
  test('gives each page by ranged reads', () => {
    fc.assert(fc.property(round, (changes) => {
      const relations = new Model().apply(changes)
      const pack = open(encodePack(relations, DEFLATE))
      expect(pack.directory.compressor).toBe('deflate:node')
      const said = pack.directory.relations.map((relation) => ({ ...relation, offsets: undefined, crcs: undefined }))
      expect(said).toEqual(relations.map((relation) => ({ ...relation, pages: undefined })))
      const found = pagesOf(pack)
      for (const { blocks, pages, ...relation } of relations) expect([...found.get(packKey(relation))!]).toEqual([...blocks].map((block, i) => [block, latin1(pages[i]!)]))
    }), { numRuns: 100 })
  })

  test('one block costs its own bytes and the directory', () => {
    const relations = new Model().apply([{ relation: 0, blocks: [], smallest: 0, length: 12, xid: 3 }, { relation: 1, blocks: [], smallest: 0, length: 12, xid: 3 }])
    const bytes = encodePack(relations, DEFLATE)
    const pack = open(bytes)
    const before = pack.bytesRead
    const relation = pack.directory.relations[1]!
    const [range] = packRanges(relation, BlockSet.of([7]))
    expect(unpackPage(pack.directory, relation, 7, pack.read(range!.start, range!.end), DEFLATE)).toEqual(relations[1]!.pages[7])
    expect(pack.bytesRead - before).toBeLessThan(600)
    expect(before).toBeLessThan(300)
  })

  test('merged packs have of each relation what the newest has, and no page that was cut off', () => {
    fc.assert(fc.property(fc.array(round, { minLength: 1, maxLength: 4 }), (rounds) => {
      const model = new Model()
      const packs = rounds.map((changes) => open(encodePack(model.apply(changes), DEFLATE)))
      const merged = open(mergePacks(packs))
      const found = pagesOf(merged)
      const touched = new Set(rounds.flat().map(({ relation }) => relation))
      expect([...found.keys()].sort()).toEqual([...touched].map(keyOf).sort())
      for (const relation of touched) expect([...found.get(keyOf(relation))!.entries()]).toEqual(model.pages.get(relation)!.map((bytes, block) => [block, latin1(bytes!)]))
      const xids = new Map([...touched].map((relation) => [keyOf(relation), new Set(rounds.flat().filter((change) => change.relation === relation).flatMap(({ xid }) => [xid, xid + 7]))]))
      for (const relation of merged.directory.relations) expect(new Set(relation.unresolved)).toEqual(xids.get(packKey(relation)))
      // Dropped relations are left out.
      const gone = new Set([...touched].slice(0, 1).map(keyOf))
      expect(open(mergePacks(packs, gone)).directory.relations.map(packKey).filter((key) => gone.has(key))).toEqual([])
      // All at once, or one after the other.
      expect(Buffer.compare(packs.slice(1).reduce((all, pack) => mergePacks([open(all), pack]), mergePacks(packs.slice(0, 1))), mergePacks(packs))).toBe(0)
    }), { numRuns: 100 })
  })
})

describe('damage of a pack', () => {
  const bytes = encodePack(new Model().apply([{ relation: 0, blocks: [], smallest: 0, length: 3, xid: 9 }, { relation: 2, blocks: [], smallest: 0, length: 2, xid: 3 }]), DEFLATE)

  test('no flipped bit gives another page', () => {
    const sound = pagesOf(open(bytes))
    let found = 0
    for (let at = 4; at < bytes.length; at++) {
      const flipped = bytes.slice()
      flipped[at]! ^= 1 << (at % 8)
      try {
        expect(pagesOf(open(flipped))).toEqual(sound)
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error
        found++
      }
    }
    // But for bits that mean nothing to deflate: those behind its end, codes of bytes that the page has not.
    expect(found).toBeGreaterThan(bytes.length * 0.9)
    for (let length = 0; length < bytes.length; length += 7) expect(() => pagesOf(open(bytes.slice(0, length)))).toThrow(CorruptionError)
  })

  /** The directory changed, its checksum right. */
  function forged(change: (directory: Buffer) => Buffer): Uint8Array {
    const { start, end } = packDirectoryRange(bytes.subarray(-PACK_TAIL_LENGTH), bytes.length)
    const directory = change(Buffer.from(bytes.slice(start, end)))
    const tail = Buffer.alloc(PACK_TAIL_LENGTH)
    tail.writeUInt32LE(directory.length)
    tail.writeUInt32LE(crc32c(directory), 4)
    tail.set(bytes.subarray(-4), 8)
    return Buffer.concat([bytes.subarray(0, start), directory, tail])
  }

  test('a forged directory is refused, or its pages are', () => {
    const { start, end } = packDirectoryRange(bytes.subarray(-PACK_TAIL_LENGTH), bytes.length)
    let passed = 0
    for (let at = 0; at < end - start; at++) {
      for (const value of [0, 1, 0x7f, 0xff]) {
        const change = (directory: Buffer): Buffer => (directory.writeUInt8(value, at), directory)
        try {
          const pages = pagesOf(open(forged(change)))
          for (const found of pages.values()) for (const one of found.values()) expect(one.length).toBe(8192)
          passed++
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^(?:lake\.(?:pack|compressor)|compression\.deflate)$/) as string })
        }
      }
    }
    // Numbers of a relation, its LSN and transactions may be any.
    expect(passed).toBeGreaterThan(0)
  })

  test('ranges that overlap or leave gaps, relations that are there twice', () => {
    const one = new Model().apply([{ relation: 0, blocks: [], smallest: 0, length: 1, xid: 9 }])
    expect(() => open(encodePack([...one, ...one], DEFLATE))).toThrow('has the relation 1663/5/16384@5/0 twice')
    const cut = one.map((relation) => ({ ...relation, length: 2 }))
    expect(() => open(encodePack(cut, DEFLATE))).toThrow('has not each block from 0 to 2')
    expect(() => open(forged((directory) => Buffer.concat([directory, Buffer.of(0)])))).toThrow('has 1 bytes behind its end')
    const shorter = Buffer.concat([bytes.subarray(0, 4), bytes.subarray(5)])
    expect(() => open(shorter)).toThrow(/the pages of a pack end at byte \d+, its directory begins at \d+/)
    const other: Compressor = { ...DEFLATE, name: 'zstd:node' }
    const pack = open(bytes)
    expect(() => unpackPage(pack.directory, pack.directory.relations[0]!, 0, new Uint8Array(9), other)).toThrow(expect.objectContaining({ code: 'lake.compressor' }))
    expect(() => mergePacks([pack, { ...pack, directory: { ...pack.directory, compressor: 'none' } }])).toThrow('lake.compressor')
  })
})
