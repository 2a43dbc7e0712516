import { assert } from '../common/errors.ts'
import type { BlockSet } from '../common/blockset.ts'
import type { BlockNumber } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'

/**
 * The pages of one fork of a relation, to be read: a port, since they come from segment files, from a page store, from memory or from
 * elsewhere. Getting pages may take time, so it is asynchronous and in batches; reading what is there is not. A source never creates
 * anything: a function that opens a source reports a missing fork before there is a source.
 */
export interface PageSource {
  /** Length of the fork (RelationGetNumberOfBlocks). */
  readonly blocks: number
  /** Where the pages are, for error messages: the path of segment 0, the name of an object. */
  readonly file?: string
  /**
   * Makes the pages of these blocks ready for {@link read}. It ends what an earlier call prepared: a caller that reads at random prepares all it
   * needs in one call.
   * @throws CorruptionError relation.* where pages that must be there are not, EnvironmentError
   */
  prepare(set: BlockSet): Promise<void>
  /**
   * The {@link BLOCK_SIZE} bytes of a block, beginning at a multiple of 8 in their buffer. Not to be changed.
   * The page is good until the next `prepare` or `close`. To ask for a block that is not prepared is a bug of the caller, unless the source
   * says that its pages are at hand, as those of segment files and of memory are.
   */
  read(block: BlockNumber): Uint8Array
  close(): void
}

/** A fork in memory: pages from block 0 on, end to end. All are at hand, and good for ever. */
export class MemoryPages implements PageSource {
  readonly blocks: number
  readonly file?: string
  private readonly pages: Uint8Array

  /** @param pages whole pages; copied only if they do not begin at a multiple of 8 @param file for error messages */
  constructor(pages: Uint8Array, file?: string) {
    this.pages = (pages.byteOffset & 7) === 0 ? pages : pages.slice()
    this.blocks = Math.floor(pages.length / BLOCK_SIZE)
    if (file !== undefined) this.file = file
  }

  /** Nothing is to be done. */
  prepare(): Promise<void> {
    return Promise.resolve()
  }

  read(block: BlockNumber): Uint8Array {
    assert(block >= 0 && block < this.blocks, `block ${block} of ${this.blocks}`)
    return this.pages.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE)
  }

  close(): void {
    // Memory needs none.
  }
}

/** All pages of a source in memory, end to end, fetched `batch` blocks at a time. */
export async function readPages(source: PageSource, blocks: BlockSet, batch: number = READ_BLOCKS): Promise<Uint8Array<ArrayBuffer>> {
  const pages = new Uint8Array(blocks.size * BLOCK_SIZE)
  let at = 0
  for (const piece of blocks.batches(batch)) {
    await source.prepare(piece)
    for (const block of piece) {
      pages.set(source.read(block), at)
      at += BLOCK_SIZE
    }
  }
  return pages
}

/** Blocks that are worth preparing at a time where a fork is read from end to end: 1 MiB. */
export const READ_BLOCKS = 128
