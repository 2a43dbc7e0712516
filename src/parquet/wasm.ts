import { CorruptionError } from '../common/errors.ts'

let panicked = false

/**
 * True after parquet-wasm panicked in this thread. Its memory is then leaked and its state unknown: end the worker, do not
 * give it another job.
 */
export function wasmPanicked(): boolean {
  return panicked
}

/**
 * Runs a call into parquet-wasm on bytes of a file. Its errors, and its panics (`RuntimeError: unreachable`, which it also raises when
 * memory runs out), become CorruptionError(code).
 */
export function decodeInWasm<T>(code: string, call: () => T): T {
  try {
    return inWasm(call)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const reason = isPanic(error) ? 'the Parquet reader panicked' : error.message
    throw new CorruptionError(code, reason)
  }
}

/** Runs a call into parquet-wasm on our own data, where no error is expected. */
export function inWasm<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (isPanic(error)) panicked = true
    throw error
  }
}

function isPanic(error: unknown): boolean {
  return error instanceof Error && error.name === 'RuntimeError'
}
