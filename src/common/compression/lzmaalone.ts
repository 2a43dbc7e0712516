import { readU32 } from '../bytes.ts'
import { CorruptionError, UnsupportedError } from '../errors.ts'
import { type Emit, StepDecoder } from './decoder.ts'
import { LzmaDecoder } from './lzma.ts'

/*
 * A `.lzma` file (lzma-specification.txt):
 *
 *     properties u8 | dictionary size u32 | size u64, all ones if an end marker comes | 0 u8 | code u32 | range coded
 */
const HEADER = 13
const RANGE_BEGIN = 5
export const DICTIONARY_MIN: number = 1 << 12
export const DICTIONARY_MAX: number = 1 << 28

export class LzmaAloneDecoder extends StepDecoder {
  private readonly emit: Emit
  private readonly contentMax: number
  private lzma: LzmaDecoder | undefined
  private left = Infinity
  private ended = false

  /** @param contentMax no match reaches further back than there is content */
  constructor(emit: Emit, contentMax: number = Infinity) {
    super()
    this.emit = emit
    this.contentMax = contentMax
  }

  protected step(at: number, last: boolean): number {
    if (this.ended) {
      if (this.input.length > at) throw corrupt('bytes after the end')
      return 0
    }
    if (this.lzma === undefined) return this.takeHeader(at)
    if (this.input.length === at && !last) return 0
    const { at: next, made, ended } = this.lzma.decode(this.input, at, Math.min(this.left, Number.MAX_SAFE_INTEGER), last)
    this.lzma.flush()
    this.left -= made
    this.ended = ended || this.left === 0
    return next - at
  }

  protected checkEnd(): void {
    if (!this.ended) throw corrupt('cut short')
  }

  private takeHeader(at: number): number {
    const { input } = this
    if (input.length - at < HEADER + RANGE_BEGIN) return 0
    const dictionary = readU32(input, at + 1)
    const [low, high] = [readU32(input, at + 5), readU32(input, at + 9)]
    if (dictionary > DICTIONARY_MAX) {
      throw new UnsupportedError('compression.lzma',
        `a dictionary of ${dictionary} bytes; ltap takes up to ${DICTIONARY_MAX}: decompress the file first`)
    }
    if (high > 0xff && !(low === 0xffffffff && high === 0xffffffff)) throw corrupt('no .lzma file')
    if (high <= 0xff) this.left = high * 2 ** 32 + low
    const lzma = new LzmaDecoder(Math.max(Math.min(dictionary, this.contentMax), DICTIONARY_MIN), this.emit)
    lzma.setProperties(input[at]!, 12)
    lzma.beginRange(input, at + HEADER)
    this.lzma = lzma
    this.ended = this.left === 0
    return HEADER + RANGE_BEGIN
  }
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('compression.lzma', `lzma: ${reason}`)
}
