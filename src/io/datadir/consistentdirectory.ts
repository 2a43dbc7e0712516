import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type ClusterTransactions, transactionsOf } from '../../catalog/clustersource.ts'
import type { ControlFile } from '../../catalog/controlfile.ts'
import { POSTGRES_EPOCH_SECONDS } from '../../common/epoch.ts'
import { CorruptionError, EnvironmentError, isPositioned, withPosition } from '../../common/errors.ts'
import { type Lsn, walPosition } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { recordEnd } from '../../wal/pageheader.ts'
import { preparedXidsOf } from '../../xact/transactionstate.ts'
import { JOURNAL } from '../pagestore/journal.ts'
import { parseState, STATE_FILE } from '../../replay/pagestore/statefile.ts'
import type { ReplayProgress } from '../../replay/replay.ts'
import {
  type DataDirectory, listTablespaces, openDataDirectory, readControlFile, readMajor, readPrepared, refuseUnsettled,
} from './datadir.ts'
import { readFile } from '../disk/files.ts'
import type { KnownControl } from '../../catalog/guesscontrol.ts'
import { guessControlFile } from './guesscontrol.ts'

/** A checkpoint record of 14 to 18: header, main data header, CheckPoint. */
const CHECKPOINT_RECORD_LENGTH = 24 + 2 + 88

/** Files that all belong to one LSN: a clean data directory, or a folder that replay made. */
export interface ConsistentDirectory extends DataDirectory {
  /** End of the last record that is in them. */
  lsn: Lsn
  /** With `carry`: what is damaged, and what was done instead. */
  damage: readonly string[]
  /** pg_control is lost: identity, LSN, checksums and counters are guessed. */
  guessed: boolean
  /** How well the guess is founded; absent if nothing is guessed. */
  guess?: Guess
  timeline: number
  /** When the server was at `lsn`, in microseconds since 1970: of a stopped one, the second in which its shutdown checkpoint began. Absent for a guess. */
  time?: number
  transactions: ClusterTransactions
  /** Where the replay is that made the folder; absent for a server's. pg_control is that of the copy that replay began with. */
  replayed?: ReplayProgress
}

/** How well a state is known whose pg_control is lost. */
export interface Guess {
  /** The highest LSN of a page. */
  pageLsn: Lsn
  /** pg_wal ends with a shutdown checkpoint. Undefined: there is no WAL that tells. */
  clean: boolean | undefined
}

/** How a damaged data directory is opened. */
export interface CarryOptions extends KnownControl {
  /** The major of a data directory that has lost PG_VERSION. */
  major?: PgMajor | undefined
}

/**
 * @throws EnvironmentError datadir.* for the data directory of a server that was not shut down cleanly; replay.unfinished
 * @throws CorruptionError, UnsupportedError control.*, cluster.version, pagestore.*
 * @param known with `carry`
 */
export function openConsistentDirectory(path: string, onCorrupt: 'fail' | 'carry' = 'fail', known: CarryOptions = {}): ConsistentDirectory {
  return existsSync(join(path, STATE_FILE)) ? openReplayed(path) : openClean(path, onCorrupt, known)
}

function openClean(path: string, onCorrupt: 'fail' | 'carry', known: CarryOptions): ConsistentDirectory {
  const damage: string[] = []
  const { datadir, lsn, guess } = onCorrupt === 'carry' ? openDamaged(path, known, damage) : openWhole(path)
  const { timeline, nextXid, oldestXid, oldestMulti, nextMulti, nextMultiOffset, checkpointTime } = datadir.control
  const onDamaged = onCorrupt === 'fail' ? undefined : (error: CorruptionError) => void damage.push(`${error.message}; its transaction is taken as prepared`)
  const prepared = preparedXidsOf({ prepared: readPrepared(datadir, onDamaged) })
  return {
    ...datadir, lsn, damage, guessed: guess !== undefined, ...(guess ? { guess } : { time: checkpointTime * 1_000_000 }), timeline,
    transactions: { nextXid, oldestXid, unresolvedFrom: nextXid, oldestMulti, nextMulti, nextMultiOffset, prepared },
  }
}

interface Opened {
  datadir: DataDirectory
  lsn: Lsn
  guess?: Guess
}

function openWhole(path: string, major?: PgMajor): Opened {
  const datadir = openDataDirectory(path, major)
  return { datadir, lsn: checkpointEnd(datadir.control) }
}

/** Where the record of the last checkpoint ends. */
export function checkpointEnd({ checkpoint, walSegmentSize }: Pick<ControlFile, 'checkpoint' | 'walSegmentSize'>): Lsn {
  return BigInt(recordEnd(walPosition(checkpoint), CHECKPOINT_RECORD_LENGTH, walSegmentSize))
}

/** Without pg_control, or with a damaged one, its content is guessed. */
function openDamaged(path: string, known: CarryOptions, damage: string[]): Opened {
  const major = majorOf(path, known.major, damage)
  try {
    readControlFile(path, major)
    return openWhole(path, major)
  } catch (error) {
    const why = whyLost(error)
    if (why === undefined) throw error
    refuseUnsettled(path)
    const { control, lsn, pageLsn, clean, how } = guessControlFile(path, major, known)
    damage.push(`${join(path, 'global/pg_control')} ${why}; what it would say is guessed: ${how}`)
    return { datadir: { path, major, control, tablespaces: listTablespaces(path) }, lsn, guess: { pageLsn, clean } }
  }
}

/** What an error says of a file whose content can be guessed; undefined for any other error. */
function whyLost(error: unknown): string | undefined {
  if (error instanceof CorruptionError) return `is damaged (${error.reason})`
  if (!(error instanceof EnvironmentError)) return undefined
  return error.code === 'file.missing' ? 'is missing' : error.code === 'file.error' ? `cannot be read (${error.reason})` : undefined
}

/** The major version that PG_VERSION names, or the given one if that file is lost. */
function majorOf(path: string, given: PgMajor | undefined, damage: string[]): PgMajor {
  try {
    return readMajor(path)
  } catch (error) {
    if (given === undefined || !isPositioned(error) || !/^(?:datadir\.missing|cluster\.version|file\.error)$/.test(error.code)) throw error
    damage.push(`${join(path, 'PG_VERSION')} is missing or damaged; taken for Postgres ${given}, as it was given`)
    return given
  }
}

function openReplayed(path: string): ConsistentDirectory {
  if (existsSync(join(path, JOURNAL))) {
    throw new EnvironmentError('replay.unfinished', 'a replay into this folder was interrupted; run ltap replay with the folder as --out again', { file: path })
  }
  const file = join(path, STATE_FILE)
  const { replay } = withPosition({ file }, () => parseState(readFile(file)))
  const { lsn, time, consistency, transactions } = replay
  if (!consistency.reached) {
    throw new EnvironmentError('replay.unfinished', 'the pages are not yet consistent; run ltap replay with the folder as --out again', { file: path })
  }
  const major = readMajor(path)
  return {
    path, major, damage: [], guessed: false, control: readControlFile(path, major), tablespaces: listTablespaces(path), lsn: BigInt(lsn),
    timeline: transactions.timeline, time: time + POSTGRES_EPOCH_SECONDS * 1_000_000, transactions: transactionsOf(transactions),
    replayed: replay,
  }
}
