import { BLOCK_SIZE } from '../common/rel.ts'
import { SLRU_PAGES_PER_SEGMENT } from '../xact/segments.ts'
import type { SlruStore } from '../xact/store.ts'

/** An SLRU in memory, with the pages that segment files would have. */
export class MemorySlru implements SlruStore {
  readonly pages: Map<number, Uint8Array> = new Map()

  page(n: number): Uint8Array | undefined {
    return this.pages.get(n)
  }

  change(n: number): Uint8Array {
    return this.pages.get(n) ?? this.make(n)
  }

  zero(n: number): void {
    this.change(n).fill(0)
  }

  segments(): Set<number> {
    return new Set(Array.from(this.pages.keys(), (n) => Math.floor(n / SLRU_PAGES_PER_SEGMENT)))
  }

  dropSegment(segment: number): void {
    for (let n = segment * SLRU_PAGES_PER_SEGMENT; n < (segment + 1) * SLRU_PAGES_PER_SEGMENT; n++) this.pages.delete(n)
  }

  /** Adds page `n` and the pages before it in its segment: a file that is written at page n has all pages before (SlruPhysicalWritePage). */
  private make(n: number): Uint8Array {
    for (let before = n - (n % SLRU_PAGES_PER_SEGMENT); before <= n; before++) if (!this.pages.has(before)) this.pages.set(before, new Uint8Array(BLOCK_SIZE))
    return this.pages.get(n)!
  }
}
