import { RecentlyUsed } from '../../common/recentlyused.ts'
import type { Snapshot } from '../../xact/snapshot.ts'
import { type DirectoryOptions, openSnapshot } from '../../io/cluster.ts'

/** A data directory as one job sees it: a server may have run before the next one. */
export interface SnapshotKey {
  pgdata: string
  job: number
  options: DirectoryOptions
}

/** The snapshots of the jobs that share this thread, by job. */
const snapshots = new RecentlyUsed<number, Snapshot>(4)

/** The job's snapshot, opened once per thread: it caches CLOG pages. */
export function snapshotOf({ pgdata, job, options }: SnapshotKey): Snapshot {
  return snapshots.get(job, () => openSnapshot(pgdata, options))
}
