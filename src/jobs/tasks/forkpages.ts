import type { RelationDescriptor } from '../../columnar/filedescriptor.ts'
import type { ToastIndex } from '../../columnar/toastindex.ts'
import { ToastReader } from '../../columnar/toastreader.ts'
import { type CorruptionError, EnvironmentError, isPositioned } from '../../common/errors.ts'
import { SegmentPages } from '../../io/datadir/segmentpages.ts'
import type { PageSource } from '../../page/pagesource.ts'
import { lakeRelationName } from '../lake.ts'

/** Files of one fork, as a task can carry them. */
export interface SegmentFiles {
  /** Absolute path of segment 0. */
  path: string
  segments: readonly number[]
}

/** What a task reads to write a file of a relation. */
export interface ForkTask {
  fork: SegmentFiles
  relation: RelationDescriptor
  onCorrupt: 'fail' | 'carry'
  toast: { relationId: number; fork: SegmentFiles; index: ToastIndex } | undefined
}

/** Only with `carry`: the disk does not give a block, and what the file would hold is not known. A result, since an error ends all work. */
export interface UnreadableFile {
  unreadable: Pick<CorruptionError, 'reason' | 'position'>
}

/**
 * Runs `body` on the pages of a relation and its values out of line.
 * @throws CorruptionError with the file and the relation; EnvironmentError cluster.changed if the relation has not its blocks any more
 */
export async function withForkPages<T>(
  { fork, relation, onCorrupt, toast }: ForkTask, body: (pages: PageSource, toast: ToastReader | undefined) => Promise<T>,
): Promise<T | UnreadableFile> {
  let pages: SegmentPages | undefined
  let toastPages: SegmentPages | undefined
  try {
    const onUnreadable = onCorrupt === 'carry' ? 'lost' : 'fail'
    pages = new SegmentPages(fork.path, fork.segments, onUnreadable)
    toastPages = toast && new SegmentPages(toast.fork.path, toast.fork.segments, onUnreadable)
    if (pages.blocks !== relation.blocks) {
      const reason = `the relation has ${pages.blocks} blocks and had ${relation.blocks} when the work began: a server changes the data directory`
      throw new EnvironmentError('cluster.changed', reason)
    }
    return await body(pages, toast && toastPages && new ToastReader(toast.relationId, toastPages, toast.index))
  } catch (error) {
    if (!isPositioned(error)) throw error
    const { code, reason, position } = error.at({ file: fork.path, relation: lakeRelationName(relation) })
    if (code === 'relation.unreadable') return { unreadable: { reason, position } }
    throw error
  } finally {
    pages?.close()
    toastPages?.close()
  }
}
