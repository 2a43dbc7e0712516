import { timeText } from '../engine/lakepoint.ts'
import type { StateSummary } from '../jobs/lakes/statesummary.ts'

/** `LSN 16/B374D848 of timeline 1, 2026-01-31 12:00:00Z`. */
export function stateText({ timeline, lsn, time }: StateSummary): string {
  return `LSN ${lsn} of timeline ${timeline}${time === null ? '' : `, ${timeText(time)}`}`
}
