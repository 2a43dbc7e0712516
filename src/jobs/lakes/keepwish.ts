import { EnvironmentError } from '../../common/errors.ts'
import { formatLsn, parseLsn } from '../../common/ids.ts'
import { POSTGRES_EPOCH_SECONDS } from '../../common/epoch.ts'
import type { KeepWish } from '../../lake/state/retention.ts'
import { parseTime } from '../timetext.ts'

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 7 * 86_400 }
const DURATION = /^(\d{1,9})\s?([smhdw])$/

/** `30d`, `12h`: milliseconds; undefined for any other text. */
function parseDuration(text: string): number | undefined {
  const [, count, unit] = DURATION.exec(text) ?? []
  return unit === undefined ? undefined : Number(count) * UNITS[unit]! * 1000
}

/** How long a lease lasts. @returns milliseconds @throws EnvironmentError lake.duration for what is no duration, and for none at all */
export function durationOf(text: string): number {
  const duration = parseDuration(text)
  if (duration === 0) throw new EnvironmentError('lake.duration', `a lease of '${text}' is over at once: ask for more`)
  if (duration !== undefined) return duration
  throw new EnvironmentError('lake.duration', `'${text}' is no duration: write it as 30d, 12h or 90m`)
}

/** What `--keep` means: a duration back from now, an LSN, or a time. @param now milliseconds since 1970 @throws EnvironmentError lake.point */
export function keepWishOf(text: string, now: number): KeepWish {
  const duration = parseDuration(text)
  if (duration !== undefined) return { time: (now - duration) * 1000 }
  const lsn = parseLsn(text)
  if (lsn !== undefined) return { lsn: formatLsn(lsn) }
  const time = parseTime(text)
  if (time !== undefined) return { time: Number(time) + POSTGRES_EPOCH_SECONDS * 1_000_000 }
  throw new EnvironmentError('lake.point',
    `'${text}' is no duration such as 30d, 12h or 90m, no LSN such as 16/B374D848, and no time such as 2026-01-31 12:00:00Z`)
}
