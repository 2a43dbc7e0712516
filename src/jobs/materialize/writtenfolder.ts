import { existsSync, readdirSync, rmdirSync, rmSync, statSync, unlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import { collectGarbage } from '../../engine/collect.ts'
import type { Lake } from '../../engine/lake.ts'
import type { BranchWriter } from '../../engine/writer.ts'
import { createFolder } from '../../io/disk/create.ts'
import { fileError, isMissing } from '../../io/disk/files.ts'
import { FolderLock } from '../../io/disk/folderlock.ts'
import { isOwnDraft } from '../../io/objectstore/draftname.ts'
import { onEnd } from '../../io/process/interruption.ts'
import { MANIFEST_NAME } from '../../lake/manifest.ts'
import { FORMAT_KEY, parseObjectName } from '../../lake/state/names.ts'

/** No key has its first character, so it is no object of the lake. */
const LOCK = '~ltap-lock'
const [LTAP_FOLDER] = FORMAT_KEY.split('/') as [string]
const PROBE_FOLDER = 'probe'

/** What a job tells of its writing while it goes on. */
export interface WriteEvents {
  /** From now on objects get their names from this writer. */
  opened(writer: BranchWriter, lake: Lake): Promise<void>
  /** The commit begins. It resolves with whether the state is in the lake, and rejects if that is not known. */
  committing(commit: Promise<boolean>): void
}

/**
 * The folder of a lake of layers while a job writes there: one process at a time, so that none fences another. A job that fails or is interrupted leaves
 * it as it was. The lock is a comfort alone: a writer that does not look at it costs nothing but its own work, or that of the writer here.
 */
export class WrittenFolder implements WriteEvents {
  private readonly folder: string
  private readonly isNew: boolean
  private readonly hadLake: boolean
  private readonly lock: FolderLock
  private readonly forget: () => void
  private readonly onNotice: (text: string) => void
  private writer: Pick<BranchWriter, 'epoch' | 'head'> | undefined
  private commit: Promise<boolean> = Promise.resolve(false)

  /** @throws EnvironmentError lake.exists, lake.not-empty, lake.no-folder, folder.locked, file.* */
  constructor(folder: string, onNotice: (text: string) => void = () => {}) {
    this.folder = folder
    this.onNotice = onNotice
    this.isNew = !existsSync(folder)
    refuseFile(folder)
    createFolder(folder)
    try {
      checkNames(folder)
      this.lock = new FolderLock(folder, join(folder, LOCK))
    } catch (error) {
      this.removeIfNew()
      throw error
    }
    try {
      // Another process may have been faster.
      this.hadLake = checkNames(folder)
    } catch (error) {
      this.lock.release()
      throw error
    }
    this.forget = onEnd(() => this.abandon())
  }

  async opened(writer: BranchWriter, lake: Lake): Promise<void> {
    this.writer = writer
    if (!this.hadLake || writer.head.state.sequence > 0) return
    // A lake without a state: its first writer was killed, and objects of an epoch that is over are dead.
    const { dead, leftovers } = await collectGarbage(lake)
    if (dead + leftovers > 0) this.onNotice(`${this.folder} has the files of a transcode that was killed; they are removed`)
  }

  committing(commit: Promise<boolean>): void {
    this.commit = commit.catch(() => true)
  }

  /** The lake has what the job wrote. */
  finish(): void {
    this.forget()
    this.removeProbes()
    this.lock.release()
  }

  /** Removes what the job wrote, unless it may be in the lake. No task may write any more. */
  async abandon(): Promise<void> {
    this.forget()
    try {
      // What it waits for is a few requests to a folder.
      const isCommitted = await this.commit
      if (!isCommitted) this.removeWritten()
    } finally {
      this.lock.release()
    }
    this.removeIfNew()
  }

  private removeWritten(): void {
    if (this.hadLake) {
      removeObjects(this.folder, (path) => this.isOwn(path))
      this.removeProbes()
      return
    }
    for (const name of readdirSync(this.folder).filter((found) => !found.startsWith('~') || isOwnDraft(found))) {
      rmSync(join(this.folder, name), { recursive: true, force: true, maxRetries: 3 })
    }
  }

  private isOwn(path: string): boolean {
    if (isOwnDraft(basename(path))) return true
    const object = parseObjectName(path)
    if (this.writer === undefined || object === undefined || 'job' in object) return false
    return object.branch === this.writer.head.branch.id && object.epoch === this.writer.epoch
  }

  /** A probe deletes its objects, and leaves their folders. */
  private removeProbes(): void {
    rmSync(join(this.folder, PROBE_FOLDER), { recursive: true, force: true, maxRetries: 3 })
  }

  private removeIfNew(): void {
    if (this.isNew && existsSync(this.folder) && readdirSync(this.folder).length === 0) rmdirSync(this.folder)
  }
}

function refuseFile(folder: string): void {
  try {
    if (statSync(folder, { throwIfNoEntry: false })?.isFile()) {
      throw new EnvironmentError('lake.no-folder', 'the name is that of a file; name a folder', { file: folder })
    }
  } catch (error) {
    throw error instanceof EnvironmentError ? error : fileError(error, folder)
  }
}

/** @returns whether a lake of layers is there @throws EnvironmentError lake.exists, lake.not-empty, file.* */
function checkNames(folder: string): boolean {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (error) {
    throw fileError(error, folder)
  }
  if (names.includes(MANIFEST_NAME)) {
    const reason = 'the folder holds a lake of format 1, which has one state; name another folder or delete this one'
    throw new EnvironmentError('lake.exists', reason, { file: folder })
  }
  if (existsSync(join(folder, FORMAT_KEY))) return true
  // What a process that was killed leaves before there is a lake.
  if (names.some((name) => !name.startsWith('~') && name !== LTAP_FOLDER && name !== PROBE_FOLDER)) {
    throw new EnvironmentError('lake.not-empty', 'the folder is not empty and holds no lake; name another folder', { file: folder })
  }
  return false
}

function removeObjects(folder: string, isOwn: (path: string) => boolean): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) removeObjects(path, isOwn)
    else if (entry.isFile() && isOwn(path)) removeFile(path)
  }
}

function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (!isMissing(error)) throw fileError(error, path)
  }
}
