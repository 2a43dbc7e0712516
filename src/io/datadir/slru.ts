import { join } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { SegmentedSlru } from '../../catalog/guesstransactions.ts'
import { segmentFileName, segmentNumbers, SLRU_PAGES_PER_SEGMENT } from '../../xact/segments.ts'
import { listDir, readPart } from '../disk/files.ts'

/** pg_xact, pg_multixact/offsets or pg_multixact/members: files of 32 pages named by segment number in hex. Keeps no file open. */
export class FileSlru implements SegmentedSlru {
  private readonly dir: string
  private readonly maxPages: number
  private readonly onUnreadable: 'fail' | 'lost'
  private readonly cache = new Map<number, Uint8Array>()
  private readonly problems = new Map<number, string>()

  /**
   * @param maxPages how many pages of 8 KiB to keep
   * @param onUnreadable `lost`: a page that cannot be read from the disk counts as missing. A file that the user has no permission for is an error in
   * any case.
   */
  constructor(dir: string, maxPages = 128, onUnreadable: 'fail' | 'lost' = 'fail') {
    this.dir = dir
    this.onUnreadable = onUnreadable
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

  segments(): number[] {
    return segmentNumbers(listDir(this.dir))
  }

  private read(n: number): Uint8Array | undefined {
    const file = join(this.dir, segmentFileName(Math.floor(n / SLRU_PAGES_PER_SEGMENT)))
    const page = new Uint8Array(BLOCK_SIZE)
    const byte = (n % SLRU_PAGES_PER_SEGMENT) * BLOCK_SIZE
    const count = this.readPart(n, file, page, byte)
    if (count === undefined || count === 0) return undefined
    return page.subarray(0, count)
  }

  problem(n: number): string | undefined {
    return this.problems.get(n)
  }

  private readPart(n: number, file: string, page: Uint8Array, byte: number): number | undefined {
    try {
      return readPart(file, page, BLOCK_SIZE, byte)
    } catch (error) {
      if (this.onUnreadable === 'fail' || !(error instanceof EnvironmentError) || error.code !== 'file.error') throw error
      this.problems.set(n, `cannot be read (${error.reason})`)
      return undefined
    }
  }
}
