import * as v from 'valibot'
import { POSTGRES_EPOCH_SECONDS } from '../common/epoch.ts'
import { EnvironmentError } from '../common/errors.ts'
import { type Lsn, walPosition } from '../common/ids.ts'
import { count, parseJson, type Persisted, validate } from '../common/validate.ts'
import type { SlruPages } from '../xact/slru.ts'
import { type StartPoint, startState } from '../xact/transactionstate.ts'
import type { PreparedTransaction } from '../xact/twophase.ts'
import { REPLAY_PROGRESS, type ReplayProgress } from './replay.ts'

/** What pg_control (ControlFileData, pg_control.h) says of a shutdown: a ControlFile is one. */
export interface ShutdownPoint extends StartPoint {
  /** DBState (pg_control.h) as pg_controldata prints it: `shut down`. */
  state: string
  /** LSN where the last checkpoint record begins. */
  redo: Lsn
  /** When the last checkpoint began; seconds since 1970. */
  checkpointTime: number
  walLogHints: boolean
}

/**
 * Where replay begins on the pages of a server that was shut down: at its shutdown checkpoint. No WAL is read: what a record would say is in
 * pg_control (InitWalRecovery, xlogrecovery.c).
 * @param clog pg_xact @param prepared what the files of pg_twophase hold
 * @throws EnvironmentError replay.state unless the server was shut down as a primary
 */
export function shutdownProgress(control: ShutdownPoint, clog: SlruPages, prepared: readonly PreparedTransaction[] = []): ReplayProgress {
  if (control.state !== 'shut down') {
    throw new EnvironmentError('replay.state', `pg_control says '${control.state}': shut the server down, or replay a backup with replayCluster`)
  }
  const lsn = walPosition(control.redo)
  return {
    lsn,
    // No transaction in the pages ended after the checkpoint began. Its time is in whole seconds, so the end of that second is the bound.
    time: (control.checkpointTime - POSTGRES_EPOCH_SECONDS + 1) * 1_000_000 - 1,
    consistency: { at: lsn, reached: false }, transactions: startState(control, prepared, clog),
    redo: { walLogHints: control.walLogHints, invalidPages: [] },
  }
}

const PERSISTED: Persisted = { code: 'replay.state', name: 'the state of a replay' }
const PROGRESS = v.strictObject({ lsn: count, rest: REPLAY_PROGRESS })

/** One line of JSON, to be kept beside the pages that it belongs to. */
export function formatProgress({ lsn, ...rest }: ReplayProgress): string {
  return JSON.stringify({ lsn, rest })
}

/** The inverse of {@link formatProgress}. @throws CorruptionError replay.state with the member that is wrong */
export function parseProgress(text: string): ReplayProgress {
  const { lsn, rest } = validate(PROGRESS, parseJson(text, PERSISTED), PERSISTED)
  return { lsn, ...rest }
}
