import { concatBytes } from '../bytes.ts'

/** Takes compressed bytes in pieces and passes the decompressed bytes to the function that the constructor was given. */
export interface Decoder {
  /** @throws CorruptionError, UnsupportedError compression.* */
  push(bytes: Uint8Array): void
  /** Call this after the last bytes. @throws CorruptionError compression.* if something is missing */
  end(): void
}

export type Emit = (bytes: Uint8Array) => void

/** Keeps the input that is not a complete piece yet; `step` reads one piece of the format and returns its length. */
export abstract class StepDecoder implements Decoder {
  protected input: Uint8Array = new Uint8Array(0)

  push(bytes: Uint8Array): void {
    this.input = this.input.length === 0 ? bytes : concatBytes(this.input, bytes)
    this.takeAll(false)
  }

  end(): void {
    this.takeAll(true)
    this.checkEnd()
  }

  /** Takes what begins at `at`. @returns its length, 0 if not all of it is there yet */
  protected abstract step(at: number, last: boolean): number

  protected abstract checkEnd(): void

  private takeAll(last: boolean): void {
    let at = 0
    for (let length = this.step(at, last); length > 0; length = this.step(at, last)) at += length
    this.input = this.input.slice(at)
  }
}
