import { concatBytes } from '../../common/bytes.ts'
import { crc32c } from '../../common/crc32c.ts'
import { equalJson } from '../../common/equaljson.ts'
import { assert, withPosition } from '../../common/errors.ts'
import { type Oid, type WalPosition, type Xid } from '../../common/ids.ts'
import { BLOCK_SIZE, DEFAULT_TABLESPACE, GLOBAL_TABLESPACE, type RelFileLocator } from '../../common/rel.ts'
import { utf8Encode } from '../../common/utf8.ts'
import type { PageSource } from '../../page/pagesource.ts'
import type { ReplayProgress, ReplayStore } from '../replay.ts'
import type { FlushedStore } from '../replaydriver.ts'
import { databasePath, type DatabaseDirectory, FSM_FORK, INIT_FORK, MAIN_FORK, tablespacePath } from '../../common/relpath.ts'
import { formatOrigins, ORIGINS_FILE } from '../../xact/replicationorigins.ts'
import { twoPhaseFileName } from '../../xact/twophase.ts'
import { FramePool } from './frame.ts'
import { type IndexList, INDEXES_FILE } from './indexlist.ts'
import type { OpSink } from './ops.ts'
import { formatState, STATE_FILE, type StoreIdentity, type StoreState } from './statefile.ts'
import { shortenEvents } from './shortenevents.ts'
import { changesSince, type StoreChanges } from './storechanges.ts'
import { EVENTS_FILE, type FlushedFork, StoreEvents } from './storeevents.ts'
import { StoredDatabase } from './storeddatabase.ts'
import type { StoredFork } from './storedfork.ts'
import { StoredPages } from './storedpages.ts'
import { StoredSlru } from './storedslru.ts'
import type { StoreFiles } from './storefiles.ts'

const ALL_FORKS = [0, 1, 2, 3]
/** Forks found without a map; a power of two. */
const RECENT_FORKS = 256
const DEFAULT_CACHE_BYTES = 256 * 1024 * 1024
/** More than these since the last flush call for one. */
const EVENTS_MAX = 65536
const SLRU_PAGES_MAX = 2048
const DEFAULT_CHANGES_BYTES = 16 * 1024 * 1024
/** Database directories copied since the last flush wait here. */
export const STAGING = 'ltap/copy'
/** Files of a database directory that a page store keeps: forks but the free space map, the relation map, the version. */
const KEPT_FILE = /^(?:\d+(?:_(?:vm|init))?(?:\.\d+)?|pg_filenode\.map|PG_VERSION)$/

export interface PageStoreOptions {
  /** Memory for pages, default 256 MiB. A record in the middle of its changes may use a little more. */
  cacheBytes?: number
  /**
   * Bytes of the list of changes, default 16 MiB. When it is longer, older flushes are told together, so that {@link PageStore.changedSince} gives more
   * than what changed since a mark between them; the oldest ones are forgotten, and marks before them are refused.
   */
  changesBytes?: number
}

/**
 * The pages, SLRUs and small files of a cluster at one LSN, in files with the paths of a data directory. Changes stay in memory until
 * {@link flush} makes all of them durable at once, with the state they belong to: whatever happens in between, the files hold exactly
 * one flushed state. Per record: {@link beginRecord}, changes, {@link endRecord}.
 */
export class PageStore implements ReplayStore, FlushedStore {
  readonly identity: StoreIdentity
  readonly clog: StoredSlru
  readonly multiOffsets: StoredSlru
  readonly multiMembers: StoredSlru
  private state: StoreState
  private readonly pool: FramePool
  private readonly files: StoreFiles
  private readonly indexes: IndexList
  private readonly events = new StoreEvents()
  private readonly databases = new Map<string, StoredDatabase>()
  private readonly recent: (StoredFork | undefined)[] = new Array<StoredFork | undefined>(RECENT_FORKS).fill(undefined)
  /** Made or dropped since the last flush. */
  private readonly tablespaces = new Map<Oid, boolean>()
  /** State files of prepared transactions by path, undefined for those that go. */
  private readonly prepared = new Map<string, Uint8Array | undefined>()
  private readonly changesBytes: number
  private copies = 0
  private failed = false

