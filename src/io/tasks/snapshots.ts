import type { Snapshot } from '../../xact/visibility.ts'
import { openSnapshot } from '../cluster.ts'

/** A data directory as one job sees it: a server may have run before the next one. */
export interface SnapshotKey {
  pgdata: string
  job: number
}

/** Jobs that share this thread. */
const KEPT_MAX = 4

/** By job, the last used one last. */
const snapshots = new Map<number, Snapshot>()

/** The job's snapshot, opened once per thread: it caches CLOG pages. */
export function snapshotOf({ pgdata, job }: SnapshotKey): Snapshot {
  const snapshot = snapshots.get(job) ?? openSnapshot(pgdata)
  snapshots.delete(job)
  snapshots.set(job, snapshot)
  if (snapshots.size > KEPT_MAX) snapshots.delete(snapshots.keys().next().value!)
  return snapshot
}
