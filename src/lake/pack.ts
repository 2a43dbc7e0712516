import { BlockSet } from '../common/blockset.ts'
import { readBlockSet, writeBlockSet } from '../common/blocksetcodec.ts'
import { ByteReader, writeVarint } from '../common/bytereader.ts'
import { ByteWriter, readU32 } from '../common/bytes.ts'
import { crc32c } from '../common/crc32c.ts'
import { assert, CorruptionError, UnsupportedError } from '../common/errors.ts'
import type { BlockNumber } from '../common/ids.ts'
import { BLOCK_SIZE, type RelFileLocator } from '../common/rel.ts'
import { utf8Encode } from '../common/utf8.ts'
import type { Persisted } from '../common/validate.ts'
import type { Compressor } from '../parquet/compressor.ts'

/*
 * A pack: changed pages of many small relations, of one materialization, in one object.
 *
 *   "ltpk" | each page, compressed alone … | directory | length of the directory, u32 | its CRC-32C, u32 | "ltpk"
 *
 *   directory: version 1 | name of the compressor | number of relations, each:
 *     tablespace, database, relation number | LSN at which it was made, high and low word | smallest length since the layer before, length now
 *     | blocks | of each block: bytes of its compressed page | of each block: CRC-32C of its page, u32
 *     | number of unresolved transactions | their full xids, each as difference to the one before
 *
 * Pages lie in the order of the directory, without gaps. Numbers are varints, sets as in common/blocksetcodec.ts.
 */
const PACK_MAGIC = 0x6b70746c
const PACK_VERSION = 1
const HEAD_LENGTH = 4
/** Number of bytes at the end of a pack that say where its directory is. */
export const PACK_TAIL_LENGTH = 12

const PERSISTED: Persisted = { code: 'lake.pack', name: 'a pack' }

/** A relation as a pack has it: its file, and what a layer says of it. */
export interface PackRelation extends RelFileLocator {
  /** LSN at which the file was made, which tells files of the same number apart. */
  created: bigint
  smallest: number
  length: number
  /** Full xids that were in progress: what the relation's rows say depends on them. Ascending. */
  unresolved: readonly number[]
}

export interface PackedRelation extends PackRelation {
  blocks: BlockSet
  /** Where each block's compressed page begins in the pack; the last number is the end of the last page. */
  offsets: readonly number[]
  /** CRC-32C of each block's page. */
  crcs: Uint32Array
}

export interface PackDirectory {
  compressor: string
  relations: readonly PackedRelation[]
}

/** A page of a relation as the pack keeps it. */
interface StoredPage {
  crc: number
  bytes: Uint8Array
}

interface StoredRelation extends PackRelation {
  blocks: BlockSet
  /** In order of the blocks. */
  pages: readonly StoredPage[]
}

/** One relation's pages for a pack: canonical pages in order of the blocks. */
export interface RelationPages extends PackRelation {
  blocks: BlockSet
  pages: readonly Uint8Array[]
}

/** The bytes of a pack. Same pages and compressor, same bytes. */
export function encodePack(relations: readonly RelationPages[], compressor: Compressor): Uint8Array {
  return writePack(compressor.name, relations.map(({ pages, ...relation }) => {
    assert(pages.length === relation.blocks.size && pages.every((page) => page.length === BLOCK_SIZE), 'one page for each block')
    return { ...relation, pages: pages.map((page) => ({ crc: crc32c(page), bytes: compressor.compress(page) })) }
  }))
}

function writePack(compressor: string, relations: readonly StoredRelation[]): Uint8Array {
  const out = new ByteWriter(1 << 16)
  out.u32(PACK_MAGIC)
  for (const { pages } of relations) for (const { bytes } of pages) out.copy(bytes)
  const directory = new ByteWriter()
  directory.u8(PACK_VERSION)
  const name = utf8Encode(compressor)
  writeVarint(name.length, directory)
  directory.copy(name)
  writeVarint(relations.length, directory)
  for (const relation of relations) writeRelation(relation, directory)
  out.copy(directory.bytes, 0, directory.length)
  out.u32(directory.length)
  out.u32(crc32c(directory.bytes.subarray(0, directory.length)))
  out.u32(PACK_MAGIC)
  return out.take()
}

