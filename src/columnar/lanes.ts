/** How many values and tuples took which lane: counted, so that nothing travels unseen. */
export interface LaneCounts {
  pages: number
  /** Line pointers with storage. */
  tuples: number
  /** REDIRECT, DEAD and UNUSED line pointers, empty and zero pages. */
  structureRows: number
  /** Values that are not NULL, by where they are readable or exact. A value can be both in text and raw. */
  native: number
  text: number
  raw: number
  /** Tuples carried whole, pages carried whole. */
  tupleLane: number
  pageImages: number
  /** Pages whose first decoding did not form back: decoded again, value by value. Costs time, loses nothing. */
  reproved: number
  /** TOAST pointers of dead tuples whose chunks are gone. */
  dangling: number
  /** Values of other tuples whose TOAST chunks are missing or do not fit together (--on-corrupt carry): only their pointer is there. */
  missingToast: number
  /** Values that their type's codec did not accept: the column is NULL, `_overflow` shows their bytes in hex, raw keeps them. */
  unreadable: number
  /**
   * Out-of-line values beyond 1.2 GB on one page, or 256 MB for lists and the like: only their TOAST pointer is there, their bytes are in
   * the TOAST relation's files.
   */
  oversized: number
  /** Row versions whose transaction's status is lost, and which no hint bit settles (--on-corrupt carry). */
  unknownStatus: number
}

export function newLaneCounts(): LaneCounts {
  return {
    pages: 0, tuples: 0, structureRows: 0, native: 0, text: 0, raw: 0, tupleLane: 0, pageImages: 0, reproved: 0, dangling: 0, missingToast: 0,
    unreadable: 0, oversized: 0, unknownStatus: 0,
  }
}

/** Counts that a manifest of an older ltap does not have are 0. */
export function addLaneCounts(to: LaneCounts, from: Partial<LaneCounts>): void {
  for (const key of Object.keys(to) as (keyof LaneCounts)[]) to[key] += from[key] ?? 0
}
