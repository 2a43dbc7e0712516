import { type BlockRun, BlockSet } from '../common/blockset.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import type { Batch } from './batch.ts'
import { BoundsCollector } from './columnbounds.ts'
import { type FileSummary, PageStatesCollector, type UnresolvedRun } from './filesummary.ts'

/** What stands beside a file: which rows its pages have, and which rows are hidden or unresolved. */
export type RowsOfFile = Omit<FileSummary, 'columns'> & { blocks: BlockSet }

/** Runs of rows of one kind in a file, sorted; they do not overlap. */
interface Marks<Run extends BlockRun> {
  readonly runs: readonly Run[]
}

/** The marks of one input, sorted by kind. */
export class RowMarks {
  readonly hidden: Marks<BlockRun>
  readonly xmin: Marks<UnresolvedRun>
  readonly xmax: Marks<UnresolvedRun>

  constructor({ hidden, unresolved }: Pick<RowsOfFile, 'hidden' | 'unresolved'>) {
    this.hidden = { runs: hidden.runs }
    this.xmin = { runs: unresolved.filter(({ which }) => which === 'xmin') }
    this.xmax = { runs: unresolved.filter(({ which }) => which === 'xmax') }
  }
}

/** Marks of rows that go into another file: they go with the rows to their new positions. */
export class MovedMarks {
  readonly hidden: { first: number; count: number }[] = []
  readonly xmin: UnresolvedRun[] = []
  readonly xmax: UnresolvedRun[] = []

  /** Rows [first, first + count) of an input are now those from `to` on. Call it in order of `to`. */
  move({ hidden, xmin, xmax }: RowMarks, first: number, count: number, to: number): void {
    for (const part of within(hidden.runs, first, count)) append(this.hidden, { first: part.first - first + to, count: part.count })
    for (const part of within(xmin.runs, first, count)) append(this.xmin, { ...part, first: part.first - first + to }, isSame)
    for (const part of within(xmax.runs, first, count)) append(this.xmax, { ...part, first: part.first - first + to }, isSame)
  }

  finish(): Pick<FileSummary, 'hidden' | 'unresolved'> {
    const unresolved = [...this.xmin, ...this.xmax].sort((a, b) => a.first - b.first || (a.which < b.which ? 1 : a.which > b.which ? -1 : 0))
    return { hidden: BlockSet.ofRuns(this.hidden), unresolved }
  }
}

/** Gathers the summary of a file that takes its pages from others. */
export class MergedRows {
  private readonly bounds: BoundsCollector
  private readonly pages = new PageStatesCollector()
  private readonly marks = new MovedMarks()
  private hiddenTaken = 0
  private xminTaken = 0
  private rows = 0

  /** @param columns the user columns */
  constructor(columns: readonly LakeField[]) {
    this.bounds = new BoundsCollector(columns)
  }

  /** As {@link MovedMarks.move}. */
  move(marks: RowMarks, first: number, count: number, to: number): void {
    this.marks.move(marks, first, count, to)
  }

  /** Adds a row group, whose rows were moved before; it is sealed. */
  add(batch: Batch): void {
    this.pages.add(batch)
    const seen = new Uint8Array(batch.rows).fill(1)
    this.hiddenTaken = this.mark(seen, this.marks.hidden, this.hiddenTaken, 0)
    // A row that may become visible counts as one that is.
    this.xminTaken = this.mark(seen, this.marks.xmin, this.xminTaken, 1)
    this.bounds.add(batch.columns, seen)
    this.rows += batch.rows
  }

  finish(): FileSummary {
    return { columns: this.bounds.finish(), ...this.marks.finish(), ...this.pages.finish() }
  }

  /** Sets the rows of `runs` that are in the row group; they do not reach beyond it. @returns how many runs are done */
  private mark(seen: Uint8Array, runs: readonly BlockRun[], taken: number, value: number): number {
    let next = taken
    for (; next < runs.length; next++) {
      const { first, count } = runs[next]!
      // A run that is taken once more may lie before the row group.
      if (first + count > this.rows) seen.fill(value, Math.max(0, first - this.rows), first + count - this.rows)
    }
    // The last run may go on in the next row group.
    return Math.max(taken, next - 1)
  }
}

function isSame(a: UnresolvedRun, b: UnresolvedRun): boolean {
  return a.xid === b.xid
}

/** The parts of sorted runs that are in [first, first + count). */
function* within<Run extends BlockRun>(runs: readonly Run[], first: number, count: number): Generator<Run> {
  let low = 0
  let high = runs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (runs[middle]!.first + runs[middle]!.count <= first) low = middle + 1
    else high = middle
  }
  for (; low < runs.length && runs[low]!.first < first + count; low++) {
    const run = runs[low]!
    const from = Math.max(run.first, first)
    yield { ...run, first: from, count: Math.min(run.first + run.count, first + count) - from }
  }
}

function append<Run extends { first: number; count: number }>(runs: Run[], run: Run, joins: (a: Run, b: Run) => boolean = () => true): void {
  const last = runs.at(-1)
  if (last !== undefined && last.first + last.count === run.first && joins(last, run)) last.count += run.count
  else runs.push(run)
}
