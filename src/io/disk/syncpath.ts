import { closeSync, type Dirent, fsyncSync, openSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { breathe } from '../process/interruption.ts'
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

/** Every file and every name below the folder; a symbolic link counts as a name. @throws EnvironmentError file.* */
export async function syncTree(folder: string): Promise<void> {
  let entries: Dirent[]
  try {
    entries = readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    throw fileError(error, folder)
  }
  for (const entry of entries) {
    await breathe()
    if (entry.isDirectory()) await syncTree(join(folder, entry.name))
    else if (entry.isFile()) syncPath(join(folder, entry.name))
  }
  syncPath(folder)
}
