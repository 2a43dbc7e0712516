import { closeSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { isAlive } from '../datadir/datadir.ts'
import { fileError, readIfThere } from '../datadir/files.ts'
import { writeFully } from './storefiles.ts'

const LOCK_FILE = 'ltap/lock'

/**
 * Keeps a second process out of a page store: a file with our process id. One left behind by a process that is gone is replaced.
 * @throws EnvironmentError pagestore.locked
 */
export function lockStore(root: string): void {
  const file = join(root, LOCK_FILE)
  const holder = readIfThere(file)
  if (holder !== undefined) {
    const pid = Number(String.fromCharCode(...holder.subarray(0, 20)).trim())
    if (Number.isInteger(pid) && pid > 0 && pid !== process.pid && isAlive(pid)) {
      throw new EnvironmentError('pagestore.locked', `process ${pid} works on this page store; wait for it or end it`, { file })
    }
    unlockStore(root)
  }
  try {
    const fd = openSync(file, 'wx')
    writeFully(fd, utf8Encode(`${process.pid}\n`))
    closeSync(fd)
  } catch (error) {
    throw fileError(error, file)
  }
}

export function unlockStore(root: string): void {
  rmSync(join(root, LOCK_FILE), { force: true })
}
