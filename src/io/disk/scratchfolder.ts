import { lstatSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { createScratchFolder } from './create.ts'
import { listDir } from './files.ts'
import { FolderLock, LOCK_NAME, lockHolder } from './folderlock.ts'
import { onEnd } from '../process/interruption.ts'

/** A folder for the files of one job. {@link remove} deletes it; so does a signal that ends the process. */
export class ScratchFolder {
  readonly path: string
  private readonly lock: FolderLock
  private readonly forget: () => void

  /**
   * A new folder `<prefix>XXXXXX`. Folders beside it whose process has certainly ended are removed.
   * @param onNotice told of them
   * @param clear called before one of them is removed
   * @throws EnvironmentError file.*
   */
  constructor(prefix: string, onNotice: (text: string) => void = () => {}, clear: (path: string) => void = () => {}) {
    removeLeftovers(prefix, onNotice, clear)
    this.path = createScratchFolder(prefix)
    this.lock = new FolderLock(this.path, join(this.path, LOCK_NAME))
    this.forget = onEnd(() => this.remove())
  }

  remove(): void {
    this.keep()
    rmSync(this.path, { recursive: true, force: true, maxRetries: 3 })
  }

  /** Keeps the folder when the job ends. */
  keep(): void {
    this.forget()
    this.lock.release()
  }
}

function removeLeftovers(prefix: string, onNotice: (text: string) => void, clear: (path: string) => void): void {
  const parent = dirname(prefix)
  for (const name of listDir(parent)) {
    if (!name.startsWith(basename(prefix))) continue
    const path = join(parent, name)
    try {
      const stat = lstatSync(path)
      // Every user may write to a folder such as /tmp, so only folders of this user are removed.
      if (!stat.isDirectory() || stat.uid !== (process.getuid?.() ?? stat.uid)) continue
      const holder = lockHolder(join(path, LOCK_NAME))
      if (holder === 'gone') {
        clear(path)
        rmSync(path, { recursive: true, force: true })
        onNotice(`removed ${path}, the folder of an ltap that was killed`)
      } else if (holder === 'unknown') {
        onNotice(`${path} belongs to an ltap on another machine or in another container; if that ltap was killed, delete the folder`)
      }
    } catch {
      // Another process removed the folder first, or this user may not remove it.
    }
  }
}
