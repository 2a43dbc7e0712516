import { constants, gunzipSync } from 'node:zlib'
import { Decompress } from 'fzstd'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import { lz4FrameDecompress } from './lz4frame.ts'

/** How a file of an archive is compressed, by the end of its name. */
export const COMPRESSIONS = ['', '.gz', '.lz4', '.zst'] as const
export type Compression = (typeof COMPRESSIONS)[number]

/** Largest zstd window that `zstd` itself accepts without being asked to. */
const ZSTD_WINDOW_MAX = 1 << 27

/**
 * @param sizeMax longer content is an error
 * @param cutShort the file is still being written: what is there counts
 * @throws CorruptionError compression.*
 */
export function decompressFile(bytes: Uint8Array, compression: Compression, sizeMax: number, cutShort: boolean): Uint8Array {
  try {
    if (compression === '.gz') return gunzip(bytes, sizeMax, cutShort)
    if (compression === '.lz4') return lz4FrameDecompress(bytes, sizeMax, cutShort)
    if (compression === '.zst') return unzstd(bytes, sizeMax, cutShort)
    return bytes
  } catch (error) {
    if (isPositioned(error)) throw error
    throw new CorruptionError(`compression${compression}`, error instanceof Error ? error.message : String(error))
  }
}

function gunzip(bytes: Uint8Array, sizeMax: number, cutShort: boolean): Uint8Array {
  const finishFlush = cutShort ? constants.Z_SYNC_FLUSH : constants.Z_FINISH
  return gunzipSync(bytes, { maxOutputLength: sizeMax, finishFlush })
}

/** fzstd checks no checksum of the content; every WAL record has its own. */
function unzstd(bytes: Uint8Array, sizeMax: number, cutShort: boolean): Uint8Array {
  if (bytes.length === 0 && !cutShort) throw new CorruptionError('compression.zst', 'an empty file')
  checkWindow(bytes, sizeMax)
  const out = new Uint8Array(sizeMax)
  let made = 0
  const decoder = new Decompress(block => {
    if (made + block.length > sizeMax) throw new CorruptionError('compression.zst', `more than ${sizeMax} bytes`)
    out.set(block, made)
    made += block.length
  })
  decoder.push(bytes, !cutShort)
  return out.subarray(0, made)
}

/** The decoder allocates what the header of the frame (RFC 8878, 3.1.1) says. */
function checkWindow(bytes: Uint8Array, sizeMax: number): void {
  if (bytes.length < 18) return
  const single = (bytes[4]! & 0x20) !== 0
  const exponent = 10 + (bytes[5]! >> 3)
  const contentBytes = [1, 2, 4, 8][bytes[4]! >> 6]!
  let content = 0
  const at = 5 + [0, 1, 2, 4][bytes[4]! & 3]!
  for (let i = 0; i < contentBytes; i++) content += bytes[at + i]! * 2 ** (8 * i)
  if (single ? content > sizeMax : 2 ** exponent > ZSTD_WINDOW_MAX) throw new CorruptionError('compression.zst', 'a frame larger than a WAL segment')
}
