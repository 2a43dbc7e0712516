import { crc32c } from '../../common/crc32c.ts'
import { CorruptionError, withPosition } from '../../common/errors.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import { IndexList, INDEXES_FILE } from './indexlist.ts'
import { PageStore, type PageStoreOptions, STAGING } from './pagestore.ts'
import type { ReplayProgress } from '../replay.ts'
import { formatState, parseState, STATE_FILE, type StoreIdentity } from './statefile.ts'
import { EVENTS_FILE } from './storeevents.ts'
import type { StoreFiles } from './storefiles.ts'

const DIRECTORIES = ['global', 'base', 'pg_xact', 'pg_multixact/offsets', 'pg_multixact/members', 'pg_twophase', 'pg_logical']

/**
 * Makes a folder, which may hold files already, a page store.
 * @param indexes relations that are indexes: their files are not there
 * @throws EnvironmentError file.*
 */
export function createStore(files: StoreFiles, identity: StoreIdentity, replay: ReplayProgress, indexes: readonly RelFileLocator[] = []): void {
  const list = new IndexList()
  for (const locator of indexes) list.add(locator)
  for (const path of DIRECTORIES) files.apply({ op: 'make-directory', path })
  files.apply({ op: 'write-file', path: EVENTS_FILE })
  files.apply({ op: 'write-file', path: INDEXES_FILE }, list.format())
  files.sync()
  files.apply({ op: 'write-file', path: STATE_FILE }, formatState({ identity, replay, eventsLength: 0, indexesCrc: crc32c(list.format()) }))
  files.sync()
}

/**
 * The page store that the files hold, at the state of its last flush. No commit of the files is half done.
 * @throws EnvironmentError file.*; CorruptionError pagestore.*; UnsupportedError pagestore.format
 */
export function loadStore(files: StoreFiles, options: PageStoreOptions = {}): PageStore {
  files.apply({ op: 'remove-directory', path: STAGING })
  const state = withPosition({ file: files.nameOf(STATE_FILE) }, () => parseState(files.readFile(STATE_FILE)))
  checkEvents(files, state.eventsLength)
  return new PageStore(files, state, readIndexes(files, state.indexesCrc), options)
}

function readIndexes(files: StoreFiles, crc: number): IndexList {
  const bytes = files.readFile(INDEXES_FILE)
  if (crc32c(bytes) !== crc) {
    throw new CorruptionError('pagestore.indexes',
      'the list of indexes has a wrong CRC; seed the page store again', { file: files.nameOf(INDEXES_FILE) })
  }
  return IndexList.parse(bytes)
}

function checkEvents(files: StoreFiles, expected: number): void {
  const size = files.size(EVENTS_FILE)
  if (size === expected) return
  const reason = `${size} bytes where the state says ${expected}; seed the page store again`
  throw new CorruptionError('pagestore.events', reason, { file: files.nameOf(EVENTS_FILE) })
}