function writeRelation({ spcOid, dbOid, relNumber, created, smallest, length, blocks, pages, unresolved }: StoredRelation, out: ByteWriter): void {
  for (const number of [spcOid, dbOid, relNumber, Number(created >> 32n), Number(created & 0xffffffffn), smallest, length]) writeVarint(number, out)
  writeBlockSet(blocks, out)
  for (const { bytes } of pages) writeVarint(bytes.length, out)
  for (const { crc } of pages) out.u32(crc)
  writeVarint(unresolved.length, out)
  unresolved.forEach((xid, i) => writeVarint(xid - (i === 0 ? 0 : unresolved[i - 1]!), out))
}

/**
 * Where the directory is.
 * @param tail the last {@link PACK_TAIL_LENGTH} bytes @param size of the pack
 * @throws CorruptionError lake.pack
 */
export function packDirectoryRange(tail: Uint8Array, size: number): { start: number; end: number } {
  if (tail.length !== PACK_TAIL_LENGTH || readU32(tail, 8) !== PACK_MAGIC) throw new CorruptionError(PERSISTED.code, `an object of ${size} bytes is no pack`)
  const end = size - PACK_TAIL_LENGTH
  const start = end - readU32(tail, 0)
  if (start < HEAD_LENGTH) throw new CorruptionError(PERSISTED.code, `a directory of ${readU32(tail, 0)} bytes in a pack of ${size}`)
  return { start, end }
}

/**
 * The directory, checked: ranges lie behind each other in the pack, and what it says of a relation fits.
 * @param bytes from the directory's start to the end of the pack @param start where that is, see {@link packDirectoryRange}
 * @throws CorruptionError lake.pack; UnsupportedError lake.pack for another version
 */
export function parsePackDirectory(bytes: Uint8Array, start: number): PackDirectory {
  const tail = bytes.length - PACK_TAIL_LENGTH
  if (tail < 0 || readU32(bytes, tail) !== tail || readU32(bytes, tail + 4) !== crc32c(bytes.subarray(0, tail))) {
    throw new CorruptionError(PERSISTED.code, 'the directory of a pack is not what was written')
  }
  const reader = new ByteReader(bytes.subarray(0, tail), PERSISTED)
  const version = reader.u8()
  if (version !== PACK_VERSION) throw new UnsupportedError(PERSISTED.code, `a pack of version ${version}, this ltap reads ${PACK_VERSION}: use a newer ltap`)
  const compressor = reader.text()
  const relations: PackedRelation[] = []
  const names = new Set<string>()
  let at = HEAD_LENGTH
  for (let left = reader.varint(reader.left); left > 0; left--) {
    const relation = readRelation(reader, at)
    at = relation.offsets.at(-1)!
    const name = packKey(relation)
    if (names.has(name)) throw reader.fault(`has the relation ${name} twice`)
    names.add(name)
    relations.push(relation)
  }
  reader.end()
  if (at !== start) throw new CorruptionError(PERSISTED.code, `the pages of a pack end at byte ${at}, its directory begins at ${start}`)
  return { compressor, relations }
}

function readRelation(reader: ByteReader, start: number): PackedRelation {
  const number = (): number => reader.varint(0xffffffff)
  const locator = { spcOid: number(), dbOid: number(), relNumber: number() }
  const created = (BigInt(number()) << 32n) | BigInt(number())
  const [smallest, length] = [number(), number()]
  const blocks = readBlockSet(reader)
  const last = blocks.runs.at(-1)
  if (last && last.first + last.count > length) throw reader.fault(`has block ${last.first + last.count - 1} of ${length}`)
  if (smallest > length || BlockSet.range(smallest, length - smallest).subtract(blocks).size > 0) {
    throw reader.fault(`has not each block from ${smallest} to ${length}`)
  }
  if (blocks.size > reader.left) throw reader.fault(`has ${blocks.size} blocks`)
  const offsets = [start]
  for (let i = 0; i < blocks.size; i++) offsets.push(offsets[i]! + reader.varint(BLOCK_SIZE * 2))
  const crcs = Uint32Array.from({ length: blocks.size }, () => reader.u32())
  const unresolved: number[] = []
  for (let left = reader.varint(reader.left), xid = 0; left > 0; left--) {
    const step = reader.varint(Number.MAX_SAFE_INTEGER - xid)
    if (step === 0) throw reader.fault('has a transaction twice')
    unresolved.push(xid += step)
  }
  return { ...locator, created, smallest, length, blocks, offsets, crcs, unresolved }
}

