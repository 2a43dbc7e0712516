import { RelationFork } from '../../io/datadir/segments.ts'
import { buildToastIndex, type ToastIndex } from '../../io/toast/toastindex.ts'
import { type SnapshotKey, snapshotOf } from './snapshots.ts'
import type { ForkFiles } from './transcodetask.ts'

export interface ToastIndexTask {
  snapshot: SnapshotKey
  fork: ForkFiles
}

/** Indexes one TOAST relation; the result is shared memory. */
export function toastIndex(task: ToastIndexTask): ToastIndex {
  const fork = new RelationFork(task.fork.path, task.fork.segments)
  try {
    return buildToastIndex(fork, snapshotOf(task.snapshot))
  } finally {
    fork.close()
  }
}
