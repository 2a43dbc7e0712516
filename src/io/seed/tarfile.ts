import { closeSync, createReadStream } from 'node:fs'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import { decompressHead } from '../compression/decompress.ts'
import { type Compression, compressionOf, refuseOpenPgp, splitCompression } from '../../common/compression/format.ts'
import { decompressors } from '../compression/streams.ts'
import { fileError, readFully } from '../disk/files.ts'
import { openRegular } from '../disk/regularfile.ts'
import { corrupt, isTarHeader, isZero, parseLongName, parsePax, parseTarHeader, relativeName, TAR_BLOCK, type TarType } from './tarheader.ts'

const READ_BYTES = 1 << 18
/** Enough of a compressed file for the first block of what it holds: lz4 has blocks of up to 4 MiB, bzip2 of 900,000 bytes. */
const PROBE_BYTES = 5 << 20
const PROBE_CONTENT_MAX = 1 << 28

/** What is in a tar file, in its order: must be read, or skipped, before the next one. */
export interface TarEntry {
  /** Without `./` before it. */
  name: string
  type: TarType
  size: number
  /** Where its header begins in the tar file, decompressed. */
  byte: number
  chunks: AsyncIterable<Uint8Array>
}

export interface TarOptions {
  /** Names begin with a slash that means the data directory (WAL-G). */
  rooted?: boolean
}

/**
 * Goes through a tar file that may be compressed, with bounded memory. What `each` does not read is skipped. A header is believed only if
 * all of it makes sense: a reader of its own, since whoever checks headers before a library reads them must find the same ones.
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
    await pipeline(input, decompressor, (source: AsyncIterable<Uint8Array>) => entries.read(source))
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

const STOPPED = new Error('stopped')

class TarReader {
  private readonly rooted: boolean
  private readonly each: (entry: TarEntry) => Promise<boolean | void>

  constructor(rooted: boolean, each: (entry: TarEntry) => Promise<boolean | void>) {
    this.rooted = rooted
    this.each = each
  }

  async read(source: AsyncIterable<Uint8Array>): Promise<void> {
    const bytes = new ByteSource(source)
    let start = 0
    try {
      for (let next: { path?: string; size?: number } = {}; ; ) {
        start = bytes.position
        const block = await bytes.exactly(TAR_BLOCK)
        if (isZero(block)) {
          await expectEnd(bytes)
          return
        }
        const header = parseTarHeader(block)
        if ('extended' in header) {
          next = { ...next, ...parseExtended(header.extended, await bytes.exactly(header.size)) }
          await bytes.skip(padding(header.size))
          continue
        }
        const name = relativeName(next.path ?? header.name, this.rooted)
        const size = next.size ?? header.size
        if (header.type !== 'file' && size !== 0) throw corrupt(`a ${header.type} with ${size} bytes of content`)
        next = {}
        await this.give({ name, type: header.type, size, byte: start }, bytes)
      }
    } catch (error) {
      throw isPositioned(error) && error.position.byte === undefined && error.position.file === undefined ? error.at({ byte: start }) : error
    }
  }

  private async give(entry: Omit<TarEntry, 'chunks'>, bytes: ByteSource): Promise<void> {
    const { size } = entry
    const end = bytes.position + size
    const goesOn = await this.each({ ...entry, chunks: bytes.take(size) })
    if (goesOn === false) throw STOPPED
    await bytes.skip(end - bytes.position + padding(size))
  }
}

function parseExtended(kind: 'pax' | 'global' | 'long-name' | 'long-link', content: Uint8Array): { path?: string; size?: number } {
  if (kind === 'long-link') return {}
  if (kind === 'long-name') return { path: parseLongName(content) }
  const found = parsePax(content)
  if (kind === 'global' && (found.path !== undefined || found.size !== undefined)) throw corrupt('a global header that names one file')
  return kind === 'global' ? {} : found
}

/** The second block of zeros, and nothing but zeros behind it. */
async function expectEnd(bytes: ByteSource): Promise<void> {
  if (!isZero(await bytes.exactly(TAR_BLOCK))) throw corrupt('one block of zeros where two end the file')
  for (let chunk = await bytes.upTo(READ_BYTES); chunk.length > 0; chunk = await bytes.upTo(READ_BYTES)) {
    if (!isZero(chunk)) throw corrupt('bytes behind its end').at({ byte: bytes.position - chunk.length })
  }
}

function padding(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK
}

/** Bytes that come in chunks of any size, taken in pieces of another one. */
class ByteSource {
  position = 0
  private readonly chunks: AsyncIterator<Uint8Array>
  private chunk: Uint8Array = new Uint8Array(0)
  private at = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.chunks = source[Symbol.asyncIterator]()
  }

  /** The next bytes, at least one and at most `length`; none at the end. Valid until the next call. */
  async upTo(length: number): Promise<Uint8Array> {
    while (this.at === this.chunk.length) {
      const next = await this.chunks.next()
      if (next.done === true) return new Uint8Array(0)
      this.chunk = next.value
      this.at = 0
    }
    const bytes = this.chunk.subarray(this.at, this.at + length)
    this.at += bytes.length
    this.position += bytes.length
    return bytes
  }

  /** For few bytes. @throws CorruptionError backup.tar at the end of the file */
  async exactly(length: number): Promise<Uint8Array> {
    const out = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const bytes = await this.some(length - done)
      out.set(bytes, done)
      done += bytes.length
    }
    return out
  }

  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) left -= (await this.some(left)).length
  }

  async * take(length: number): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0; ) {
      const bytes = await this.some(left)
      left -= bytes.length
      yield bytes
    }
  }

  private async some(length: number): Promise<Uint8Array> {
    const bytes = await this.upTo(length)
    if (bytes.length === 0) throw corrupt('it is cut short: its end is missing').at({ byte: this.position })
    return bytes
  }
}
