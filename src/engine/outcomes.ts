import { assert, CorruptionError } from '../common/errors.ts'
import { parseLsn, type WalPosition, walPosition } from '../common/ids.ts'
import type { RowSet } from '../columnar/filesummary.ts'
import type { TransactionOutcome, TransactionOutcomes } from '../lake/hiddenrows.ts'
import { type FileInState, openRows, rowsNotShown } from '../lake/rowsnotshown.ts'
import { parseStatus, statusKey, type TransactionStatus } from '../lake/state/status.ts'
import type { Snapshot } from './snapshot.ts'

/**
 * What became of these transactions, as the state has it.
 * @param xids full ones, of rows whose visibility was open
 * @throws CorruptionError lake.status for one that the state says nothing of: whether its rows are visible cannot be told
 */
export async function readOutcomes(snapshot: Snapshot, xids: Iterable<number>): Promise<TransactionOutcomes> {
  const wanted = [...new Set(xids)]
  const keys = wanted.map((xid) => statusKey(BigInt(xid)))
  const values = wanted.length === 0 ? [] : await snapshot.get(keys)
  const outcomes = new Map<number, TransactionOutcome>()
  for (const [i, xid] of wanted.entries()) {
    if (values[i] === undefined) {
      throw new CorruptionError('lake.status', `rows depend on transaction ${xid}, and the lake's state at LSN ${snapshot.state.lsn} has nothing of it`)
    }
    const outcome = outcomeOf(parseStatus(values[i], keys[i]!))
    if (outcome) outcomes.set(xid, outcome)
  }
  return { find: (xid) => outcomes.get(xid) }
}

/**
 * Rows of a file that no reader of the state sees.
 * @param visible false: the relation itself is not visible
 * @throws as {@link readOutcomes}; UnsupportedError lake.status
 */
export async function readRowsNotShown(snapshot: Snapshot, file: FileInState, visible: boolean): Promise<RowSet> {
  const outcomes = await readOutcomes(snapshot, openRows(file).map(({ xid }) => xid))
  return rowsNotShown(file, visible, outcomes, position(snapshot.state.lsn))
}

function outcomeOf(status: TransactionStatus): TransactionOutcome | undefined {
  if (status.ended === 'open') return undefined
  const committed = status.ended === 'committed'
  return 'lsn' in status ? { committed, endLsn: position(status.lsn) } : { committed, after: position(status.after), endLsn: position(status.until) }
}

function position(text: string): WalPosition {
  const lsn = parseLsn(text)
  assert(lsn !== undefined, 'a schema lets only LSNs pass')
  return walPosition(lsn)
}