/** `1663/5/16384@16/B374D848`: a file of a relation; the number alone may have been used before. */
export function packKey({ spcOid, dbOid, relNumber, created }: Pick<PackRelation, 'spcOid' | 'dbOid' | 'relNumber' | 'created'>): string {
  return `${spcOid}/${dbOid}/${relNumber}@${(created >> 32n).toString(16).toUpperCase()}/${(created & 0xffffffffn).toString(16).toUpperCase()}`
}

/** Where the compressed pages of some blocks are, one range of bytes for those that lie together. Blocks that the pack has not are passed over. */
export function packRanges({ blocks, offsets }: PackedRelation, wanted: BlockSet): { blocks: BlockSet; start: number; end: number }[] {
  return wanted.intersect(blocks).runs.map(({ first, count }) => {
    const from = blocks.indexOf(first)
    return { blocks: BlockSet.range(first, count), start: offsets[from]!, end: offsets[from + count]! }
  })
}

/**
 * The canonical page of a block.
 * @param bytes of the range that {@link packRanges} gives for the block alone, or that part of a longer one
 * @throws CorruptionError lake.pack with the block, UnsupportedError lake.compressor
 */
export function unpackPage(directory: PackDirectory, relation: PackedRelation, block: BlockNumber, bytes: Uint8Array, compressor: Compressor): Uint8Array {
  if (compressor.name.split(':')[0] !== directory.compressor.split(':')[0]) {
    throw new UnsupportedError('lake.compressor', `the pack is compressed with ${directory.compressor}, not with ${compressor.name}`)
  }
  const at = relation.blocks.indexOf(block)
  assert(at >= 0 && bytes.length === relation.offsets[at + 1]! - relation.offsets[at]!, 'the bytes of one block')
  let page: Uint8Array
  try {
    page = compressor.decompress(bytes, BLOCK_SIZE)
  } catch (error) {
    throw error instanceof CorruptionError ? error.at({ relation: packKey(relation), block }) : error
  }
  if (page.length !== BLOCK_SIZE || crc32c(page) !== relation.crcs[at]) {
    throw new CorruptionError(PERSISTED.code, 'a page of a pack is not what was written', { relation: packKey(relation), block })
  }
  return page
}

/** A pack whose directory was read; its pages are at hand. */
export interface OpenPack {
  directory: PackDirectory
  /** Bytes [start, end) of the pack. */
  read(start: number, end: number): Uint8Array
}

/**
 * One pack in place of several that follow each other in the order of the layers: of each block the newest page, and none that a later pack cut off.
 * Pages are copied as they are, not compressed again.
 * @param packs oldest first, all of one compression
 * @param gone packKey of relations that were dropped since
 * @throws UnsupportedError lake.compressor
 */
export function mergePacks(packs: readonly OpenPack[], gone: ReadonlySet<string> = new Set()): Uint8Array {
  const merged = new Map<string, { relation: PackRelation; pages: Map<BlockNumber, StoredPage> }>()
  const compressor = packs.at(-1)?.directory.compressor ?? 'none'
  for (const { directory, read } of packs) {
    if (directory.compressor !== compressor) {
      throw new UnsupportedError('lake.compressor', `packs of ${directory.compressor} and of ${compressor} are not merged`)
    }
    for (const relation of directory.relations) {
      const key = packKey(relation)
      if (gone.has(key)) continue
      const before = merged.get(key)
      const pages = before?.pages ?? new Map<BlockNumber, StoredPage>()
      for (const block of pages.keys()) if (block >= relation.smallest) pages.delete(block)
      let i = 0
      for (const block of relation.blocks) {
        pages.set(block, { crc: relation.crcs[i]!, bytes: read(relation.offsets[i]!, relation.offsets[i + 1]!) })
        i++
      }
      const smallest = Math.min(relation.smallest, before?.relation.smallest ?? Infinity)
      const unresolved = [...new Set([...before?.relation.unresolved ?? [], ...relation.unresolved])].sort((a, b) => a - b)
      merged.set(key, { relation: { ...relation, smallest, unresolved }, pages })
    }
  }
  return writePack(compressor, [...merged.values()].map(({ relation, pages }) => {
    const blocks = BlockSet.of(pages.keys())
    return { ...relation, blocks, pages: [...blocks].map((block) => pages.get(block)!) }
  }))
}
