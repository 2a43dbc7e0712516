import { RelationFork } from '../../io/datadir/segments.ts'
import { indexToast, type ToastIndex } from '../../columnar/toastindex.ts'
import { type SnapshotKey, snapshotOf } from './snapshots.ts'
import type { ForkFiles } from './transcodetask.ts'

export interface ToastIndexTask {
  snapshot: SnapshotKey
  fork: ForkFiles
}

/** Indexes one TOAST relation; the result is shared memory. */
export async function toastIndex(task: ToastIndexTask): Promise<ToastIndex> {
  const fork = new RelationFork(task.fork.path, task.fork.segments)
  try {
    return await indexToast(fork, snapshotOf(task.snapshot))
  } finally {
    fork.close()
  }
}