  /** By loadStore. @internal */
  constructor(files: StoreFiles, state: StoreState, indexes: IndexList, options: PageStoreOptions) {
    this.identity = state.identity
    this.state = state
    this.indexes = indexes
    this.files = files
    this.pool = new FramePool(Math.floor((options.cacheBytes ?? DEFAULT_CACHE_BYTES) / BLOCK_SIZE))
    this.changesBytes = options.changesBytes ?? DEFAULT_CHANGES_BYTES
    this.clog = new StoredSlru('pg_xact', this.files)
    this.multiOffsets = new StoredSlru('pg_multixact/offsets', this.files)
    this.multiMembers = new StoredSlru('pg_multixact/members', this.files)
  }

  /** The folder. */
  get path(): string {
    return this.files.root
  }

  /** What the last flush made durable: where a replay goes on. */
  get flushed(): Readonly<ReplayProgress> {
    return this.state.replay
  }

  /** So much has changed that a flush is due. */
  get needsFlush(): boolean {
    return this.pool.dirtyCount * 2 > this.pool.capacity || this.events.count > EVENTS_MAX ||
      this.clog.dirtyCount + this.multiOffsets.dirtyCount + this.multiMembers.dirtyCount > SLRU_PAGES_MAX
  }

  /** Pages that memory was taken for. */
  get cachedPages(): number {
    return this.pool.frames.length
  }

  /** @param endLsn of the record whose changes follow: the LSN of its events */
  beginRecord(endLsn: WalPosition): void {
    this.events.lsn = endLsn
  }

  endRecord(): void {
    this.pool.endRecord()
    this.clog.endRecord()
    this.multiOffsets.endRecord()
    this.multiMembers.endRecord()
  }

  fork(spcOid: Oid, dbOid: Oid, relNumber: number, fork: number): StoredFork | undefined {
    const slot = (relNumber * 4 + fork + dbOid) & (RECENT_FORKS - 1)
    const recent = this.recent[slot]
    if (
      recent !== undefined && recent.relNumber === relNumber && recent.fork === fork && recent.dbOid === dbOid && recent.spcOid === spcOid && recent.exists
    ) return recent
    if (fork === FSM_FORK || this.indexes.has(spcOid, dbOid, relNumber)) return undefined
    const found = this.database(spcOid, dbOid).fork(relNumber, fork)
    if (!found.exists) this.createFork(found)
    this.recent[slot] = found
    return found
  }

  exists({ spcOid, dbOid, relNumber }: RelFileLocator, fork: number): boolean {
    return fork !== FSM_FORK && !this.indexes.has(spcOid, dbOid, relNumber) && this.database(spcOid, dbOid).fork(relNumber, fork).exists
  }

  /**
   * The pages of a fork, to be read; undefined if the store has no such fork. It creates nothing. {@link PageSource.prepare} copies pages as the last
   * record left them; the copies stay as they are while replay goes on. The main fork of an unlogged relation has the content that the next flush
   * gives it.
   */
  pages(locator: RelFileLocator, fork: number): PageSource | undefined {
    const { spcOid, dbOid, relNumber } = locator
    if (fork === FSM_FORK || this.indexes.has(spcOid, dbOid, relNumber)) return undefined
    const find = (): StoredFork | undefined => {
      assert(!this.failed, 'page store: read after it was closed')
      const database = this.database(spcOid, dbOid)
      const init = fork === MAIN_FORK ? database.find(relNumber, INIT_FORK) : undefined
      return init !== undefined && database.isNewInit(init) ? init : database.find(relNumber, fork)
    }
    return find() === undefined ? undefined : new StoredPages(locator, fork, find, this.identity.checksums)
  }

  create(locator: RelFileLocator, fork: number): void {
    if (fork === FSM_FORK) return
    // A relation begins with its main fork; in the WAL an unlogged relation begins with its init fork. So the number of an index is reused here.
    if (fork === MAIN_FORK || fork === INIT_FORK) this.indexes.remove(locator)
    if (this.indexes.has(locator.spcOid, locator.dbOid, locator.relNumber)) return
    const found = this.database(locator.spcOid, locator.dbOid).fork(locator.relNumber, fork)
    if (!found.exists) this.createFork(found)
  }

  truncate(locator: RelFileLocator, fork: number, blocks: number): void {
    if (fork === FSM_FORK) return
    const found = this.database(locator.spcOid, locator.dbOid).fork(locator.relNumber, fork)
    if (found.truncate(blocks)) this.events.truncate(locator, fork, blocks)
  }

  drop(locator: RelFileLocator): void {
    if (this.dropForks(locator)) this.events.drop(locator)
    this.indexes.remove(locator)
  }

  disown(locator: RelFileLocator): void {
    if (this.indexes.has(locator.spcOid, locator.dbOid, locator.relNumber)) return
    this.dropForks(locator)
    this.indexes.add(locator)
    this.events.disown(locator)
  }

