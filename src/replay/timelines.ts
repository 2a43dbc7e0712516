import * as v from 'valibot'
import { EnvironmentError } from '../common/errors.ts'
import { formatWalPosition, type WalPosition } from '../common/ids.ts'
import { count, integer, type Schema } from '../common/validate.ts'
import type { TimelineHistory } from '../wal/timelinehistory.ts'

/** A timeline that the pages were on before their present one, and the position where it ended for them and the next one began. */
export interface Ancestor {
  timeline: number
  end: WalPosition
}

export const ANCESTORS: Schema<Ancestor[]> = v.array(v.strictObject({ timeline: integer(1, 0xffffffff), end: count }))

/** The ancestors of `timeline`, as the history of the WAL has them; undefined if it has no such timeline. */
export function ancestorsOf(timelineHistory: TimelineHistory, timeline: number): Ancestor[] | undefined {
  const at = timelineHistory.findIndex((entry) => entry.timeline === timeline)
  return at < 0 ? undefined : timelineHistory.slice(0, at).map(({ timeline, end }) => ({ timeline, end }))
}

/**
 * As InitWalRecovery (xlogrecovery.c): the WAL must go on where the pages are. A server that was promoted at one LSN and its primary that went on
 * write different records at the same positions; pages that followed the one must not be given the records of the other.
 * @param ancestors of the pages, where they are known: two promotions may have given the same number to two timelines
 * @throws EnvironmentError replay.timeline
 */
export function refuseOtherTimeline(timelineHistory: TimelineHistory, lsn: WalPosition, timeline: number, ancestors?: readonly Ancestor[]): void {
  const { timeline: newest } = timelineHistory.at(-1)!
  const refuse = (why: string): never => {
    const where = formatWalPosition(lsn)
    throw new EnvironmentError('replay.timeline', `the pages are those of ${where} on timeline ${timeline}, ${why}; see --timeline`, { lsn: where })
  }
  const entry = timelineHistory.find((known) => known.timeline === timeline)
  if (entry === undefined) return refuse(`which is no ancestor of ${newest}`)
  if (lsn < entry.begin || lsn > entry.end) {
    return refuse(`where ${newest} has it only from ${formatWalPosition(entry.begin)} up to ${formatWalPosition(entry.end)}`)
  }
  const theirs = ancestorsOf(timelineHistory, timeline)!
  for (const { timeline: ancestor, end } of ancestors ?? []) {
    const found = theirs.find((known) => known.timeline === ancestor)?.end
    if (found === end) continue
    const there = found === undefined ? `does not come from ${ancestor}` : `left ${ancestor} at ${formatWalPosition(found)}`
    return refuse(`which left timeline ${ancestor} at ${formatWalPosition(end)}, and the ${timeline} of this WAL ${there}: another server's timeline`)
  }
}
