import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats, statSync } from 'node:fs'
import { EnvironmentError } from '../../common/errors.ts'

/** With these flags open() does not wait for the other end of a FIFO, and no terminal becomes the process's own. Windows has neither flag. */
const OPEN_FLAGS = (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0)

/**
 * Opens an existing regular file, with {@link constants.O_RDONLY} by default. Reading a FIFO, socket or device could wait for ever or never end, so
 * these are refused.
 * @throws EnvironmentError file.kind, file.error for a file that is not regular; the system's error if the file cannot be opened
 */
export function openRegular(path: string, access: number = constants.O_RDONLY): number {
  const fd = openSync(path, access | OPEN_FLAGS)
  try {
    refuseOthers(fstatSync(fd), path)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** The whole file. @throws as {@link openRegular} */
export function readRegular(path: string): Uint8Array {
  const fd = openRegular(path)
  try {
    return readFileSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** What a regular file is like. @throws as {@link openRegular} */
export function statRegular(path: string): Stats {
  const stats = statSync(path)
  refuseOthers(stats, path)
  return stats
}

function refuseOthers(entry: Stats, file: string): void {
  if (entry.isFile()) return
  if (entry.isDirectory()) throw new EnvironmentError('file.error', 'a folder where a file is expected', { file })
  const kind = entry.isFIFO() ? 'a FIFO (named pipe)' : entry.isSocket() ? 'a socket' : 'a device'
  throw new EnvironmentError('file.kind', `${kind} where a file is expected; ltap reads regular files only: put the content into one`, { file })
}
