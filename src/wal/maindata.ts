import { CorruptionError } from '../common/errors.ts'
import { formatWalPosition } from '../common/ids.ts'
import type { BlockReference, WalRecord } from './record.ts'

/**
 * Reads the main data of one record from front to end. All of it must be read: bytes that are left mean that the record is of another type or
 * major than was assumed. One object serves all records: {@link open} begins a new one.
 */
export class MainData {
  /** Next byte, a position in the record's bytes. */
  at = 0
  private record: WalRecord | undefined
  private view: DataView = new DataView(new ArrayBuffer(0))
  private end = 0
  private what = 'main data'
  private length = 0
  private readonly code: string

  /** @param code of the errors: `wal.xact` */
  constructor(code: string) {
    this.code = code
  }

  open(record: WalRecord): this {
    return this.openPart(record, 'main data', record.mainStart, record.mainLength)
  }

  /** The data of a block instead of the main data. */
  openBlock(record: WalRecord, block: BlockReference): this {
    return this.openPart(record, 'block data', block.dataStart, block.dataLength)
  }

  private openPart(record: WalRecord, what: string, start: number, length: number): this {
    this.record = record
    this.view = record.view
    this.what = what
    this.length = length
    this.at = start
    this.end = start + length
    return this
  }

  u8(): number {
    return this.view.getUint8(this.take(1))
  }

  /** A C bool. */
  bool(): boolean {
    const value = this.u8()
    if (value > 1) throw this.corrupt(`a bool of ${value}`)
    return value === 1
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true)
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true)
  }

  i32(): number {
    return this.view.getInt32(this.take(4), true)
  }

  i64(): bigint {
    return this.view.getBigInt64(this.take(8), true)
  }

  /** An LSN, or an i64 that counts something and is far from 2^53. */
  position(): number {
    const at = this.take(8)
    const high = this.view.getUint32(at + 4, true)
    if (high >= 0x200000) throw this.corrupt('a 64-bit number beyond 2^53')
    return high * 0x100000000 + this.view.getUint32(at, true)
  }

  /** An i32 count of items of `size` bytes, which must all be there. */
  count(size: number): number {
    const count = this.i32()
    if (count < 0 || count * size > this.end - this.at) throw this.corrupt(`a count of ${count}, ${this.end - this.at} bytes follow`)
    return count
  }

  /** Passes over `length` bytes. @returns where they begin */
  take(length: number): number {
    const at = this.at
    if (length > this.end - at) throw this.corrupt(`${this.what} of ${this.length} bytes is too short`)
    this.at = at + length
    return at
  }

  /** A copy of the next `length` bytes. */
  bytes(length: number): Uint8Array {
    const at = this.take(length)
    return this.record!.bytes.slice(at, at + length)
  }

  /** A copy of the bytes up to the next NUL, which is passed over. */
  cString(): Uint8Array {
    const nul = this.record!.bytes.indexOf(0, this.at)
    if (nul < 0 || nul >= this.end) throw this.corrupt('a string without an end')
    const text = this.bytes(nul - this.at)
    this.at++
    return text
  }

  /** `count` u32 numbers. */
  u32s(count: number): number[] {
    return Array.from({ length: count }, () => this.u32())
  }

  /** @throws CorruptionError if bytes are left */
  finish(): void {
    if (this.at !== this.end) throw this.corrupt(`${this.what} of ${this.length} bytes, ${this.end - this.at} too many`)
  }

  corrupt(reason: string): CorruptionError {
    const { record } = this
    return new CorruptionError(this.code, `${reason}, in a record with info 0x${(record?.info ?? 0).toString(16)}`,
      record === undefined ? {} : { lsn: formatWalPosition(record.startLsn) })
  }
}
