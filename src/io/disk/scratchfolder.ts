import { lstatSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { createScratchFolder } from './create.ts'
import { listDir } from './files.ts'
import { FolderLock, LOCK_NAME, lockHolder } from './folderlock.ts'
import { onEnd } from '../process/interruption.ts'

/** A folder for the files of one job. It goes with {@link remove}, and when the process is told to end. */
export class ScratchFolder {
  readonly path: string
  private readonly lock: FolderLock
  private readonly forget: () => void

  /**
   * A new folder `<prefix>XXXXXX`. Those beside it that a process left which is certainly gone are removed.
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

  /** Leaves it there. */
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
      // In a folder that everybody writes to anybody may have put it there.
      if (!stat.isDirectory() || stat.uid !== (process.getuid?.() ?? stat.uid)) continue
      const holder = lockHolder(join(path, LOCK_NAME))
      if (holder === 'gone') {
        clear(path)
        rmSync(path, { recursive: true, force: true })
        onNotice(`removed ${path}, which an ltap left that was killed`)
      } else if (holder === 'unknown') {
        onNotice(`${path} is of an ltap on another machine or in another container; if that was killed, delete it`)
      }
    } catch {
      // Another process is faster, or it is not ours.
    }
  }
}
