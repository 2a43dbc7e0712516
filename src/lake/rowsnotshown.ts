import { BlockSet } from '../common/blockset.ts'
import type { WalPosition } from '../common/ids.ts'
import type { RowSet, UnresolvedRun } from '../columnar/filesummary.ts'
import { type BlockIndex, rowsOfBlocks } from './blockindex.ts'
import { hiddenRows, type TransactionOutcomes } from './hiddenrows.ts'

/** A file of a relation in one state. */
export interface FileInState {
  index: Pick<BlockIndex, 'blocks' | 'pages' | 'hidden' | 'unresolved'>
  /** Blocks of it that no newer layer supersedes. */
  current: BlockSet
}

/** Unresolved rows of the current blocks: what became of their transactions decides whether they are visible. */
export function openRows({ index, current }: FileInState): readonly UnresolvedRun[] {
  const rows = rowsOfBlocks(index, current)
  return index.unresolved.filter(({ first, count }) => BlockSet.range(first, count).intersect(rows).size > 0)
}

/**
 * Rows of the file that no reader of the state sees: those of superseded blocks, and the hidden ones of the others. Of a relation that a reader does
 * not see, all.
 * @throws UnsupportedError lake.status, as {@link hiddenRows}
 */
export function rowsNotShown(file: FileInState, visible: boolean, outcomes: TransactionOutcomes, lsn: WalPosition): RowSet {
  const { index, current } = file
  const all = BlockSet.range(0, index.pages.rows.reduce((sum, rows) => sum + rows, 0))
  if (!visible) return all
  const shown = rowsOfBlocks(index, current)
  return all.subtract(shown).union(hiddenRows({ hidden: index.hidden, unresolved: openRows(file) }, outcomes, lsn))
}
