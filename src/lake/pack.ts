import { BlockSet } from '../common/blockset.ts'
import { ByteReader, writeVarint } from '../common/bytereader.ts'
import { ByteWriter, readU32 } from '../common/bytes.ts'
import { crc32c } from '../common/crc32c.ts'
import { assert, CorruptionError, UnsupportedError } from '../common/errors.ts'
import { BLOCK_SIZE, type RelFileLocator } from '../common/rel.ts'
import { utf8Encode } from '../common/utf8.ts'
import type { Persisted } from '../common/validate.ts'
import type { Compressor } from '../parquet/compressor.ts'
import { parseBlockIndex } from './blockindex.ts'

/*
 * A pack: changed pages of many small relations, of one materialization, in one object.
 *
 *   "ltpk" | each page, compressed alone … | directory | length of the directory, u32 | its CRC-32C, u32 | "ltpk"
 *
 *   directory: version 1 | name of the compressor | number of relations, each:
 *     tablespace, database, relation number | LSN at which it was made, high and low word | smallest length since the layer before, length now
 *     | number of pages, bytes of each compressed page | length of the block index, the index (blockindex.ts): blocks, LSN, CRC and rows of each page,
 *     hidden rows, full xids that rows depend on
 *
 * Pages lie in the order of the directory, without gaps. Numbers are varints. A state's entries say the same of what they refer to, so that a reader of
 * one relation reads its pages alone; with the directory a pack needs no state to be read.
 */
const PACK_MAGIC = 0x6b70746c
const PACK_VERSION = 1
/** Bytes before the first page. */
export const PACK_HEAD_LENGTH = 4
/** Number of bytes at the end of a pack that say where its directory is. */
export const PACK_TAIL_LENGTH = 12
/** A page that does not compress takes little more than a page. */
export const PACKED_PAGE_MAX: number = 2 * BLOCK_SIZE

const PERSISTED: Persisted = { code: 'lake.pack', name: 'a pack' }

/** Where a relation's pages lie in a pack. */
export interface PackPlace {
  /** Byte of the pack at which the first page begins; the others follow it. */
  start: number
  /** Bytes of each compressed page, in order of the blocks. */
  sizes: readonly number[]
  /** Name of the compressor that made them. */
  compressor: string
}

/** A relation as a pack has it. */
export interface PackRelation extends RelFileLocator {
  /** LSN at which the file was made, which tells files of the same number apart. */
  created: bigint
  smallest: number
  length: number
  /** Bytes of each compressed page. */
  sizes: readonly number[]
  /** A block index (blockindex.ts). */
  index: Uint8Array
}

/** What a directory has of a relation: where the first of its pages begins, too. */
export interface PackedRelation extends PackRelation {
  start: number
}

export interface PackDirectory {
  compressor: string
  relations: readonly PackedRelation[]
}

/** Compressed pages of one relation, end to end. @param pages 8192 bytes each, in order of the blocks */
export function packPages(pages: Iterable<Uint8Array>, compressor: Compressor): { sizes: number[]; bytes: Uint8Array } {
  const compressed = Array.from(pages, (page) => {
    assert(page.length === BLOCK_SIZE, 'a page')
    return compressor.compress(page)
  })
  const out = new ByteWriter(compressed.reduce((length, page) => length + page.length, 0))
  for (const page of compressed) out.copy(page)
  return { sizes: compressed.map(({ length }) => length), bytes: out.take() }
}

/** The bytes of a pack that are no pages: what is before them, and, once all relations were added, what is behind them. */
export class PackBuilder {
  private readonly compressor: string
  private readonly relations: PackRelation[] = []
  private length = PACK_HEAD_LENGTH

  /** @param compressor name of that of all pages */
  constructor(compressor: string) {
    this.compressor = compressor
  }

  /** Bytes so far, without the directory. */
  get bytes(): number {
    return this.length
  }

  begin(): Uint8Array {
    const out = new ByteWriter(PACK_HEAD_LENGTH)
    out.u32(PACK_MAGIC)
    return out.take()
  }

  /** Its pages follow those of the one before. */
  add(relation: PackRelation): PackPlace {
    const start = this.length
    this.relations.push(relation)
    this.length += sum(relation.sizes)
    return { start, sizes: relation.sizes, compressor: this.compressor }
  }

  /** Directory and tail. */
  end(): Uint8Array {
    const out = new ByteWriter()
    out.u8(PACK_VERSION)
    const name = utf8Encode(this.compressor)
    writeVarint(name.length, out)
    out.copy(name)
    writeVarint(this.relations.length, out)
    for (const relation of this.relations) writeRelation(relation, out)
    const { length } = out
    out.u32(length)
    out.u32(crc32c(out.bytes.subarray(0, length)))
    out.u32(PACK_MAGIC)
    return out.take()
  }
}

function writeRelation({ spcOid, dbOid, relNumber, created, smallest, length, sizes, index }: PackRelation, out: ByteWriter): void {
  for (const number of [spcOid, dbOid, relNumber, Number(created >> 32n), Number(created & 0xffffffffn), smallest, length, sizes.length, ...sizes]) {
    writeVarint(number, out)
  }
  writeVarint(index.length, out)
  out.copy(index)
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
  if (start < PACK_HEAD_LENGTH) throw new CorruptionError(PERSISTED.code, `a directory of ${readU32(tail, 0)} bytes in a pack of ${size}`)
  return { start, end }
}

/**
 * The directory, checked: pages lie behind each other in the pack, and what it says of a relation fits.
 * @param bytes from the directory's start to the end of the pack @param start where that is, see {@link packDirectoryRange}
 * @throws CorruptionError lake.pack, lake.block-index; UnsupportedError lake.pack for another version
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
  let at = PACK_HEAD_LENGTH
  for (let left = reader.varint(reader.left); left > 0; left--) {
    const relation = readRelation(reader, at)
    at += sum(relation.sizes)
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
  const sizes = Array.from({ length: reader.varint(reader.left) }, () => reader.varint(PACKED_PAGE_MAX))
  const index = reader.take(reader.varint(reader.left)).slice()
  const { blocks } = parseBlockIndex(index)
  if (sizes.length !== blocks.size) throw reader.fault(`has ${sizes.length} pages of ${blocks.size} blocks`)
  const last = blocks.runs.at(-1)
  if (last && last.first + last.count > length) throw reader.fault(`has block ${last.first + last.count - 1} of ${length}`)
  if (smallest > length || BlockSet.range(smallest, length - smallest).subtract(blocks).size > 0) {
    throw reader.fault(`has not each block from ${smallest} to ${length}`)
  }
  return { ...locator, created, smallest, length, sizes, index, start }
}

/** `1663/5/16384@16/B374D848`: a file of a relation; the number alone may have been used before. */
export function packKey({ spcOid, dbOid, relNumber, created }: Pick<PackRelation, 'spcOid' | 'dbOid' | 'relNumber' | 'created'>): string {
  return `${spcOid}/${dbOid}/${relNumber}@${(created >> 32n).toString(16).toUpperCase()}/${(created & 0xffffffffn).toString(16).toUpperCase()}`
}

/** Bytes [start, end) of a pack that have all pages of a relation. */
export function packRange({ start, sizes }: Pick<PackPlace, 'start' | 'sizes'>): { start: number; end: number } {
  return { start, end: start + sum(sizes) }
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0)
}
