import type { Snapshot } from '../../xact/visibility.ts'
import { openSnapshot } from '../cluster.ts'

const snapshots = new Map<string, Snapshot>()

/** The snapshot of a data directory, opened once per thread: it caches CLOG pages. */
export function snapshotAt(pgdata: string): Snapshot {
  let snapshot = snapshots.get(pgdata)
  if (!snapshot) {
    snapshot = openSnapshot(pgdata)
    snapshots.set(pgdata, snapshot)
  }
  return snapshot
}

/** A server may have run since: whoever begins a job on this thread wants the data directory as it is now. */
export function forgetSnapshots(): void {
  snapshots.clear()
}
