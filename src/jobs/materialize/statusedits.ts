import { CorruptionError } from '../../common/errors.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import { statusEdit } from '../../lake/state/status.ts'
import type { Snapshot } from '../../xact/snapshot.ts'
import type { PreviousState } from './previousstate.ts'

/**
 * What became, up to the new state, of transactions that rows of the lake depend on: those that the state before has as open, and those of new files.
 * A source without WAL says whether each ended by now: then it did between the two states.
 * @param unresolved full xids of new files
 */
export function* statusEdits(
  { open }: Pick<PreviousState, 'open'>, unresolved: ReadonlySet<number>, snapshot: Snapshot, states: { after: string; until: string },
): Generator<EntryKey & { value?: unknown }> {
  const known = new Set(open.map(Number))
  for (const xid of open) {
    const status = statusOf(xid, snapshot)
    if (status === 'committed' || status === 'aborted') yield statusEdit(xid, { ended: status, ...states })
  }
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
