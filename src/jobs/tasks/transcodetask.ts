import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { RowVisibility } from '../../columnar/decodepage.ts'
import { type ClusterDescriptor, fileRange, type RelationDescriptor } from '../../columnar/filedescriptor.ts'
import type { LaneCounts } from '../../columnar/lanes.ts'
import type { Compression } from '../../columnar/planfile.ts'
import type { ToastIndex } from '../../columnar/toastindex.ts'
import { ToastReader } from '../../columnar/toastreader.ts'
import { transcodeFile, type TranscodeOptions } from '../../columnar/transcode.ts'
import type { WantedOverflow } from '../../columnar/wantedoverflow.ts'
import { type BlockRun, BlockSet } from '../../common/blockset.ts'
import { type CorruptionError, EnvironmentError, isPositioned } from '../../common/errors.ts'
import { SegmentPages } from '../../io/datadir/segmentpages.ts'
import { OutputFile, writeWhole } from '../../io/disk/outputfile.ts'
import type { LakeFile } from '../../lake/manifest.ts'
import type { PageSource } from '../../page/pagesource.ts'
import { type CodecModules, loadCodecs } from './codecs.ts'
import { type SnapshotKey, snapshotOf } from './snapshots.ts'

/** Files of one fork, as a task can carry them. */
export interface SegmentFiles {
  /** Absolute path of segment 0. */
  path: string
  segments: readonly number[]
}

/** One Parquet file to write: some blocks of one relation. */
export interface TranscodeTask {
  snapshot: SnapshotKey
  fork: SegmentFiles
  /** A BlockSet, as threads can pass it. */
  blocks: readonly BlockRun[]
  relation: RelationDescriptor
  /** False: no reader may see any row, whatever the tuples say. */
  visible: boolean
  cluster: ClusterDescriptor
  compression: Compression
  onCorrupt: 'fail' | 'carry'
  lake: string
  /** Relative to the lake; the folder exists. */
  path: string
  hiddenPath: string
  toast: { relationId: number; fork: SegmentFiles; index: ToastIndex } | undefined
  codecs?: CodecModules
}

export interface TranscodeResult {
  file: LakeFile
  lanes: LaneCounts
  /** What of the transactions' status was asked for and is lost. */
  losses: readonly string[]
}

/** Only with `carry`: the disk does not give a block, and what the file would hold is not known. A result, since an error ends all work. */
export interface UnreadableFile {
  unreadable: Pick<CorruptionError, 'reason' | 'position'>
}

/** @throws CorruptionError with file, block, offset, attribute; EnvironmentError if the lake cannot be written */
export async function transcode(task: TranscodeTask): Promise<TranscodeResult | WantedOverflow | UnreadableFile> {
  let fork: SegmentPages | undefined
  let toastFork: SegmentPages | undefined
  try {
    const onUnreadable = task.onCorrupt === 'carry' ? 'lost' : 'fail'
    fork = new SegmentPages(task.fork.path, task.fork.segments, onUnreadable)
    toastFork = task.toast && new SegmentPages(task.toast.fork.path, task.toast.fork.segments, onUnreadable)
    if (fork.blocks !== task.relation.blocks) {
      const reason = `the relation has ${fork.blocks} blocks and had ${task.relation.blocks} when the work began: a server changes the data directory`
      throw new EnvironmentError('cluster.changed', reason)
    }
    const toast = task.toast && toastFork && new ToastReader(task.toast.relationId, toastFork, task.toast.index)
    return await writeFiles(task, fork, toast)
  } catch (error) {
    if (!isPositioned(error)) throw error
    const { code, reason, position } = error.at({ file: task.fork.path, relation: relationName(task.relation) })
    if (code === 'relation.unreadable') return { unreadable: { reason, position } }
    throw error
  } finally {
    fork?.close()
    toastFork?.close()
  }
}

export function relationName({ database, schema, name }: RelationDescriptor): string {
  return database === null ? `${schema}.${name}` : `${database}.${schema}.${name}`
}

async function writeFiles(task: TranscodeTask, pages: PageSource, toast: ToastReader | undefined): Promise<TranscodeResult | WantedOverflow> {
  const { compression, cluster, onCorrupt, lake } = task
  const blocks = BlockSet.ofRuns(task.blocks)
  const options: TranscodeOptions = {
    cluster, compression, visibility: visibilityOf(task), checksums: cluster.checksums, onCorrupt, extensions: await loadCodecs(task.codecs),
    ...(toast && { toast }),
  }
  const output = new OutputFile(join(lake, task.path))
  try {
    const written = await transcodeFile(task.relation, pages, blocks, options, (bytes) => output.write(bytes))
    if ('wanted' in written) return written
    const { hidden, hiddenRows, rows, lanes, damaged } = written
    if (hidden) writeWhole(join(lake, task.hiddenPath), hidden)
    const { first: firstBlock, count: blockCount } = fileRange(blocks)
    const file: LakeFile = {
      path: task.path, firstBlock, blockCount, rows, bytes: output.bytes, crc32: output.crc32,
      hidden: hidden ? { path: task.hiddenPath, rows: hiddenRows, crc32: crc32(hidden) } : null, damaged: [...damaged],
    }
    return { file, lanes, losses: snapshotOf(task.snapshot).losses }
  } finally {
    output.close()
  }
}

function visibilityOf(task: TranscodeTask): RowVisibility {
  const snapshot = snapshotOf(task.snapshot)
  if (task.visible) return snapshot
  // The relation itself is not seen: its rows may become so when their transaction commits.
  return {
    nextXid: snapshot.nextXid, isVisible: () => false, isDead: (...tuple) => snapshot.isDead(...tuple),
    isUnknown: (...tuple) => snapshot.isUnknown(...tuple),
  }
}
