import { CorruptionError } from '../../common/errors.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import { statusEdit } from '../../lake/state/status.ts'
import type { Snapshot } from '../../xact/snapshot.ts'
import { recordedStatus } from './transactionends.ts'
import type { RecordedEnd } from '../../lake/state/transactions.ts'
import type { PreviousState } from './previousstate.ts'

/**
 * What became, up to the new state, of transactions that the state before has as open. A source without WAL says whether each ended by now: then it did
 * between the two states.
 * @param ends what WAL says of them
 * @throws CorruptionError xact.status if WAL and the source contradict each other
 */
export function* endedEdits(
  { open }: Pick<PreviousState, 'open'>, snapshot: Snapshot, states: { after: string; until: string },
  ends: ReadonlyMap<number, RecordedEnd> = new Map(),
): Generator<EntryKey & { value?: unknown }> {
  for (const xid of open) {
    const status = statusOf(xid, snapshot)
    if (status !== 'committed' && status !== 'aborted') continue
    const recorded = ends.get(Number(xid))
    const end = recorded ? recordedStatus(recorded) : { ended: status, ...states } as const
    if (end.ended !== status) throw new CorruptionError('xact.status', `transaction ${xid} is ${status} in pg_xact, and ${end.ended} in the WAL`)
    yield statusEdit(xid, end)
  }
}

/** Transactions that rows of new files depend on. @param unresolved their full xids */
export function* openEdits({ open }: Pick<PreviousState, 'open'>, unresolved: ReadonlySet<number>): Generator<EntryKey & { value?: unknown }> {
  const known = new Set(open.map(Number))
  for (const xid of unresolved) if (!known.has(xid)) yield statusEdit(BigInt(xid), { ended: 'open' })
}

/** Says of a transaction older than all of pg_xact `forgotten`: VACUUM had to rewrite each row of it, so newer files have the rows. */
function statusOf(fullXid: bigint, snapshot: Snapshot): string {
  try {
    return snapshot.xminStatus(Number(fullXid & 0xffffffffn), 0)
  } catch (error) {
    if (error instanceof CorruptionError && error.code === 'xact.clog-truncated') return 'forgotten'
    throw error
  }
}
