import { BLOCK_SIZE } from '../common/rel.ts'
import type { RedoFork, RedoPage } from '../redo/store.ts'

/** Pages lie side by side in pieces of memory that grow with the fork up to so many pages. */
const ARENA_PAGES_MAX = 4096

export class MemoryPage implements RedoPage {
  readonly words: Int32Array
  dirty = false

  /** @param source its bytes, else zeros @param arena the page is at `start` in it; else it has memory of its own */
  constructor(source?: Uint8Array, arena: ArrayBuffer = new ArrayBuffer(BLOCK_SIZE), start = 0) {
    this.words = new Int32Array(arena, start, BLOCK_SIZE / 4)
    if (source !== undefined) this.bytes.set(source)
  }

  // Views that redo hardly needs: made each time, so that a hundred thousand pages take less of the processor's caches.
  get bytes(): Uint8Array {
    return new Uint8Array(this.words.buffer, this.words.byteOffset, BLOCK_SIZE)
  }

  get halves(): Uint16Array {
    return new Uint16Array(this.words.buffer, this.words.byteOffset, BLOCK_SIZE / 2)
  }
}

/** A fork in memory. Its pages stay where they are. */
export class MemoryFork implements RedoFork {
  readonly pages: MemoryPage[] = []
  /** Its length or existence changed since the last {@link settled}. */
  changed = true
  private arena = new ArrayBuffer(0)
  private used = 0

  get blocks(): number {
    return this.pages.length
  }

  page(block: number): MemoryPage | undefined {
    return this.pages[block]
  }

  extend(block: number): MemoryPage {
    while (this.pages.length <= block) this.append()
    return this.pages[block]!
  }

  /** Adds a page: a copy of `source`, or zeros. */
  append(source?: Uint8Array): void {
    if (this.used === this.arena.byteLength) {
      this.arena = new ArrayBuffer(BLOCK_SIZE * Math.min(ARENA_PAGES_MAX, 1 + this.pages.length))
      this.used = 0
    }
    this.pages.push(new MemoryPage(source, this.arena, this.used))
    this.used += BLOCK_SIZE
    this.changed = true
  }

  /** Longer than it is already is no change. */
  truncate(blocks: number): void {
    if (blocks >= this.pages.length) return
    this.pages.length = blocks
    this.changed = true
  }

  copy(): MemoryFork {
    const copy = new MemoryFork()
    for (const page of this.pages) copy.append(page.bytes)
    return copy
  }

  /** Whether it, or a page of it, changed since the last {@link settled}. */
  isChanged(): boolean {
    return this.changed || this.pages.some(({ dirty }) => dirty)
  }

  settled(): void {
    this.changed = false
    for (const page of this.pages) page.dirty = false
  }
}
