import { BlockSet } from '../common/blockset.ts'
import { FIRST_NORMAL_XID, INVALID_XID, type Xid, xidEpoch } from '../common/ids.ts'
import { LP_NORMAL } from '../page/linepointer.ts'
import type { Vector } from '../vector/vector.ts'
import { Batch } from './batch.ts'
import { BoundsCollector, type ColumnBounds } from './columnbounds.ts'
import { PAGE_KIND_DAMAGED } from './physical.ts'
import { PREDICTED_HINTS } from './predict.ts'
import type { RelationSchema } from './schema.ts'

/** Positions of rows in a file, as sorted runs: what a set of blocks is of blocks. */
export type RowSet = BlockSet

/** What is asked of transactions when a file is written; xact's Snapshot answers. */
export interface TransactionStates {
  /** `in-progress` for one that may still commit. */
  xminStatus(xmin: Xid, infomask: number, xvac?: Xid): string
  xmaxStatus(xmax: Xid, infomask: number): string
  /** xmax, or the updater of a multixact. */
  deleter(xmax: Xid, infomask: number): Xid
  /** Next full xid at L. */
  readonly nextXid: { low: number; epoch: number }
}

/**
 * Rows [first, first + count) of a file whose visibility is open, since a transaction was in progress when the file was written: if it commits, the
 * rows that it inserted (xmin) are visible, and those that it deleted or updated (xmax) are not. Of a multixact it is the updater.
 */
export interface UnresolvedRun {
  first: number
  count: number
  /** Full xid, exact below 2^53. */
  xid: number
  which: 'xmin' | 'xmax'
}

/** What the pages of a file were when it was written, one entry per block, in order. */
export interface PageStates {
  /** pd_lsn as two words per block, the high one first. */
  lsns: Uint32Array
  /** CRC-32C of the canonical page. */
  crcs: Uint32Array
  rows: Uint32Array
}

/** What a layer knows of a file without reading it. */
export interface FileSummary {
  /** Bounds of the user columns, over rows that are not {@link hidden} for good. */
  columns: readonly ColumnBounds[]
  /** Rows that no reader may see at the file's LSN, unresolved ones included. */
  hidden: RowSet
  /** Sorted by row; of one row, xmin comes before xmax. */
  unresolved: readonly UnresolvedRun[]
  pages: PageStates
  /** Blocks that were carried although damaged: their CRC is that of the bytes as they were. */
  damaged: BlockSet
}

/** Gathers the summary of a file from its row groups, as they are written or as they are read back. */
export class FileSummarizer {
  private readonly schema: RelationSchema
  private readonly states: TransactionStates
  private readonly bounds: BoundsCollector
  private readonly hidden: { first: number; count: number }[] = []
  private readonly unresolved: UnresolvedRun[] = []
  /** The last run of each kind. */
  private readonly open: Partial<Record<UnresolvedRun['which'], UnresolvedRun>> = {}
  private readonly pages = new PageStatesCollector()
  private rows = 0
  private hiddenTaken = 0

  constructor(schema: RelationSchema, states: TransactionStates) {
    this.schema = schema
    this.states = states
    this.bounds = new BoundsCollector(schema.columns)
  }

  /** @param vectors one per field of the schema @param hidden positions in the file of all hidden rows so far, ascending */
  add(vectors: readonly Vector[], hidden: readonly number[]): void {
    const batch = new Batch(this.schema, vectors)
    const seen = new Uint8Array(batch.rows).fill(1)
    for (; this.hiddenTaken < hidden.length && hidden[this.hiddenTaken]! < this.rows + batch.rows; this.hiddenTaken++) {
      const position = hidden[this.hiddenTaken]!
      seen[position - this.rows] = 0
      append(this.hidden, position)
    }
    this.addTransactions(batch, seen)
    this.pages.add(batch)
    this.bounds.add(batch.columns, seen)
    this.rows += batch.rows
  }

  finish(): FileSummary {
    return { columns: this.bounds.finish(), hidden: BlockSet.ofRuns(this.hidden), unresolved: this.unresolved, ...this.pages.finish() }
  }

  /** Marks hidden rows as seen that may become visible. */
  private addTransactions({ physical, rows }: Batch, seen: Uint8Array): void {
    const { offset, lp, lpState, xmin, xmax, cid, infomask } = physical
    const { states } = this
    for (let row = 0; row < rows; row++) {
      if (offset.words[row] === 0 || (!lp.isNull(row) && lpState.words[row] !== LP_NORMAL)) continue
      const deleted = xmax.isNull(row) ? INVALID_XID : xmax.words[row * 2]! >>> 0
      // A visible row that no transaction deletes: its inserter committed.
      if (seen[row] === 1 && deleted === INVALID_XID) continue
      const hints = infomask.isNull(row) ? PREDICTED_HINTS : infomask.words[row]!
      const xmaxStatus = states.xmaxStatus(deleted, hints)
      if (xmaxStatus === 'committed') continue
      const inserter = xmin.words[row * 2]! >>> 0
      if (seen[row] === 0) {
        if (states.xminStatus(inserter, hints, cid.isNull(row) ? 0 : cid.words[row * 2]! >>> 0) !== 'in-progress') continue
        seen[row] = 1
        this.addUnresolved(this.rows + row, inserter, 'xmin')
      }
      if (xmaxStatus === 'in-progress') this.addUnresolved(this.rows + row, states.deleter(deleted, hints), 'xmax')
    }
  }

  private addUnresolved(row: number, xid: Xid, which: UnresolvedRun['which']): void {
    const full = this.widen(xid)
    const last = this.open[which]
    if (last !== undefined && last.xid === full && last.first + last.count === row) {
      last.count++
      return
    }
    const run: UnresolvedRun = { first: row, count: 1, xid: full, which }
    this.open[which] = run
    this.unresolved.push(run)
  }

  private widen(xid: Xid): number {
    const { low, epoch } = this.states.nextXid
    return (xid < FIRST_NORMAL_XID ? 0 : xidEpoch(xid, low, epoch)) * 0x100000000 + xid
  }
}

/** Gathers what the pages of a file were. */
export class PageStatesCollector {
  private readonly lsns: number[] = []
  private readonly crcs: number[] = []
  private readonly rows: number[] = []
  private readonly damaged: number[] = []

  /** Adds the pages of a row group. */
  add({ physical: { block, pageLsn, pageCrc, pageHeader, headerKind }, rows }: Batch): void {
    for (let first = 0; first < rows;) {
      let end = first + 1
      while (end < rows && block.words[end * 2] === block.words[first * 2]) end++
      this.lsns.push(pageLsn.words[first * 2 + 1]! >>> 0, pageLsn.words[first * 2]! >>> 0)
      this.crcs.push(pageCrc.words[first]! >>> 0)
      this.rows.push(end - first)
      if (!pageHeader.isNull(first) && headerKind.words[first] === PAGE_KIND_DAMAGED) this.damaged.push(block.words[first * 2]! >>> 0)
      first = end
    }
  }

  finish(): Pick<FileSummary, 'pages' | 'damaged'> {
    return {
      pages: { lsns: Uint32Array.from(this.lsns), crcs: Uint32Array.from(this.crcs), rows: Uint32Array.from(this.rows) }, damaged: BlockSet.of(this.damaged),
    }
  }
}

function append(runs: { first: number; count: number }[], position: number): void {
  const last = runs.at(-1)
  if (last !== undefined && last.first + last.count === position) last.count++
  else runs.push({ first: position, count: 1 })
}
