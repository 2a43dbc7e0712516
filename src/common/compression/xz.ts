import { bytesEqual, readU32 } from '../bytes.ts'
import { CorruptionError, UnsupportedError } from '../errors.ts'
import { Crc64 } from './crc64.ts'
import { type Emit, StepDecoder } from './decoder.ts'
import { LzmaDecoder } from './lzma.ts'
import { DICTIONARY_MAX, DICTIONARY_MIN } from './lzmaalone.ts'

/*
 * xz (xz-file-format.txt), streams one after another:
 *
 *     fd 37 7a 58 5a 00 | flags 2 | crc32 | block … | index | crc32 | backward size u32 | flags 2 | "YZ" | zeros to 4
 *     block: header size u8 | flags u8 | sizes | filters | zeros | crc32 | LZMA2 chunk … | 0 | zeros to 4 | check
 *     chunk: 1 or 2, size - 1 u16 big-endian, plain bytes
 *            >= 80, size - 1 low u16, compressed size - 1 u16, [properties], range coded
 */
const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]
const STREAM_HEADER = 12
const FILTER_LZMA2 = 0x21
const CHECK_LENGTHS = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64]
const CHECK_CRC32 = 1
const CHECK_CRC64 = 4
const CHECK_SHA256 = 10

type Place = 'stream' | 'block' | 'chunk' | 'check' | 'index' | 'footer'

/** Sums that a platform computes faster than we would. */
export interface XzSums {
  /** CRC-32 as zlib's. @param before of the bytes before these */
  crc32(bytes: Uint8Array, before?: number): number
  /** A new SHA-256. */
  sha256(): Sha256
}

interface Sha256 {
  update(bytes: Uint8Array): unknown
  digest(): Uint8Array
}

export class XzDecoder extends StepDecoder {
  private readonly emit: Emit
  private readonly contentMax: number
  private place: Place = 'stream'
  private streams = 0
  private flags = 0
  private lzma: LzmaDecoder | undefined
  private needsProperties = false
  private needsDictionary = false
  /** Bytes of this block's LZMA2 data so far, and blocks of this stream. */
  private blockBytes = 0
  private blocks = 0
  private crc = 0
  private crc64 = new Crc64()
  private sha256: Sha256 | undefined
  private readonly sums: XzSums

  /** @param contentMax no match reaches further back than there is content */
  constructor(emit: Emit, sums: XzSums, contentMax: number = Infinity) {
    super()
    this.emit = emit
    this.sums = sums
    this.contentMax = contentMax
  }

  protected step(at: number): number {
    switch (this.place) {
      case 'stream': return this.takeStream(at)
      case 'block': return this.takeBlockHeader(at)
      case 'chunk': return this.takeChunk(at)
      case 'check': return this.takeCheck(at)
      case 'index': return this.takeIndex(at)
      case 'footer': return this.takeFooter(at)
    }
  }

  protected checkEnd(): void {
    if (this.place !== 'stream' || this.streams === 0 || this.input.length > 0) throw corrupt('cut short')
  }

  private takeStream(at: number): number {
    const { input } = this
    if (this.streams > 0 && input.length - at >= 4 && readU32(input, at) === 0) return 4
    if (input.length - at < STREAM_HEADER) return 0
    if (!bytesEqual(input.subarray(at, at + 6), Uint8Array.from(MAGIC))) throw corrupt('no xz stream begins here')
    if (this.sums.crc32(input.subarray(at + 6, at + 8)) !== readU32(input, at + 8)) throw corrupt('wrong CRC of the stream header')
    if (input[at + 6] !== 0 || input[at + 7]! > 15) throw new UnsupportedError('compression.xz', 'xz: unknown stream flags: decompress the file first')
    this.flags = input[at + 7]!
    this.streams++
    this.blocks = 0
    this.place = 'block'
    return STREAM_HEADER
  }

  private takeBlockHeader(at: number): number {
    const { input } = this
    if (input.length === at) return 0
    if (input[at] === 0) {
      this.place = 'index'
      return this.takeIndex(at)
    }
    const length = (input[at]! + 1) * 4
    if (input.length - at < length) return 0
    if (this.sums.crc32(input.subarray(at, at + length - 4)) !== readU32(input, at + length - 4)) throw corrupt('wrong CRC of a block header')
    const flags = input[at + 1]!
    const reader = new Varints(input, at + 2, at + length - 4)
    if (flags & 0x40) reader.next()
    if (flags & 0x80) reader.next()
    if ((flags & 3) !== 0 || reader.next() !== FILTER_LZMA2) {
      throw new UnsupportedError('compression.xz',
        'xz with another filter than LZMA2: decompress the file first')
    }
    if (reader.next() !== 1) throw corrupt('properties of LZMA2')
    this.beginBlock(reader.next())
    return length
  }

