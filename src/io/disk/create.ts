/**
 * The only way in which ltap makes files and folders: only their owner may read them, whatever the umask, since a lake or a page store holds all that
 * the cluster holds, password hashes too. Nothing is ever written through a symbolic link: a name that is taken is removed first, and not what it
 * leads to.
 */
import {
  chmodSync, closeSync, constants, copyFileSync, fchmodSync, fsyncSync, linkSync, lstatSync, mkdirSync, mkdtempSync, openSync, renameSync, statSync,
  symlinkSync, unlinkSync, writeSync,
} from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'
import { EnvironmentError, UnsupportedError } from '../../common/errors.ts'
import { fileError, isMissing } from './files.ts'
import { openRegular, statRegular } from './regularfile.ts'

const FOLDER_MODE = 0o700
const FILE_MODE = 0o600
const PORTION_LENGTH = 1 << 18
/** What link() says where the file system has no hard links. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']
/** Errors of a copy that are the target's, not the original's. */
const OF_TARGET = ['ENOSPC', 'EDQUOT', 'EROFS', 'EFBIG']

/**
 * Makes a folder and the missing folders above it. A folder that exists keeps its mode.
 * @param inside from here down every folder on the way must be one itself, and no symbolic link
 * @throws EnvironmentError file.*
 */
export function createFolder(path: string, inside?: string): void {
  if (inside !== undefined) refuseLinks(inside, path)
  makeFolder(resolve(path))
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: FOLDER_MODE })
  } catch (error) {
    if (isMissing(error) && dirname(path) !== path) {
      makeFolder(dirname(path))
      makeFolder(path)
      return
    }
    if (isErrno(error, 'EEXIST') && isFolder(path)) return
    throw fileError(isErrno(error, 'EEXIST') ? Object.assign(new Error('a file'), { code: 'ENOTDIR' }) : error, path)
  }
  guarded(path, () => chmodSync(path, FOLDER_MODE))
}

/** A new folder `<prefix>XXXXXX`; the folder that it is in is made too. @throws EnvironmentError file.* */
export function createScratchFolder(prefix: string): string {
  createFolder(dirname(prefix))
  const path = guarded(dirname(prefix), () => mkdtempSync(prefix))
  guarded(path, () => chmodSync(path, FOLDER_MODE))
  return path
}

/** Makes a symbolic link of that name, which must be free. @throws EnvironmentError file.* */
export function createLink(target: string, path: string): void {
  guarded(path, () => symlinkSync(target, path))
}

/**
 * Makes an empty file and opens it for reading and writing. A file of that name is removed first; with `exclusive` it is an error.
 * @returns its descriptor @throws EnvironmentError file.*; with `exclusive` the system call's own EEXIST
 */
export function createFile(path: string, exclusive = false): number {
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW = 0 } = constants
  for (let again = !exclusive; ; again = false) {
    let fd: number
    try {
      fd = openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE)
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw fileError(error, path)
      if (!again) throw error
      guarded(path, () => unlinkSync(path))
      continue
    }
    try {
      fchmodSync(fd, FILE_MODE)
      return fd
    } catch (error) {
      closeSync(fd)
      throw fileError(error, path)
    }
  }
}

/** Opens a regular file that is there for reading and writing, unless its name is a symbolic link's. @throws as {@link openRegular} */
export function openForWriting(path: string): number {
  const { O_RDWR, O_NOFOLLOW = 0 } = constants
  return openRegular(path, O_RDWR | O_NOFOLLOW)
}

/** Opens a file to write at its end, and makes it if need be. @throws EnvironmentError file.* */
export function openForAppending(path: string): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW = 0 } = constants
  return guarded(path, () => openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, FILE_MODE))
}

/** Writes text at the end of a file. @throws EnvironmentError file.* */
export function appendText(path: string, text: string): void {
  const fd = openForAppending(path)
  guarded(path, () => {
    try {
      writeFully(fd, new TextEncoder().encode(text))
    } finally {
      closeSync(fd)
    }
  })
}

/** @param at undefined writes at the descriptor's own position @throws the system call's own error */
export function writeFully(fd: number, bytes: Uint8Array, at?: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, at === undefined ? null : at + done)
}

/** Text that is made while it is written. */
export type TextPieces = Generator<string, void, void>

/** Makes a file of this content. @throws EnvironmentError file.* */
export function writeFile(
  path: string, content: Uint8Array | string | TextPieces, { durable = false }: { durable?: boolean | undefined } = {},
): void {
  const fd = createFile(path)
  try {
    const portions = content instanceof Uint8Array ? [content] : encoded(typeof content === 'string' ? [content] : content)
    for (const portion of portions) guarded(path, () => writeFully(fd, portion))
    if (durable) guarded(path, () => fsyncSync(fd))
  } finally {
    guarded(path, () => closeSync(fd))
  }
}

