import * as zlib from 'node:zlib'
import { checkZstdFrame } from '../../common/compression/zstdframe.ts'
import { CorruptionError, UnsupportedError } from '../../common/errors.ts'
import type { Compressor } from '../../parquet/compressor.ts'

/** What node:zlib has from Node 22.15 on; the types are of Node 20. */
interface ZstdOfNode {
  zstdCompressSync?(bytes: Uint8Array): Uint8Array
  zstdDecompressSync?(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array
}

/**
 * zstd of the runtime, in native code: faster than the default, but another Node may make other bytes.
 * @throws UnsupportedError compression.zstd-node before Node 22.15
 */
export function nodeZstd(): Compressor {
  const { zstdCompressSync, zstdDecompressSync } = zlib as ZstdOfNode
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) {
    throw new UnsupportedError('compression.zstd-node', `Node ${process.versions.node} has no zstd, Node 22.15 and later have: use loadZstd of ltap/parquet`)
  }
  return {
    name: 'zstd:node',
    compress: (bytes) => new Uint8Array(zstdCompressSync(bytes)),
    decompress: (bytes, size) => {
      checkZstdFrame(bytes, size)
      let made: Uint8Array
      try {
        made = zstdDecompressSync(bytes, { maxOutputLength: Math.max(1, size) })
      } catch (error) {
        throw new CorruptionError('compression.zstd', error instanceof Error ? error.message : String(error))
      }
      if (made.length !== size) throw new CorruptionError('compression.zstd', `${made.length} of ${size} bytes made`)
      return new Uint8Array(made)
    },
  }
}
