import type { HeapSource } from '../../catalog/heapsource.ts'
import type { BlockNumber } from '../../common/ids.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { RelationFork } from './segments.ts'

const READ_AHEAD_BLOCKS = 32

/** A fork as single pages, read in runs of 256 KiB. */
export class HeapPages implements HeapSource {
  readonly name: string
  readonly file: string
  readonly blocks: number
  readonly checksums: boolean
  private readonly fork: RelationFork
  private readonly buffer: Uint8Array
  private first = 0
  private count = 0

  constructor(name: string, fork: RelationFork, checksums: boolean) {
    this.name = name
    this.file = fork.path
    this.fork = fork
    this.blocks = fork.blocks
    this.checksums = checksums
    this.buffer = new Uint8Array(Math.min(READ_AHEAD_BLOCKS, fork.blocks) * BLOCK_SIZE)
  }

  page(block: BlockNumber): Uint8Array {
    if (block < this.first || block >= this.first + this.count) {
      this.count = Math.min(READ_AHEAD_BLOCKS, this.blocks - block)
      this.fork.read(block, this.count, this.buffer)
      this.first = block
    }
    const start = (block - this.first) * BLOCK_SIZE
    return this.buffer.subarray(start, start + BLOCK_SIZE)
  }

  close(): void {
    this.fork.close()
  }
}
