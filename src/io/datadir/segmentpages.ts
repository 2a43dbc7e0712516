import { closeSync } from 'node:fs'
import { missingFork } from '../../catalog/cluster.ts'
import { type BlockRun, BlockSet } from '../../common/blockset.ts'
import { assert, CorruptionError } from '../../common/errors.ts'
import type { BlockNumber } from '../../common/ids.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../../common/rel.ts'
import { segmentPath } from '../../common/relpath.ts'
import type { PageSource } from '../../page/pagesource.ts'
import { fileError, isDiskError, isMissing, readFully } from '../disk/files.ts'
import { openRegular, statRegular } from '../disk/regularfile.ts'

const MAX_OPEN_SEGMENTS = 4

/** Blocks of one read where a fork is read block after block without {@link SegmentPages.prepare}. */
const READ_AHEAD_BLOCKS = 32

/**
 * One fork of a relation: `<path>`, `<path>.1`, … of 131072 blocks each, all full but the last. Empty files may follow the last one:
 * truncation leaves them (mdtruncate, md.c). A crash or a full disk leaves part of a block at the end of a file: a server counts whole
 * blocks (_mdnblocks), and writes over it when the relation grows. Segments are opened when read; at most four stay open until {@link close}.
 *
 * Its pages are at hand: blocks that are not prepared can be read, too, 256 KiB at a time where one follows the other.
 */
export class SegmentPages implements PageSource {
  /** Segment 0. */
  readonly file: string
  readonly blocks: number
  /** Bytes behind the whole blocks: no server reads them. */
  readonly trailingBytes: number
  // In order of last use.
  private readonly open = new Map<number, number>()
  private prepared: BlockSet = BlockSet.EMPTY
  private preparedPages = new Uint8Array(0)
  /** Blocks that were read beyond the one that the caller asked for. */
  private ahead: BlockRun = { first: 0, count: 0 }
  private aheadPages = new Uint8Array(0)
  private readonly onUnreadable: 'fail' | 'lost'
  /** Blocks that the disk did not give. */
  private readonly lost = new Set<BlockNumber>()

  /**
   * @param onUnreadable `lost`: a block that the disk does not give (EIO) costs itself alone, and reading it is an error of that block
   * @param segments numbers of the segment files that the directory holds, 0 for `<path>` itself
   * @throws CorruptionError relation.* for a missing file, and for blocks that a server does not see since a segment before them is not full
   */
  constructor(path: string, segments: readonly number[], onUnreadable: 'fail' | 'lost' = 'fail') {
    this.file = path
    this.onUnreadable = onUnreadable
    const { blocks, trailingBytes } = measure(path, segments)
    this.blocks = blocks
    this.trailingBytes = trailingBytes
  }

  /** @throws CorruptionError relation.short-read if the file became shorter, EnvironmentError if it cannot be read */
  async prepare(set: BlockSet): Promise<void> {
    this.prepared = BlockSet.EMPTY
    const bytes = set.size * BLOCK_SIZE
    if (this.preparedPages.length < bytes) this.preparedPages = new Uint8Array(bytes)
    let at = 0
    for (const { first, count } of set.runs) {
      this.readBlocks(first, count, this.preparedPages, at)
      at += count * BLOCK_SIZE
    }
    this.prepared = set
  }

  /** @throws as {@link prepare}, for a block that is not prepared; CorruptionError relation.unreadable for a lost one */
  read(block: BlockNumber): Uint8Array {
    const at = this.prepared.indexOf(block)
    const page = at < 0 ? this.readAhead(block) : pageAt(this.preparedPages, at)
    if (this.lost.size > 0 && this.lost.has(block)) throw unreadable(segmentPath(this.file, Math.floor(block / SEGMENT_BLOCKS)))
    return page
  }

  close(): void {
    for (const fd of this.open.values()) closeSync(fd)
    this.open.clear()
  }

  private readAhead(block: BlockNumber): Uint8Array {
    const { first, count } = this.ahead
    if (block >= first && block < first + count) return pageAt(this.aheadPages, block - first)
    const wanted = block === first + count ? Math.min(READ_AHEAD_BLOCKS, Math.max(1, this.blocks - block)) : 1
    // Each read has new memory, so that pages that the caller got before do not change.
    const pages = new Uint8Array(wanted * BLOCK_SIZE)
    this.readBlocks(block, wanted, pages, 0)
    this.aheadPages = pages
    this.ahead = { first: block, count: wanted }
    return pageAt(pages, 0)
  }

