import { type BlockRun, BlockSet } from '../../common/blockset.ts'
import { isPositioned } from '../../common/errors.ts'
import { SegmentPages } from '../../io/datadir/segmentpages.ts'
import { parseBlockIndex } from '../../lake/blockindex.ts'
import { ChangedBlocks, type CurrentBlocks } from '../../lake/changedblocks.ts'
import type { ObjectReference } from '../../lake/layer.ts'
import { READ_BLOCKS } from '../../page/pagesource.ts'
import { readObject } from './lakeobject.ts'
import { type StoreReference, storeOf } from './storereference.ts'
import type { SegmentFiles, UnreadableFile } from './forkpages.ts'

/** Which blocks of a relation are not as the lake has them. */
export interface ChangedBlocksTask {
  fork: SegmentFiles
  store: StoreReference
  /** The block index of each file that has current blocks, or the object beside the file, and these blocks. */
  known: readonly { index: ObjectReference | Uint8Array; current: readonly BlockRun[] }[]
  /** Only these blocks may have changed; default: all. */
  within?: readonly BlockRun[]
  checksums: boolean
  onCorrupt: 'fail' | 'carry'
}

/** @throws CorruptionError with file and block; EnvironmentError store.* */
export async function changedBlocks(task: ChangedBlocksTask): Promise<readonly BlockRun[] | UnreadableFile> {
  const store = await storeOf(task.store)
  const known = await Promise.all(task.known.map(async ({ index, current }): Promise<CurrentBlocks> => (
    { index: parseBlockIndex(index instanceof Uint8Array ? index : await readObject(store, index)), current: BlockSet.ofRuns(current) })))
  const fork = new SegmentPages(task.fork.path, task.fork.segments, task.onCorrupt === 'carry' ? 'lost' : 'fail')
  try {
    const changed = new ChangedBlocks(known, task)
    const blocks = task.within === undefined ? BlockSet.range(0, fork.blocks) : BlockSet.ofRuns(task.within)
    for (const piece of blocks.batches(READ_BLOCKS)) {
      await fork.prepare(piece)
      for (const block of piece) changed.addPage(fork.read(block), block)
    }
    return changed.finish().runs
  } catch (error) {
    if (!isPositioned(error)) throw error
    const { code, reason, position } = error.at({ file: task.fork.path })
    if (code === 'relation.unreadable') return { unreadable: { reason, position } }
    throw error
  } finally {
    fork.close()
  }
}
