import { closeSync } from 'node:fs'
import { assert, CorruptionError } from '../../common/errors.ts'
import { fileError, readFully } from './files.ts'
import { createFile, writeFully } from './create.ts'

const BUFFER_BYTES = 1 << 20

/** A file of byte strings, written once and read in any order. */
export class Spill {
  private readonly path: string
  private readonly fd: number
  private readonly buffer = new Uint8Array(BUFFER_BYTES)
  private buffered = 0
  private written = 0

  /** @throws EnvironmentError file.* */
  constructor(path: string) {
    this.path = path
    this.fd = createFile(path)
  }

  /** Where the next bytes go. */
  get position(): number {
    return this.written + this.buffered
  }

  add(bytes: Uint8Array, start: number, end: number): void {
    assert(end - start <= BUFFER_BYTES, 'spill: more bytes than the buffer has')
    if (this.buffered + end - start > BUFFER_BYTES) this.flush()
    this.buffer.set(bytes.subarray(start, end), this.buffered)
    this.buffered += end - start
  }

  /**
   * Reads at least `least` bytes, and as many as there are and `into` has room for.
   * @throws EnvironmentError file.*
   */
  read(position: number, into: Uint8Array, least: number = into.length): void {
    this.flush()
    const room = Math.min(into.length, this.written - position)
    if (room < least) throw new CorruptionError('history.spill', 'the temporary file is cut short: run the command again', { file: this.path, byte: position })
    try {
      if (readFully(this.fd, into, 0, room, position) === room) return
    } catch (error) {
      throw fileError(error, this.path)
    }
    throw new CorruptionError('history.spill', 'the temporary file became shorter: run the command again', { file: this.path, byte: position })
  }

  close(): void {
    closeSync(this.fd)
  }

  private flush(): void {
    try {
      writeFully(this.fd, this.buffer.subarray(0, this.buffered), this.written)
    } catch (error) {
      throw fileError(error, this.path)
    }
    this.written += this.buffered
    this.buffered = 0
  }
}
