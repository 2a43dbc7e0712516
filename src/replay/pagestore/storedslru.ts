import { CorruptionError } from '../../common/errors.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import { segmentFileName, segmentNumbers, SLRU_PAGES_PER_SEGMENT } from '../../xact/segments.ts'
import type { SlruStore } from '../../xact/store.ts'
import type { OpSink } from './ops.ts'
import type { StoreFiles } from './storefiles.ts'

interface SlruPage {
  bytes: Uint8Array
  dirty: boolean
}

/** pg_xact, pg_multixact/offsets or pg_multixact/members. Pages stay where they are until the record is done. */
export class StoredSlru implements SlruStore {
  private readonly dir: string
  private readonly maxPages: number
  private readonly files: StoreFiles
  private readonly pages = new Map<number, SlruPage>()
  /** Segments that were removed since the last flush: their file no longer counts. */
  private readonly removed = new Set<number>()
  private dirty = 0

  /** @param maxPages clean pages to keep @internal */
  constructor(dir: string, files: StoreFiles, maxPages = 1024) {
    this.dir = dir
    this.files = files
    this.maxPages = maxPages
  }

  get dirtyCount(): number {
    return this.dirty + this.removed.size
  }

  page(n: number): Uint8Array | undefined {
    return this.find(n)?.bytes
  }

  change(n: number): Uint8Array {
    const page = this.find(n) ?? this.make(n)
    this.markDirty(page)
    return page.bytes
  }

  zero(n: number): void {
    const page = this.find(n) ?? this.make(n)
    page.bytes.fill(0)
    this.markDirty(page)
  }

  segments(): Set<number> {
    const found = new Set(segmentNumbers(this.files.list(this.dir)))
    for (const segment of this.removed) found.delete(segment)
    for (const n of this.pages.keys()) found.add(segmentOf(n))
    return found
  }

  dropSegment(segment: number): void {
    this.removed.add(segment)
    for (let n = segment * SLRU_PAGES_PER_SEGMENT; n < (segment + 1) * SLRU_PAGES_PER_SEGMENT; n++) {
      if (this.pages.get(n)?.dirty) this.dirty--
      this.pages.delete(n)
    }
  }

  /** Clean pages beyond the limit are forgotten, the oldest first. */
  endRecord(): void {
    if (this.pages.size <= this.maxPages + this.dirty) return
    for (const [n, page] of this.pages) {
      if (!page.dirty) this.pages.delete(n)
      if (this.pages.size <= this.maxPages / 2 + this.dirty) return
    }
  }

  /** For a flush. @internal */
  flushOps(sink: OpSink): void {
    for (const segment of this.removed) sink({ op: 'remove-file', path: this.segmentPath(segment) })
    const changed = [...this.pages].filter(([, { dirty }]) => dirty).sort(([a], [b]) => a - b)
    for (const [n, { bytes }] of changed) {
      sink({ op: 'write-part', path: this.segmentPath(segmentOf(n)), at: (n % SLRU_PAGES_PER_SEGMENT) * BLOCK_SIZE }, bytes)
    }
  }

  flushed(): void {
    this.removed.clear()
    for (const page of this.pages.values()) page.dirty = false
    this.dirty = 0
  }

  private find(n: number): SlruPage | undefined {
    const known = this.pages.get(n)
    if (known !== undefined) return known
    if (this.removed.has(segmentOf(n))) return undefined
    const bytes = new Uint8Array(BLOCK_SIZE)
    const path = this.segmentPath(segmentOf(n))
    const byte = (n % SLRU_PAGES_PER_SEGMENT) * BLOCK_SIZE
    const count = this.files.readPart(path, byte, bytes)
    if (count === 0) return undefined
    if (count < BLOCK_SIZE) throw new CorruptionError('slru.size', `page ${n} of the SLRU ends after ${count} bytes`, { file: path, byte })
    const page = { bytes, dirty: false }
    this.pages.set(n, page)
    return page
  }

  /** Page `n` of zeros; the file will have all pages of the segment before it, so they are there now, too. */
  private make(n: number): SlruPage {
    for (let before = n - (n % SLRU_PAGES_PER_SEGMENT); before < n; before++) {
      if (this.find(before) === undefined) this.markDirty(this.put(before))
    }
    return this.put(n)
  }

  private put(n: number): SlruPage {
    const page = { bytes: new Uint8Array(BLOCK_SIZE), dirty: false }
    this.pages.set(n, page)
    return page
  }

  private markDirty(page: SlruPage): void {
    if (!page.dirty) this.dirty++
    page.dirty = true
  }

  private segmentPath(segment: number): string {
    return `${this.dir}/${segmentFileName(segment)}`
  }
}

function segmentOf(n: number): number {
  return Math.floor(n / SLRU_PAGES_PER_SEGMENT)
}
