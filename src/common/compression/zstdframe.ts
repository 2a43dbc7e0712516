import { Decompress } from 'fzstd'
import { CorruptionError } from '../errors.ts'

/*
 * A zstd frame (RFC 8878, 3.1.1): magic 28 b5 2f fd, then a descriptor byte
 *
 *     7 6 | 5              | 4 | 3        | 2        | 1 0
 *     size of content size | single segment | - | reserved | checksum | size of dictionary id
 *
 * then the window's size (1 byte, unless single segment), the dictionary id, the content's size. Blocks follow, each behind 3 bytes:
 *
 *     23 .. 3 | 2 1                                        | 0
 *     size    | 0 as it is, 1 one byte repeated, 2 compressed | last block
 *
 * and 4 bytes of checksum, if there is one.
 */
const MAGIC = [0x28, 0xb5, 0x2f, 0xfd]
const SINGLE_SEGMENT = 0x20
const CHECKSUM = 0x04
const DICTIONARY_ID_BYTES = [0, 1, 2, 4]
const CONTENT_SIZE_BYTES = [0, 2, 4, 8]
const REPEATED_BLOCK = 1
/** A decoder allocates the window that a frame names; who knows the size when compressing names none above it, or one as large as this. */
const WINDOW_MAX = 1 << 20

/**
 * The zstd frame `source[start .. end)` into `out[0 .. rawSize)`, which is long enough. No more than twice that and 1 MiB is allocated. fzstd believes
 * the sizes in frames' headers and takes whatever the blocks make, so both are checked here.
 * @throws CorruptionError compression.zstd
 */
export function zstdDecompressInto(source: Uint8Array, start: number, end: number, out: Uint8Array, rawSize: number): void {
  const frame = source.subarray(start, end)
  checkZstdFrame(frame, rawSize)
  let made = 0
  const decoder = new Decompress(block => {
    if (made + block.length > rawSize) throw corrupt(`more than ${rawSize} bytes made`)
    out.set(block, made)
    made += block.length
  })
  try {
    decoder.push(frame, true)
  } catch (error) {
    throw error instanceof CorruptionError ? error : corrupt(error instanceof Error ? error.message : String(error))
  }
  if (made !== rawSize) throw corrupt(`${made} of ${rawSize} bytes made`)
}

/**
 * That the bytes are one frame which says that it has `rawSize` bytes, and that no decoder allocates much more for it.
 * @throws CorruptionError compression.zstd
 */
export function checkZstdFrame(frame: Uint8Array, rawSize: number): void {
  if (!MAGIC.every((byte, i) => frame[i] === byte) || frame.length < 6) throw corrupt('no zstd frame')
  const descriptor = frame[4]!
  const single = (descriptor & SINGLE_SEGMENT) !== 0
  const width = descriptor >> 6 === 0 && single ? 1 : CONTENT_SIZE_BYTES[descriptor >> 6]!
  const at = 5 + (single ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]!
  if (at + width > frame.length) throw corrupt('frame header cut short')
  let size = width === 2 ? 256 : 0
  for (let i = 0; i < width; i++) size += frame[at + i]! * 2 ** (8 * i)
  if (width === 0 || size !== rawSize) throw corrupt(`a frame of ${width === 0 ? 'unknown' : size} bytes, not of ${rawSize}`)
  const window = single ? 0 : 2 ** (10 + (frame[5]! >> 3)) * (1 + (frame[5]! & 7) / 8)
  if (window > Math.max(WINDOW_MAX, rawSize * 2)) throw corrupt(`a window of ${window} bytes for ${rawSize}`)
  const end = blocksEnd(frame, at + width) + ((descriptor & CHECKSUM) === 0 ? 0 : 4)
  if (end !== frame.length) throw corrupt(`a frame of ${end} bytes among ${frame.length}`)
}

/** Where the last block ends. */
function blocksEnd(frame: Uint8Array, start: number): number {
  for (let at = start; at + 3 <= frame.length;) {
    const header = frame[at]! | (frame[at + 1]! << 8) | (frame[at + 2]! << 16)
    at += 3 + (((header >> 1) & 3) === REPEATED_BLOCK ? 1 : header >> 3)
    if ((header & 1) === 1) return at
  }
  throw corrupt('blocks cut short')
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('compression.zstd', reason)
}
