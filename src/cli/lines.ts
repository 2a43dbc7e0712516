import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { EnvironmentError } from '../common/errors.ts'

/** Lines of standard input, or of files one after the other. @throws EnvironmentError file.read */
export async function* linesOf(files: readonly string[], stdin: Readable): AsyncGenerator<string> {
  if (files.length === 0) {
    yield* createInterface({ input: stdin, crlfDelay: Infinity })
    return
  }
  for (const file of files) {
    try {
      yield* createInterface({ input: createReadStream(file), crlfDelay: Infinity })
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error
      throw new EnvironmentError('file.read', `cannot be read: ${String(error.code)}`, { file })
    }
  }
}
