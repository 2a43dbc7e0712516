import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import { createFolder, writeFile } from '../../io/disk/create.ts'
import { FolderLock, LOCK_NAME } from '../../io/disk/folderlock.ts'
import { MANIFEST_NAME, VIEWS_NAME } from '../../lake/manifest.ts'
import { DATABASE } from './shop.ts'

const MARKER_NAME = 'ltap-demo.txt'
const MARKER_TEXT = "Written by 'ltap demo', which replaces this lake when it runs again.\n"
/** In its place while the lake is written: no object has such a name. */
const WRITING_NAME = `~${MARKER_NAME}`
/** A transcode of an older ltap that was killed left this file. The next transcode deletes the files beside it. */
const UNFINISHED_NAME = '.unfinished'
/** Beside the transcode's own: the whole demo is one writer. */
const DEMO_LOCK = `~${LOCK_NAME}-demo`
/** What a lake of layers has: the folders of the demo's databases, and its own. */
const LAYERED_NAMES = ['ltap', 'probe', 'global', 'template0', 'template1', 'postgres', DATABASE]
/** Everything the demo ever writes into the folder, the lake of format 1 of an older one, too. */
const OWN_NAMES = [
  ...LAYERED_NAMES, 'data', MANIFEST_NAME, VIEWS_NAME, `${MANIFEST_NAME}.new`, `${VIEWS_NAME}.new`, UNFINISHED_NAME, MARKER_NAME, WRITING_NAME,
]

/** The folder of the demo's lake. Only what an earlier demo wrote is ever deleted. */
export class LakeFolder {
  readonly path: string
  private readonly lock: FolderLock | undefined
  private finished = false

  /** @throws EnvironmentError demo.lake, if the folder holds anything but a demo's lake or cannot be written */
  constructor(path: string) {
    this.path = resolve(path)
    try {
      createFolder(this.path)
      this.checkNames()
      this.lock = new FolderLock(this.path, join(this.path, DEMO_LOCK))
      this.checkNames()
      this.clear()
      writeFile(join(this.path, MARKER_NAME), MARKER_TEXT)
    } catch (error) {
      this.lock?.release()
      if (error instanceof EnvironmentError && !error.code.startsWith('file.')) throw error
      const reason = error instanceof EnvironmentError ? error.reason : String(error)
      throw new EnvironmentError('demo.lake', `cannot write the lake: ${reason}; name another folder with --lake`)
    }
  }

  /** Makes way for transcode, which wants an empty folder. */
  release(): void {
    writeFile(join(this.path, WRITING_NAME), MARKER_TEXT)
    rmSync(join(this.path, MARKER_NAME), { force: true })
  }

  /** The lake is whole and stays. */
  finish(): void {
    writeFile(join(this.path, MARKER_NAME), MARKER_TEXT)
    rmSync(join(this.path, WRITING_NAME), { force: true })
    this.finished = true
    this.lock?.release()
  }

  removeUnfinished(): void {
    if (this.finished) return
    this.clear()
    this.lock?.release()
    if (existsSync(this.path) && readdirSync(this.path).length === 0) rmSync(this.path, { recursive: true })
  }

  private checkNames(): void {
    // Locks, and objects that were not whole yet when a demo was killed.
    const names = readdirSync(this.path).filter((name) => name === WRITING_NAME || !(name.startsWith('~') || name.startsWith(LOCK_NAME)))
    const foreign = names.filter((name) => !OWN_NAMES.includes(name))
    const replaceable = names.length === 0 || [MARKER_NAME, WRITING_NAME, UNFINISHED_NAME].some((name) => names.includes(name))
    if (foreign.length === 0 && replaceable) return
    const what = foreign[0] ?? names[0]
    throw new EnvironmentError('demo.lake', `${this.path} holds ${what}, which no earlier demo wrote: name another folder with --lake`)
  }

  private clear(): void {
    for (const name of OWN_NAMES) rmSync(join(this.path, name), { recursive: true, force: true, maxRetries: 3 })
  }
}
