import { closeSync, createReadStream, type ReadStream } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CorruptionError, isPositioned, withPosition } from '../../common/errors.ts'
import { decompressHead, withoutMark } from '../compression/decompress.ts'
import { type Compression, compressionOf, splitCompression } from '../../common/compression/format.ts'
import { refuseOpenPgp } from '../../common/compression/unread.ts'
import { decompressors } from '../compression/streams.ts'
import { fileError, listDir, readFully } from '../disk/files.ts'
import { openRegular, statRegular } from '../disk/regularfile.ts'
import { corrupt, isTarHeader, TAR_BLOCK } from '../../common/tar/tarheader.ts'
import { checkPieces, isPieceName, piecesWith, wholeTarName } from '../../common/tar/tarpieces.ts'
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
  const { pieces, compression, head } = openTar(path)
  if (compression === '' && !isTarHeader(head)) withPosition({ file: path }, () => refuseOpenPgp(head))
  const input = pieces.length === 1 ? streamOf(path) : Readable.from(joined(pieces), { objectMode: false })
  const entries = new TarReader(options.rooted === true, each)
  const [decompressor = new PassThrough()] = decompressors(compression, READ_BYTES)
  try {
    await pipeline(input, decompressor, async (source: AsyncIterable<Uint8Array>) => {
      // What is thrown ends the streams.
      if (!await entries.read(source)) throw STOPPED
    })
  } catch (error) {
    if (error === STOPPED) return
    throw tarError(error, path, pieces, compression)
  }
}

function streamOf(path: string): ReadStream {
  return createReadStream('', { fd: openRegular(path), highWaterMark: READ_BYTES })
}

async function * joined(pieces: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    try {
      yield* streamOf(piece) as AsyncIterable<Uint8Array>
    } catch (error) {
      throw fileError(error, piece)
    }
  }
}

/** Whether a file is a tar file, compressed or not, as its content says. @throws EnvironmentError file.*; UnsupportedError archive.encrypted */
export function isTar(path: string): boolean {
  const { compression, head } = openTar(path)
  try {
    if (isTarHeader(decompressHead(head, compression, TAR_BLOCK, PROBE_CONTENT_MAX))) return true
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
  }
  if (compression === '') withPosition({ file: path }, () => refuseOpenPgp(head))
  return false
}

function openTar(path: string): { pieces: string[]; compression: Compression; head: Uint8Array } {
  try {
    const pieces = piecesOf(path)
    const head = headOf(pieces)
    return { pieces, head, compression: compressionOf(head, splitCompression(wholeTarName(path))[1]) }
  } catch (error) {
    throw isPositioned(error) ? error.at({ file: path }) : fileError(error, path)
  }
}

/** The files that make up a tar file, in order: this one, or all its pieces if it is one. @throws EnvironmentError, CorruptionError backup.pieces */
function piecesOf(path: string): string[] {
  if (!isPieceName(basename(path))) return [path]
  const folder = dirname(path)
  const inFolder = (name: string): string => join(folder, name)
  const pieces = piecesWith(basename(path), listDir(folder))
  if (pieces === undefined) return [path]
  withPosition({ file: folder }, () => checkPieces(pieces, (name) => statRegular(inFolder(name)).size))
  return pieces.map(inFolder)
}

function headOf(pieces: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(PROBE_BYTES)
  let length = 0
  for (const piece of pieces) {
    if (length === bytes.length) break
    const fd = openRegular(piece)
    try {
      length += readFully(fd, bytes, length, bytes.length - length, 0)
    } finally {
      closeSync(fd)
    }
  }
  return bytes.subarray(0, length)
}

function tarError(error: unknown, path: string, pieces: readonly string[], compression: Compression): Error {
  if (pieces.length > 1 && error instanceof CorruptionError) {
    const reason = `${error.reason}; these are ${pieces.length} pieces up to ${basename(pieces.at(-1)!)}, behind which one may be missing`
    return new CorruptionError(error.code, reason, error.position).at({ file: path })
  }
  if (error instanceof Error && 'syscall' in error) return fileError(error, path)
  const found = isPositioned(error) ? error : corrupt(error instanceof Error ? error.message : String(error))
  return withoutMark(found, compression).at({ file: path })
}
