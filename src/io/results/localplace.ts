import { chmodSync, existsSync, lstatSync, readdirSync, renameSync, type Stats, unlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { EnvironmentError, UnsupportedError } from '../../common/errors.ts'
import { createFolder, linkFile, linkRefused } from '../disk/create.ts'
import { fileError } from '../disk/files.ts'
import { OutputFile } from '../disk/outputfile.ts'
import { ScratchFolder } from '../disk/scratchfolder.ts'
import { syncPath, syncTree } from '../disk/syncpath.ts'
import type { ResultFile, ResultPlace } from './resultplace.ts'

const SCRATCH_PREFIX = '.ltap-out-'
const FILES_MAX = 64

/** Files are written into a folder beside the target, which gets the target's name when all is whole and on the disk. */
export class LocalPlace implements ResultPlace {
  readonly openMax: number = FILES_MAX
  private readonly target: string
  private readonly isFile: boolean
  /** What is there already, an empty folder or file. */
  private readonly taken: Stats | undefined
  private readonly scratch: ScratchFolder
  private readonly draft: string
  private readonly folders = new Set<string>()

  /** @throws EnvironmentError query.out, file.* */
  constructor(place: string, isFile: boolean, onNotice?: (text: string) => void) {
    this.target = resolve(place)
    this.isFile = isFile
    this.taken = whatIsThere(this.target, isFile)
    this.scratch = new ScratchFolder(join(dirname(this.target), SCRATCH_PREFIX), onNotice)
    this.draft = join(this.scratch.path, 'result')
    if (!isFile) createFolder(this.draft)
  }

  async file(path: string): Promise<ResultFile> {
    if (!this.isFile) this.makeFolders(path.split('/').slice(0, -1))
    const file = new OutputFile(this.isFile ? this.draft : join(this.draft, path))
    return { write: async (bytes) => file.write(bytes), finish: async () => file.close(), abort: async () => file.close() }
  }

  /** A file system that takes two names for one would mix two partitions. */
  private makeFolders(names: readonly string[]): void {
    let path = ''
    for (const name of names) {
      path = join(path, name)
      if (this.folders.has(path)) continue
      if (existsSync(join(this.draft, path))) {
        const what = `this file system takes ${name} for another folder, whose name differs in case`
        const advice = 'put the result on another file system, or partition by upper(…) of the column'
        throw new EnvironmentError('query.partition', `${what}: ${advice}`, { file: this.target })
      }
      createFolder(join(this.draft, path))
      this.folders.add(path)
    }
  }

  async finish(): Promise<void> {
    try {
      if (this.isFile) {
        syncPath(this.draft)
        this.appearAsFile()
      } else {
        await syncTree(this.draft)
        if (this.taken) chmodSync(this.draft, this.taken.mode & 0o777)
        renameSync(this.draft, this.target)
      }
      syncPath(dirname(this.target))
    } catch (error) {
      throw this.targetError(error)
    } finally {
      this.scratch.remove()
    }
  }

  /** Not over a file that came meanwhile. */
  private appearAsFile(): void {
    whatIsThere(this.target, true)
    if (this.taken) unlinkSync(this.target)
    try {
      if (!linkFile(this.draft, this.target)) throw notEmpty(this.target, 'a file')
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error
      renameSync(this.draft, this.target)
    }
  }

  private targetError(error: unknown): unknown {
    if (!(error instanceof Error && 'code' in error) || error instanceof EnvironmentError) return error
    if (error.code === 'ENOTEMPTY' || error.code === 'EEXIST') return notEmpty(this.target, 'a folder with files')
    if (error.code !== 'EBUSY' && error.code !== 'EXDEV') return fileError(error, this.target)
    return mounted(this.target)
  }

  async abandon(): Promise<void> {
    this.scratch.remove()
  }
}

/** @returns undefined for nothing @throws EnvironmentError query.out, file.* */
function whatIsThere(target: string, isFile: boolean): Stats | undefined {
  try {
    const stat = lstatSync(target, { throwIfNoEntry: false })
    if (stat === undefined) return undefined
    if (stat.isSymbolicLink()) throw linkRefused(target)
    if (isFile && stat.isFile() && stat.size === 0) return stat
    if (!isFile && stat.isDirectory() && readdirSync(target).length === 0) {
      if (lstatSync(dirname(target)).dev === stat.dev) return stat
      throw mounted(target)
    }
    throw notEmpty(target, stat.isDirectory() ? (isFile ? 'a folder' : 'a folder with files') : 'a file')
  } catch (error) {
    throw error instanceof EnvironmentError ? error : fileError(error, target)
  }
}

function notEmpty(target: string, what: string): EnvironmentError {
  return new EnvironmentError('query.out', `${what} is there already, and nothing is written over: name another place, or remove it first`, { file: target })
}

function mounted(target: string): EnvironmentError {
  return new EnvironmentError('query.out', 'a file system is mounted here, so the folder cannot appear at once: name a new folder in it', { file: target })
}
