import { createHash } from 'node:crypto'
import { BlockSet } from '../../common/blockset.ts'
import { crc32c } from '../../common/crc32c.ts'
import type { RowSet } from '../../columnar/filesummary.ts'
import { type BlockIndex, rowsOfBlocks } from '../../lake/blockindex.ts'

/** Number of words for a block: rows of its page, both words of pd_lsn, CRC-32C of the canonical page, CRC-32C of which of its rows are hidden. */
const WORDS = 5

/**
 * Which row versions of a relation a reader sees, whatever files they are in: the state of each page that has such rows, by block number. Two of them with
 * equal digests, of relations that are described alike, show the same rows.
 */
export class RowsDigest {
  private words = new Uint32Array(0)

  /** @param hidden rows of the file that no reader sees, those of blocks that are not current among them */
  add(index: Pick<BlockIndex, 'blocks' | 'pages'>, current: BlockSet, hidden: RowSet): void {
    const { blocks, pages: { rows, lsns, crcs } } = index
    const last = current.runs.at(-1)
    if (last !== undefined) this.reserve(last.first + last.count)
    let run = 0
    for (const { first, count } of current.intersect(blocks).runs) {
      let start = rowsOfBlocks(index, BlockSet.range(first, 1)).runs[0]!.first
      for (let block = first, at = blocks.indexOf(first); block < first + count; start += rows[at]!, block++, at++) {
        const end = start + rows[at]!
        while (run < hidden.runs.length && endOf(hidden.runs[run]!) <= start) run++
        const own: number[] = []
        for (let next = run; next < hidden.runs.length && hidden.runs[next]!.first < end; next++) {
          own.push(Math.max(hidden.runs[next]!.first, start) - start, Math.min(endOf(hidden.runs[next]!), end) - start)
        }
        // A page all of whose rows are hidden shows nothing: it may as well not be there.
        if (own.length === 2 && own[0] === 0 && own[1] === rows[at]!) continue
        const hiddenCrc = own.length === 0 ? 0 : crc32c(new Uint8Array(Uint16Array.from(own).buffer))
        this.words.set([rows[at]!, lsns[at * 2]!, lsns[at * 2 + 1]!, crcs[at]!, hiddenCrc], block * WORDS)
      }
    }
  }

  /** SHA-256, in base64url. Blocks at the end that show nothing count as not there. */
  digest(): string {
    let end = this.words.length
    while (end > 0 && this.words[end - 1] === 0) end--
    return createHash('sha256').update(this.words.subarray(0, end)).digest('base64url')
  }

  private reserve(blocks: number): void {
    if (blocks * WORDS <= this.words.length) return
    const words = new Uint32Array(Math.max(blocks * WORDS, this.words.length * 2))
    words.set(this.words)
    this.words = words
  }
}

function endOf({ first, count }: { first: number; count: number }): number {
  return first + count
}
