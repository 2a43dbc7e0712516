import type { BlockNumber } from '../common/ids.ts'

/** The main fork of one relation: a port, since pages come from files, from a page store or from Parquet. */
export interface HeapSource {
  /** For error messages. */
  readonly name: string
  /** Segment 0, if its pages come from files. */
  readonly file?: string
  readonly blocks: number
  /** Pages carry checksums. */
  readonly checksums: boolean
  /** The 8192 bytes of a block, valid until the next call. */
  page(block: BlockNumber): Uint8Array
  close(): void
}
