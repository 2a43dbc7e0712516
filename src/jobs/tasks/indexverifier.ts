import type { BlockRun, BlockSet } from '../../common/blockset.ts'
import { dataView } from '../../common/bytes.ts'
import { crc32c } from '../../common/crc32c.ts'
import { formatWalPosition } from '../../common/ids.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { UnresolvedRun } from '../../columnar/filesummary.ts'
import type { PageForm } from '../../columnar/formpage.ts'
import type { BlockIndex } from '../../lake/blockindex.ts'
import { isZeroPage, PD_CHECKSUM, PD_LSN } from '../../page/header.ts'
import { linePointer, LP_NORMAL, lpFlags, lpOff, usedLinePointers } from '../../page/linepointer.ts'
import { readTupleHeader } from '../../tuple/header.ts'
import { HEAP_XMAX_INVALID, HEAP_XMAX_IS_MULTI, HEAP_XMIN_FROZEN } from '../../tuple/infomask.ts'

/** Holds the block index of a layer's file against the file's pages, given one by one: without the source, so what depends on CLOG is not judged. */
export class IndexVerifier {
  private readonly index: BlockIndex
  private readonly differ: (block: number | undefined, reason: string) => void
  private readonly hidden: RunCursor<BlockRun>
  private readonly inserted: RunCursor<UnresolvedRun>
  private readonly deleted: RunCursor<UnresolvedRun>
  private readonly canonical = new Uint8Array(BLOCK_SIZE)
  /** Pages, and rows of them. */
  private at = 0
  private rows = 0

  constructor(index: BlockIndex, differ: (block: number | undefined, reason: string) => void) {
    this.index = index
    this.differ = differ
    this.hidden = new RunCursor(index.hidden.runs)
    this.inserted = new RunCursor(index.unresolved.filter(({ which }) => which === 'xmin'))
    this.deleted = new RunCursor(index.unresolved.filter(({ which }) => which === 'xmax'))
  }

  page(block: number, page: Uint8Array, form: PageForm): void {
    const { pages, damaged } = this.index
    const i = this.at++
    const last = form === 'verbatim' || isZeroPage(page) ? 0 : usedLinePointers(page)
    const rows = Math.max(last, 1)
    if (pages.rows[i] !== rows) this.differ(block, `${rows} rows, the block index says ${pages.rows[i]}`)
    const view = dataView(page)
    const [high, low] = [view.getUint32(PD_LSN, true), view.getUint32(PD_LSN + 4, true)]
    if (pages.lsns[i * 2] !== high || pages.lsns[i * 2 + 1] !== low) {
      const [here, there] = [[high, low], [pages.lsns[i * 2]!, pages.lsns[i * 2 + 1]!]].map(([h, l]) => formatWalPosition(h! * 0x100000000 + l!))
      this.differ(block, `pd_lsn is ${here}, the block index says ${there}`)
    }
    const crc = this.crcOf(page, form)
    if (pages.crcs[i] !== crc) this.differ(block, `the CRC of the page is ${crc}, the block index says ${pages.crcs[i]}`)
    const isDamaged = form === 'verbatim'
    if (damaged.has(block) !== isDamaged) this.differ(block, `the page is ${isDamaged ? '' : 'not '}damaged, the block index says otherwise`)
    if (last === 0) this.row(block, page, 0)
    for (let offset = 1; offset <= last; offset++) this.row(block, page, offset)
    this.rows += rows
  }

  private crcOf(page: Uint8Array, form: PageForm): number {
    if (form === 'verbatim') return crc32c(page)
    this.canonical.set(page)
    this.canonical[PD_CHECKSUM] = this.canonical[PD_CHECKSUM + 1] = 0
    return crc32c(this.canonical)
  }

  /** @param offset 0 for the one row of a page without line pointers */
  private row(block: number, page: Uint8Array, offset: number): void {
    const row = this.rows + Math.max(offset - 1, 0)
    const hidden = this.hidden.at(row) !== undefined
    const inserter = this.inserted.at(row)
    const deleter = this.deleted.at(row)
    const pointer = offset === 0 ? 0 : linePointer(page, offset)
    if (offset === 0 || lpFlags(pointer) !== LP_NORMAL) {
      if (!hidden) this.differ(block, `row ${row} is of no tuple, and the block index does not hide it`)
      if (inserter ?? deleter) this.differ(block, `row ${row} is of no tuple, and the block index has a transaction of it`)
      return
    }
    const { xmin, xmax, infomask } = readTupleHeader(page, lpOff(pointer))
    if (inserter && (inserter.xid % 0x100000000 !== xmin || !hidden)) {
      this.differ(block, `row ${row} has xmin ${xmin}, the block index says ${inserter.xid}, ${hidden ? 'hidden' : 'but not hidden'} until it commits`)
    }
    if (deleter && deleter.xid % 0x100000000 !== xmax && (infomask & HEAP_XMAX_IS_MULTI) === 0) {
      this.differ(block, `row ${row} has xmax ${xmax}, the block index says ${deleter.xid}`)
    }
    const isForAll = (infomask & HEAP_XMIN_FROZEN) === HEAP_XMIN_FROZEN && (infomask & HEAP_XMAX_INVALID) !== 0
    if (hidden && isForAll) this.differ(block, `row ${row} is frozen and not deleted, and the block index hides it`)
  }
}

/** Finds the run that a position is in, for positions that ascend. */
class RunCursor<Run extends BlockRun> {
  private readonly runs: readonly Run[]
  private next = 0

  /** @param runs sorted, none of which overlap: those of a {@link BlockSet} */
  constructor(runs: BlockSet['runs'] & readonly Run[]) {
    this.runs = runs
  }

  at(position: number): Run | undefined {
    while (this.next < this.runs.length && this.runs[this.next]!.first + this.runs[this.next]!.count <= position) this.next++
    const run = this.runs[this.next]
    return run !== undefined && run.first <= position ? run : undefined
  }
}
