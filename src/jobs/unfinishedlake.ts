import { existsSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { EnvironmentError } from '../common/errors.ts'
import { MANIFEST_NAME, VIEWS_NAME } from '../lake/manifest.ts'
import { createFolder, type TextPieces, writeFile, writeFileAtOnce } from '../io/disk/create.ts'
import { fileError } from '../io/disk/files.ts'
import { FolderLock, LOCK_NAME } from '../io/disk/folderlock.ts'
import { onEnd } from '../io/process/interruption.ts'

/** Marks an unfinished lake: the files beside this one may be deleted. */
const UNFINISHED_NAME = '.unfinished'
/** All that a transcode writes. The marker goes last. */
const OWN_NAMES = ['data', VIEWS_NAME, `${VIEWS_NAME}.new`, `${MANIFEST_NAME}.new`, UNFINISHED_NAME]

/** The folder of a lake while it is written, by one process at a time: in the end it is a lake, or as it was before. */
export class UnfinishedLake {
  private readonly folder: string
  private readonly isNew: boolean
  private readonly lock: FolderLock
  private readonly forget: () => void

  /**
   * @param onNotice told of what a transcode that was killed left
   * @throws EnvironmentError lake.exists, lake.not-empty, lake.no-folder, folder.locked, file.*
   */
  constructor(folder: string, onNotice: (text: string) => void = () => {}) {
    this.folder = folder
    this.isNew = !existsSync(folder)
    try {
      if (statSync(folder, { throwIfNoEntry: false })?.isFile()) {
        throw new EnvironmentError('lake.no-folder', 'the name is that of a file; name a folder', { file: folder })
      }
    } catch (error) {
      throw error instanceof EnvironmentError ? error : fileError(error, folder)
    }
    createFolder(folder)
    checkNames(folder)
    this.lock = new FolderLock(folder, join(folder, LOCK_NAME))
    try {
      // Another process may have been faster.
      if (checkNames(folder)) {
        onNotice(`${folder} has the files of a transcode that was killed; they are removed`)
        removeOwn(folder)
      }
      writeFile(join(folder, UNFINISHED_NAME), '')
    } catch (error) {
      this.lock.release()
      throw error
    }
    this.forget = onEnd(() => this.abandon())
  }

  /** All data files are on the disk. */
  finish(views: TextPieces, manifest: TextPieces): void {
    writeFileAtOnce(join(this.folder, VIEWS_NAME), views)
    writeFileAtOnce(join(this.folder, MANIFEST_NAME), manifest)
    this.forget()
    rmSync(join(this.folder, UNFINISHED_NAME))
    this.lock.release()
  }

  /** Leaves the folder as it was. No task may write any more. */
  abandon(): void {
    this.forget()
    try {
      if (!existsSync(join(this.folder, MANIFEST_NAME))) removeOwn(this.folder)
    } finally {
      this.lock.release()
    }
    if (this.isNew && readdirSync(this.folder).length === 0) rmdirSync(this.folder)
  }
}

/** @returns whether a transcode left it unfinished @throws EnvironmentError lake.exists, lake.not-empty, file.* */
function checkNames(folder: string): boolean {
  let names: string[]
  try {
    names = readdirSync(folder).filter((name) => !name.startsWith(LOCK_NAME))
  } catch (error) {
    throw fileError(error, folder)
  }
  if (names.includes(MANIFEST_NAME)) {
    throw new EnvironmentError('lake.exists', 'the folder already holds a lake; name another folder or delete this one', { file: folder })
  }
  if (names.includes(UNFINISHED_NAME)) return true
  if (names.length > 0) throw new EnvironmentError('lake.not-empty', 'the folder is not empty and holds no lake; name another folder', { file: folder })
  return false
}

function removeOwn(folder: string): void {
  for (const name of OWN_NAMES) {
    try {
      rmSync(join(folder, name), { recursive: true, force: true, maxRetries: 3 })
    } catch (error) {
      throw fileError(error, join(folder, name))
    }
  }
}
