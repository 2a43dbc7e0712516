import { PIECES_OF_TIER, tierOfBytes } from './mergeplan.ts'
import type { LogFile } from './publishedlog.ts'

/*
 * When data files of a log are merged (publishedlog.ts). Each publication with new rows adds a small one at the end of the list. As layers do, the files at the
 * end, all of a tier or below and twice PIECES_OF_TIER of them of that tier, become one. A file that is full is never copied again.
 */

/** Files of fewer bytes are of one tier: to copy them costs less than the requests for it. */
const SMALLEST_TIER_BYTES = 64 << 10
/** So many of a tier become one: a merge is a commit of its own, which the publications between two merges share. */
const LOG_FILES_OF_TIER = 2 * PIECES_OF_TIER
/** No merge makes a file of more rows: all of them are in memory. */
export const LOG_ROWS_MAX: number = 1 << 20

/** Files [first, end) of the list become one. */
export interface LogMergePlan {
  readonly first: number
  readonly end: number
}

/**
 * Which files of a log to merge now; undefined: none. After a merge, ask again.
 * @param all whatever the tiers say, until no two neighbours fit into one file
 */
export function planLogMerge(files: readonly Pick<LogFile, 'bytes' | 'rows'>[], all = false): LogMergePlan | undefined {
  if (all) return firstRun(files)
  const tiers = files.map(({ bytes }) => tierOfBytes(Math.max(bytes, SMALLEST_TIER_BYTES)))
  for (const tier of [...new Set(tiers)].sort((a, b) => a - b)) {
    const first = tiers.findLastIndex((other) => other > tier) + 1
    if (tiers.slice(first).filter((other) => other === tier).length < LOG_FILES_OF_TIER) continue
    const plan = firstRun(files.slice(first))
    if (plan !== undefined) return { first: first + plan.first, end: first + plan.end }
  }
  return undefined
}

/** The first neighbours that fit into one file, and all behind them that do. */
function firstRun(files: readonly Pick<LogFile, 'rows'>[]): LogMergePlan | undefined {
  for (let first = 0; first + 1 < files.length; first++) {
    let end = first
    for (let rows = 0; end < files.length && rows + files[end]!.rows <= LOG_ROWS_MAX; end++) rows += files[end]!.rows
    if (end > first + 1) return { first, end }
  }
  return undefined
}
