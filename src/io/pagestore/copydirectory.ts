import { closeSync, fsyncSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { fileError, listDir } from '../disk/files.ts'
import { copyFile } from '../disk/create.ts'

/** Files of a database directory that a page store keeps: forks but the free space map, the relation map, the version. */
const KEPT_FILE = /^(?:\d+(?:_(?:vm|init))?(?:\.\d+)?|pg_filenode\.map|PG_VERSION)$/

/** Waits until the content of a file, or the names in a directory, are on the disk. @throws EnvironmentError file.* */
export function syncPath(path: string): void {
  try {
    const fd = openSync(path, 'r')
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw fileError(error, path)
  }
}

/** Copies the files of a database directory that are kept, and makes them durable. @throws EnvironmentError file.* */
export function copyDirectoryFiles(from: string, to: string): void {
  for (const name of listDir(from)) {
    if (!KEPT_FILE.test(name)) continue
    copyFile(join(from, name), join(to, name))
    syncPath(join(to, name))
  }
}
