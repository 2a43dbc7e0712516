import { crc32c } from '../../common/crc32c.ts'
import type { Compressor } from '../../parquet/compressor.ts'
import { encodePage, type Page, type PageRef } from './page.ts'

/** A page that a stage needs, and what it must be. */
export interface WantedPage {
  readonly ref: PageRef
  readonly tree: Page['tree']
  /** The level that the page must have; undefined for a root, which may have any. */
  readonly level?: number
}

/** A function of a state that needs pages of it: it yields what it wants next, and gets the pages in that order. It does no I/O. */
export type Stage<T> = Generator<readonly WantedPage[], T, readonly Page[]>

/** An object to put, whole, under a key that nothing has yet. */
export interface StagedObject {
  readonly key: string
  readonly bytes: Uint8Array
}

/** Pages of one commit in as few objects as may be: a commit of one leaf and its root has one. */
const OBJECT_BYTES_MAX = 1 << 20

/** Puts new pages behind each other into objects. */
export class PagePacker {
  private readonly mint: () => string
  private readonly compressor: Compressor | undefined
  private readonly done: StagedObject[] = []
  private key: string | undefined
  private pages: Uint8Array[] = []
  private length = 0

  /** @param mint key of a new object @param compressor of the lake */
  constructor(mint: () => string, compressor?: Compressor) {
    this.mint = mint
    this.compressor = compressor
  }

  add(page: Page): PageRef {
    const bytes = encodePage(page, this.compressor)
    if (this.length > 0 && this.length + bytes.length > OBJECT_BYTES_MAX) this.close()
    this.key ??= this.mint()
    const ref = { key: this.key, start: this.length, length: bytes.length, crc: crc32c(bytes) }
    this.pages.push(bytes)
    this.length += bytes.length
    return ref
  }

  /** All objects. Nothing can be added afterwards. */
  objects(): readonly StagedObject[] {
    this.close()
    return this.done
  }

  private close(): void {
    if (this.key === undefined) return
    const bytes = new Uint8Array(this.length)
    let at = 0
    for (const page of this.pages) {
      bytes.set(page, at)
      at += page.length
    }
    this.done.push({ key: this.key, bytes })
    this.key = undefined
    this.pages = []
    this.length = 0
  }
}
