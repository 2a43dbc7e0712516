import type { BlockNumber, Oid } from '../../common/ids.ts'
import { pageChecksum } from '../../page/checksum.ts'
import { PD_CHECKSUM, PD_UPPER } from '../../page/header.ts'
import { type DatabaseDirectory, FORK_NAMES, forkFileName, INIT_FORK, MAIN_FORK } from '../../common/relpath.ts'
import type { Frame, FramePool } from './frame.ts'
import type { OpSink } from './ops.ts'
import { StoredFork } from './storedfork.ts'
import type { FlushedFork } from './storeevents.ts'
import type { StoreFiles } from './storefiles.ts'

/** Relation numbers have 32 bits, forks two: one number for both. */
const FORKS = 4
/** Blocks per write: consecutive dirty pages go together. */
const RUN_BLOCKS = 128
/** The name of the first segment file of a fork that is kept. */
const FIRST_SEGMENT = /^(\d+)(?:_(vm|init))?$/

/**
 * A database directory: forks that were looked at, files that are to be replaced, and what has to happen to the directory itself.
 * Its content before the next flush is in `path`, or in `staging` if it was copied since, or nowhere if it is new.
 */
export class StoredDatabase implements DatabaseDirectory {
  readonly spcOid: Oid
  readonly dbOid: Oid
  readonly path: string
  exists: boolean
  /** Replaced or removed since the last flush: what is at {@link path} no longer counts. */
  private replaced = false
  private onDisk: boolean
  private staging: string | undefined = undefined
  private readonly forks = new Map<number, StoredFork>()
  /** pg_filenode.map, PG_VERSION. */
  private readonly pending = new Map<string, Uint8Array>()
  private readonly pool: FramePool
  private readonly files: StoreFiles
  private readonly checksums: boolean

  constructor(directory: DatabaseDirectory, path: string, onDisk: boolean, pool: FramePool, files: StoreFiles, checksums: boolean) {
    this.spcOid = directory.spcOid
    this.dbOid = directory.dbOid
    this.path = path
    this.onDisk = onDisk
    this.exists = onDisk
    this.pool = pool
    this.files = files
    this.checksums = checksums
  }

  get origin(): string | undefined {
    if (this.replaced) return this.staging
    return this.onDisk ? this.path : undefined
  }

  fork(relNumber: number, fork: number): StoredFork {
    const key = relNumber * FORKS + fork
    let found = this.forks.get(key)
    if (found === undefined) {
      const { spcOid, dbOid } = this
      found = new StoredFork(this, { spcOid, dbOid, relNumber, fork, name: forkFileName(relNumber, fork) }, this.pool, this.files)
      this.forks.set(key, found)
    }
    return found
  }

  /** Finds a fork that exists. A fork that does not exist is not remembered. */
  find(relNumber: number, fork: number): StoredFork | undefined {
    const found = this.forks.get(relNumber * FORKS + fork) ?? (this.hasFile(relNumber, fork) ? this.fork(relNumber, fork) : undefined)
    return found?.exists === true ? found : undefined
  }

  private hasFile(relNumber: number, fork: number): boolean {
    return this.origin !== undefined && this.files.blocks(`${this.origin}/${forkFileName(relNumber, fork)}`) !== undefined
  }

  writeFile(name: string, bytes: Uint8Array): void {
    this.exists = true
    this.pending.set(name, bytes.slice())
  }

  create(): void {
    this.exists = true
  }

  /** @returns a staging directory that is no longer needed */
  drop(): string | undefined {
    const { staging } = this
    this.exists = false
    this.replaced = true
    this.staging = undefined
    this.pending.clear()
    for (const fork of this.forks.values()) fork.vanish()
    return staging
  }

  /** After {@link drop}: its content is that of `staging`. */
  adopt(staging: string): void {
    this.exists = true
    this.staging = staging
    for (const fork of this.forks.values()) fork.attach()
  }

