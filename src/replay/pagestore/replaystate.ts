import { EnvironmentError } from '../../common/errors.ts'
import { type Persisted, validate } from '../../common/validate.ts'
import { REPLAY_PROGRESS, type ReplayProgress } from '../replay.ts'
import type { Json, ReplayState } from './statefile.ts'

/** What replay keeps with a page store's state. */
export function replayState({ lsn, ...rest }: ReplayProgress): ReplayState {
  return { lsn, timeline: rest.transactions.timeline, rest: JSON.parse(JSON.stringify(rest)) as Json }
}

const PERSISTED: Persisted = { code: 'replay.state', name: "the replay's state, in the page store's" }

/**
 * The inverse.
 * @throws EnvironmentError replay.state for a page store that is not of a replay; CorruptionError replay.state with the member
 */
export function progressOf({ lsn, rest }: ReplayState): ReplayProgress {
  if (rest === null || typeof rest !== 'object' || !('consistency' in rest && 'transactions' in rest && 'redo' in rest)) {
    throw new EnvironmentError('replay.state', 'ltap replay did not make this page store; replay into another folder')
  }
  return { lsn, ...validate(REPLAY_PROGRESS, rest, PERSISTED) }
}
