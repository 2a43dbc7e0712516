import { closeSync, fsyncSync, openSync } from 'node:fs'
import { fileError } from './files.ts'

/** Names made, changed and removed in a directory are on the disk when this returns. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Waits until the content of a file, or the names in a directory, are on the disk. @throws EnvironmentError file.* */
export function syncPath(path: string): void {
  try {
    syncDirectory(path)
  } catch (error) {
    throw fileError(error, path)
  }
}
