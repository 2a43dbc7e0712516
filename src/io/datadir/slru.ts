import { join } from 'node:path'
import { BLOCK_SIZE } from '../../common/rel.ts'
import { segmentFileName, SLRU_PAGES_PER_SEGMENT } from '../../xact/segments.ts'
import type { SlruPages } from '../../xact/slru.ts'
import { readPart } from '../disk/files.ts'

/** pg_xact, pg_multixact/offsets or pg_multixact/members: files of 32 pages named by segment number in hex. Keeps no file open. */
export class FileSlru implements SlruPages {
  private readonly dir: string
  private readonly maxPages: number
  private readonly cache = new Map<number, Uint8Array>()

  /** @param maxPages how many pages of 8 KiB to keep */
  constructor(dir: string, maxPages = 128) {
    this.dir = dir
    this.maxPages = maxPages
  }

  page(n: number): Uint8Array | undefined {
    const cached = this.cache.get(n)
    if (cached !== undefined) return cached
    const page = this.read(n)
    if (page === undefined) return undefined
    if (this.cache.size >= this.maxPages) this.cache.delete(this.cache.keys().next().value!)
    this.cache.set(n, page)
    return page
  }

  private read(n: number): Uint8Array | undefined {
    const file = join(this.dir, segmentFileName(Math.floor(n / SLRU_PAGES_PER_SEGMENT)))
    const page = new Uint8Array(BLOCK_SIZE)
    const byte = (n % SLRU_PAGES_PER_SEGMENT) * BLOCK_SIZE
    const count = readPart(file, page, BLOCK_SIZE, byte)
    if (count === undefined || count === 0) return undefined
    return page.subarray(0, count)
  }
}
