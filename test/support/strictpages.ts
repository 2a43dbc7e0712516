/** A fork whose pages have to be fetched: what a remote store is to the core. It gives nothing that was not prepared, and takes back what it gave. */
import type { BlockSet } from '../../src/common/blockset.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import type { PageSource } from '../../src/page/pagesource.ts'

export class StrictPages implements PageSource {
  readonly blocks: number
  /** Largest number of blocks that were prepared together. */
  mostPrepared = 0
  closed = false
  private readonly pages: Uint8Array
  private readonly prepared = new Map<number, Uint8Array>()

  constructor(pages: Uint8Array) {
    this.pages = pages
    this.blocks = pages.length / BLOCK_SIZE
  }

  async prepare(set: BlockSet): Promise<void> {
    if (this.closed) throw new Error('prepare after close')
    this.takeBack()
    await new Promise((resolve) => setImmediate(resolve))
    for (const block of set) {
      if (block >= this.blocks) throw new Error(`block ${block} of ${this.blocks} is prepared`)
      this.prepared.set(block, this.pages.slice(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE))
    }
    this.mostPrepared = Math.max(this.mostPrepared, set.size)
  }

  read(block: number): Uint8Array {
    const page = this.prepared.get(block)
    if (page === undefined) throw new Error(`block ${block} is not prepared`)
    return page
  }

  close(): void {
    this.takeBack()
    this.closed = true
  }

  private takeBack(): void {
    for (const page of this.prepared.values()) page.fill(0xff)
    this.prepared.clear()
  }
}
