import { HEAP_XMAX_IS_MULTI } from '../tuple/infomask.ts'
import type { TupleHeader } from '../tuple/header.ts'
import type { Snapshot } from './snapshot.ts'

/**
 * What became of a row version at L. Visible: `live`, and `deleting` if a prepared transaction deletes or updates it. Not visible:
 * `inserting` by a prepared transaction, `aborted` with its inserter, `updated` (t_ctid names its successor), `moved` to another
 * partition, `deleted`. `unknown`: the status of its inserter or deleter is lost.
 */
export type TupleState = 'live' | 'deleting' | 'inserting' | 'aborted' | 'updated' | 'moved' | 'deleted' | 'unknown'

/** MovedPartitionsOffsetNumber (itemptr.h): an UPDATE moved the row to another partition. */
const MOVED_PARTITIONS_OFFSET = 0xfffd

/** @throws CorruptionError xact.* */
export function tupleState(snapshot: Snapshot, tuple: TupleHeader, block: number, offset: number): TupleState {
  const { xmin, xmax, infomask, cid } = tuple
  if (snapshot.isUnknown(xmin, xmax, infomask, cid)) return 'unknown'
  const inserter = snapshot.xminStatus(xmin, infomask, cid)
  if (inserter === 'in-progress') return 'inserting'
  if (inserter === 'aborted') return 'aborted'
  if (snapshot.isVisible(xmin, xmax, infomask, cid)) {
    return snapshot.xmaxStatus(xmax, infomask) === 'in-progress' ? 'deleting' : 'live'
  }
  return successorState(tuple, block, offset)
}

/** What a row version is whose deleter committed. */
export function successorState({ ctidBlock, ctidOffset }: TupleHeader, block: number, offset: number): 'updated' | 'moved' | 'deleted' {
  if (ctidOffset === MOVED_PARTITIONS_OFFSET) return 'moved'
  return ctidBlock !== block || ctidOffset !== offset ? 'updated' : 'deleted'
}

export function isVisibleState(state: TupleState): boolean {
  return state === 'live' || state === 'deleting'
}

/**
 * Its inserter committed, so that the table's columns are its own. Another may have changed the table and not committed: then no catalog
 * describes it.
 */
export function isOfThisForm(state: TupleState | 'removed'): boolean {
  return state !== 'inserting' && state !== 'aborted' && state !== 'unknown'
}

/** xmax as a person reads it: a multixact is marked. */
export function xmaxText({ xmax, infomask }: TupleHeader): string {
  return infomask & HEAP_XMAX_IS_MULTI && xmax !== 0 ? `${xmax} (multixact)` : String(xmax)
}
