import { readU32 } from '../bytes.ts'
import { CorruptionError, UnsupportedError } from '../errors.ts'
import { lz4DecompressInto } from '../lz4.ts'
import { type Emit, StepDecoder } from './decoder.ts'
import {
  BLOCK_PLAIN, BLOCK_SIZES, FLG_BLOCK_CHECKSUM, FLG_CONTENT_CHECKSUM, FLG_CONTENT_SIZE, FLG_DICTIONARY, FLG_VERSION, FLG_VERSION_MASK, MAGIC,
} from './lz4format.ts'

/** How far a match reaches back, into earlier blocks too. */
const WINDOW = 1 << 16

/**
 * Decompresses lz4 frames as they come in pieces, one after another, with the memory of one block: what `lz4` and pg_basebackup write.
 * Checksums are passed over: a tar file of pages that have their own.
 */
export class Lz4Decoder extends StepDecoder {
  private readonly emit: Emit
  private flags = 0
  private blockMax = 0
  private inFrame = false
  private frames = 0
  /** The last 64 KiB of the output, then the block that is being decoded. */
  private out = new Uint8Array(0)
  private made = 0

  constructor(emit: Emit) {
    super()
    this.emit = emit
  }

  /** A header, a block or an end. */
  protected step(at: number): number {
    return this.inFrame ? this.takeBlock(at) : this.takeHeader(at)
  }

  protected checkEnd(): void {
    if (this.inFrame || this.frames === 0 || this.input.length > 0) throw corrupt('cut short')
  }

  private takeHeader(at: number): number {
    if (this.input.length - at < 7) return 0
    if (readU32(this.input, at) !== MAGIC) throw corrupt('no lz4 frame begins here')
    const flags = this.input[at + 4]!
    const length = 7 + (flags & FLG_CONTENT_SIZE ? 8 : 0)
    if ((flags & FLG_VERSION_MASK) !== FLG_VERSION) throw corrupt(`frame version ${flags >> 6}`)
    if (flags & FLG_DICTIONARY) throw new UnsupportedError('compression.lz4-frame', 'lz4 with a dictionary: decompress the file first')
    if (this.input.length - at < length) return 0
    const blockMax = BLOCK_SIZES[(this.input[at + 5]! >> 4) & 7]
    if (blockMax === undefined) throw corrupt(`block size code ${this.input[at + 5]}`)
    if (this.blockMax !== blockMax) this.out = new Uint8Array(WINDOW + blockMax)
    this.blockMax = blockMax
    this.flags = flags
    this.made = 0
    this.frames++
    this.inFrame = true
    return length
  }

  private takeBlock(at: number): number {
    if (this.input.length - at < 4) return 0
    const word = readU32(this.input, at)
    if (word === 0) {
      const length = 4 + (this.flags & FLG_CONTENT_CHECKSUM ? 4 : 0)
      if (this.input.length - at < length) return 0
      this.inFrame = false
      return length
    }
    const size = word & ~BLOCK_PLAIN
    if (size > this.blockMax) throw corrupt(`a block of ${size} bytes`)
    const length = 4 + size + (this.flags & FLG_BLOCK_CHECKSUM ? 4 : 0)
    if (this.input.length - at < length) return 0
    this.decompress(at + 4, size, (word & BLOCK_PLAIN) !== 0)
    return length
  }

  private decompress(start: number, size: number, plain: boolean): void {
    if (this.made > WINDOW) {
      this.out.copyWithin(0, this.made - WINDOW, this.made)
      this.made = WINDOW
    }
    const from = this.made
    if (plain) {
      this.out.set(this.input.subarray(start, start + size), from)
      this.made = from + size
    } else {
      this.made = lz4DecompressInto(this.input, start, start + size, this.out, from, from + this.blockMax)
    }
    this.emit(this.out.slice(from, this.made))
  }
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('compression.lz4-frame', `lz4: ${reason}`)
}
