import * as v from 'valibot'
import { POSTGRES_EPOCH_SECONDS } from '../common/epoch.ts'
import { EnvironmentError } from '../common/errors.ts'
import { type Lsn, walPosition, type WalPosition } from '../common/ids.ts'
import { count, parseJson, type Persisted, validate } from '../common/validate.ts'
import type { ReplicationOrigin } from '../xact/replicationorigins.ts'
import type { SlruPages } from '../xact/slru.ts'
import { type StartPoint, startState } from '../xact/transactionstate.ts'
import type { PreparedTransaction } from '../xact/twophase.ts'
import { type Consistency, REPLAY_PROGRESS, type ReplayProgress } from './replay.ts'

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

/** Where the pages of a data directory or a backup are, before the first record. */
export interface StartOfPages {
  /** Redo begins with the record here. */
  lsn: WalPosition
  consistency: Consistency
  /** What the checkpoint says whose record names `lsn`, or pg_control of it. */
  from: StartPoint
  walLogHints: boolean
}

/**
 * Where replay begins on the pages of a server that was shut down: at its shutdown checkpoint. No WAL is read: what a record would say is in
 * pg_control (InitWalRecovery, xlogrecovery.c).
 * @param clog pg_xact @param prepared what the files of pg_twophase hold @param origins what pg_logical/replorigin_checkpoint has; undefined: not kept
 * @throws EnvironmentError replay.state unless the server was shut down as a primary
 */
export function shutdownProgress(
  control: ShutdownPoint, clog: SlruPages, prepared: readonly PreparedTransaction[] = [], origins?: readonly ReplicationOrigin[],
): ReplayProgress {
  if (control.state !== 'shut down') {
    throw new EnvironmentError('replay.state', `pg_control says '${control.state}': shut the server down, or replay a backup with replayCluster`)
  }
  const lsn = walPosition(control.redo)
  const start = { lsn, consistency: { at: lsn, reached: false }, from: control, walLogHints: control.walLogHints }
  // No transaction in the pages ended after the checkpoint began. Its time is in whole seconds, so the end of that second is the bound.
  return { ...startProgress(start, clog, prepared, origins), time: (control.checkpointTime - POSTGRES_EPOCH_SECONDS + 1) * 1_000_000 - 1 }
}

/**
 * Where replay begins on pages of many LSNs: a base backup's, or those of a server that crashed. When the last transaction in them ended need not be
 * known: a target before what is in the pages is one before they are consistent.
 */
export function startProgress(
  start: StartOfPages, clog: SlruPages, prepared: readonly PreparedTransaction[], origins?: readonly ReplicationOrigin[],
): ReplayProgress {
  const { lsn, consistency, from, walLogHints } = start
  return { lsn, time: 0, consistency, transactions: startState(from, prepared, clog, origins), redo: { walLogHints, invalidPages: [] } }
}

const PERSISTED: Persisted = { code: 'replay.state', name: 'the state of a replay' }
const LINE = v.strictObject({ lsn: count, rest: v.unknown() })

/** One line of JSON, to be kept beside the pages that it belongs to. */
export function formatProgress(progress: ReplayProgress): string {
  return JSON.stringify({ lsn: progress.lsn, rest: restOf(progress) })
}

/** The inverse of {@link formatProgress}. @throws CorruptionError replay.state with the member that is wrong */
export function parseProgress(text: string): ReplayProgress {
  const { lsn, rest } = validate(LINE, parseJson(text, PERSISTED), PERSISTED)
  return progressOf(lsn, rest)
}

/** All but the LSN, which a page store's state has in its own way. It is plain data: JSON and back is the same. */
export function restOf({ lsn: _lsn, ...rest }: ReplayProgress): Omit<ReplayProgress, 'lsn'> {
  return rest
}

/** The inverse of {@link restOf}, of what was read. @throws CorruptionError replay.state with the member that is wrong */
export function progressOf(lsn: WalPosition, rest: unknown): ReplayProgress {
  return { lsn, ...validate(REPLAY_PROGRESS, rest, PERSISTED, 'rest') }
}
