import { CorruptionError } from '../errors.ts'

/*
 * LZMA (lzma-specification.txt of the LZMA SDK): a range coder whose bits say literal, match or repeated match, into a window that
 * matches copy from. Of the packages for it, one only compresses and decompresses whole buffers without a limit, one is asynchronous only,
 * the others are native: segments are read synchronously, tar files piece by piece, both with bounded memory.
 */
const TOP = 2 ** 24
const PROB_INIT = 1024
const STATES = 12
const MATCH_LENGTH_MIN = 2
/** The range coder takes no more input than this for one literal or match. */
const SYMBOL_BYTES_MAX = 24
const END_MARKER = 0xffffffff

class LengthDecoder {
  readonly choice = new Uint16Array(2)
  readonly low = new Uint16Array(16 << 3)
  readonly mid = new Uint16Array(16 << 3)
  readonly high = new Uint16Array(256)

  reset(): void {
    for (const probs of [this.choice, this.low, this.mid, this.high]) probs.fill(PROB_INIT)
  }
}

export class LzmaDecoder {
  private readonly emit: (bytes: Uint8Array) => void
  private readonly window: Uint8Array
  /** Where the next byte goes in the window, and up to where the window was emitted. */
  private next = 0
  private flushed = 0
  /** Bytes since the dictionary was reset. */
  private position = 0
  private input: Uint8Array = new Uint8Array(0)
  private at = 0
  private range = 0
  private code = 0
  private state = 0
  private reps = [0, 0, 0, 0]
  private lc = 0
  private lpMask = 0
  private pbMask = 0
  private literal = new Uint16Array(0)
  private readonly isMatch = new Uint16Array(STATES << 4)
  private readonly isRep = new Uint16Array(STATES)
  private readonly isRepG0 = new Uint16Array(STATES)
  private readonly isRepG1 = new Uint16Array(STATES)
  private readonly isRepG2 = new Uint16Array(STATES)
  private readonly isRep0Long = new Uint16Array(STATES << 4)
  private readonly posSlot = new Uint16Array(4 << 6)
  private readonly posSpecial = new Uint16Array(115)
  private readonly align = new Uint16Array(16)
  private readonly matchLength = new LengthDecoder()
  private readonly repLength = new LengthDecoder()

  constructor(windowSize: number, emit: (bytes: Uint8Array) => void) {
    this.window = new Uint8Array(windowSize)
    this.emit = emit
  }

  /** @param byte (pb * 5 + lp) * 9 + lc */
  setProperties(byte: number, lcLpMax: number): void {
    const lc = byte % 9
    const lp = Math.floor(byte / 9) % 5
    const pb = Math.floor(byte / 45)
    if (pb > 4 || lc + lp > lcLpMax) throw corrupt(`properties ${byte}`)
    this.lc = lc
    this.lpMask = (1 << lp) - 1
    this.pbMask = (1 << pb) - 1
    this.literal = new Uint16Array(0x300 << (lc + lp))
    this.resetState()
  }

  resetState(): void {
    this.state = 0
    this.reps = [0, 0, 0, 0]
    const { isMatch, isRep, isRepG0, isRepG1, isRepG2, isRep0Long, posSlot, posSpecial, align, literal } = this
    for (const probs of [isMatch, isRep, isRepG0, isRepG1, isRepG2, isRep0Long, posSlot, posSpecial, align, literal]) probs.fill(PROB_INIT)
    this.matchLength.reset()
    this.repLength.reset()
  }

  resetDictionary(): void {
    this.flush()
    this.position = 0
  }

