import { assert } from '../../common/errors.ts'
import type { BlockNumber } from '../../common/ids.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { RedoPage } from '../../redo/store.ts'

/** Frames are cut from slabs of 1 MiB: one allocation for 128. */
const SLAB_FRAMES = 128
/** Free frames that a record finds at least: it can touch 33 blocks, each with a page of the visibility map. */
const RESERVE = 96
/** Number of frames beyond the capacity that a caller may use by putting off a flush. More is a bug of the caller. */
const OVERDRAFT = 16384

/** Who holds a frame, by block. */
export interface FrameOwner {
  /** The frame of `block` is taken away; it was clean. */
  evict(block: BlockNumber): void
}

/** 8192 bytes of the cache. */
export class Frame implements RedoPage {
  readonly bytes: Uint8Array
  readonly words: Int32Array
  dirty = false
  unverified = false
  /** Undefined while the frame is free. */
  owner: FrameOwner | undefined = undefined
  block: BlockNumber = 0
  /** The record that asked for it last: see {@link FramePool.touch}. */
  record = 0
  /** Second chance: set by use, taken by the clock's hand. */
  referenced = false
  /** In the count of dirty frames. */
  counted = false

  constructor(slab: ArrayBuffer, start: number) {
    this.bytes = new Uint8Array(slab, start, BLOCK_SIZE)
    this.words = new Int32Array(slab, start, BLOCK_SIZE / 4)
  }
}

/**
 * The frames of a page store. A frame that was handed out stays where it is until the record is done; between records clean frames
 * give way to others (clock, second chance). Dirty ones never do: they are what the next flush writes.
 */
export class FramePool {
  readonly capacity: number
  readonly frames: Frame[] = []
  private readonly free: Frame[] = []
  /** Frames that were released during this record: redo may still use them until the record is done. */
  private readonly released: Frame[] = []
  private readonly handed: Frame[] = []
  private handedCount = 0
  private record = 1
  private hand = 0
  /** Frames that were dirty at the end of a record. */
  dirtyCount = 0

  /** @param capacity frames to keep, rounded up to whole slabs */
  constructor(capacity: number) {
    this.capacity = Math.max(2, Math.ceil(capacity / SLAB_FRAMES)) * SLAB_FRAMES
  }

  /** A frame with whatever bytes it had. */
  take(owner: FrameOwner, block: BlockNumber): Frame {
    if (this.free.length === 0) this.addSlab()
    const frame = this.free.pop()!
    frame.owner = owner
    frame.block = block
    frame.dirty = false
    frame.counted = false
    this.touch(frame)
    return frame
  }

  /** To be called whenever a frame is handed out. */
  touch(frame: Frame): Frame {
    frame.referenced = true
    if (frame.record !== this.record) {
      frame.record = this.record
      if (this.handedCount === this.handed.length) this.handed.push(frame)
      else this.handed[this.handedCount] = frame
      this.handedCount++
    }
    return frame
  }

  /** The page was removed: its frame is free when the record is done. */
  release(frame: Frame): void {
    if (frame.counted) this.dirtyCount--
    frame.counted = false
    frame.owner = undefined
    this.released.push(frame)
  }

  endRecord(): void {
    for (let i = 0; i < this.handedCount; i++) {
      const frame = this.handed[i]!
      if (frame.dirty && !frame.counted && frame.owner !== undefined) {
        frame.counted = true
        this.dirtyCount++
      }
    }
    this.handedCount = 0
    this.record++
    while (this.released.length > 0) this.free.push(this.released.pop()!)
    if (this.free.length < RESERVE && this.frames.length >= this.capacity) this.evict()
  }

  /** All frames were written. */
  markClean(): void {
    for (const frame of this.frames) {
      frame.dirty = false
      frame.counted = false
    }
    this.dirtyCount = 0
  }

  private addSlab(): void {
    assert(this.frames.length < this.capacity + OVERDRAFT, this.whyFull())
    const slab = new ArrayBuffer(SLAB_FRAMES * BLOCK_SIZE)
    for (let i = 0; i < SLAB_FRAMES; i++) {
      const frame = new Frame(slab, i * BLOCK_SIZE)
      this.frames.push(frame)
      this.free.push(frame)
    }
  }

  private whyFull(): string {
    const { handedCount, dirtyCount } = this
    if (handedCount > RESERVE * 2) return `page store: ${handedCount} pages were asked for and endRecord was never called; who only reads takes a PageSource`
    return `page store: ${dirtyCount} pages are dirty, and the caller does not flush`
  }

  /** Frees clean frames until twice the reserve is there, or the hand went round twice. */
  private evict(): void {
    const { frames, free } = this
    for (let steps = frames.length * 2; steps > 0 && free.length < RESERVE * 2; steps--) {
      if (this.hand >= frames.length) this.hand = 0
      const frame = frames[this.hand++]!
      if (frame.owner === undefined || frame.dirty) continue
      if (frame.referenced) {
        frame.referenced = false
        continue
      }
      frame.owner.evict(frame.block)
      frame.owner = undefined
      free.push(frame)
    }
  }
}
