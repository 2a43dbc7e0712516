import { Decompress } from 'fzstd'
import { CorruptionError } from '../common/errors.ts'

/*
 * Start of a zstd frame (RFC 8878, 3.1.1): magic 28 b5 2f fd, then a descriptor byte
 *
 *     7 6 | 5              | 4 | 3        | 2        | 1 0
 *     size of content size | single segment | - | reserved | checksum | size of dictionary id
 *
 * then the window's size (1 byte, unless single segment), the dictionary id, the content's size.
 */
const MAGIC = [0x28, 0xb5, 0x2f, 0xfd]
const SINGLE_SEGMENT = 0x20
const DICTIONARY_ID_BYTES = [0, 1, 2, 4]
const CONTENT_SIZE_BYTES = [0, 2, 4, 8]

/**
 * The zstd frame `source[start .. end)` into `out[0 .. rawSize)`, which is long enough. fzstd believes the sizes in a frame's header and takes
 * whatever the blocks make, so both are checked here.
 * @throws CorruptionError compression.zstd
 */
export function zstdDecompressInto(source: Uint8Array, start: number, end: number, out: Uint8Array, rawSize: number): void {
  const frame = source.subarray(start, end)
  const announced = contentSize(frame)
  if (announced !== rawSize) throw corrupt(`a frame of ${announced ?? 'unknown'} bytes, not of ${rawSize}`)
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

/** Frame_Content_Size, undefined if the header does not say. */
function contentSize(frame: Uint8Array): number | undefined {
  if (!MAGIC.every((byte, i) => frame[i] === byte) || frame.length < 5) throw corrupt('no zstd frame')
  const descriptor = frame[4]!
  const single = (descriptor & SINGLE_SEGMENT) !== 0
  const width = descriptor >> 6 === 0 && single ? 1 : CONTENT_SIZE_BYTES[descriptor >> 6]!
  const at = 5 + (single ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]!
  if (width === 0) return undefined
  if (at + width > frame.length) throw corrupt('frame header cut short')
  let size = width === 2 ? 256 : 0
  for (let i = 0; i < width; i++) size += frame[at + i]! * 2 ** (8 * i)
  return size
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('compression.zstd', reason)
}
