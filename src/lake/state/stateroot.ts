import * as v from 'valibot'
import { integer, lsnText, matching, type Schema, unsigned32 } from '../../common/validate.ts'
import { MADE_BY, type MadeBy } from './madeby.ts'
import { NONCE } from './names.ts'
import { PAGE_REF, type PageRef } from './page.ts'

/** Roots of the trees of one state; a tree without entries has no root. */
export interface TreeRoots {
  readonly layers?: PageRef
  readonly status?: PageRef
  readonly files?: PageRef
  readonly catalog?: PageRef
  readonly published?: PageRef
  readonly transactions?: PageRef
}

export const STATE_TREES: readonly ['layers', 'status', 'files', 'catalog', 'published', 'transactions'] = [
  'layers', 'status', 'files', 'catalog', 'published', 'transactions',
]

/**
 * One state of a branch: what a commit made. Its entries are those of its roots, with the edits of its log up to its own sequence applied.
 * Immutable but for `log`, which moves from HEAD into a page.
 */
export interface StateRoot {
  /** The commit's sequence. Within a branch it only grows. */
  readonly sequence: number
  /** TimeLineID of Postgres. */
  readonly timeline: number
  /** The state has every record that ends at or before this position, `16/B374D848`. */
  readonly lsn: string
  /** When the source was at `lsn`, in microseconds since 1970; absent where the source does not say. */
  readonly time?: number
  readonly roots: TreeRoots
  /** Id of the job whose results this commit added. */
  readonly job?: string
  /** Absent in states of an older ltap. */
  readonly made?: MadeBy
  /** The page with its newest edits; absent: they are inline in the HEAD that has this state. */
  readonly log?: PageRef
}

/** The check of a sequence or an epoch, as names of objects have them. */
export const sequenceNumber: Schema<number> = integer(0, 999_999_999_999_999)

export const STATE_ROOT: Schema<StateRoot> = v.strictObject({
  sequence: sequenceNumber, timeline: unsigned32, lsn: lsnText, time: v.exactOptional(integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
  job: v.exactOptional(matching(NONCE, 'a nonce of 20 characters [0-9a-z]')),
  made: v.exactOptional(MADE_BY),
  roots: v.strictObject({
    layers: v.exactOptional(PAGE_REF), status: v.exactOptional(PAGE_REF), files: v.exactOptional(PAGE_REF), catalog: v.exactOptional(PAGE_REF),
    published: v.exactOptional(PAGE_REF), transactions: v.exactOptional(PAGE_REF),
  }),
  log: v.exactOptional(PAGE_REF),
})
