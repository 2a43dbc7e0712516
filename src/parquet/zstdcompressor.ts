import { checkZstdFrame, zstdDecompressInto } from '../common/compression/zstdframe.ts'
import type { Compressor } from './compressor.ts'

/** zstd's own default. */
const LEVEL = 3

/**
 * The compressor that a lake uses by default: zstd 1.5.7 in WebAssembly, so that the same bytes become the same bytes on every Node. What it makes is read in
 * JavaScript, which takes a sixth of the time for a page of 8 KiB; a reader alone needs no WebAssembly and does not wait for any: {@link ZSTD}.
 */
export async function loadZstd(): Promise<Compressor> {
  const { Zstd } = await import('@hpcc-js/wasm-zstd')
  const zstd = await Zstd.load()
  return {
    ...ZSTD, name: 'zstd:wasm',
    compress: (bytes) => {
      const frame = zstd.compress(bytes, LEVEL)
      // The library says of an error only on the console.
      checkZstdFrame(frame, bytes.length)
      return frame
    },
  }
}

/** Reads what any zstd made; it does not compress. */
export const ZSTD: Omit<Compressor, 'compress'> = {
  name: 'zstd',
  decompress: (bytes, size) => {
    checkZstdFrame(bytes, size)
    const out = new Uint8Array(size)
    zstdDecompressInto(bytes, 0, bytes.length, out, size)
    return out
  },
}
