import type { StateRoot } from '../../lake/state/stateroot.ts'

/** A state, and how it is called. */
export interface StateSummary {
  sequence: number
  timeline: number
  lsn: string
  /** Microseconds since 1970; null where the source did not say. */
  time: number | null
}

export function summaryOf({ sequence, timeline, lsn, time }: StateRoot): StateSummary {
  return { sequence, timeline, lsn, time: time ?? null }
}