  directoryExists({ spcOid, dbOid }: DatabaseDirectory): boolean {
    return this.database(spcOid, dbOid).exists
  }

  /** A source that is not there counts as empty. */
  copyDatabase(from: DatabaseDirectory, to: DatabaseDirectory): void {
    const source = this.database(from.spcOid, from.dbOid)
    const target = this.database(to.spcOid, to.dbOid)
    this.forgetDatabase(target)
    source.resetUnlogged()
    const staging = `${STAGING}/${++this.copies}`
    this.files.apply({ op: 'remove-directory', path: staging })
    this.files.apply({ op: 'make-directory', path: staging })
    if (source.origin !== undefined) this.files.copyFiles(source.origin, staging, (name) => KEPT_FILE.test(name))
    source.contentOps(staging, (op, data) => this.files.apply(op, data))
    this.files.sync()
    target.adopt(staging)
    this.tablespaces.delete(to.spcOid)
    this.indexes.copyDirectory(from, to)
    this.events.copyDatabase(from, to)
  }

  /** With PG_VERSION, as CreateDirAndVersionFile (dbcommands.c). */
  createDatabase(directory: DatabaseDirectory): void {
    const database = this.database(directory.spcOid, directory.dbOid)
    this.makeDirectory(database)
    database.writeFile('PG_VERSION', utf8Encode(`${this.identity.major}\n`))
  }

  dropDatabase(directory: DatabaseDirectory): void {
    const database = this.database(directory.spcOid, directory.dbOid)
    if (database.exists) this.events.dropDatabase(directory)
    this.forgetDatabase(database)
  }

  createTablespace(oid: Oid): void {
    this.tablespaces.set(oid, true)
  }

  dropTablespace(oid: Oid): void {
    for (const name of this.files.list(this.tablespaceFolder(oid))) if (/^\d+$/.test(name)) this.database(oid, Number(name))
    for (const database of this.databases.values()) if (database.spcOid === oid) this.dropDatabase(database)
    this.tablespaces.set(oid, false)
  }

  writeRelationMap(directory: DatabaseDirectory, bytes: Uint8Array): void {
    const database = directory.dbOid === 0 ? this.database(GLOBAL_TABLESPACE, 0) : this.database(directory.spcOid, directory.dbOid)
    this.makeDirectory(database)
    database.writeFile('pg_filenode.map', bytes)
  }

  savePrepared(xid: Xid, bytes: Uint8Array, epoch: number): void {
    this.prepared.set(this.preparedPath(xid, epoch), bytes.slice())
  }

  removePrepared(xid: Xid, epoch: number): void {
    this.prepared.set(this.preparedPath(xid, epoch), undefined)
  }

  /**
   * Makes durable, all or nothing, every change so far and the state they belong to. Call it between records.
   * @throws EnvironmentError file.*: nothing more can be flushed then; open the store again
   */
  flush(replay: ReplayProgress): void {
    assert(!this.failed, 'page store: flush after one that failed')
    assert(replay.lsn >= this.state.replay.lsn, 'page store: flush goes back')
    this.failed = true
    this.endRecord()
    for (const database of this.databases.values()) database.resetUnlogged()
    const indexes = this.indexes.changed ? this.indexes.format() : undefined
    const indexesCrc = indexes === undefined ? this.state.indexesCrc : crc32c(indexes)
    const state = { identity: this.identity, replay: structuredClone(replay), eventsLength: this.state.eventsLength, indexesCrc }
    this.files.commit((add) => {
      state.eventsLength = this.addEvents(this.events.bytes(this.state.replay.lsn, replay.lsn, this.collect(add)), replay.lsn, add)
      const { origins } = replay.transactions
      if (origins !== undefined && !equalJson(origins, this.state.replay.transactions.origins)) {
        add({ op: 'write-file', path: ORIGINS_FILE }, formatOrigins(origins))
      }
      if (indexes !== undefined) add({ op: 'write-file', path: INDEXES_FILE }, indexes)
      add({ op: 'write-file', path: STATE_FILE }, formatState(state))
    })
    this.settle(state)
    this.failed = false
  }

  /** Closes the store. Changes that are not flushed are lost. */
  close(): void {
    this.files.close()
    this.failed = true
  }

