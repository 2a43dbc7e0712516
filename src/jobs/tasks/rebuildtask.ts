import { closeSync } from 'node:fs'
import { PageRebuilder, type PageSink, type RebuildOptions } from '../../columnar/rebuild.ts'
import { type BlockRun, BlockSet } from '../../common/blockset.ts'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../../common/rel.ts'
import { writeFully } from '../../io/disk/create.ts'
import { fileError } from '../../io/disk/files.ts'
import { checkFileDescriptor, type ExpectedFile } from '../lake.ts'
import { unpackPages } from '../../lake/packedpages.ts'
import { crcProblem, type FileOfLake, type PackedOfLake } from '../lakefile.ts'
import { LakeFileSource } from '../../io/disk/lakefilesource.ts'
import type { CodecModules } from './codecs.ts'
import { openSegment, segmentFile, type TargetPlace } from '../../io/datadir/rebuildtarget.ts'

/** One Parquet file, or pages of a pack, to turn back into blocks of a relation's segment files, which exist. */
export interface RebuildTask {
  file: FileOfLake | PackedOfLake
  expected: ExpectedFile
  /** Blocks to write: `runs` of a BlockSet; undefined for all. A newer layer has the others. */
  current: readonly BlockRun[] | undefined
  target: TargetPlace
  /** Whether files outside of the copy, and files that have a second name (a hard link), may be written: see rebuildLake. */
  force: boolean
  codecs?: CodecModules
}

const WRITE_BLOCKS = 128

/** Returns the number of blocks written. @param options the codecs that the task's modules have @throws CorruptionError with the lake file; EnvironmentError */
export function rebuild(task: RebuildTask, options: RebuildOptions = {}): number {
  const { file } = task
  const current = task.current && BlockSet.ofRuns(task.current)
  const writer = new BlockWriter(task.target, task.force)
  const sink: PageSink = (block, page) => {
    if (current === undefined || current.has(block)) writer.add(block, page)
  }
  try {
    const blocks = 'packed' in file ? unpackPages(file.packed, sink).blocks : rebuildParquet(file, task.expected, options, sink)
    writer.flush()
    return blocks.size
  } catch (error) {
    throw isPositioned(error) ? error.at({ file: 'packed' in file ? file.name : file.name ?? file.path }) : error
  } finally {
    writer.close()
  }
}

function rebuildParquet({ path, crc32 }: FileOfLake, expected: ExpectedFile, options: RebuildOptions, sink: PageSink): BlockSet {
  const source = new LakeFileSource(path)
  try {
    const problem = crc32 === undefined ? undefined : crcProblem(source.crc32(), crc32)
    if (problem !== undefined) throw new CorruptionError('lake.file-crc', problem)
    const rebuilder = new PageRebuilder(source, options)
    checkFileDescriptor(rebuilder.descriptor, expected)
    rebuilder.rebuild(sink)
    return rebuilder.descriptor.blocks
  } finally {
    source.close()
  }
}

/** Collects consecutive blocks and writes them into 1 GiB segments. */
class BlockWriter {
  private readonly place: TargetPlace
  private readonly force: boolean
  private readonly buffer = new Uint8Array(WRITE_BLOCKS * BLOCK_SIZE)
  private first = 0
  private count = 0
  private segment = -1
  private fd: number | undefined

  constructor(place: TargetPlace, force: boolean) {
    this.place = place
    this.force = force
  }

  add(block: number, page: Uint8Array): void {
    if (this.count === WRITE_BLOCKS || (this.count > 0 && (block % SEGMENT_BLOCKS === 0 || block !== this.first + this.count))) this.flush()
    if (this.count === 0) this.first = block
    this.buffer.set(page, this.count++ * BLOCK_SIZE)
  }

  flush(): void {
    if (this.count === 0) return
    const segment = Math.floor(this.first / SEGMENT_BLOCKS)
    if (segment !== this.segment) {
      this.close()
      this.fd = openSegment(this.place, segment, this.force)
      this.segment = segment
    }
    try {
      writeFully(this.fd!, this.buffer.subarray(0, this.count * BLOCK_SIZE), (this.first % SEGMENT_BLOCKS) * BLOCK_SIZE)
    } catch (error) {
      throw fileError(error, segmentFile(this.place.file, segment))
    }
    this.count = 0
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd)
    this.fd = undefined
    this.segment = -1
  }
}
