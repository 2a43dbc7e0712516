import { createHash } from 'node:crypto'
import { closeSync, fstatSync } from 'node:fs'
import { CorruptionError, EnvironmentError, UnsupportedError, withPosition } from '../../common/errors.ts'
import { decompressFile, decompressHead } from '../compression/decompress.ts'
import { type Compression, compressionOf, HEAD_LENGTH } from '../../common/compression/format.ts'
import { fileError, readFully } from '../disk/files.ts'
import { openRegular } from '../disk/regularfile.ts'
import type { SegmentFile } from './inventory.ts'

const WAL_SEGMENT_SIZE_MAX = 1 << 30
/** The most bytes of a compressed segment: more than one needs that does not compress at all. */
const COMPRESSED_SIZE_MAX = WAL_SEGMENT_SIZE_MAX + (1 << 26)
const HASH_PIECE = 1 << 20

/** The bytes of one segment file. A plain one is read piece by piece, a compressed one is held as a whole. */
export class SegmentReader {
  readonly file: SegmentFile
  /** Bytes that there are: of a file that is being written, so far. */
  readonly length: number
  private readonly fd: number | undefined
  private readonly content: Uint8Array | undefined

  /** @throws EnvironmentError file.*, wal.duplicate; CorruptionError compression.*, wal.sha1; UnsupportedError archive.encrypted, compression.* */
  constructor(file: SegmentFile, sizeMax: number = WAL_SEGMENT_SIZE_MAX) {
    this.file = file
    refuseRival(file)
    const fd = open(file)
    let kept = false
    try {
      const { size } = fstatSync(fd)
      const compression = withPosition({ file: file.path }, () => compressionOfFile(fd, file))
      if (compression === '') {
        if (file.sha1 !== undefined) checkSha1(file, hashFile(fd))
        this.fd = fd
        this.length = size
        kept = true
        return
      }
      this.content = withPosition({ file: file.path }, () => decompressFile(readAll(fd, size), compression, sizeMax, file.partial))
      if (file.sha1 !== undefined) checkSha1(file, createHash('sha1').update(this.content).digest('hex'))
      this.length = this.content.length
    } catch (error) {
      throw asFileError(error, file)
    } finally {
      if (!kept) closeSync(fd)
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

/** The first bytes of a segment; no more is decompressed than that takes. @throws as the constructor of {@link SegmentReader} */
export function readSegmentHead(file: SegmentFile, length: number): Uint8Array {
  const fd = open(file)
  try {
    return withPosition({ file: file.path }, () => {
      const compression = compressionOfFile(fd, file)
      if (compression !== '') return decompressHead(readAll(fd, fstatSync(fd).size), compression, length, WAL_SEGMENT_SIZE_MAX)
      const head = new Uint8Array(length)
      return head.subarray(0, readFully(fd, head, 0, length, 0))
    })
  } catch (error) {
    throw asFileError(error, file)
  } finally {
    closeSync(fd)
  }
}

function open(file: SegmentFile): number {
  if (file.unread !== undefined) throw new UnsupportedError('archive.encrypted', `the file is ${file.unread}`, { file: file.path })
  try {
    return openRegular(file.path)
  } catch (error) {
    throw fileError(error, file.path)
  }
}

/** Finds the compression by the first bytes: Barman gives a compressed file no ending. */
function compressionOfFile(fd: number, { compression }: SegmentFile): Compression {
  const head = new Uint8Array(HEAD_LENGTH)
  return compressionOf(head.subarray(0, readFully(fd, head, 0, head.length, 0)), compression)
}

function readAll(fd: number, size: number): Uint8Array {
  if (size > COMPRESSED_SIZE_MAX) throw new CorruptionError('wal.segment-size', `${size} bytes, more than any compressed WAL segment`)
  const bytes = new Uint8Array(size)
  return bytes.subarray(0, readFully(fd, bytes, 0, size, 0))
}

function hashFile(fd: number): string {
  const hash = createHash('sha1')
  const piece = new Uint8Array(HASH_PIECE)
  for (let at = 0; ; ) {
    const count = readFully(fd, piece, 0, piece.length, at)
    hash.update(piece.subarray(0, count))
    at += count
    if (count < piece.length) return hash.digest('hex')
  }
}

function checkSha1(file: SegmentFile, found: string): void {
  if (found === file.sha1) return
  const reason = `the segment is not the one that pgBackRest archived: its SHA-1 is ${found}; get the file again from the repository`
  throw new CorruptionError('wal.sha1', reason, { file: file.path })
}

/** Refuses two files with different content for one segment, as pgBackRest does: neither tool can know which one is right. */
function refuseRival({ path, rival }: SegmentFile): void {
  if (rival === undefined) return
  throw new EnvironmentError('wal.duplicate', `two different files hold this WAL segment, the other is ${rival}; remove the wrong one`, { file: path })
}

function asFileError(error: unknown, { path }: SegmentFile): unknown {
  return error instanceof Error && 'syscall' in error ? fileError(error, path) : error
}
