import { Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip } from 'node:zlib'
import { UnsupportedError } from '../../common/errors.ts'
import { Bzip2Decoder } from './bzip2.ts'
import type { Decoder, Emit } from '../../common/compression/decoder.ts'
import type { Compression } from '../../common/compression/format.ts'
import { Lz4Decoder } from '../../common/compression/lz4decoder.ts'
import { LzmaAloneDecoder } from '../../common/compression/lzmaalone.ts'
import { XzDecoder } from '../../common/compression/xz.ts'
import { ZstdDecoder } from '../../common/compression/zstd.ts'
import { XZ_SUMS } from './xzsums.ts'

/** How many compressed bytes are decoded at once, so that their output stays bounded, too. */
const PIECE = 1 << 10
const AT_ONCE_MAX = 1 << 29

/** Streams that decompress with bounded memory, however long the content is; none for what is not compressed. */
export function decompressors(compression: Compression, chunkSize: number): Duplex[] {
  switch (compression) {
    case '': return []
    case '.gz': return [createGunzip({ chunkSize })]
    case '.br': return [createBrotliDecompress({ chunkSize })]
    case '.lz4': return [decoderStream((emit) => new Lz4Decoder(emit))]
    case '.zst': return [decoderStream((emit) => new ZstdDecoder(emit))]
    case '.bz2': return [decoderStream((emit) => new Bzip2Decoder(emit))]
    case '.xz': return [decoderStream((emit) => new XzDecoder(emit, XZ_SUMS))]
    case '.lzma': return [decoderStream((emit) => new LzmaAloneDecoder(emit))]
  }
}

/**
 * Feeds a decoder so few bytes at once that its output is bounded, and waits until the output is taken. It refuses output beyond that bound; only
 * bzip2 can make some, when it gives out its last block.
 */
function decoderStream(make: (emit: Emit) => Decoder): Duplex {
  return Duplex.from(async function* (source: AsyncIterable<Uint8Array>) {
    let made: Uint8Array[] = []
    let bytes = 0
    const decoder = make((part) => {
      bytes += part.length
      if (bytes > AT_ONCE_MAX) throw new UnsupportedError('compression.expansion', `more than ${AT_ONCE_MAX} bytes at once; decompress the file first`)
      made.push(part)
    })
    const take = (): Uint8Array[] => {
      const parts = made
      made = []
      bytes = 0
      return parts
    }
    for await (const chunk of source) {
      for (let at = 0; at < chunk.length; at += PIECE) {
        decoder.push(new Uint8Array(chunk.buffer, chunk.byteOffset + at, Math.min(PIECE, chunk.length - at)))
        yield* take()
      }
    }
    decoder.end()
    yield* take()
  })
}
