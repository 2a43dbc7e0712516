import { EnvironmentError } from '../../common/errors.ts'
import type { ReplayProgress } from '../../engine/replay.ts'
import type { Json, ReplayState } from '../pagestore/statefile.ts'

/** What replay keeps with a page store's state. */
export function replayState({ lsn, time, consistency, transactions, redo }: ReplayProgress): ReplayState {
  return { lsn, timeline: transactions.timeline, rest: JSON.parse(JSON.stringify({ time, consistency, transactions, redo })) as Json }
}

/**
 * The inverse; the state file's CRC vouches for its shape.
 * @throws EnvironmentError replay.state for a page store that is not of a replay
 */
export function progressOf({ lsn, rest }: ReplayState): ReplayProgress {
  if (rest === null || typeof rest !== 'object' || !('consistency' in rest && 'transactions' in rest && 'redo' in rest)) {
    throw new EnvironmentError('replay.state', 'a page store that no replay has made; replay into another folder')
  }
  return { lsn, ...(rest as unknown as Omit<ReplayProgress, 'lsn'>) }
}
