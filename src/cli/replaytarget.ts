import { type Command, InvalidArgumentError } from 'commander'
import { isPositioned } from '../common/errors.ts'
import { type Lsn, parseLsn, type WalPosition, walPosition } from '../common/ids.ts'
import { parseTime } from '../jobs/timetext.ts'
import type { ReplayTarget } from '../replay/replay.ts'

export interface TargetOptions {
  wal?: string
  to?: ReplayTarget
  timeline?: number | 'latest'
}

const TO_TEXT = `latest; an LSN (16/B374D848), which includes every record that ends at or before it; or a time (2026-01-31 12:00:00Z;
  default zone UTC), which stops before the first later commit or abort`.replace(/\s+/g, ' ')

/** The options of all verbs that replay WAL. */
export function addTargetOptions(command: Command): Command {
  return command
    .option('--wal <dir>', "folder of the WAL: pg_wal or an archive, compressed or not (default: the data directory's pg_wal)")
    .option('--to <point>', TO_TEXT, parseTarget)
    .option('--timeline <number>', 'the timeline to follow, or latest', parseTimeline)
}

/** `latest`, an LSN or a time. */
export function parseTarget(text: string): ReplayTarget {
  if (text === 'latest') return {}
  const lsn = parseLsn(text)
  if (lsn !== undefined) return { lsn: positionOf(lsn) }
  const time = parseTime(text)
  if (time === undefined) throw new InvalidArgumentError('latest, an LSN such as 16/B374D848, or a time such as 2026-01-31 12:00:00Z is needed.')
  return { time }
}

function positionOf(lsn: Lsn): WalPosition {
  try {
    return walPosition(lsn)
  } catch (error) {
    throw new InvalidArgumentError(`${isPositioned(error) ? error.reason : String(error)}.`)
  }
}

/** `latest`, or a timeline number. */
export function parseTimeline(text: string): number | 'latest' {
  if (text === 'latest') return text
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('latest or a timeline number is needed.')
  return Number(text)
}
