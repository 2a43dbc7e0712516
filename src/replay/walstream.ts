import type { WalPosition } from '../common/ids.ts'
import { WalReader, type WalReaderOptions } from '../wal/reader.ts'
import type { WalRecord } from '../wal/record.ts'
import type { WalEnd } from '../wal/walend.ts'
import type { RecordSource } from './replaydriver.ts'

/** The bytes of the WAL as they come, from a replication connection or anywhere else, in pieces of any size, as records. */
export class WalStream implements RecordSource {
  private readonly reader: WalReader
  private readonly pieces: Uint8Array[] = []
  private waiting = 0
  private isFinished = false
  private wake: (() => void) | undefined

  /** @param options where the bytes begin: at the start of the page of `start`, or at `start` itself with `startsMidPage` */
  constructor(options: WalReaderOptions) {
    this.reader = new WalReader(options)
  }

  /** The position of the byte that {@link push} wants next: where a stream that broke off has to begin. */
  get wanted(): WalPosition {
    return this.reader.fed + this.waiting
  }

  /** Bytes that were pushed and not yet read. A receiver that is faster than redo stops the stream while this is high. */
  get pendingBytes(): number {
    return this.waiting
  }

  get end(): WalEnd | undefined {
    return this.reader.end
  }

  /** The bytes that follow the last ones. The stream does not copy them, so they must not change until they are read. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.pieces.push(bytes)
    this.waiting += bytes.length
    this.awake()
  }

  /** No more bytes come: records end with what was pushed. */
  finish(): void {
    this.isFinished = true
    this.awake()
  }

  /** @throws CorruptionError wal.record as {@link WalReader.next} does */
  read(): WalRecord | undefined {
    for (;;) {
      const record = this.reader.next()
      if (record !== undefined || this.reader.end !== undefined) return record
      const piece = this.pieces.shift()
      if (piece === undefined) break
      this.waiting -= piece.length
      this.reader.feed(piece)
    }
    if (this.isFinished) this.reader.finish('wal.stream', 'the stream of WAL ends here')
    return undefined
  }

  more(signal?: AbortSignal): Promise<void> {
    if (this.pieces.length > 0 || this.isFinished) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.wake = undefined
        reject(signal!.reason as Error)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.wake = () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      }
    })
  }

  private awake(): void {
    this.wake?.()
    this.wake = undefined
  }
}
