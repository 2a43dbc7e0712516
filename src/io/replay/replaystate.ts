import type { ReplayProgress } from '../../engine/replay.ts'
import type { Json, ReplayState } from '../pagestore/statefile.ts'

/** What replay keeps with a page store's state. */
export function replayState({ lsn, consistency, transactions, redo }: ReplayProgress): ReplayState {
  return { lsn, timeline: transactions.timeline, rest: JSON.parse(JSON.stringify({ consistency, transactions, redo })) as Json }
}

/** The inverse; the state file's CRC vouches for its shape. */
export function progressOf({ lsn, rest }: ReplayState): ReplayProgress {
  return { lsn, ...(rest as unknown as Omit<ReplayProgress, 'lsn'>) }
}
