import { closeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { RowVisibility } from '../../columnar/decodepage.ts'
import type { ClusterDescriptor, RelationDescriptor } from '../../columnar/filedescriptor.ts'
import type { LaneCounts } from '../../columnar/lanes.ts'
import { PageTranscoder } from '../../columnar/pagetranscoder.ts'
import { ParquetEncoder } from '../../parquet/parquetwriter.ts'
import { type BlockRange, type Compression, encodeHidden, planFile, rowGroupIsFull, worthGenerating } from '../../columnar/transcode.ts'
import { BlockSet } from '../../common/blockset.ts'
import { EnvironmentError, isPositioned } from '../../common/errors.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import type { LakeFile } from '../../lake/manifest.ts'
import { type PageSource, READ_BLOCKS } from '../../page/pagesource.ts'
import { fileError } from '../../io/disk/files.ts'
import { RelationFork } from '../../io/datadir/segments.ts'
import { createFile, writeFully } from '../../io/disk/create.ts'
import type { ToastIndex } from '../../columnar/toastindex.ts'
import { ToastReader } from '../../columnar/toastreader.ts'
import { type SnapshotKey, snapshotOf } from './snapshots.ts'

/** Files of one fork, as a task can carry them. */
export interface ForkFiles {
  /** Absolute path of segment 0. */
  path: string
  segments: readonly number[]
}

/** One Parquet file to write: a range of blocks of one relation. */
export interface TranscodeTask {
  snapshot: SnapshotKey
  fork: ForkFiles
  range: BlockRange
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
  toast: { relationId: number; fork: ForkFiles; index: ToastIndex } | undefined
}

export interface TranscodeResult {
  file: LakeFile
  lanes: LaneCounts
  /** What of the transactions' status was asked for and is lost. */
  losses: readonly string[]
}

/** No file was written: begin again, for all files of the relation, with these attnums in the descriptor's `overflow`. */
export interface WantedOverflow {
  wanted: readonly number[]
}

/** @throws CorruptionError with file, block, offset, attribute; EnvironmentError if the lake cannot be written */
export async function transcode(task: TranscodeTask): Promise<TranscodeResult | WantedOverflow> {
  let fork: RelationFork | undefined
  let toastFork: RelationFork | undefined
  try {
    fork = new RelationFork(task.fork.path, task.fork.segments)
    toastFork = task.toast && new RelationFork(task.toast.fork.path, task.toast.fork.segments)
    if (fork.blocks !== task.relation.blocks) {
      const reason = `the relation has ${fork.blocks} blocks and had ${task.relation.blocks} when the work began: a server changes the data directory`
      throw new EnvironmentError('cluster.changed', reason)
    }
    const toast = task.toast && toastFork && new ToastReader(task.toast.relationId, toastFork, task.toast.index)
    return await transcodeFile(task, fork, toast)
  } catch (error) {
    throw isPositioned(error) ? error.at({ file: task.fork.path, relation: relationName(task.relation) }) : error
  } finally {
    fork?.close()
    toastFork?.close()
  }
}

function relationName({ database, schema, name }: RelationDescriptor): string {
  return database === null ? `${schema}.${name}` : `${database}.${schema}.${name}`
}

async function transcodeFile(task: TranscodeTask, fork: RelationFork, toast: ToastReader | undefined): Promise<TranscodeResult | WantedOverflow> {
  const { range, compression } = task
  const plan = planFile(task.cluster, task.relation, range, compression, (block) => fork.read(block))
  const transcoder = new PageTranscoder(plan.schema, {
    visibility: visibilityOf(task), checksums: task.cluster.checksums, onCorrupt: task.onCorrupt, generate: worthGenerating(range.blockCount),
    ...(toast && { toast }),
  })
  const output = new OutputFile(join(task.lake, task.path))
  const encoder = new ParquetEncoder(plan.schema.fields, plan.parquet, (bytes) => output.write(bytes))
  let rows = 0
  try {
    for await (const last of addPages(fork, range, transcoder)) {
      if (!last && !rowGroupIsFull(transcoder)) continue
      const group = transcoder.takeRowGroup()
      if (transcoder.wanted.size === 0) await encoder.rowGroup(group.vectors, group.rows)
      transcoder.release()
      rows += group.rows
    }
    if (transcoder.wanted.size === 0) await encoder.finish()
    else await encoder.abort()
  } catch (error) {
    await encoder.abort()
    throw error
  } finally {
    output.close()
  }
  if (transcoder.wanted.size > 0) return { wanted: [...transcoder.wanted] }
  const hidden = encodeHidden(transcoder.hidden, compression)
  if (hidden) writeWhole(join(task.lake, task.hiddenPath), hidden)
  const file: LakeFile = {
    path: task.path, ...range, rows, bytes: output.bytes, crc32: output.crc32,
    hidden: hidden ? { path: task.hiddenPath, rows: transcoder.hidden.length, crc32: crc32(hidden) } : null, damaged: transcoder.damaged,
  }
  return { file, lanes: transcoder.counts, losses: snapshotOf(task.snapshot).losses }
}

/** Adds page after page; yields after each whether it was the last. */
async function* addPages(pages: PageSource, { firstBlock, blockCount }: BlockRange, transcoder: PageTranscoder): AsyncIterable<boolean> {
  const end = firstBlock + blockCount
  for (const piece of BlockSet.range(firstBlock, blockCount).pieces(READ_BLOCKS)) {
    await pages.prepare(piece)
    for (const block of piece) {
      const page = pages.read(block)
      transcoder.add(new Int32Array(page.buffer, page.byteOffset, BLOCK_SIZE / 4), 0, block)
      yield block + 1 === end
    }
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

/** A file written front to back. Not yet on disk when closed: whoever writes the manifest syncs all files first. */
class OutputFile {
  bytes = 0
  /** Of all bytes so far. */
  crc32 = 0
  private readonly path: string
  private fd: number | undefined

  constructor(path: string) {
    this.path = path
    this.fd = createFile(path)
  }

  write(chunk: Uint8Array): void {
    try {
      writeFully(this.fd!, chunk)
    } catch (error) {
      throw fileError(error, this.path)
    }
    this.bytes += chunk.length
    this.crc32 = crc32(chunk, this.crc32)
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd)
    this.fd = undefined
  }
}

function writeWhole(path: string, bytes: Uint8Array): void {
  const output = new OutputFile(path)
  try {
    output.write(bytes)
  } finally {
    output.close()
  }
}
