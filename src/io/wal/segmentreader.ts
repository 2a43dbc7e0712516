import { closeSync, fstatSync } from 'node:fs'
import { withPosition } from '../../common/errors.ts'
import { fileError, readFile, readFully } from '../datadir/files.ts'
import { openRegular } from '../datadir/regularfile.ts'
import { decompressFile } from './decompress.ts'
import type { SegmentFile } from './inventory.ts'

const WAL_SEGMENT_SIZE_MAX = 1 << 30

/** The bytes of one segment file. A plain one is read piece by piece, a compressed one is held as a whole. */
export class SegmentReader {
  readonly file: SegmentFile
  /** Bytes that there are: of a file that is being written, so far. */
  readonly length: number
  private readonly fd: number | undefined
  private readonly content: Uint8Array | undefined

  /** @throws EnvironmentError file.*, CorruptionError compression.* */
  constructor(file: SegmentFile, sizeMax = WAL_SEGMENT_SIZE_MAX) {
    this.file = file
    if (file.compression !== '') {
      const bytes = readFile(file.path)
      this.content = withPosition({ file: file.path }, () => decompressFile(bytes, file.compression, sizeMax, file.partial))
      this.length = this.content.length
      return
    }
    try {
      this.fd = openRegular(file.path)
      this.length = fstatSync(this.fd).size
    } catch (error) {
      throw fileError(error, file.path)
    }
  }

  /**
   * Bytes from `at` on, at most as many as `into` holds, and valid until that is used again.
   * @throws EnvironmentError file.*
   */
  read(at: number, length: number, into: Uint8Array): Uint8Array {
    const count = Math.min(length, into.length, this.length - at)
    if (this.fd === undefined) return this.content!.subarray(at, at + count)
    try {
      return into.subarray(0, readFully(this.fd, into, 0, count, at))
    } catch (error) {
      throw fileError(error, this.file.path)
    }
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd)
  }
}
