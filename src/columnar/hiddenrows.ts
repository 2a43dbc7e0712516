import { CorruptionError } from '../common/errors.ts'
import type { BlockNumber } from '../common/ids.ts'
import { checkPageChecksum } from '../page/checksum.ts'
import { checkPageHeader, isZeroPage } from '../page/header.ts'
import { checkLinePointers, linePointer, LP_NORMAL, lpFlags, lpOff, usedLinePointers } from '../page/linepointer.ts'
import { readTupleHeader } from '../tuple/header.ts'
import type { Batch } from './batch.ts'
import type { RowVisibility } from './decodepage.ts'
import type { PageTranscoderOptions } from './pagetranscoder.ts'
import { PREDICTED_HINTS } from './predict.ts'

export interface HiddenRowsOptions extends Pick<PageTranscoderOptions, 'checksums' | 'onCorrupt'> {
  /** xact's Snapshot, or what decides as it does. */
  visibility: Pick<RowVisibility, 'isVisible'>
}

/**
 * Which rows of a file no reader may see at L, without transcoding: what stands beside a file in a lake. A file has one row per line pointer up to
 * the last whose word is not zero; rows without a tuple are always hidden. Give it the pages of the file in block order, or the vectors of its row
 * groups: the transactions of a row never change, what became of them does, so another snapshot asks again. Costs 40 bytes of reading per row
 * (HeapTupleSatisfiesMVCC, heapam_visibility.c).
 */
export class HiddenRows {
  /** Positions in the file, ascending. */
  readonly positions: number[] = []
  /** Rows so far. */
  rows = 0
  private readonly options: HiddenRowsOptions

  constructor(options: HiddenRowsOptions) {
    this.options = options
  }

  /**
   * Adds the rows of one page of 8192 bytes.
   * @throws CorruptionError page.* with the block, for a damaged page unless options.onCorrupt is 'carry': then it is one hidden row
   */
  addPage(page: Uint8Array, block: BlockNumber): void {
    const first = this.rows
    const hidden = this.positions.length
    try {
      this.addSoundPage(page, block)
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      if (this.options.onCorrupt === 'fail') throw error.at({ block })
      this.rows = first
      this.positions.length = hidden
      this.add(false)
    }
  }

  /** Adds the rows of a row group that was read back. */
  addBatch(batch: Batch): void {
    const { offset, lp, lpState, xmin, xmax, cid, infomask } = batch.physical
    for (let row = 0; row < batch.rows; row++) {
      const isTuple = offset.words[row] !== 0 && (lp.isNull(row) || lpState.words[row] === LP_NORMAL)
      const hints = infomask.isNull(row) ? PREDICTED_HINTS : infomask.words[row]!
      const deleter = xmax.isNull(row) ? 0 : xmax.words[row * 2]! >>> 0
      const command = cid.isNull(row) ? 0 : cid.words[row * 2]! >>> 0
      this.add(isTuple && this.options.visibility.isVisible(xmin.words[row * 2]! >>> 0, deleter, hints, command))
    }
  }

  private addSoundPage(page: Uint8Array, block: BlockNumber): void {
    if (isZeroPage(page)) return this.add(false)
    if (this.options.checksums) checkPageChecksum(page, block)
    checkPageHeader(page)
    checkLinePointers(page)
    const count = usedLinePointers(page)
    if (count === 0) this.add(false)
    for (let offset = 1; offset <= count; offset++) {
      const item = linePointer(page, offset)
      this.add(lpFlags(item) === LP_NORMAL && this.isVisible(page, lpOff(item)))
    }
  }

  private isVisible(page: Uint8Array, start: number): boolean {
    const { xmin, xmax, infomask, cid } = readTupleHeader(page, start)
    return this.options.visibility.isVisible(xmin, xmax, infomask, cid)
  }

  private add(visible: boolean): void {
    if (!visible) this.positions.push(this.rows)
    this.rows++
  }
}