  /**
   * What changed after a mark, up to the last flush. It is kept with the pages: a store that was closed, or whose process was killed, knows it as before.
   * @param mark an LSN. That of a flush is exact; for another one, and for one so long ago that flushes are told together, the changes since the last known
   * flush before it are given, more than was asked for: `from` says since when
   * @throws EnvironmentError pagestore.mark for an LSN before or after those that changes are known for: take all blocks then
   * @throws CorruptionError pagestore.events
   */
  changedSince(mark: WalPosition): StoreChanges {
    assert(!this.failed, 'page store: read after it was closed')
    const file = this.files.nameOf(EVENTS_FILE)
    return withPosition({ file }, () => changesSince(this.files.readFile(EVENTS_FILE), mark, this.flushed.lsn))
  }

  /** The file is written again, shortened to the half, where it would be too long. @returns its length */
  private addEvents(events: Uint8Array, reached: WalPosition, add: OpSink): number {
    const at = this.state.eventsLength
    if (at + events.length <= this.changesBytes) {
      add({ op: 'write-part', path: EVENTS_FILE, at }, events)
      return at + events.length
    }
    const file = this.files.nameOf(EVENTS_FILE)
    const all = concatBytes(this.files.readFile(EVENTS_FILE), events)
    const shortened = withPosition({ file }, () => shortenEvents(all, reached, this.changesBytes / 2))
    add({ op: 'write-file', path: EVENTS_FILE }, shortened)
    return shortened.length
  }

  /** @returns what changes of forks */
  private collect(add: OpSink): FlushedFork[] {
    const forks: FlushedFork[] = []
    for (const database of this.databases.values()) database.directoryOps(add)
    for (const [oid, made] of this.tablespaces) {
      if (made) add({ op: 'make-directory', path: this.tablespaceFolder(oid) })
      else add({ op: 'remove-directory', path: tablespacePath(oid) })
    }
    for (const database of this.databases.values()) if (database.exists) database.contentOps(database.path, add, (fork) => forks.push(fork))
    for (const slru of [this.clog, this.multiOffsets, this.multiMembers]) slru.flushOps(add)
    for (const [path, bytes] of this.prepared) {
      if (bytes === undefined) add({ op: 'remove-file', path })
      else add({ op: 'write-file', path }, bytes)
    }
    return forks
  }

  /** The folder in which a tablespace has the folders of its databases. */
  private tablespaceFolder(oid: Oid): string {
    const database = databasePath({ spcOid: oid, dbOid: 0 }, this.identity)
    return database.slice(0, database.lastIndexOf('/'))
  }

  private preparedPath(xid: Xid, epoch: number): string {
    return `pg_twophase/${twoPhaseFileName(xid, epoch, this.identity.major)}`
  }

  private settle(state: StoreState): void {
    this.state = state
    for (const database of this.databases.values()) database.flushed()
    for (const slru of [this.clog, this.multiOffsets, this.multiMembers]) slru.flushed()
    this.pool.markClean()
    this.tablespaces.clear()
    this.prepared.clear()
    this.events.flushed()
    this.indexes.changed = false
  }

  private database(spcOid: Oid, dbOid: Oid): StoredDatabase {
    const key = `${spcOid}/${dbOid}`
    let found = this.databases.get(key)
    if (found === undefined) {
      const path = databasePath({ spcOid, dbOid }, this.identity)
      found = new StoredDatabase({ spcOid, dbOid }, path, this.files.exists(path), this.pool, this.files, this.identity.checksums)
      this.databases.set(key, found)
    }
    return found
  }

  private createFork(fork: StoredFork): void {
    // This comes first, while the directory does not exist: its tablespace may have been dropped, and then exists once more.
    this.makeDirectory(this.database(fork.spcOid, fork.dbOid))
    fork.create()
    this.events.create(fork, fork.fork)
  }

  /** A directory that something is put into exists, and its tablespace too. */
  private makeDirectory(database: StoredDatabase): void {
    if (database.exists) return
    database.create()
    if (database.spcOid !== DEFAULT_TABLESPACE && this.tablespaces.get(database.spcOid) === false) this.tablespaces.delete(database.spcOid)
  }

  private forgetDatabase(database: StoredDatabase): void {
    const staging = database.drop()
    if (staging !== undefined) this.files.apply({ op: 'remove-directory', path: staging })
    this.indexes.removeDirectory(database)
  }

  /** @returns whether there was one */
  private dropForks({ spcOid, dbOid, relNumber }: RelFileLocator): boolean {
    const database = this.database(spcOid, dbOid)
    let found = false
    for (const fork of ALL_FORKS) {
      const stored = database.fork(relNumber, fork)
      found ||= stored.exists
      stored.drop()
    }
    return found
  }
}
