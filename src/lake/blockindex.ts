import { BlockSet } from '../common/blockset.ts'
import { readBlockSet, writeBlockSet } from '../common/blocksetcodec.ts'
import { ByteReader, writeVarint } from '../common/bytereader.ts'
import { ByteWriter, readU32 } from '../common/bytes.ts'
import { crc32c } from '../common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import type { Persisted } from '../common/validate.ts'
import type { FileSummary, PageStates, RowSet, UnresolvedRun } from '../columnar/filesummary.ts'

/*
 * The small object beside each file of a layer: what must be known of its rows and pages without reading the file.
 *
 *   "ltbi" | version 1 | blocks | of each block: rows | of each block: low word of pd_lsn, as zigzag difference to the one before
 *   | runs of the high word of pd_lsn: (blocks, word) | of each block: CRC-32C of its canonical page, u32 | damaged blocks
 *   | hidden rows | number of unresolved runs, each (first, count, 0: xmin or 1: xmax, xid) | CRC-32C of all before, u32
 *
 * Numbers are varints, sets as in common/blocksetcodec.ts. A block takes some 9 bytes.
 */
const BLOCK_INDEX_MAGIC = 0x6962746c
const BLOCK_INDEX_VERSION = 1
const CRC_LENGTH = 4
/** Line pointers of a page, or the one row of a page without (MaxHeapTuplesPerPage does not bound what damage may claim). */
const PAGE_ROWS_MAX = 2042

const PERSISTED: Persisted = { code: 'lake.block-index', name: 'the block index of a layer file' }

/** What stands beside a file of a layer. */
export interface BlockIndex extends Omit<FileSummary, 'columns'> {
  blocks: BlockSet
}

export function encodeBlockIndex({ blocks, pages, damaged, hidden, unresolved }: BlockIndex): Uint8Array {
  const out = new ByteWriter(64 + blocks.size * 10)
  out.u32(BLOCK_INDEX_MAGIC)
  out.u8(BLOCK_INDEX_VERSION)
  writeBlockSet(blocks, out)
  for (const rows of pages.rows) writeVarint(rows, out)
  writeLsns(pages.lsns, out)
  for (const crc of pages.crcs) out.u32(crc)
  writeBlockSet(damaged, out)
  writeBlockSet(hidden, out)
  writeVarint(unresolved.length, out)
  for (const { first, count, xid, which } of unresolved) {
    writeVarint(first, out)
    writeVarint(count, out)
    writeVarint(which === 'xmax' ? 1 : 0, out)
    writeVarint(xid, out)
  }
  out.u32(crc32c(out.bytes.subarray(0, out.length)))
  return out.take()
}

function writeLsns(lsns: Uint32Array, out: ByteWriter): void {
  for (let at = 1, before = 0; at < lsns.length; at += 2) {
    const difference = (lsns[at]! - before) | 0
    writeVarint(((difference << 1) ^ (difference >> 31)) >>> 0, out)
    before = lsns[at]!
  }
  for (let at = 0; at < lsns.length;) {
    let end = at + 2
    while (end < lsns.length && lsns[end] === lsns[at]) end += 2
    writeVarint((end - at) / 2, out)
    writeVarint(lsns[at]!, out)
    at = end
  }
}

/** @throws CorruptionError lake.block-index, UnsupportedError lake.block-index for a newer version */
export function parseBlockIndex(bytes: Uint8Array): BlockIndex {
  const length = bytes.length - CRC_LENGTH
  if (length < 5 || readU32(bytes, 0) !== BLOCK_INDEX_MAGIC) throw new CorruptionError(PERSISTED.code, `${bytes.length} bytes are no block index`)
  if (readU32(bytes, length) !== crc32c(bytes.subarray(0, length))) {
    throw new CorruptionError(PERSISTED.code, 'the block index of a layer file is not what was written')
  }
  const reader = new ByteReader(bytes.subarray(0, length), PERSISTED)
  reader.take(4)
  const version = reader.u8()
  if (version !== BLOCK_INDEX_VERSION) {
    throw new UnsupportedError(PERSISTED.code,
      `a block index of version ${version}, this ltap reads ${BLOCK_INDEX_VERSION}: use a newer ltap`)
  }
  const blocks = readBlockSet(reader)
  if (blocks.size > reader.left) throw reader.fault(`has ${blocks.size} blocks`)
  const pages = readPages(reader, blocks.size)
  const rows = pages.rows.reduce((sum, count) => sum + count, 0)
  const damaged = readBlockSet(reader)
  if (damaged.subtract(blocks).size > 0) throw reader.fault('has a damaged block that is not among its blocks')
  const hidden = checkedRows(readBlockSet(reader), rows, reader)
  const unresolved = Array.from({ length: reader.varint(reader.left) }, () => readUnresolved(reader, rows))
  reader.end()
  return { blocks, pages, damaged, hidden, unresolved }
}

function readPages(reader: ByteReader, count: number): PageStates {
  const pages: PageStates = { rows: new Uint32Array(count), lsns: new Uint32Array(count * 2), crcs: new Uint32Array(count) }
  for (let i = 0; i < count; i++) {
    pages.rows[i] = reader.varint(PAGE_ROWS_MAX)
    if (pages.rows[i] === 0) throw reader.fault('has a block without rows')
  }
  for (let i = 0, low = 0; i < count; i++) {
    const coded = reader.varint(0xffffffff)
    low = (low + ((coded >>> 1) ^ -(coded & 1))) >>> 0
    pages.lsns[i * 2 + 1] = low
  }
  for (let i = 0; i < count;) {
    const run = reader.varint(count - i)
    if (run === 0) throw reader.fault('has an empty run of LSNs')
    const high = reader.varint(0xffffffff)
    if (i > 0 && high === pages.lsns[i * 2 - 2]) throw reader.fault('has two runs of LSNs where one is due')
    for (const end = i + run; i < end; i++) pages.lsns[i * 2] = high
  }
  for (let i = 0; i < count; i++) pages.crcs[i] = reader.u32()
  return pages
}

function checkedRows(set: RowSet, rows: number, reader: ByteReader): RowSet {
  const last = set.runs.at(-1)
  if (last && last.first + last.count > rows) throw reader.fault(`has row ${last.first + last.count - 1} of ${rows}`)
  return set
}

function readUnresolved(reader: ByteReader, rows: number): UnresolvedRun {
  const first = reader.varint(rows)
  const count = reader.varint(rows - first)
  if (count === 0) throw reader.fault('has a run of no rows')
  const which = reader.varint(1) === 0 ? 'xmin' : 'xmax'
  return { first, count, xid: reader.varint(), which }
}

/** Where the rows of these blocks are in the file, as sorted runs. @param blocks others of them are passed over */
export function rowsOfBlocks({ blocks: all, pages }: Pick<BlockIndex, 'blocks' | 'pages'>, blocks: BlockSet): RowSet {
  const starts = startsOf(pages.rows)
  return BlockSet.ofRuns(blocks.intersect(all).runs.map(({ first, count }) => {
    const from = all.indexOf(first)
    return { first: starts[from]!, count: starts[from + count]! - starts[from]! }
  }))
}

/** The position of each page's first row, and at the end the number of rows. */
function startsOf(rows: Uint32Array): Float64Array {
  const starts = new Float64Array(rows.length + 1)
  for (let i = 0; i < rows.length; i++) starts[i + 1] = starts[i]! + rows[i]!
  return starts
}
