import { BLOCK_SIZE } from '../common/rel.ts'
import type { RedoFork, RedoPage } from '../redo/store.ts'

/** A fork's pages lie side by side in pieces of memory. A piece has as many pages as the fork had before, and at most so many. */
const ARENA_PAGES_MAX = 4096

export class MemoryPage implements RedoPage {
  readonly words: Int32Array
  dirty = false

  /** @param source its bytes, else zeros @param arena the page is at `start` in it; else it has memory of its own */
  constructor(source?: Uint8Array, arena: ArrayBuffer = new ArrayBuffer(BLOCK_SIZE), start = 0) {
    this.words = new Int32Array(arena, start, BLOCK_SIZE / 4)
    if (source !== undefined) this.bytes.set(source)
  }

  // Redo seldom needs these views. They are made for each call, so that the objects of a hundred thousand pages stay small.
  get bytes(): Uint8Array {
    return new Uint8Array(this.words.buffer, this.words.byteOffset, BLOCK_SIZE)
  }

  get halves(): Uint16Array {
    return new Uint16Array(this.words.buffer, this.words.byteOffset, BLOCK_SIZE / 2)
  }
}

/** A fork in memory. A page keeps its memory as long as the fork has it. */
export class MemoryFork implements RedoFork {
  readonly pages: MemoryPage[] = []
  /** True if the fork was created, or its length changed, since the last {@link settled}. */
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

  /** Cuts the fork to `blocks` blocks. A fork that has fewer stays as it is. */
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

  /** Whether the fork's length or one of its pages changed since the last {@link settled}. */
  isChanged(): boolean {
    return this.changed || this.pages.some(({ dirty }) => dirty)
  }

  settled(): void {
    this.changed = false
    for (const page of this.pages) page.dirty = false
  }
}
