import type { LaneCounts } from '../columnar/lanes.ts'
import type { NotRead } from '../lake/notread.ts'
import type { NotShown } from '../lake/notshown.ts'

export interface LakeDifference {
  /** `shop.public.orders`; undefined for the lake as a whole. */
  relation?: string
  file?: string
  block?: number
  reason: string
}

export interface LakeReport {
  equal: boolean
  systemIdentifier: string
  lsn: string
  /** Compared with a data directory, or audited alone. */
  comparedWith: string | null
  relations: number
  files: number
  pages: number
  tuples: number
  rows: number
  hiddenRows: number
  lanes: LaneCounts
  forensic: {
    /** Tuples no reader can ever see again; counted where there is a data directory. */
    deadTuples: number
    /** TOAST pointers of dead tuples whose chunks are gone. */
    dangling: number
    orphanFiles: readonly string[]
    temporaryFiles: number
    /** Hint bits that CLOG contradicts. */
    hintContradictions: number
    damagedPages: number
    /** Bytes behind the last whole block of a relation, which no server reads. */
    trailingBytes: number
  }
  /**
   * What the store has, for a lake of format 2 that is audited alone. `orphans`: objects that no state refers to; null if a damaged page hides what it
   * refers to.
   */
  store?: { objects: number; bytes: number; orphans: { objects: number; bytes: number } | null }
  /** Relations of the cluster that are not in the lake: nothing is said of them. */
  notRead: readonly NotRead[]
  /** Values that are in no column, by relation. */
  notShown: readonly NotShown[]
  /** What of the data directory is damaged as a whole, and what was done instead; with `carry`. */
  damage: readonly string[]
  /** Blocks, files and relations that differ. */
  differing: number
  /** The first differences of each file. */
  differences: LakeDifference[]
}
