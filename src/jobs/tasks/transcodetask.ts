import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { RowVisibility } from '../../columnar/decodepage.ts'
import { type ClusterDescriptor, fileRange } from '../../columnar/filedescriptor.ts'
import type { LaneCounts } from '../../columnar/lanes.ts'
import type { Compression } from '../../columnar/planfile.ts'
import type { ToastReader } from '../../columnar/toastreader.ts'
import { transcodeFile, type TranscodeOptions } from '../../columnar/transcode.ts'
import type { WantedOverflow } from '../../columnar/wantedoverflow.ts'
import { type BlockRun, BlockSet } from '../../common/blockset.ts'
import { OutputFile, writeWhole } from '../../io/disk/outputfile.ts'
import type { LakeFile } from '../../lake/manifest.ts'
import type { PageSource } from '../../page/pagesource.ts'
import { type CodecModules, loadCodecs } from './codecs.ts'
import { type ForkTask, type UnreadableFile, withForkPages } from './forkpages.ts'
import { type SnapshotKey, snapshotOf } from './snapshots.ts'

/** One Parquet file to write: some blocks of one relation. */
export interface TranscodeTask extends ForkTask {
  snapshot: SnapshotKey
  /** A BlockSet, as threads can pass it. */
  blocks: readonly BlockRun[]
  /** False: no reader may see any row, whatever the tuples say. */
  visible: boolean
  cluster: ClusterDescriptor
  compression: Compression
  lake: string
  /** Relative to the lake; the folder exists. */
  path: string
  hiddenPath: string
  codecs?: CodecModules
}

export interface TranscodeResult {
  file: LakeFile
  lanes: LaneCounts
  /** What of the transactions' status was asked for and is lost. */
  losses: readonly string[]
}

/** @throws CorruptionError with file, block, offset, attribute; EnvironmentError if the lake cannot be written */
export function transcode(task: TranscodeTask): Promise<TranscodeResult | WantedOverflow | UnreadableFile> {
  return withForkPages(task, (pages, toast) => writeFiles(task, pages, toast))
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
