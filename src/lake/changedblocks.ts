import { BlockSet } from '../common/blockset.ts'
import { dataView } from '../common/bytes.ts'
import { crc32c } from '../common/crc32c.ts'
import { CorruptionError } from '../common/errors.ts'
import type { BlockNumber } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { canonicalPage, newPageBuffer } from '../page/canonical.ts'
import { checkPageChecksum } from '../page/checksum.ts'
import { checkPageHeader, isZeroPage, PD_LSN } from '../page/header.ts'
import { checkLinePointers } from '../page/linepointer.ts'
import type { BlockIndex } from './blockindex.ts'

/** Blocks of a file that are current, and the index that says what they were. */
export interface CurrentBlocks {
  index: Pick<BlockIndex, 'blocks' | 'pages' | 'damaged'>
  /** Those that no newer layer supersedes. */
  current: BlockSet
}

export interface ChangedBlocksOptions {
  /** The cluster has data checksums: each page's is checked. */
  checksums: boolean
  onCorrupt: 'fail' | 'carry'
}

/**
 * Finds the blocks of a relation that are not as the lake has them, without WAL: a block is unchanged only if its pd_lsn and the CRC-32C of its
 * canonical page are both what they were. An equal pd_lsn alone proves nothing: hint bits, t_cid and pd_prune_xid change without it, and the pages of
 * an unlogged table have none. Give it every page of the relation, in any order; no Parquet file is read.
 */
export class ChangedBlocks {
  private readonly known: readonly CurrentBlocks[]
  private readonly options: ChangedBlocksOptions
  private readonly changed: BlockNumber[] = []
  private readonly canonical = newPageBuffer()

  /** @param known a block is current in one of them at most */
  constructor(known: readonly CurrentBlocks[], options: ChangedBlocksOptions) {
    this.known = known
    this.options = options
  }

  /**
   * @param page 8192 bytes that begin at a multiple of 4 in their buffer
   * @throws CorruptionError page.* with the block, unless options.onCorrupt is 'carry': then a damaged page is a changed one
   */
  addPage(page: Uint8Array, block: BlockNumber): void {
    if (!this.isUnchanged(page, block)) this.changed.push(block)
  }

  finish(): BlockSet {
    return BlockSet.of(this.changed)
  }

  private isUnchanged(page: Uint8Array, block: BlockNumber): boolean {
    if (!this.isSound(page, block)) return false
    const found = this.known.find(({ current }) => current.has(block))
    // A block that was damaged counts as changed: its CRC is that of the bytes as they were, not of a canonical page.
    if (found === undefined || found.index.damaged.has(block)) return false
    const { blocks, pages: { lsns, crcs } } = found.index
    const at = blocks.indexOf(block)
    const view = dataView(page)
    if (lsns[at * 2] !== view.getUint32(PD_LSN, true) || lsns[at * 2 + 1] !== view.getUint32(PD_LSN + 4, true)) return false
    canonicalPage(new Int32Array(page.buffer, page.byteOffset, BLOCK_SIZE / 4), 0, this.canonical)
    return crcs[at] === crc32c(this.canonical.bytes)
  }

  private isSound(page: Uint8Array, block: BlockNumber): boolean {
    try {
      if (isZeroPage(page)) return true
      if (this.options.checksums) checkPageChecksum(page, block)
      checkPageHeader(page)
      checkLinePointers(page)
      return true
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      if (this.options.onCorrupt === 'fail') throw error.at({ block })
      return false
    }
  }
}