  private readBlocks(first: BlockNumber, count: number, into: Uint8Array, start: number): void {
    assert(first >= 0 && first + count <= this.blocks, `blocks ${first} to ${first + count} of ${this.blocks}`)
    for (let block = first, at = start; block < first + count; ) {
      const inSegment = block % SEGMENT_BLOCKS
      const run = Math.min(first + count - block, SEGMENT_BLOCKS - inSegment)
      this.readSegment(Math.floor(block / SEGMENT_BLOCKS), inSegment, run, into, at)
      block += run
      at += run * BLOCK_SIZE
    }
  }

  private readSegment(segment: number, block: number, count: number, into: Uint8Array, start: number): void {
    const file = segmentPath(this.file, segment)
    const fd = this.descriptor(segment, file)
    let done: number
    try {
      done = readFully(fd, into, start, count * BLOCK_SIZE, block * BLOCK_SIZE)
    } catch (error) {
      if (this.onUnreadable === 'fail' || !isDiskError(error)) throw fileError(error, file)
      this.readEach(segment, block, count, into, start)
      return
    }
    if (done < count * BLOCK_SIZE) {
      throw new CorruptionError('relation.short-read', `the file ended after ${done} of ${count * BLOCK_SIZE} bytes`, { file, byte: block * BLOCK_SIZE })
    }
  }

  /** Block by block: those that the disk does not give are lost, the others are not. */
  private readEach(segment: number, block: number, count: number, into: Uint8Array, start: number): void {
    if (count === 1) this.lost.add(segment * SEGMENT_BLOCKS + block)
    else for (let i = 0; i < count; i++) this.readSegment(segment, block + i, 1, into, start + i * BLOCK_SIZE)
  }

  private descriptor(segment: number, file: string): number {
    const known = this.open.get(segment)
    if (known !== undefined) {
      this.open.delete(segment)
      this.open.set(segment, known)
      return known
    }
    for (const [oldest, fd] of this.open) {
      if (this.open.size < MAX_OPEN_SEGMENTS) break
      closeSync(fd)
      this.open.delete(oldest)
    }
    try {
      const fd = openRegular(file)
      this.open.set(segment, fd)
      return fd
    } catch (error) {
      throw fileError(error, file)
    }
  }
}

function unreadable(file: string): CorruptionError {
  return new CorruptionError('relation.unreadable', 'the disk does not give this block (EIO); see the system log, and take the file from a backup', { file })
}

function pageAt(pages: Uint8Array, at: number): Uint8Array {
  return pages.subarray(at * BLOCK_SIZE, (at + 1) * BLOCK_SIZE)
}

/** As mdnblocks does: the first segment that is not full is the last one. */
function measure(path: string, segments: readonly number[]): Pick<SegmentPages, 'blocks' | 'trailingBytes'> {
  const ordered = [...segments].sort((a, b) => a - b)
  if (ordered[0] !== 0) throw missingFork(path)
  let blocks = 0
  let trailingBytes = 0
  let ended = false
  for (const [i, segment] of ordered.entries()) {
    const file = segmentPath(path, segment)
    const size = sizeOf(file)
    const whole = Math.floor(size / BLOCK_SIZE)
    trailingBytes += size - whole * BLOCK_SIZE
    if (whole > SEGMENT_BLOCKS) throw new CorruptionError('relation.segment', `segment of ${size} bytes; none has more than 1 GiB`, { file })
    if (whole === 0 && i > 0) {
      ended = true
      continue
    }
    if (ended || segment !== i) {
      const reason = `a segment before this one is missing or not full: a server sees the relation end at block ${blocks}`
      throw new CorruptionError('relation.segment', `${reason}; bring that segment back, or move this file away to read what a server sees`, { file })
    }
    blocks += whole
    ended = whole < SEGMENT_BLOCKS
  }
  return { blocks, trailingBytes }
}

function sizeOf(file: string): number {
  try {
    return statRegular(file).size
  } catch (error) {
    if (isMissing(error)) throw missingFork(file)
    throw fileError(error, file)
  }
}
