import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { EnvironmentError } from '../../common/errors.ts'

/** Error of a system call with the file and what it means to the caller. */
export function fileError(error: unknown, file: string): EnvironmentError {
  const reason = error instanceof Error ? error.message : String(error)
  return new EnvironmentError('datadir.file', reason, { file })
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/** The whole file, for small ones; undefined if there is none. @throws EnvironmentError datadir.file */
export function readIfThere(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw fileError(error, path)
  }
}

/** The whole file, for small ones. @throws EnvironmentError datadir.file */
export function readFile(path: string): Uint8Array {
  const bytes = readIfThere(path)
  if (bytes === undefined) throw new EnvironmentError('datadir.file', 'file is missing', { file: path })
  return bytes
}

/** Names in a directory, sorted; none if there is no such directory. @throws EnvironmentError datadir.file */
export function listDir(path: string): string[] {
  try {
    return readdirSync(path).sort()
  } catch (error) {
    if (isMissing(error)) return []
    throw fileError(error, path)
  }
}

/** Reads until `length` bytes are there or the file ends. @returns bytes read */
export function readFully(fd: number, into: Uint8Array, start: number, length: number, position: number): number {
  let done = 0
  while (done < length) {
    const count = readSync(fd, into, start + done, length - done, position + done)
    if (count === 0) break
    done += count
  }
  return done
}

/** Opens, reads up to `length` bytes at `position`, closes. @returns bytes read, or undefined if there is no such file */
export function readPart(path: string, into: Uint8Array, length: number, position: number): number | undefined {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw fileError(error, path)
  }
  try {
    return readFully(fd, into, 0, length, position)
  } catch (error) {
    throw fileError(error, path)
  } finally {
    closeSync(fd)
  }
}
