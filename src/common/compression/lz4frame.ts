import { readU32 } from '../bytes.ts'
import { CorruptionError, UnsupportedError } from '../errors.ts'
import { lz4DecompressInto } from '../lz4.ts'
import {
  BLOCK_PLAIN, BLOCK_SIZES, FLG_BLOCK_CHECKSUM, FLG_CONTENT_CHECKSUM, FLG_CONTENT_SIZE, FLG_DICTIONARY, FLG_INDEPENDENT, FLG_VERSION,
  FLG_VERSION_MASK, MAGIC,
} from './lz4format.ts'
import { xxhash32 } from './xxhash32.ts'

/**
 * Decompresses an lz4 frame with all its checksums: what `lz4` and pg_receivewal write.
 * @param sizeMax longer content is an error
 * @param cutShort the file is still being written: its whole blocks count, and nothing is known of an end
 * @throws CorruptionError compression.lz4-frame, compression.lz4
 */
export function lz4FrameDecompress(source: Uint8Array, sizeMax: number, cutShort: boolean): Uint8Array {
  try {
    return decompress(source, sizeMax, cutShort)
  } catch (error) {
    throw error instanceof RangeError ? corrupt('cut short') : error
  }
}

function decompress(source: Uint8Array, sizeMax: number, cutShort: boolean): Uint8Array {
  const flags = readHeader(source)
  const blockMax = BLOCK_SIZES[(source[5]! >> 4) & 7]
  if (blockMax === undefined) throw corrupt(`block size code ${source[5]!}`)
  const out = new Uint8Array(sizeMax)
  let at = 6 + (flags & FLG_CONTENT_SIZE ? 8 : 0)
  if (source[at] !== ((xxhash32(source, 4, at) >>> 8) & 0xff)) throw corrupt('wrong checksum of the header')
  at++
  let made = 0
  for (;;) {
    if (cutShort && at + 4 > source.length) return out.subarray(0, made)
    const word = readU32(source, at)
    at += 4
    if (word === 0) break
    const end = at + (word & ~BLOCK_PLAIN)
    const checksumLength = flags & FLG_BLOCK_CHECKSUM ? 4 : 0
    if (end + checksumLength > source.length) {
      if (cutShort) return out.subarray(0, made)
      throw corrupt('cut short')
    }
    if (checksumLength > 0 && readU32(source, end) !== xxhash32(source, at, end)) throw corrupt('wrong checksum of a block')
    made = decompressBlock(source, at, end, word, flags, out, made, Math.min(made + blockMax, sizeMax))
    at = end + checksumLength
  }
  checkContent(source, at, flags, out, made)
  return out.subarray(0, made)
}

function readHeader(source: Uint8Array): number {
  if (readU32(source, 0) !== MAGIC) throw corrupt('no lz4 frame')
  const flags = source[4]
  if (flags === undefined || (flags & FLG_VERSION_MASK) !== FLG_VERSION) throw corrupt(`frame flags ${flags}`)
  if (flags & FLG_DICTIONARY) throw new UnsupportedError('compression.lz4-frame', 'an lz4 frame with a dictionary: decompress the file first')
  return flags
}

/** @returns where the output ends */
function decompressBlock(
  source: Uint8Array, start: number, end: number, word: number, flags: number, out: Uint8Array, made: number, outEnd: number,
): number {
  if (word & BLOCK_PLAIN) {
    if (made + (end - start) > outEnd) throw corrupt(`a block of ${end - start} bytes`)
    out.set(source.subarray(start, end), made)
    return made + (end - start)
  }
  if ((flags & FLG_INDEPENDENT) === 0) return lz4DecompressInto(source, start, end, out, made, outEnd)
  return made + lz4DecompressInto(source, start, end, out.subarray(made), 0, outEnd - made)
}

function checkContent(source: Uint8Array, end: number, flags: number, out: Uint8Array, made: number): void {
  if (flags & FLG_CONTENT_CHECKSUM && readU32(source, end) !== xxhash32(out, 0, made)) throw corrupt('wrong checksum of the content')
  if (flags & FLG_CONTENT_SIZE && (readU32(source, 6) !== made || readU32(source, 10) !== 0)) throw corrupt(`${made} bytes made, not as many as announced`)
  const length = end + (flags & FLG_CONTENT_CHECKSUM ? 4 : 0)
  if (source.length !== length) throw corrupt(`${source.length - length} bytes after the frame`)
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('compression.lz4-frame', reason)
}