  /** Unlogged relations begin as their init fork after any recovery (ResetUnloggedRelations, reinit.c): their main fork follows it. */
  resetUnlogged(): void {
    for (const init of this.forks.values()) {
      if (!this.isNewInit(init)) continue
      const main = this.fork(init.relNumber, MAIN_FORK)
      main.truncate(0)
      main.create()
      for (let block = 0; block < init.blocks; block++) {
        const page = main.extend(block)
        page.bytes.set(init.page(block)!.bytes)
        page.dirty = true
        this.pool.endRecord()
      }
    }
  }

  /** Whether the main fork that {@link resetUnlogged} makes does not exist yet. */
  isNewInit(fork: StoredFork): boolean {
    return fork.fork === INIT_FORK && fork.exists && (fork.changed || fork.dirtyFrames().length > 0)
  }

  directoryOps(sink: OpSink): void {
    const { path, staging } = this
    if (staging !== undefined) {
      sink({ op: 'adopt-directory', path, from: staging })
      return
    }
    if (this.replaced && this.onDisk) sink({ op: 'remove-directory', path })
    if (this.exists && (this.replaced || !this.onDisk)) sink({ op: 'make-directory', path })
  }

  /**
   * The operations after which the directory at `target`, a copy of {@link origin} as it is on disk, has the pages of {@link origin} as they are in
   * memory.
   * @param note takes what changes of each fork
   */
  contentOps(target: string, sink: OpSink, note?: (fork: FlushedFork) => void): void {
    if (note !== undefined) this.findCopies()
    for (const fork of this.forks.values()) {
      const path = `${target}/${fork.name}`
      fork.resizeInto(path, sink)
      const frames = fork.dirtyFrames()
      const changes = note === undefined ? undefined : fork.changes(frames, this.staging !== undefined)
      if (changes !== undefined) note!(changes)
      if (this.checksums) for (const { bytes, block } of frames) setChecksum(bytes, block)
      writeRuns(frames, path, sink)
    }
    for (const [name, bytes] of this.pending) sink({ op: 'write-file', path: `${target}/${name}` }, bytes)
  }

  /** The forks whose files came with the directory since the last flush. */
  private findCopies(): void {
    if (this.staging === undefined) return
    for (const name of this.files.list(this.staging)) {
      const [, relNumber, suffix] = FIRST_SEGMENT.exec(name) ?? []
      if (relNumber !== undefined) this.fork(Number(relNumber), suffix === undefined ? MAIN_FORK : FORK_NAMES.indexOf(suffix))
    }
  }

  flushed(): void {
    this.onDisk = this.exists
    this.replaced = false
    this.staging = undefined
    this.pending.clear()
    for (const fork of this.forks.values()) fork.flushed()
  }
}

/** Sets pd_checksum as a server does when it writes a page (PageSetChecksumInplace, bufpage.c). Redo does not change pd_checksum. */
export function setChecksum(bytes: Uint8Array, block: BlockNumber): void {
  if (bytes[PD_UPPER] === 0 && bytes[PD_UPPER + 1] === 0) return
  const checksum = pageChecksum(bytes, block)
  bytes[PD_CHECKSUM] = checksum
  bytes[PD_CHECKSUM + 1] = checksum >>> 8
}

function writeRuns(frames: readonly Frame[], path: string, sink: OpSink): void {
  for (let i = 0; i < frames.length; ) {
    const first = frames[i]!.block
    let count = 1
    // A run ends at a multiple of its length, so it never crosses a segment.
    while (i + count < frames.length && frames[i + count]!.block === first + count && (first + count) % RUN_BLOCKS !== 0) count++
    sink({ op: 'write-pages', path, first }, joined(frames.slice(i, i + count).map(({ bytes }) => bytes)))
    i += count
  }
}

function joined(pages: Uint8Array[]): Uint8Array {
  if (pages.length === 1) return pages[0]!
  const bytes = new Uint8Array(pages.reduce((sum, page) => sum + page.length, 0))
  let at = 0
  for (const page of pages) {
    bytes.set(page, at)
    at += page.length
  }
  return bytes
}
