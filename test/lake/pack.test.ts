/** Packs: pages of many small relations in one object, read by ranges, each checked. */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { crc32c } from '../../src/common/crc32c.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { encodeBlockIndex } from '../../src/lake/blockindex.ts'
import { PACK_TAIL_LENGTH, PackBuilder, type PackDirectory, packDirectoryRange, packKey, packPages, packRange, parsePackDirectory } from '../../src/lake/pack.ts'
import { unpackPages } from '../../src/lake/packedpages.ts'
import { checkPageChecksum } from '../../src/page/checksum.ts'
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

/** A page whose bytes tell which it is, pd_checksum 0 as in any canonical page. */
function page(seed: number): Uint8Array {
  const bytes = new Uint8Array(8192)
  for (let i = 0, state = seed; i < 60; i++) bytes[i] = (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 16
  bytes[8] = bytes[9] = 0
  return bytes
}

interface Relation {
  blocks: BlockSet
  pages: Uint8Array[]
  smallest: number
  length: number
  damaged: BlockSet
}

let seed = 0
const relation: fc.Arbitrary<Relation> = fc.record({ blocks: fc.uniqueArray(fc.nat(11), { maxLength: 5 }), smallest: fc.nat(8), length: fc.nat(12), damaged: fc.array(fc.nat(11)) })
  .map(({ blocks, smallest: wanted, length, damaged }) => {
    const smallest = Math.min(wanted, length)
    const written = BlockSet.of([...blocks.filter((block) => block < length), ...Array.from({ length: length - smallest }, (_, i) => smallest + i)])
    return { blocks: written, smallest, length, pages: [...written].map(() => page(++seed)), damaged: BlockSet.of(damaged).intersect(written) }
  })

const placeOf = (i: number): { spcOid: number; dbOid: number; relNumber: number; created: bigint } => ({ spcOid: 1663, dbOid: 5, relNumber: 16384 + i, created: 0x5_0000_0000n + BigInt(i) })

function indexOf({ blocks, pages, damaged }: Relation): Uint8Array {
  const count = blocks.size
  const crcs = Uint32Array.from(pages, (bytes) => crc32c(bytes))
  return encodeBlockIndex({
    blocks, damaged, hidden: BlockSet.EMPTY, unresolved: [],
    pages: { rows: new Uint32Array(count).fill(3), lsns: new Uint32Array(count * 2), crcs },
  })
}

function packOf(relations: readonly Relation[], compressor = DEFLATE): Uint8Array {
  const builder = new PackBuilder(compressor.name)
  const bytes: Uint8Array[] = [builder.begin()]
  for (const [i, made] of relations.entries()) {
    const packed = packPages(made.pages, compressor)
    const at = bytes.reduce((sum, { length }) => sum + length, 0)
    const place = builder.add({ ...placeOf(i), smallest: made.smallest, length: made.length, sizes: packed.sizes, index: indexOf(made) })
    expect(place).toEqual({ start: at, sizes: packed.sizes, compressor: compressor.name })
    bytes.push(packed.bytes)
  }
  return new Uint8Array(Buffer.concat([...bytes, builder.end()]))
}

function directoryOf(pack: Uint8Array): PackDirectory {
  const { start } = packDirectoryRange(pack.subarray(Math.max(0, pack.length - PACK_TAIL_LENGTH)), pack.length)
  return parsePackDirectory(pack.subarray(start), start)
}

/** Bytes are compared as text: item by item they take a hundred times as long. */
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

function pagesOf(pack: Uint8Array, checksums = false): Map<string, Map<number, string>> {
  const { compressor, relations } = directoryOf(pack)
  return new Map(relations.map((found) => {
    const { start, end } = packRange(found)
    const pages = new Map<number, string>()
    unpackPages({ ...found, compressor, bytes: pack.subarray(start, end), checksums }, (block, bytes) => {
      if (checksums) checkPageChecksum(bytes, block)
      pages.set(block, latin1(bytes))
    }, DEFLATE)
    return [packKey(found), pages]
  }))
}

test('a pack gives each page by the range of its relation, and its directory says what was packed', () => {
  fc.assert(fc.property(fc.array(relation, { maxLength: 4 }), (relations) => {
    const pack = packOf(relations)
    const { compressor, relations: said } = directoryOf(pack)
    expect(compressor).toBe('deflate:node')
    expect(said.map(({ smallest, length, index }) => ({ smallest, length, index: latin1(index) })))
      .toEqual(relations.map((made) => ({ smallest: made.smallest, length: made.length, index: latin1(indexOf(made)) })))
    const found = pagesOf(pack)
    for (const [i, { blocks, pages }] of relations.entries()) {
      expect([...found.get(packKey(placeOf(i)))!]).toEqual([...blocks].map((block, j) => [block, latin1(pages[j]!)]))
    }
  }), { numRuns: 100 })
})

test('pages get their checksums where the cluster has them, but for those that were damaged', () => {
  const made: Relation = { blocks: BlockSet.range(0, 3), smallest: 0, length: 3, damaged: BlockSet.of([1]), pages: [page(1), page(2), new Uint8Array(8192)] }
  const { sizes, bytes } = packPages(made.pages, DEFLATE)
  const seen: string[] = []
  unpackPages({ sizes, bytes, compressor: DEFLATE.name, index: indexOf(made), checksums: true }, (block, found, form, firstRow) => {
    seen.push(`${block} ${form} ${firstRow}`)
    if (form === 'canonical') checkPageChecksum(found, block)
    else expect(latin1(found)).toBe(latin1(page(2)))
  }, DEFLATE)
  expect(seen).toEqual(['0 canonical 0', '1 verbatim 3', '2 canonical 6'])
})

describe('damage of a pack', () => {
  const relations = fc.sample(relation.filter(({ blocks }) => blocks.size > 2), { numRuns: 2, seed: 3 })
  const bytes = packOf(relations)

  test('no flipped bit gives another page', () => {
    const sound = pagesOf(bytes)
    let found = 0
    for (let at = 4; at < bytes.length; at++) {
      const flipped = bytes.slice()
      flipped[at]! ^= 1 << (at % 8)
      try {
        expect(pagesOf(flipped)).toEqual(sound)
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error
        found++
      }
    }
    // But for bits that mean nothing to deflate: those behind its end, codes of bytes that the page has not.
    expect(found).toBeGreaterThan(bytes.length * 0.9)
    for (let length = 0; length < bytes.length; length += 7) expect(() => pagesOf(bytes.slice(0, length))).toThrow(CorruptionError)
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
        try {
          const pages = pagesOf(forged((directory) => (directory.writeUInt8(value, at), directory)))
          for (const found of pages.values()) for (const one of found.values()) expect(one.length).toBe(8192)
          passed++
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^lake\.(?:pack|compressor|block-index)$/) as string })
        }
      }
    }
    // Numbers of a relation and its LSN may be any.
    expect(passed).toBeGreaterThan(0)
  })

  test('ranges that overlap or leave gaps, relations that are there twice, another compressor', () => {
    const one: Relation = { blocks: BlockSet.range(0, 1), smallest: 0, length: 1, damaged: BlockSet.EMPTY, pages: [page(5)] }
    const builder = new PackBuilder('none')
    for (let i = 0; i < 2; i++) builder.add({ ...placeOf(0), smallest: 0, length: 1, sizes: [8192], index: indexOf(one) })
    const twice = Buffer.concat([builder.begin(), one.pages[0]!, one.pages[0]!, builder.end()])
    expect(() => directoryOf(twice)).toThrow('has the relation 1663/5/16384@5/0 twice')
    expect(() => directoryOf(packOf([{ ...one, length: 2 }]))).toThrow('has not each block from 0 to 2')
    expect(() => directoryOf(forged((directory) => Buffer.concat([directory, Buffer.of(0)])))).toThrow('has 1 bytes behind its end')
    expect(() => directoryOf(Buffer.concat([bytes.subarray(0, 4), bytes.subarray(5)]))).toThrow(/the pages of a pack end at byte \d+, its directory begins at \d+/)
    const few = new PackBuilder('none')
    few.add({ ...placeOf(0), smallest: 0, length: 1, sizes: [], index: indexOf(one) })
    expect(() => directoryOf(Buffer.concat([few.begin(), few.end()]))).toThrow('has 0 pages of 1 blocks')
    const packed = { sizes: [8192], index: indexOf(one), checksums: false }
    expect(() => unpackPages({ ...packed, compressor: 'lz4:x', bytes: one.pages[0]! }, () => {}, DEFLATE)).toThrow(expect.objectContaining({ code: 'lake.compressor' }))
    expect(() => unpackPages({ ...packed, compressor: 'none', bytes: one.pages[0]!.subarray(1) }, () => {})).toThrow('1 pages in 8191 bytes of a pack')
    expect(() => unpackPages({ ...packed, compressor: 'none', bytes: page(6) }, () => {})).toThrow(expect.objectContaining({ code: 'lake.pack', position: { block: 0 } }))
  })
})
