import { Decompress } from 'fzstd'
import { CorruptionError, UnsupportedError } from '../errors.ts'
import type { Decoder, Emit } from './decoder.ts'

/** Largest window that `zstd` itself accepts without being asked to. */
const ZSTD_WINDOW_MAX = 1 << 27
/** The longest frame header, in bytes (RFC 8878, 3.1.1). */
const HEADER_MAX = 18

/** zstd frames. The decoder checks no checksum of the content: pages and WAL records have their own. */
export class ZstdDecoder implements Decoder {
  private readonly decoder: Decompress
  private head: Uint8Array | undefined = new Uint8Array(0)
  private readonly contentMax: number

  /** @param contentMax larger frames are refused before anything is allocated for them */
  constructor(emit: Emit, contentMax: number = Infinity) {
    this.contentMax = contentMax
    // The decoder uses its buffer again.
    this.decoder = new Decompress((block) => emit(block.slice()))
  }

  push(bytes: Uint8Array): void {
    if (this.head === undefined) {
      this.decoder.push(bytes)
      return
    }
    const head = new Uint8Array(this.head.length + bytes.length)
    head.set(this.head)
    head.set(bytes, this.head.length)
    this.head = head
    if (head.length < HEADER_MAX) return
    this.begin(head)
    this.decoder.push(new Uint8Array(head))
  }

  end(): void {
    const { head } = this
    if (head?.length === 0) throw new CorruptionError('compression.zst', 'zstd: an empty file')
    this.decoder.push(head === undefined ? new Uint8Array(0) : new Uint8Array(head), true)
  }

  /** The decoder allocates what the frame's header says. */
  private begin(head: Uint8Array): void {
    this.head = undefined
    const single = (head[4]! & 0x20) !== 0
    const window = 2 ** (10 + (head[5]! >> 3))
    const contentBytes = [1, 2, 4, 8][head[4]! >> 6]!
    let content = 0
    const at = 5 + [0, 1, 2, 4][head[4]! & 3]!
    for (let i = 0; i < contentBytes; i++) content += head[at + i]! * 2 ** (8 * i)
    if (single && content > this.contentMax) throw new CorruptionError('compression.zst', `zstd: a frame of ${content} bytes, more than ${this.contentMax}`)
    const needed = single ? content : window
    if (needed <= ZSTD_WINDOW_MAX) return
    throw new UnsupportedError('compression.zst',
      `zstd: a window of ${needed} bytes; ltap takes up to ${ZSTD_WINDOW_MAX} (zstd --long is larger): decompress the file first`)
  }
}
