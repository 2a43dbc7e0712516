import { createReadStream, type ReadStream } from 'node:fs'
import { Transform, type TransformCallback } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { Decompress } from 'fzstd'
import { extract } from 'tar-stream'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import { fileError } from '../datadir/files.ts'
import { openRegular } from '../datadir/regularfile.ts'
import { Lz4Stream } from './lz4stream.ts'

/** How tar files are compressed, by the end of their names. */
export const TAR_ENDINGS = ['.tar', '.tar.gz', '.tar.lz4', '.tar.zst'] as const
const TAR_BLOCK = 512
/** A tar file ends with two blocks of zeros. */
const END_BYTES = 2 * TAR_BLOCK
const READ_BYTES = 1 << 18

/** What is in a tar file, in its order: must be read, or skipped, before the next one. */
export interface TarEntry {
  /** Without `./` before it. */
  name: string
  chunks: AsyncIterable<Uint8Array>
}

/**
 * Goes through the plain files of a tar file that may be compressed, with bounded memory. What `each` does not read is skipped.
 * @throws CorruptionError backup.tar if it is damaged or cut short; EnvironmentError file.*
 */
export async function readTar(path: string, each: (entry: TarEntry) => Promise<void>): Promise<void> {
  const unpack = extract()
  const end = new EndCheck()
  const input = openInput(path)
  let contents = 0
  const consume = async (): Promise<void> => {
    for await (const entry of unpack) {
      contents += TAR_BLOCK + Math.ceil((entry.header.size ?? 0) / TAR_BLOCK) * TAR_BLOCK
      if (entry.header.type === 'file') await each({ name: entry.header.name.replace(/^(?:\.\/)+/, ''), chunks: entry })
      entry.resume()
    }
  }
  const consumed = consume()
  const piped = pipeline([input, ...decompressors(path), end, unpack])
  const [consumer, pipe] = await Promise.allSettled([consumed, piped])
  // The consumer's own errors come first: they end the pipe, whose error then says only that.
  if (consumer.status === 'rejected' && isPositioned(consumer.reason)) throw consumer.reason
  for (const result of [pipe, consumer]) if (result.status === 'rejected') throw tarError(result.reason, path)
  // Files may end with zeros, too: the end's own come after all of them.
  if (!end.seen || end.length < contents + END_BYTES) throw new CorruptionError('backup.tar', 'the tar file is cut short: its end is missing', { file: path })
}

function openInput(path: string): ReadStream {
  try {
    return createReadStream('', { fd: openRegular(path), highWaterMark: READ_BYTES })
  } catch (error) {
    throw fileError(error, path)
  }
}

function decompressors(path: string): Transform[] {
  if (path.endsWith('.gz')) return [createGunzip({ chunkSize: READ_BYTES })]
  if (path.endsWith('.lz4')) return [new Lz4Stream()]
  if (path.endsWith('.zst')) return [new ZstdStream()]
  return []
}

function tarError(error: unknown, path: string): Error {
  if (isPositioned(error)) return error.at({ file: path })
  if (error instanceof Error && 'syscall' in error) return fileError(error, path)
  return new CorruptionError('backup.tar', `the tar file is damaged: ${error instanceof Error ? error.message : String(error)}`, { file: path })
}

/** Passes bytes on and remembers whether the last ones were a tar file's end. */
class EndCheck extends Transform {
  length = 0
  private zeros = 0

  get seen(): boolean {
    return this.zeros >= END_BYTES
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let zeros = 0
    while (zeros < chunk.length && zeros < END_BYTES && chunk[chunk.length - 1 - zeros] === 0) zeros++
    this.length += chunk.length
    this.zeros = zeros === chunk.length ? this.zeros + zeros : zeros
    done(null, chunk)
  }
}

class ZstdStream extends Transform {
  private readonly decoder = new Decompress((block) => {
    // The decoder uses its buffer again.
    this.push(Buffer.from(block))
  })

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.decoder.push(chunk)
      done()
    } catch (error) {
      done(error as Error)
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      this.decoder.push(new Uint8Array(0), true)
      done()
    } catch (error) {
      done(error as Error)
    }
  }
}