  /** The first five bytes of a range coder's input. */
  beginRange(bytes: Uint8Array, at: number): void {
    if (bytes[at] !== 0) throw corrupt('no range coder begins here')
    this.range = 0xffffffff
    this.code = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 1)
  }

  /** Whether the range coder is where an encoder leaves it. */
  get finished(): boolean {
    return this.code === 0
  }

  /** Bytes that are not compressed. */
  copyPlain(bytes: Uint8Array): void {
    for (const byte of bytes) this.put(byte)
  }

  /**
   * Decodes until `length` bytes were made, an end marker was met, or, unless `last`, the input might not do for another symbol.
   * @returns where the input goes on, what was made, and whether it ended
   */
  decode(input: Uint8Array, start: number, length: number, last: boolean): { at: number; made: number; ended: boolean } {
    this.input = input
    this.at = start
    const from = this.position
    const inputEnd = last ? input.length : input.length - SYMBOL_BYTES_MAX
    let ended = false
    while (!ended && this.position - from < length && (last || this.at <= inputEnd)) {
      ended = !this.symbol(length - (this.position - from))
      if (this.at > input.length) throw corrupt('cut short')
    }
    return { at: this.at, made: this.position - from, ended }
  }

  /** Gives out what was made since. */
  flush(): void {
    if (this.next > this.flushed) this.emit(this.window.slice(this.flushed, this.next))
    this.flushed = this.next
  }

  /** @returns false for the end marker */
  private symbol(room: number): boolean {
    const posState = this.position & this.pbMask
    const { state } = this
    if (this.bit(this.isMatch, (state << 4) + posState) === 0) {
      this.decodeLiteral()
      return true
    }
    let length: number
    if (this.bit(this.isRep, state) === 1) {
      if (this.chooseRep(posState)) {
        this.put(this.byteBack(this.reps[0]!))
        return true
      }
      length = this.decodeLength(this.repLength, posState)
      this.state = state < 7 ? 8 : 11
    } else {
      this.reps = [0, this.reps[0]!, this.reps[1]!, this.reps[2]!]
      length = this.decodeLength(this.matchLength, posState)
      this.state = state < 7 ? 7 : 10
      this.reps[0] = this.decodeDistance(length)
      if (this.reps[0] === END_MARKER) return false
    }
    this.copyMatch(this.reps[0]!, length + MATCH_LENGTH_MIN, room)
    return true
  }

  /** Which earlier distance is used again. @returns true for one byte of the last one */
  private chooseRep(posState: number): boolean {
    const { state, reps } = this
    if (this.bit(this.isRepG0, state) === 0) {
      if (this.bit(this.isRep0Long, (state << 4) + posState) === 1) return false
      this.state = state < 7 ? 9 : 11
      return true
    }
    const which = this.bit(this.isRepG1, state) === 0 ? 1 : this.bit(this.isRepG2, state) === 0 ? 2 : 3
    const [distance] = reps.splice(which, 1)
    reps.unshift(distance!)
    return false
  }

  private decodeLiteral(): void {
    const { literal, state } = this
    const before = this.position === 0 ? 0 : this.byteBack(0)
    const base = 0x300 * (((this.position & this.lpMask) << this.lc) + (before >> (8 - this.lc)))
    let symbol = 1
    if (state >= 7) {
      let match = this.byteBack(this.reps[0]!)
      while (symbol < 0x100) {
        const matchBit = (match >> 7) & 1
        match <<= 1
        const bit = this.bit(literal, base + ((1 + matchBit) << 8) + symbol)
        symbol = (symbol << 1) | bit
        if (matchBit !== bit) break
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.bit(literal, base + symbol)
    this.put(symbol & 0xff)
    this.state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6
  }

  private decodeLength({ choice, low, mid, high }: LengthDecoder, posState: number): number {
    if (this.bit(choice, 0) === 0) return this.tree(low, posState << 3, 3)
    if (this.bit(choice, 1) === 0) return 8 + this.tree(mid, posState << 3, 3)
    return 16 + this.tree(high, 0, 8)
  }

  private decodeDistance(length: number): number {
    const slot = this.tree(this.posSlot, Math.min(length, 3) << 6, 6)
    if (slot < 4) return slot
    const count = (slot >> 1) - 1
    const base = (2 | (slot & 1)) * 2 ** count
    if (slot < 14) return base + this.reverseTree(this.posSpecial, base - slot, count)
    return base + this.direct(count - 4) * 16 + this.reverseTree(this.align, 0, 4)
  }

  private copyMatch(distance: number, length: number, room: number): void {
    if (length > room) throw corrupt('a match beyond the end')
    const { window } = this
    const size = window.length
    if (distance >= this.position || distance >= size) throw corrupt('a match before the beginning')
    let from = this.next - distance - 1
    if (from < 0) from += size
    for (let i = 0; i < length; i++) {
      this.put(window[from]!)
      if (++from === size) from = 0
    }
  }

  private byteBack(distance: number): number {
    const size = this.window.length
    if (distance >= this.position || distance >= size) throw corrupt('a match before the beginning')
    const at = this.next - distance - 1
    return this.window[at < 0 ? at + size : at]!
  }

  private put(byte: number): void {
    this.window[this.next++] = byte
    this.position++
    if (this.next < this.window.length) return
    this.flush()
    this.next = 0
    this.flushed = 0
  }

  private bit(probs: Uint16Array, index: number): 0 | 1 {
    const prob = probs[index]!
    const bound = (this.range >>> 11) * prob
    if (this.code < bound) {
      this.range = bound
      probs[index] = prob + ((2048 - prob) >>> 5)
      if (bound < TOP) this.normalize()
      return 0
    }
    this.range -= bound
    this.code -= bound
    probs[index] = prob - (prob >>> 5)
    if (this.range < TOP) this.normalize()
    return 1
  }

  private normalize(): void {
    this.range = (this.range << 8) >>> 0
    this.code = ((this.code << 8) | this.input[this.at++]!) >>> 0
  }

  private direct(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++) {
      this.range >>>= 1
      const bit = this.code >= this.range ? 1 : 0
      if (bit === 1) this.code -= this.range
      value = value * 2 + bit
      if (this.range < TOP) this.normalize()
    }
    return value
  }

  private tree(probs: Uint16Array, base: number, bits: number): number {
    let node = 1
    for (let i = 0; i < bits; i++) node = (node << 1) | this.bit(probs, base + node)
    return node - (1 << bits)
  }

  private reverseTree(probs: Uint16Array, base: number, bits: number): number {
    let node = 1
    let value = 0
    for (let i = 0; i < bits; i++) {
      const bit = this.bit(probs, base + node)
      node = (node << 1) | bit
      value |= bit << i
    }
    return value
  }
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('compression.lzma', `lzma: ${reason}`)
}
