import { BlockSet } from '../common/blockset.ts'
import { UnsupportedError } from '../common/errors.ts'
import { formatWalPosition, type WalPosition } from '../common/ids.ts'
import type { FileSummary, RowSet, UnresolvedRun } from '../columnar/filesummary.ts'

/** How a transaction ended. */
export interface TransactionOutcome {
  committed: boolean
  /** End of its commit or abort record: the end belongs to L if this is at most L. */
  endLsn: WalPosition
  /**
   * From a source without WAL: the transaction ended after this LSN and at or before `endLsn`; its record is not known. Absent: `endLsn` is the end
   * of the record.
   */
  after?: WalPosition
}

/** Transactions by full xid, subtransactions too; one that is not found has not ended. */
export interface TransactionOutcomes {
  find(xid: number): TransactionOutcome | undefined
}

/** What is asked of a file: its summary, or the parts of it that a layer keeps. */
export type HiddenRowsSummary = Pick<FileSummary, 'hidden' | 'unresolved'>

/**
 * Rows of a file that no reader may see at L, L being at or behind the LSN that the file was written at: structure rows and dead ones, for good, and of
 * the unresolved ones those whose inserter has not committed at L, or whose deleter has. Rows of superseded blocks are not among them.
 * Committed means: by a record that ends at or before L (HeapTupleSatisfiesMVCC with the snapshot of a standby that replayed to L).
 * @throws UnsupportedError lake.status where L lies in a range without WAL in which one of the transactions ended
 */
export function hiddenRows({ hidden, unresolved }: HiddenRowsSummary, outcomes: TransactionOutcomes, lsn: WalPosition): RowSet {
  const committed = unresolved.filter(({ xid }) => isCommitted(xid, outcomes, lsn))
  return hidden.subtract(rowsOf(committed, 'xmin')).union(rowsOf(committed, 'xmax'))
}

/**
 * The same with what became of transactions up to L applied: their rows are hidden for good or visible for good, the others stay unresolved. No reader at
 * L or behind it sees a difference.
 */
export function settledRows({ hidden, unresolved }: HiddenRowsSummary, outcomes: TransactionOutcomes, lsn: WalPosition): HiddenRowsSummary {
  const hasEnded = ({ xid }: UnresolvedRun): boolean => (outcomes.find(xid)?.endLsn ?? Infinity) <= lsn
  const open = rowsOf(unresolved.filter((run) => !hasEnded(run)), 'xmin')
  // Whether a row was ever there is decided first: what deleted it waits for that.
  const isSettled = (run: UnresolvedRun): boolean => hasEnded(run) && (run.which === 'xmin' || BlockSet.range(run.first, run.count).intersect(open).size === 0)
  return {
    hidden: hiddenRows({ hidden, unresolved: unresolved.filter(isSettled) }, outcomes, lsn), unresolved: unresolved.filter((run) => !isSettled(run)),
  }
}

function isCommitted(xid: number, outcomes: TransactionOutcomes, lsn: WalPosition): boolean {
  const outcome = outcomes.find(xid)
  // A transaction that has not ended or has aborted leaves a row as it was.
  if (!outcome?.committed) return false
  const { endLsn, after = endLsn } = outcome
  if (after < lsn && lsn < endLsn) {
    const range = `${formatWalPosition(after)} and ${formatWalPosition(endLsn)}`
    throw new UnsupportedError('lake.status', `transaction ${xid} committed between ${range}, without WAL it is not known where: ask for one of these LSNs`)
  }
  return endLsn <= lsn
}

function rowsOf(runs: readonly UnresolvedRun[], which: UnresolvedRun['which']): RowSet {
  return BlockSet.ofRuns(runs.filter((run) => run.which === which))
}
