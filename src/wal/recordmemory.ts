import { CRC32C_TABLES } from '../common/crc32c.ts'
import { RECORD_CRC_WASM } from './recordcrcwasm.ts'

const WASM_PAGE_SIZE = 65536
/** Room for a record that crosses pages; nearly all are shorter, and a longer one gets a buffer of its own. */
const SCRATCH_SIZE = 64 * 1024

/** soundUpTo of native/recordcrc.wat; addresses in its memory. */
type SoundUpTo = (at: number, limit: number) => number

/** The part of WebAssembly's interface that is used here: the pure floors have no types of the DOM or of Node. */
declare const WebAssembly: undefined | {
  Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer }
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: Record<string, Record<string, object>>) => { readonly exports: Record<string, unknown> }
}

let compiled: object | undefined

/**
 * Bytes of WAL where WebAssembly can check the CRCs of records, in less time than JavaScript needs (native/recordcrc.wat):
 *
 *     0 .. 16383   tables of CRC-32C
 *     scratch      for records that are put together
 *     piece        for WAL as it is read
 */
export class RecordMemory {
  readonly scratch: Uint8Array
  readonly piece: Uint8Array
  private readonly address: SoundUpTo

  private constructor(engine: NonNullable<typeof WebAssembly>, pieceSize: number) {
    const tables = CRC32C_TABLES.byteLength
    const pages = Math.ceil((tables + SCRATCH_SIZE + pieceSize) / WASM_PAGE_SIZE)
    // It never grows: views of it would be detached.
    const memory = new engine.Memory({ initial: pages, maximum: pages })
    new Int32Array(memory.buffer).set(CRC32C_TABLES)
    this.scratch = new Uint8Array(memory.buffer, tables, SCRATCH_SIZE)
    this.piece = new Uint8Array(memory.buffer, tables + SCRATCH_SIZE, pieceSize)
    compiled ??= new engine.Module(Uint8Array.from(atob(RECORD_CRC_WASM), (char) => char.charCodeAt(0)))
    this.address = new engine.Instance(compiled, { ltap: { memory } }).exports['soundUpTo'] as SoundUpTo
  }

  /** Undefined where there is no WebAssembly, or no address space for it: a memory takes some gigabytes of that, whatever its size. */
  static create(pieceSize: number): RecordMemory | undefined {
    if (typeof WebAssembly === 'undefined') return undefined
    try {
      return new RecordMemory(WebAssembly, pieceSize)
    } catch (error) {
      if (error instanceof RangeError) return undefined
      throw error
    }
  }

  holds(bytes: Uint8Array): boolean {
    return bytes.buffer === this.piece.buffer
  }

  /**
   * Where in `bytes[at .. limit)` the first record begins that is not whole there or has a wrong CRC; `at` is the beginning of a record,
   * and every record begins where the one before it ends, rounded up to 8 bytes from there. `bytes` lie in this memory.
   */
  soundUpTo(bytes: Uint8Array, at: number, limit: number): number {
    const offset = bytes.byteOffset
    return this.address(offset + at, offset + limit) - offset
  }
}
