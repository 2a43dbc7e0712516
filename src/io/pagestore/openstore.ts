import { existsSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError, EnvironmentError, withPosition } from '../../common/errors.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import { createFolder, refuseLinks } from '../disk/create.ts'
import { fileError, readFile } from '../disk/files.ts'
import { FolderLock } from '../disk/folderlock.ts'
import { IndexList, INDEXES_FILE } from './indexlist.ts'
import { JOURNAL, readJournal, removeUnfinishedJournal } from './journal.ts'
import { applyJournal, PageStore, type PageStoreOptions, removeStaging } from './pagestore.ts'
import { formatState, LOCK_FILE, parseState, type ReplayState, SEEDING_FILE, STATE_FILE, type StoreIdentity } from './statefile.ts'
import { EVENTS_FILE } from './storeevents.ts'
import { StoreFiles } from './storefiles.ts'

/** Whether a folder is a page store that can be opened; a seeding that was interrupted left none. */
export function isPageStore(path: string): boolean {
  return existsSync(join(path, STATE_FILE)) || existsSync(join(path, JOURNAL))
}

/**
 * Opens a page store at the state of its last flush: one that was interrupted after its journal was complete is finished first, one
 * before that never happened. The store is locked until {@link PageStore.close}.
 * @throws EnvironmentError pagestore.missing, folder.locked, file.*; CorruptionError pagestore.*; UnsupportedError pagestore.format
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
  const lock = held ?? lockPageStore(path)
  try {
    removeUnfinishedJournal(path)
    finishJournal(path)
    removeStaging(path)
    const file = join(path, STATE_FILE)
    const state = withPosition({ file }, () => parseState(readFile(file)))
    checkEvents(path, state.eventsLength)
    return new PageStore(path, state, readIndexes(path, state.indexesCrc), lock, options)
  } catch (error) {
    lock.release()
    throw error
  }
}

/** Keeps every other process, and everyone else in this one, out of a folder that is or becomes a page store. @throws EnvironmentError folder.locked */
export function lockPageStore(path: string): FolderLock {
  createFolder(join(path, 'ltap'), path)
  return new FolderLock(path, join(path, LOCK_FILE))
}

/**
 * Makes a folder, which may hold files already, a page store.
 * @param indexes relations that are indexes: their files are not there
 * @throws EnvironmentError file.*
 */
export function createPageStore(path: string, identity: StoreIdentity, replay: ReplayState, indexes: readonly RelFileLocator[] = []): void {
  createFolder(join(path, 'ltap'), path)
  const list = new IndexList()
  for (const locator of indexes) list.add(locator)
  const files = new StoreFiles(path)
  try {
    for (const directory of ['global', 'base', 'pg_xact', 'pg_multixact/offsets', 'pg_multixact/members', 'pg_twophase']) {
      files.apply({ op: 'make-directory', path: directory }, new Uint8Array(0))
    }
    files.apply({ op: 'write-file', path: EVENTS_FILE }, new Uint8Array(0))
    files.apply({ op: 'write-file', path: INDEXES_FILE }, list.format())
    files.sync()
    files.apply({ op: 'write-file', path: STATE_FILE }, formatState({ identity, replay, eventsLength: 0, indexesCrc: crc32c(list.format()) }))
    files.sync()
  } finally {
    files.close()
  }
  rmSync(join(path, SEEDING_FILE), { force: true })
}

/** Checks all of a journal before any of it is applied. */
function finishJournal(path: string): void {
  if (!readJournal(path, () => {})) return
  const files = new StoreFiles(path)
  try {
    applyJournal(path, files)
  } finally {
    files.close()
  }
}

function readIndexes(path: string, crc: number): IndexList {
  const file = join(path, INDEXES_FILE)
  const bytes = readFile(file)
  if (crc32c(bytes) !== crc) throw new CorruptionError('pagestore.indexes', 'wrong CRC; seed the page store again', { file })
  return IndexList.parse(bytes)
}

function checkEvents(path: string, expected: number): void {
  const file = join(path, EVENTS_FILE)
  let size: number
  try {
    size = statSync(file).size
  } catch (error) {
    throw fileError(error, file)
  }
  if (size !== expected) throw new CorruptionError('pagestore.events', `${size} bytes where the state says ${expected}; seed the page store again`, { file })
}
