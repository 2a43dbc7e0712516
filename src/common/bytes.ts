import { assert } from './errors.ts'

/** MAXALIGN of every 64-bit build (pg_config.h: MAXIMUM_ALIGNOF 8). */
export function maxAlign(size: number): number {
  return (size + 7) & ~7
}

/** Rounds `at` up to a multiple of `alignment`, a power of two. */
export function alignUp(at: number, alignment: number): number {
  return (at + alignment - 1) & -alignment
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function concatBytes(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length)
  whole.set(a)
  whole.set(b, a.length)
  return whole
}

export function hexEncode(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += HEX[byte]
  return text
}

export function hexDecode(text: string): Uint8Array {
  assert(text.length % 2 === 0 && !/[^0-9a-fA-F]/.test(text), 'not a hex string')
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(i * 2, i * 2 + 2), 16)
  return bytes
}

/** Little-endian u16 at `at`; undefined bytes (past the end) throw, so that no damage reads as zero. */
export function readU16(bytes: Uint8Array, at: number): number {
  if (at < 0 || at + 2 > bytes.length) throw new RangeError('read past the end of the bytes')
  return bytes[at]! | (bytes[at + 1]! << 8)
}

/** Little-endian i32 at `at`. Throws RangeError past the end. */
export function readI32(bytes: Uint8Array, at: number): number {
  if (at < 0 || at + 4 > bytes.length) throw new RangeError('read past the end of the bytes')
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

/** Little-endian u32 at `at`. Throws RangeError past the end. */
export function readU32(bytes: Uint8Array, at: number): number {
  return readI32(bytes, at) >>> 0
}

/** Little-endian i64 at `at`, for code that is not hot. Throws RangeError past the end. */
export function readI64(bytes: Uint8Array, at: number): bigint {
  return (BigInt(readI32(bytes, at + 4)) << 32n) | BigInt(readU32(bytes, at))
}

/** Little-endian IEEE double at `at`. Loses the payload of a signalling NaN: never on the bit-exact path. */
export function readF64(bytes: Uint8Array, at: number): number {
  scratchWords[0] = readI32(bytes, at)
  scratchWords[1] = readI32(bytes, at + 4)
  return scratchDouble[0]!
}

export function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

const scratchDouble = new Float64Array(1)
const scratchWords = new Int32Array(scratchDouble.buffer)

/** A growable byte buffer: `bytes[0 .. length)` is the content, the rest is spare. Integers are little-endian. */
export class ByteWriter {
  bytes: Uint8Array
  length = 0
  private words: DataView

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity)
    this.words = dataView(this.bytes)
  }

  /** Over {@link bytes} as they are now: unaligned words for hot loops. Stale once the buffer grows. */
  get view(): DataView {
    if (this.words.buffer !== this.bytes.buffer) this.words = dataView(this.bytes)
    return this.words
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count
    if (needed <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(needed, Math.min(this.bytes.length * 2, this.bytes.length + (64 << 20))))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
  }

  u8(value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  u16(value: number): void {
    this.reserve(2)
    this.bytes[this.length++] = value
    this.bytes[this.length++] = value >>> 8
  }

  /** Any 32-bit word, signed or unsigned. */
  u32(value: number): void {
    this.reserve(4)
    this.setU32(this.length, value)
    this.length += 4
  }

  i64(value: bigint): void {
    this.u32(Number(BigInt.asIntN(32, value)))
    this.u32(Number(BigInt.asIntN(32, value >> 32n)))
  }

  f64(value: number): void {
    scratchDouble[0] = value
    this.u32(scratchWords[0]!)
    this.u32(scratchWords[1]!)
  }

  /** Overwrites four bytes already written or reserved. */
  setU32(at: number, value: number): void {
    this.bytes[at] = value
    this.bytes[at + 1] = value >>> 8
    this.bytes[at + 2] = value >>> 16
    this.bytes[at + 3] = value >>> 24
  }

  /** Appends `source[start .. end)`. */
  copy(source: Uint8Array, start = 0, end: number = source.length): void {
    const count = end - start
    this.reserve(count)
    if (count < 32) {
      for (let i = start, to = this.length; i < end; i++) this.bytes[to++] = source[i]!
    } else {
      this.bytes.set(source.subarray(start, end), this.length)
    }
    this.length += count
  }

  zeros(count: number): void {
    this.reserve(count)
    this.bytes.fill(0, this.length, this.length + count)
    this.length += count
  }

  /** Zero bytes until `length - from` is a multiple of `alignment`. */
  alignFrom(from: number, alignment: number): void {
    this.zeros(alignUp(this.length - from, alignment) - (this.length - from))
  }

  /** Text of ASCII characters only. */
  ascii(text: string): void {
    this.reserve(text.length)
    for (let i = 0; i < text.length; i++) this.bytes[this.length++] = text.charCodeAt(i)
  }

  /** A copy of the content. */
  take(): Uint8Array {
    return this.bytes.slice(0, this.length)
  }
}
