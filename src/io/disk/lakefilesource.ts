import { closeSync, fstatSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import type { ParquetSource } from '../../parquet/parquetreader.ts'
import { CorruptionError } from '../../common/errors.ts'
import { fileError, readFully } from './files.ts'
import { openRegular } from './regularfile.ts'

const READ_BYTES = 8 << 20

/** A Parquet file of a lake on disk: a few rows can have values of many gigabytes, so it is never in memory as a whole. */
export class LakeFileSource implements ParquetSource {
  readonly length: number
  private readonly path: string
  private readonly fd: number

  /** @throws EnvironmentError file.* */
  constructor(path: string) {
    this.path = path
    try {
      this.fd = openRegular(path)
      this.length = fstatSync(this.fd).size
    } catch (error) {
      throw fileError(error, path)
    }
  }

  /** @throws CorruptionError lake.file if the file became shorter, EnvironmentError file.* */
  read(start: number, end: number): Uint8Array {
    const bytes = new Uint8Array(end - start)
    this.fill(bytes, bytes.length, start)
    return bytes
  }

  /** CRC-32 (zlib's) of the whole file. */
  crc32(): number {
    const buffer = new Uint8Array(Math.min(READ_BYTES, this.length))
    let crc = 0
    for (let at = 0; at < this.length; at += buffer.length) {
      const count = Math.min(buffer.length, this.length - at)
      this.fill(buffer, count, at)
      crc = crc32(buffer.subarray(0, count), crc)
    }
    return crc
  }

  close(): void {
    closeSync(this.fd)
  }

  private fill(into: Uint8Array, length: number, position: number): void {
    let done: number
    try {
      done = readFully(this.fd, into, 0, length, position)
    } catch (error) {
      throw fileError(error, this.path)
    }
    if (done < length) throw new CorruptionError('lake.file', `the file became shorter: ${position + done} bytes of ${this.length}`)
  }
}
