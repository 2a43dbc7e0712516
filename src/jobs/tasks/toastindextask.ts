import { SegmentPages } from '../../io/datadir/segmentpages.ts'
import { indexToast, type ToastIndex } from '../../columnar/toastindex.ts'
import { type SnapshotKey, snapshotOf } from './snapshots.ts'
import type { SegmentFiles } from './forkpages.ts'

export interface ToastIndexTask {
  snapshot: SnapshotKey
  fork: SegmentFiles
  onCorrupt: 'fail' | 'carry'
}

/** Indexes one TOAST relation; the result is shared memory. */
export async function toastIndex(task: ToastIndexTask): Promise<ToastIndex> {
  const fork = new SegmentPages(task.fork.path, task.fork.segments, task.onCorrupt === 'carry' ? 'lost' : 'fail')
  try {
    return await indexToast(fork, snapshotOf(task.snapshot))
  } finally {
    fork.close()
  }
}
