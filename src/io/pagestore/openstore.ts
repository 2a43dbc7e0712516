import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import { createStore, loadStore } from '../../replay/pagestore/loadstore.ts'
import type { PageStore, PageStoreOptions } from '../../replay/pagestore/pagestore.ts'
import { STATE_FILE, type StoreIdentity } from '../../replay/pagestore/statefile.ts'
import type { ReplayProgress } from '../../replay/replay.ts'
import { createFolder, refuseLinks } from '../disk/create.ts'
import { FolderLock } from '../disk/folderlock.ts'
import { JOURNAL } from './journal.ts'
import { StoreFolder } from './storefolder.ts'

/** This file exists while a folder is not yet a page store: the content of the folder may be deleted. */
export const SEEDING_FILE = 'ltap/seeding'
/** This file exists while a process works on the store. */
export const LOCK_FILE = 'ltap/lock'

/** Whether a folder is a page store that can be opened. A folder whose seeding was interrupted is not a page store yet. */
export function isPageStore(path: string): boolean {
  return existsSync(join(path, STATE_FILE)) || existsSync(join(path, JOURNAL))
}

/**
 * Opens a page store at the state of its last flush. If a flush was interrupted after its journal was complete, it is finished first; if it was
 * interrupted earlier, it has no effect. The store is locked until {@link PageStore.close}.
 * @throws EnvironmentError pagestore.missing, folder.locked, replay.state, file.*; CorruptionError pagestore.*, replay.state; UnsupportedError pagestore.format
 */
export function openPageStore(path: string, options?: PageStoreOptions): PageStore
/** @param held its lock, if the caller has it already @internal */
export function openPageStore(path: string, options: PageStoreOptions | undefined, held: FolderLock): PageStore
export function openPageStore(path: string, options: PageStoreOptions = {}, held?: FolderLock): PageStore {
  if (!isPageStore(path)) {
    const reason = 'the folder is not a page store, or its seeding was interrupted; delete the folder and run the command again'
    throw new EnvironmentError('pagestore.missing', reason, { file: path })
  }
  refuseLinks(path, join(path, 'ltap'))
  const folder = new StoreFolder(path, held ?? lockPageStore(path))
  try {
    folder.recover()
    const store = loadStore(folder, options)
    // Left by a process that was killed when the seeding was complete.
    rmSync(join(path, SEEDING_FILE), { force: true })
    return store
  } catch (error) {
    folder.close()
    throw error
  }
}

/**
 * Locks a folder that is or becomes a page store against every other process, and against a second opening in this process. @throws EnvironmentError
 * folder.locked
 */
export function lockPageStore(path: string): FolderLock {
  createFolder(join(path, 'ltap'), path)
  return new FolderLock(path, join(path, LOCK_FILE))
}

/**
 * Makes a folder, which may hold files already, a page store.
 * @param indexes relations that are indexes: their files are not there
 * @throws EnvironmentError file.*
 */
export function createPageStore(path: string, identity: StoreIdentity, replay: ReplayProgress, indexes: readonly RelFileLocator[] = []): void {
  createFolder(join(path, 'ltap'), path)
  const folder = new StoreFolder(path)
  try {
    createStore(folder, identity, replay, indexes)
  } finally {
    folder.close()
  }
  rmSync(join(path, SEEDING_FILE), { force: true })
}
