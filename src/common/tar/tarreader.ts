import { NO_MARK } from '../compression/unread.ts'
import { isPositioned } from '../errors.ts'
import { corrupt, isTarHeader, isZero, parseLongName, parsePax, parseTarHeader, relativeName, TAR_BLOCK, type TarType } from './tarheader.ts'

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

/**
 * Goes through the bytes of a tar file, with bounded memory. What `each` does not read is skipped. A header is believed only if all of it makes
 * sense: ltap's own reader, since a check of headers before a library reads them must find the same headers.
 */
export class TarReader {
  private readonly rooted: boolean
  private readonly each: (entry: TarEntry) => Promise<boolean | void>

  /** @param rooted names begin with a slash that means the data directory (WAL-G) @param each returns false to read no further */
  constructor(rooted: boolean, each: (entry: TarEntry) => Promise<boolean | void>) {
    this.rooted = rooted
    this.each = each
  }

  /** @returns false if `each` stopped it @throws CorruptionError, UnsupportedError backup.tar with the byte */
  async read(source: AsyncIterable<Uint8Array>): Promise<boolean> {
    const bytes = new ByteSource(source)
    let start = 0
    try {
      for (let next: { path?: string; size?: number } = {}; ; ) {
        start = bytes.position
        const block = await bytes.exactly(TAR_BLOCK)
        if (isZero(block)) {
          await expectEnd(bytes)
          return true
        }
        if (start === 0 && !isTarHeader(block)) throw corrupt(`it does not begin as a tar file does; ${NO_MARK}`)
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
        if (!await this.give({ name, type: header.type, size, byte: start }, bytes)) return false
      }
    } catch (error) {
      throw isPositioned(error) && error.position.byte === undefined && error.position.file === undefined ? error.at({ byte: start }) : error
    }
  }

  private async give(entry: Omit<TarEntry, 'chunks'>, bytes: ByteSource): Promise<boolean> {
    const { size } = entry
    const end = bytes.position + size
    const goesOn = await this.each({ ...entry, chunks: bytes.take(size) })
    if (goesOn === false) return false
    await bytes.skip(end - bytes.position + padding(size))
    return true
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
  for (let chunk = await bytes.upTo(Infinity); chunk.length > 0; chunk = await bytes.upTo(Infinity)) {
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
