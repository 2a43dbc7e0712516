import { BlockSet } from '../../common/blockset.ts'
import { CorruptionError } from '../../common/errors.ts'
import type { BlockNumber, Oid } from '../../common/ids.ts'
import type { RedoFork } from '../../redo/store.ts'
import type { Frame, FrameOwner, FramePool } from './frame.ts'
import type { OpSink } from './ops.ts'
import type { FlushedFork } from './storeevents.ts'
import type { StoreFiles } from './storefiles.ts'

/** MaxBlockNumber (block.h). */
const BLOCK_MAX = 0xfffffffe
/** Frames are found by block in two steps, so that a far block costs no long array. */
const CHUNK_BITS = 7
const CHUNK_MASK = (1 << CHUNK_BITS) - 1

/** The directory that holds the fork's file. */
export interface ForkHome {
  /** Where pages are read from, relative to the store; undefined while nothing of the directory is on disk. */
  readonly origin: string | undefined
  /** A file comes into being in it. */
  create(): void
}

/**
 * One fork: its frames, and what its file will be after the next flush. Pages without a frame come from the file up to
 * {@link diskBlocks}; beyond it, after a truncation or an extension, they are zero.
 */
export class StoredFork implements RedoFork, FrameOwner {
  readonly spcOid: Oid
  readonly dbOid: Oid
  readonly relNumber: number
  readonly fork: number
  /** File name of its first segment. */
  readonly name: string
  blocks = 0
  exists = false
  /** Length, existence or content of the file beyond {@link diskBlocks} changed since the last flush. */
  changed = false
  private diskBlocks = 0
  private readonly home: ForkHome
  private readonly pool: FramePool
  private readonly files: StoreFiles
  private chunks: ((Frame | undefined)[] | undefined)[] = []

  /** By the store. @internal */
  constructor(home: ForkHome, place: { spcOid: Oid; dbOid: Oid; relNumber: number; fork: number; name: string }, pool: FramePool, files: StoreFiles) {
    this.home = home
    this.spcOid = place.spcOid
    this.dbOid = place.dbOid
    this.relNumber = place.relNumber
    this.fork = place.fork
    this.name = place.name
    this.pool = pool
    this.files = files
    this.attach()
  }

  /** Uses the pages of the file again and drops the changed pages in memory. */
  attach(): void {
    this.releaseFrom(0)
    const blocks = this.home.origin === undefined ? undefined : this.files.blocks(`${this.home.origin}/${this.name}`)
    this.exists = blocks !== undefined
    this.blocks = blocks ?? 0
    this.diskBlocks = this.blocks
    this.changed = false
  }

  page(block: BlockNumber): Frame | undefined {
    if (block >= this.blocks) return undefined
    const frame = this.chunks[block >>> CHUNK_BITS]?.[block & CHUNK_MASK]
    return frame === undefined ? this.load(block) : this.pool.touch(frame)
  }

  /** @throws CorruptionError pagestore.block for a block that no fork can have */
  extend(block: BlockNumber): Frame {
    if (block < this.blocks) return this.page(block)!
    if (block > BLOCK_MAX) throw new CorruptionError('pagestore.block', 'the block is beyond the last one that a fork can have', { block })
    if (!this.exists) this.create()
    this.changed = true
    this.blocks = block + 1
    return this.load(block)
  }

  /** Copies a page as it is now; no frame is taken for it. */
  copy(block: BlockNumber, into: Uint8Array): void {
    const frame = this.chunks[block >>> CHUNK_BITS]?.[block & CHUNK_MASK]
    if (frame !== undefined) into.set(frame.bytes)
    else if (block < this.diskBlocks) this.files.readPage(`${this.home.origin}/${this.name}`, block, into)
    else into.fill(0)
  }

  /** Whether what is in memory differs from what the file says of the block. */
  isDirty(block: BlockNumber): boolean {
    return this.chunks[block >>> CHUNK_BITS]?.[block & CHUNK_MASK]?.dirty === true
  }

  create(): void {
    this.home.create()
    this.exists = true
    this.changed = true
  }

  /** @returns whether it was longer */
  truncate(blocks: number): boolean {
    if (blocks >= this.blocks) return false
    this.releaseFrom(blocks)
    this.blocks = blocks
    this.diskBlocks = Math.min(this.diskBlocks, blocks)
    this.changed = true
    return true
  }

  drop(): void {
    this.truncate(0)
    if (this.exists) this.changed = true
    this.exists = false
  }

  /** Its directory was removed, and its file with it: the next flush has nothing to do. */
  vanish(): void {
    this.releaseFrom(0)
    this.exists = false
    this.blocks = 0
    this.diskBlocks = 0
    this.changed = false
  }

  evict(block: BlockNumber): void {
    this.chunks[block >>> CHUNK_BITS]![block & CHUNK_MASK] = undefined
  }

  /** Gives the operations after which the file at `path` has the fork's length. They do not write its pages. @internal */
  resizeInto(path: string, sink: OpSink): void {
    if (!this.changed) return
    if (this.exists) sink({ op: 'resize-fork', path, keep: this.diskBlocks, blocks: this.blocks })
    else sink({ op: 'remove-fork', path })
  }

  /** The dirty frames, by block. @internal */
  dirtyFrames(): Frame[] {
    const found: Frame[] = []
    for (const chunk of this.chunks) if (chunk !== undefined) for (const frame of chunk) if (frame?.dirty) found.push(frame)
    return found
  }

  /**
   * What the next flush changes of the fork; undefined if it changes nothing, and if the fork does not exist.
   * @param frames its {@link dirtyFrames} @param isCopy its file came with its directory @internal
   */
  changes(frames: readonly Frame[], isCopy: boolean): FlushedFork | undefined {
    if (!this.exists || !(this.changed || isCopy || frames.length > 0)) return undefined
    const { spcOid, dbOid, relNumber, fork, blocks } = this
    const smallest = isCopy ? 0 : this.diskBlocks
    const set = BlockSet.of(frames.map(({ block }) => block)).union(BlockSet.range(smallest, blocks - smallest))
    return { spcOid, dbOid, relNumber, fork, smallest, blocks, set }
  }

  /** Call this after a flush: the file now has the content of the fork. */
  flushed(): void {
    this.diskBlocks = this.blocks
    this.changed = false
  }

  private load(block: BlockNumber): Frame {
    const frame = this.pool.take(this, block)
    try {
      if (block < this.diskBlocks) this.files.readPage(`${this.home.origin}/${this.name}`, block, frame.bytes)
      else frame.bytes.fill(0)
      frame.unverified = block < this.diskBlocks
    } catch (error) {
      this.pool.release(frame)
      throw error
    }
    const chunk = this.chunks[block >>> CHUNK_BITS] ??= new Array<Frame | undefined>(CHUNK_MASK + 1).fill(undefined)
    chunk[block & CHUNK_MASK] = frame
    return frame
  }

  private releaseFrom(first: BlockNumber): void {
    for (let c = first >>> CHUNK_BITS; c < this.chunks.length; c++) {
      const chunk = this.chunks[c]
      if (chunk === undefined) continue
      for (let i = 0; i < chunk.length; i++) {
        const frame = chunk[i]
        if (frame === undefined || frame.block < first) continue
        this.pool.release(frame)
        chunk[i] = undefined
      }
    }
    this.chunks.length = Math.min(this.chunks.length, Math.ceil(first / (CHUNK_MASK + 1)))
  }
}
