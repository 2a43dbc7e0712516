import { dataView } from '../common/bytes.ts'
import type { RecordMemory } from './recordmemory.ts'

/** A buffer that one huge record made larger than this is given up at the next one. */
const KEPT_MAX = 4 * 1024 * 1024
const SIZE = 64 * 1024

/** The buffer in which the parts of a record that crosses pages or pieces are joined. */
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

  /** Appends bytes of the record. `total` is the length in its header, which is not believed: memory grows as bytes arrive. */
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
