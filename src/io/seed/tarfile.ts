import { closeSync, createReadStream } from 'node:fs'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import { decompressHead } from '../compression/decompress.ts'
import { type Compression, compressionOf, refuseOpenPgp, splitCompression } from '../../common/compression/format.ts'
import { decompressors } from '../compression/streams.ts'
import { fileError, readFully } from '../disk/files.ts'
import { openRegular } from '../disk/regularfile.ts'
import { corrupt, isTarHeader, TAR_BLOCK } from '../../common/tar/tarheader.ts'
import { type TarEntry, TarReader } from '../../common/tar/tarreader.ts'

const READ_BYTES = 1 << 18
/** Enough of a compressed file for the first block of what it holds: lz4 has blocks of up to 4 MiB, bzip2 of 900,000 bytes. */
const PROBE_BYTES = 5 << 20
const PROBE_CONTENT_MAX = 1 << 28
const STOPPED = new Error('stopped')

export interface TarOptions {
  /** Names begin with a slash that means the data directory (WAL-G). */
  rooted?: boolean
}

/**
 * Goes through a tar file that may be compressed, with bounded memory. What `each` does not read is skipped.
 * @param each returns false to read no further
 * @throws CorruptionError, UnsupportedError backup.tar, compression.* with file and byte; EnvironmentError file.*
 */
export async function readTar(path: string, each: (entry: TarEntry) => Promise<boolean | void>, options: TarOptions = {}): Promise<void> {
  const { fd, compression, head } = openTar(path)
  if (compression === '' && !isTarHeader(head)) refuseOpenPgp(head)
  const input = createReadStream('', { fd, highWaterMark: READ_BYTES })
  const entries = new TarReader(options.rooted === true, each)
  const [decompressor = new PassThrough()] = decompressors(compression, READ_BYTES)
  try {
    await pipeline(input, decompressor, async (source: AsyncIterable<Uint8Array>) => {
      // What is thrown ends the streams.
      if (!await entries.read(source)) throw STOPPED
    })
  } catch (error) {
    if (error === STOPPED) return
    throw tarError(error, path)
  }
}

/** Whether a file is a tar file, compressed or not, as its content says. @throws EnvironmentError file.*; UnsupportedError archive.encrypted */
export function isTar(path: string): boolean {
  const { fd, compression, head } = openTar(path)
  closeSync(fd)
  try {
    return isTarHeader(decompressHead(head, compression, TAR_BLOCK, PROBE_CONTENT_MAX))
  } catch (error) {
    if (error instanceof CorruptionError) return false
    throw error
  }
}

function openTar(path: string): { fd: number; compression: Compression; head: Uint8Array } {
  let fd: number | undefined
  try {
    fd = openRegular(path)
    const bytes = new Uint8Array(PROBE_BYTES)
    const head = bytes.subarray(0, readFully(fd, bytes, 0, bytes.length, 0))
    return { fd, head, compression: compressionOf(head, splitCompression(path)[1]) }
  } catch (error) {
    if (fd !== undefined) closeSync(fd)
    throw isPositioned(error) ? error.at({ file: path }) : fileError(error, path)
  }
}

function tarError(error: unknown, path: string): Error {
  if (isPositioned(error)) return error.at({ file: path })
  if (error instanceof Error && 'syscall' in error) return fileError(error, path)
  return corrupt(error instanceof Error ? error.message : String(error)).at({ file: path })
}