/** Pieces put together to what is worth a system call. */
function* encoded(pieces: Iterable<string>): Generator<Uint8Array> {
  const encoder = new TextEncoder()
  let portion = ''
  for (const piece of pieces) {
    portion += piece
    if (portion.length < PORTION_LENGTH) continue
    yield encoder.encode(portion)
    portion = ''
  }
  yield encoder.encode(portion)
}

/** Writes under another name first: the name appears with the whole content or not at all. @throws EnvironmentError file.* */
export function writeFileAtOnce(path: string, content: Uint8Array | string | TextPieces): void {
  writeFile(`${path}.new`, content, { durable: true })
  guarded(path, () => renameSync(`${path}.new`, path))
}

/**
 * Makes a file that has its whole content from the first moment on, unless the name is taken. A process that is killed meanwhile leaves no half-
 * written file of that name.
 * @param draft a name in the same folder that no other process uses
 * @returns whether the name was free
 * @throws EnvironmentError file.*
 */
export function createWhole(path: string, draft: string, content: string): boolean {
  try {
    writeFile(draft, content)
    linkSync(draft, path)
    return true
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false
    if (NO_LINKS.some((errno) => isErrno(error, errno))) return createExclusive(path, content)
    throw error instanceof EnvironmentError ? error : fileError(error, path)
  } finally {
    guarded(draft, () => removeIfThere(draft))
  }
}

/**
 * Gives a whole file a second name, unless that is taken.
 * @returns whether the name was free
 * @throws UnsupportedError store.condition where the file system has no hard links; EnvironmentError file.*
 */
export function linkFile(draft: string, path: string): boolean {
  try {
    linkSync(draft, path)
    return true
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false
    if (!NO_LINKS.some((errno) => isErrno(error, errno))) throw fileError(error, path)
    const advice = 'so it cannot create a file only if absent: name a folder on another file system'
    throw new UnsupportedError('store.condition', `this file system has no hard links, ${advice}`, { file: path })
  }
}

/**
 * Copies a file with its mode, sharing its blocks where the file system can. Not durable yet.
 * @throws EnvironmentError file.*
 */
export function copyFile(from: string, to: string): void {
  const copy = (): void => copyFileSync(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
  try {
    const { mode } = statRegular(from)
    try {
      copy()
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error
      unlinkSync(to)
      copy()
    }
    chmodSync(to, (mode & 0o777) | FILE_MODE)
  } catch (error) {
    if (error instanceof EnvironmentError) throw error
    throw fileError(error, OF_TARGET.some((errno) => isErrno(error, errno)) ? to : from)
  }
}

/**
 * Guards against a stranger who puts a symbolic link into a folder that ltap writes to: ltap would write where the link leads.
 * @param root its own path may lead through links: its owner named it @param path below it
 * @throws EnvironmentError file.link if the path, or a folder on the way, is a symbolic link
 */
export function refuseLinks(root: string, path: string): void {
  const names = resolve(path).slice(resolve(root).length).split(sep).filter((name) => name !== '')
  let at = resolve(root)
  for (const name of names) {
    at = join(at, name)
    const stat = guarded(at, () => lstatSync(at, { throwIfNoEntry: false }))
    if (stat === undefined) return
    if (stat.isSymbolicLink()) throw linkRefused(at)
  }
}

export function linkRefused(file: string): EnvironmentError {
  const advice = 'put the folder or file that it leads to here, or name another folder'
  return new EnvironmentError('file.link', `a symbolic link, and ltap does not write through links; ${advice}`, { file })
}

/** Makes the file where the file system has no hard links. */
function createExclusive(path: string, content: string): boolean {
  let fd: number
  try {
    fd = createFile(path, true)
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false
    throw error
  }
  guarded(path, () => {
    try {
      writeFully(fd, new TextEncoder().encode(content))
    } finally {
      closeSync(fd)
    }
  })
  return true
}

function removeIfThere(file: string): void {
  try {
    unlinkSync(file)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

function isFolder(path: string): boolean {
  return guarded(path, () => statSync(path).isDirectory())
}

function isErrno(error: unknown, errno: string): boolean {
  return error instanceof Error && 'code' in error && error.code === errno
}

function guarded<T>(file: string, body: () => T): T {
  try {
    return body()
  } catch (error) {
    throw error instanceof EnvironmentError ? error : fileError(error, file)
  }
}
