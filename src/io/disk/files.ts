import { closeSync, readdirSync, readSync } from 'node:fs'
import { EnvironmentError } from '../../common/errors.ts'
import { openRegular, readRegular } from './regularfile.ts'

/** What some errors of system calls mean to the user, by errno's name. */
const MEANINGS: Readonly<Record<string, readonly [code: string, reason: string]>> = {
  EACCES: ['file.permission', 'permission denied; run ltap as a user who may, such as the owner of the folder'],
  EPERM: ['file.permission', 'permission denied; run ltap as a user who may, such as the owner of the folder'],
  EROFS: ['file.permission', 'the file system is read-only; name a folder on another one'],
  ENOSPC: ['file.full', 'no space left on the disk; make room or name a folder on another one'],
  EDQUOT: ['file.full', 'the disk quota is used up; make room or name a folder on another disk'],
  EFBIG: ['file.full', 'the file may not become this large here (a limit of the file system or of the process)'],
  EMFILE: ['file.limit', 'too many open files; raise the limit (ulimit -n)'],
  ENFILE: ['file.limit', 'too many open files on this machine'],
  ENOENT: ['file.missing', 'there is no such file'],
  ENOTDIR: ['file.missing', 'part of the path is a file, no folder'],
  ELOOP: ['file.link', 'a symbolic link where none may be, or links that lead in a circle; name the file or folder itself'],
  ENAMETOOLONG: ['file.name', 'the name or the path is too long for this file system; use a shorter one'],
  EIO: ['file.error', 'the disk reports an error in reading or writing (EIO); see the system log, and copy what can still be read'],
  EISDIR: ['file.error', 'a folder where a file is expected'],
  ENXIO: ['file.kind', 'a socket or a device where a file is expected; ltap reads regular files only: put the content into one'],
  // Linux has them, Node.js no name for them: what XFS, ext4 and btrfs report of their own damage.
  'Unknown system error -117': ['file.error', 'the file system is damaged (EUCLEAN); see the system log, check it with fsck, and copy what can still be read'],
  'Unknown system error -74': ['file.error', 'the file system is damaged (EBADMSG, a wrong checksum); see the system log, and copy what can still be read'],
}

const DISK_ERRORS = ['EIO', 'Unknown system error -117', 'Unknown system error -74']

/**
 * Turns the error of a system call into an EnvironmentError with the file and what it means to the caller.
 * @throws `error` itself if it is not one of a system call
 */
export function fileError(error: unknown, file: string): EnvironmentError {
  if (error instanceof EnvironmentError) return error.at({ file })
  // An error that is not a system call's is a bug, and must not look like a bad disk.
  if (!(error instanceof Error && 'code' in error)) throw error
  const errno = String(error.code)
  const [code, reason] = MEANINGS[errno] ?? ['file.error', error.message]
  return new EnvironmentError(code, reason, { file })
}

/** The disk, or the file system on it, does not give what is there. */
export function isDiskError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && DISK_ERRORS.includes(String(error.code))
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/** The whole file, for small ones; undefined without one. @throws EnvironmentError file.* */
export function readIfThere(path: string): Uint8Array | undefined {
  try {
    return readRegular(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw fileError(error, path)
  }
}

/** The whole file, for small ones. @throws EnvironmentError file.* */
export function readFile(path: string): Uint8Array {
  const bytes = readIfThere(path)
  if (bytes === undefined) {
    throw new EnvironmentError('file.missing', 'the file is missing: the data directory is damaged, or an incomplete copy', { file: path })
  }
  return bytes
}

/** Names in a directory, sorted; none if there is no such directory. @throws EnvironmentError file.* */
export function listDir(path: string): string[] {
  try {
    return readdirSync(path).sort()
  } catch (error) {
    if (isMissing(error)) return []
    throw fileError(error, path)
  }
}

/** One call reads less than 2 GiB. */
const READ_MAX = 1 << 30

/** Reads until `length` bytes are there or the file ends. @returns bytes read */
export function readFully(fd: number, into: Uint8Array, start: number, length: number, position: number): number {
  let done = 0
  while (done < length) {
    const count = readSync(fd, into, start + done, Math.min(length - done, READ_MAX), position + done)
    if (count === 0) break
    done += count
  }
  return done
}

/** Opens, reads up to `length` bytes at `position`, closes. @returns bytes read, or undefined if there is no such file */
export function readPart(path: string, into: Uint8Array, length: number, position: number): number | undefined {
  let fd: number
  try {
    fd = openRegular(path)
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
