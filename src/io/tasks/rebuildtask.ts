import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { PageRebuilder } from '../../columnar/rebuild.ts'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../../common/rel.ts'
import { fileError } from '../datadir/files.ts'
import { checkFileDescriptor, type ExpectedFile } from '../lake.ts'
import { crcProblem, readWhole } from '../lakefile.ts'

/** One Parquet file to turn back into blocks of a relation's segment files, which exist. */
export interface RebuildTask {
  lake: string
  path: string
  crc32: number
  expected: ExpectedFile
  /** Absolute path of segment 0. */
  target: string
}

const WRITE_BLOCKS = 128

/** Returns the number of blocks written. @throws CorruptionError with the lake file; EnvironmentError */
export function rebuild(task: RebuildTask): number {
  const file = join(task.lake, task.path)
  const writer = new BlockWriter(task.target)
  try {
    const bytes = readWhole(file)
    const problem = crcProblem(bytes, task.crc32)
    if (problem !== undefined) throw new CorruptionError('lake.file-crc', problem)
    const rebuilder = new PageRebuilder(bytes)
    checkFileDescriptor(rebuilder.descriptor, task.expected)
    rebuilder.rebuild((block, page) => writer.add(block, page))
    writer.flush()
    return rebuilder.descriptor.blockCount
  } catch (error) {
    throw isPositioned(error) ? error.at({ file }) : error
  } finally {
    writer.close()
  }
}

/** Collects consecutive blocks and writes them into 1 GiB segments. */
class BlockWriter {
  private readonly path: string
  private readonly buffer = new Uint8Array(WRITE_BLOCKS * BLOCK_SIZE)
  private first = 0
  private count = 0
  private segment = -1
  private fd: number | undefined

  constructor(path: string) {
    this.path = path
  }

  add(block: number, page: Uint8Array): void {
    if (this.count === WRITE_BLOCKS || (this.count > 0 && block % SEGMENT_BLOCKS === 0)) this.flush()
    if (this.count === 0) this.first = block
    this.buffer.set(page, this.count++ * BLOCK_SIZE)
  }

  flush(): void {
    if (this.count === 0) return
    const segment = Math.floor(this.first / SEGMENT_BLOCKS)
    const file = segment === 0 ? this.path : `${this.path}.${segment}`
    try {
      if (segment !== this.segment) {
        this.close()
        this.fd = openSync(file, 'r+')
        this.segment = segment
      }
      const length = this.count * BLOCK_SIZE
      const position = (this.first % SEGMENT_BLOCKS) * BLOCK_SIZE
      for (let at = 0; at < length; ) at += writeSync(this.fd!, this.buffer, at, length - at, position + at)
    } catch (error) {
      throw fileError(error, file)
    }
    this.count = 0
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd)
    this.fd = undefined
    this.segment = -1
  }
}
