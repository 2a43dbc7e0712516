import { readU32 } from './bytes.ts'
import type { ByteWriter } from './bytes.ts'
import { utf8Decode } from './utf8.ts'
import { faulty, type Persisted } from './validate.ts'

/** A number from 0 to 2^53 - 1, seven bits a byte, the lowest first; all bytes but the last have bit 7 set (LEB128). */
export function writeVarint(value: number, out: ByteWriter): void {
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.u8((rest % 128) + 128)
  out.u8(rest)
}

/** A cursor over a persisted structure in bytes; every step is checked against the bytes that are there. Integers are little-endian. */
export class ByteReader {
  position = 0
  private readonly bytes: Uint8Array
  private readonly persisted: Persisted

  /** @param persisted whose bytes they are: its code is that of all errors, which are CorruptionErrors */
  constructor(bytes: Uint8Array, persisted: Persisted) {
    this.bytes = bytes
    this.persisted = persisted
  }

  /** Bytes that were not read. */
  get left(): number {
    return this.bytes.length - this.position
  }

  u8(): number {
    return this.take(1)[0]!
  }

  u32(): number {
    return readU32(this.take(4), 0)
  }

  /** What {@link writeVarint} wrote, at most `max`. A number has one form: what is longer than it needs to be is damage. */
  varint(max: number = Number.MAX_SAFE_INTEGER): number {
    let value = 0
    for (let scale = 1; scale < 2 ** 56; scale *= 128) {
      const byte = this.u8()
      value += (byte & 0x7f) * scale
      if (byte >= 0x80) continue
      if (byte === 0 && scale > 1) throw this.fault('has a number that is longer than it needs to be')
      if (value > max) throw this.fault(`has the number ${value}, more than ${max}`)
      return value
    }
    throw this.fault('has a number of more than 8 bytes')
  }

  /** The next bytes, which are not copied. */
  take(count: number): Uint8Array {
    if (count > this.left) throw this.fault(`ends where ${count} bytes more must follow`)
    this.position += count
    return this.bytes.subarray(this.position - count, this.position)
  }

  /** UTF-8 behind its length in bytes. */
  text(): string {
    const bytes = this.take(this.varint(this.left))
    try {
      return utf8Decode(bytes)
    } catch {
      throw this.fault('has text that is not UTF-8')
    }
  }

  /** Nothing may follow. */
  end(): void {
    if (this.left > 0) throw this.fault(`has ${this.left} bytes behind its end`)
  }

  /** CorruptionError at the cursor. @param problem `has …` */
  fault(problem: string): Error {
    return faulty(this.persisted, '', `${problem} (byte ${this.position})`)
  }
}
