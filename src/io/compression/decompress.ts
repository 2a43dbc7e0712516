import { brotliDecompressSync, constants, gunzipSync } from 'node:zlib'
import { CorruptionError, EnvironmentError, isPositioned, type PositionedError, UnsupportedError } from '../../common/errors.ts'
import { NO_MARK } from '../../common/compression/unread.ts'
import { Bzip2Decoder } from './bzip2.ts'
import type { Decoder, Emit } from '../../common/compression/decoder.ts'
import type { Compression } from '../../common/compression/format.ts'
import { lz4FrameDecompress } from '../../common/compression/lz4frame.ts'
import { LzmaAloneDecoder } from '../../common/compression/lzmaalone.ts'
import { XzDecoder } from '../../common/compression/xz.ts'
import { ZstdDecoder } from '../../common/compression/zstd.ts'
import { XZ_SUMS } from './xzsums.ts'

/** How much of a compressed file is looked at, at first, for the beginning of its content. */
const HEAD_PIECE = 1 << 16
/** No lz4 block expands further: a byte of a match's length says 255. */
const LZ4_RATIO_MAX = 256

/**
 * @param sizeMax longer content is an error
 * @param cutShort the file is still being written: what is there counts
 * @throws CorruptionError, UnsupportedError compression.*
 */
export function decompressFile(bytes: Uint8Array, compression: Compression, sizeMax: number, cutShort: boolean): Uint8Array {
  try {
    switch (compression) {
      case '': return bytes
      case '.gz': return gunzip(bytes, sizeMax, cutShort)
      case '.br': return brotli(bytes, sizeMax, cutShort)
      case '.lz4': return lz4FrameDecompress(bytes, Math.min(sizeMax, bytes.length * LZ4_RATIO_MAX), cutShort)
      default: return decode(bytes, compression, sizeMax, cutShort)
    }
  } catch (error) {
    if (isPositioned(error)) throw withoutMark(error, compression)
    if (error instanceof RangeError && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') throw tooLong(compression, sizeMax)
    throw withoutMark(new CorruptionError(`compression${compression}`, error instanceof Error ? error.message : String(error)), compression)
  }
}

/** brotli and lzma begin with no mark of their own, so that encrypted bytes are only known by what they fail with: says so. */
export function withoutMark(error: PositionedError, compression: Compression): PositionedError {
  if (error instanceof EnvironmentError || (compression !== '.br' && compression !== '.lzma') || error.reason.endsWith(NO_MARK)) return error
  const Kind = error instanceof CorruptionError ? CorruptionError : UnsupportedError
  return new Kind(error.code, `${error.reason}; ${NO_MARK}`, error.position)
}

/** The first `length` bytes of a file's content, or all if that is shorter; no more is decompressed than that takes. */
export function decompressHead(bytes: Uint8Array, compression: Compression, length: number, sizeMax: number): Uint8Array {
  if (compression === '') return bytes.subarray(0, length)
  for (let taken = HEAD_PIECE; taken < bytes.length; taken *= 4) {
    const head = decompressFile(bytes.subarray(0, taken), compression, sizeMax, true)
    if (head.length >= length) return head.slice(0, length)
  }
  return decompressFile(bytes, compression, sizeMax, true).slice(0, length)
}

function gunzip(bytes: Uint8Array, sizeMax: number, cutShort: boolean): Uint8Array {
  const finishFlush = cutShort ? constants.Z_SYNC_FLUSH : constants.Z_FINISH
  return gunzipSync(bytes, { maxOutputLength: sizeMax, finishFlush })
}

function brotli(bytes: Uint8Array, sizeMax: number, cutShort: boolean): Uint8Array {
  const finishFlush = cutShort ? constants.BROTLI_OPERATION_FLUSH : constants.BROTLI_OPERATION_FINISH
  return brotliDecompressSync(bytes, { maxOutputLength: sizeMax, finishFlush })
}

function decode(bytes: Uint8Array, compression: '.zst' | '.bz2' | '.xz' | '.lzma', sizeMax: number, cutShort: boolean): Uint8Array {
  const parts: Uint8Array[] = []
  let made = 0
  const decoder = decoderOf(compression, (part) => {
    made += part.length
    if (made > sizeMax) throw tooLong(compression, sizeMax)
    parts.push(part)
  }, sizeMax)
  decoder.push(bytes)
  if (!cutShort) decoder.end()
  else if (compression === '.bz2') endCutShort(decoder)
  return Buffer.concat(parts)
}

/** Ends a bzip2 decoder, which holds back its last block until it is told that no more bytes come. */
function endCutShort(decoder: Decoder): void {
  try {
    decoder.end()
  } catch (error) {
    if (!(error instanceof CorruptionError) || error.reason.startsWith('the content is longer')) throw error
  }
}

function decoderOf(compression: '.zst' | '.bz2' | '.xz' | '.lzma', emit: Emit, sizeMax: number): Decoder {
  switch (compression) {
    case '.zst': return new ZstdDecoder(emit, sizeMax)
    case '.bz2': return new Bzip2Decoder(emit)
    case '.xz': return new XzDecoder(emit, XZ_SUMS, sizeMax)
    case '.lzma': return new LzmaAloneDecoder(emit, sizeMax)
  }
}

function tooLong(compression: Compression, sizeMax: number): CorruptionError {
  return new CorruptionError(`compression${compression}`, `the content is longer than ${sizeMax} bytes`)
}
