import { createRequire } from 'node:module'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import type { Decoder, Emit } from '../../common/compression/decoder.ts'

/** What unbzip2-stream makes: a stream of before Node's own, which works synchronously. */
interface Unbzip2 {
  on(event: 'data' | 'error', listener: (value: never) => void): void
  write(bytes: Uint8Array): void
  end(): void
}

/** bzip2, block by block; the library checks the CRCs. It is loaded when it is needed. */
export class Bzip2Decoder implements Decoder {
  private readonly stream: Unbzip2
  private failure: Error | undefined
  private length = 0

  constructor(emit: Emit) {
    this.stream = (createRequire(import.meta.url)('unbzip2-stream') as () => Unbzip2)()
    this.stream.on('error', (error: Error) => { this.failure ??= error })
    this.stream.on('data', (bytes: Uint8Array) => {
      try {
        if (this.failure === undefined) emit(bytes)
      } catch (error) {
        // What is thrown here stops the library.
        this.failure = error as Error
        throw error
      }
    })
  }

  push(bytes: Uint8Array): void {
    this.length += bytes.length
    this.stream.write(bytes)
    this.check()
  }

  end(): void {
    if (this.length === 0) throw new CorruptionError('compression.bz2', 'bzip2: an empty file')
    this.stream.end()
    this.check()
  }

  private check(): void {
    if (this.failure === undefined) return
    if (isPositioned(this.failure)) throw this.failure
    throw new CorruptionError('compression.bz2', `bzip2: ${this.failure.message}`)
  }
}
