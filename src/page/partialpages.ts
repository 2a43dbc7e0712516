import type { BlockSet } from '../common/blockset.ts'
import { assert } from '../common/errors.ts'
import type { BlockNumber } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import type { PageSource } from './pagesource.ts'

/** Some blocks of a fork in memory. All are at hand, and good for ever; to ask for another block is a bug of the caller. */
export class PartialPages implements PageSource {
  readonly blocks: number
  private readonly set: BlockSet
  private readonly pages: Uint8Array

  /** @param pages of the blocks, end to end, beginning at a multiple of 8 in their buffer @param blocks length of the fork */
  constructor(set: BlockSet, pages: Uint8Array, blocks: number) {
    assert(pages.length === set.size * BLOCK_SIZE && (pages.byteOffset & 7) === 0, `${pages.length} bytes for ${set.size} pages`)
    this.set = set
    this.pages = pages
    this.blocks = blocks
  }

  /** Nothing is to be done. */
  prepare(): Promise<void> {
    return Promise.resolve()
  }

  read(block: BlockNumber): Uint8Array {
    const at = this.set.indexOf(block)
    assert(at >= 0, `block ${block} was not given`)
    return this.pages.subarray(at * BLOCK_SIZE, (at + 1) * BLOCK_SIZE)
  }

  close(): void {
    // Memory needs none.
  }
}