  private beginBlock(code: number): void {
    const dictionary = code === 40 ? 2 ** 32 - 1 : (2 | (code & 1)) * 2 ** ((code >> 1) + 11)
    if (code > 40) throw corrupt('dictionary size')
    if (dictionary > DICTIONARY_MAX) {
      throw new UnsupportedError('compression.xz',
        `a dictionary of ${dictionary} bytes; ltap takes up to ${DICTIONARY_MAX}: decompress the file first`)
    }
    this.lzma = new LzmaDecoder(Math.min(dictionary, Math.max(this.contentMax, DICTIONARY_MIN)), (bytes) => this.take(bytes))
    this.needsDictionary = true
    this.needsProperties = true
    this.blockBytes = 0
    this.blocks++
    this.crc = 0
    this.crc64 = new Crc64()
    this.sha256 = this.flags === CHECK_SHA256 ? this.sums.sha256() : undefined
    this.place = 'chunk'
  }

  private take(bytes: Uint8Array): void {
    if (this.flags === CHECK_CRC32) this.crc = this.sums.crc32(bytes, this.crc)
    else if (this.flags === CHECK_CRC64) this.crc64.update(bytes)
    else this.sha256?.update(bytes)
    this.emit(bytes)
  }

  private takeChunk(at: number): number {
    const { input } = this
    const control = input[at]
    if (control === undefined) return 0
    if (control === 0) {
      this.place = 'check'
      this.blockBytes++
      return 1
    }
    if (control > 2 && control < 0x80) throw corrupt(`control byte ${control}`)
    const plain = control < 0x80
    const header = plain ? 3 : control >= 0xc0 ? 6 : 5
    if (input.length - at < header) return 0
    const size = plain ? 0 : ((control & 0x1f) << 16) + (input[at + 1]! << 8) + input[at + 2]! + 1
    const length = (input[at + (plain ? 1 : 3)]! << 8) + input[at + (plain ? 2 : 4)]! + 1
    if (input.length - at < header + length) return 0
    if (plain ? control === 1 : control >= 0xe0) {
      this.lzma!.resetDictionary()
      this.needsDictionary = false
    }
    if (this.needsDictionary) throw corrupt('no dictionary reset at the beginning')
    const start = at + header
    if (plain) this.lzma!.copyPlain(input.subarray(start, start + length))
    else this.decodeChunk(control, input.subarray(start, start + length), input[at + 5]!, size)
    this.lzma!.flush()
    this.blockBytes += header + length
    return header + length
  }

  private decodeChunk(control: number, bytes: Uint8Array, properties: number, size: number): void {
    const lzma = this.lzma!
    if (control >= 0xc0) {
      lzma.setProperties(properties, 4)
      this.needsProperties = false
    } else if (this.needsProperties) {
      throw corrupt('no properties at the beginning')
    } else if (control >= 0xa0) {
      lzma.resetState()
    }
    if (bytes.length < 5) throw corrupt('a chunk that is too short')
    lzma.beginRange(bytes, 0)
    const { at, made } = lzma.decode(bytes, 5, size, true)
    if (at !== bytes.length || made !== size || !lzma.finished) throw corrupt('a chunk that does not end where it says')
  }

  private takeCheck(at: number): number {
    const { input } = this
    const padding = (4 - (this.blockBytes % 4)) % 4
    const length = padding + CHECK_LENGTHS[this.flags]!
    if (input.length - at < length) return 0
    const found = input.subarray(at + padding, at + length)
    const right = this.flags === CHECK_CRC32 ? readU32(found, 0) === this.crc
      : this.flags === CHECK_CRC64 ? bytesEqual(found, this.crc64.digest())
      : this.sha256 === undefined || bytesEqual(found, this.sha256.digest())
    if (!right) throw corrupt('wrong checksum of a block')
    this.place = 'block'
    if (length > 0) return length
    return this.takeBlockHeader(at)
  }

  private takeIndex(at: number): number {
    const { input } = this
    const reader = new Varints(input, at + 1, input.length)
    const records = reader.tryNext()
    if (records === undefined) return 0
    if (records !== this.blocks) throw corrupt(`an index of ${records} blocks after ${this.blocks}`)
    for (let i = 0; i < records * 2; i++) if (reader.tryNext() === undefined) return 0
    const length = Math.ceil((reader.at - at) / 4) * 4
    if (input.length - at < length + 4) return 0
    if (this.sums.crc32(input.subarray(at, at + length)) !== readU32(input, at + length)) throw corrupt('wrong CRC of the index')
    this.place = 'footer'
    return length + 4
  }

  private takeFooter(at: number): number {
    const { input } = this
    if (input.length - at < STREAM_HEADER) return 0
    const sound = this.sums.crc32(input.subarray(at + 4, at + 10)) === readU32(input, at)
      && input[at + 9] === this.flags && input[at + 10] === 0x59 && input[at + 11] === 0x5a
    if (!sound) throw corrupt('a damaged stream footer')
    this.place = 'stream'
    return STREAM_HEADER
  }
}

/** Numbers of 7 bits per byte, up to 63 bits; sizes beyond 2^53 are not sizes. */
class Varints {
  at: number
  private readonly bytes: Uint8Array
  private readonly end: number

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  next(): number {
    const value = this.tryNext()
    if (value === undefined) throw corrupt('a block header that is too short')
    return value
  }

  tryNext(): number | undefined {
    let value = 0
    for (let i = 0; this.at < this.end; i++) {
      if (i === 9) throw corrupt('a number of more than 9 bytes')
      const byte = this.bytes[this.at++]!
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return value
    }
    return undefined
  }
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('compression.xz', `xz: ${reason}`)
}
