import { dataView } from '../common/bytes.ts'
import type { RecordMemory } from './recordmemory.ts'

/** A buffer that one huge record made larger than this is given up at the next one. */
const KEPT_MAX = 4 * 1024 * 1024
const SIZE = 64 * 1024

/** Where a record is put together that does not lie in one piece. */
export class RecordScratch {
  bytes: Uint8Array
  view: DataView
  /** Bytes of the record that are here; 0 if none has begun. */
  length = 0
  private readonly first: Uint8Array

  constructor(memory: RecordMemory | undefined) {
    this.first = memory?.scratch ?? new Uint8Array(SIZE)
    this.bytes = this.first
    this.view = dataView(this.first)
  }

  /** Puts more bytes behind those that are here; `total` is what the record's header says, which may be a lie. */
  append(bytes: Uint8Array, total: number): void {
    if (this.length === 0 && this.bytes.length > KEPT_MAX) this.adopt(this.first)
    const length = this.length + bytes.length
    // Grown as bytes arrive.
    if (length > this.bytes.length) this.adopt(new Uint8Array(Math.max(length, Math.min(total, this.bytes.length * 2))))
    this.bytes.set(bytes, this.length)
    this.length = length
  }

  private adopt(bytes: Uint8Array): void {
    bytes.set(this.bytes.subarray(0, this.length))
    this.bytes = bytes
    this.view = dataView(bytes)
  }
}
