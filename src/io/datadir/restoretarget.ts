import { closeSync, ftruncateSync, lstatSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { CorruptionError, EnvironmentError, isPositioned } from '../../common/errors.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../../common/rel.ts'
import { segmentPath } from '../../common/relpath.ts'
import { createFile, createFolder, createLink, openForWriting, refuseLinks, writeFile, writeFully } from '../disk/create.ts'
import { fileError, isMissing, listDir } from '../disk/files.ts'
import { FolderLock } from '../disk/folderlock.ts'
import { syncTree } from '../disk/syncpath.ts'
import { refuseRunningServer } from './lockfile.ts'

/** Files of ltap while a restore is under way; the folder goes last. */
export const RESTORING = 'ltap-restore'
const MARKER = 'unfinished'
/** The same in a tablespace, where a server keeps folders only. */
const TABLESPACE_MARKER = 'ltap-restore-unfinished'

/** Behind the name of the data directory. */
const TABLESPACES = '.tablespaces'
const TABLESPACE_PATH = /^pg_tblspc\/(\d+)(?:\/|$)/

/**
 * The folder that becomes a data directory, and the folders of its tablespaces: empty ones, or what an interrupted restore left, which is removed.
 * Every file is made for its owner alone; nothing is written through a link but those of tablespaces, which are made here.
 */
export class RestoreTarget {
  /** Absolute. */
  readonly path: string
  private readonly tablespaces = new Map<string, string>()
  private readonly lock: FolderLock

  /** @throws EnvironmentError restore.exists for a folder with other content, restore.running, folder.locked, file.* */
  constructor(path: string) {
    this.path = resolve(path)
    const own = join(this.path, RESTORING)
    if (!isFree(this.path, RESTORING)) throw taken(this.path)
    createFolder(own, this.path)
    writeFile(join(own, MARKER), '')
    this.lock = new FolderLock(this.path, join(own, 'lock'))
    try {
      refuseLeftServer(this.path)
      guarded(this.path, () => {
        for (const name of listDir(this.path)) if (name !== RESTORING) rmSync(join(this.path, name), { recursive: true })
      })
    } catch (error) {
      this.lock.release()
      throw error
    }
  }

  /** A link of pg_tblspc, to a folder that is made if it is missing. @param target absolute @throws EnvironmentError restore.exists, file.* */
  linkTablespace(oid: string, target: string): void {
    if (!isFree(target, TABLESPACE_MARKER)) throw taken(target)
    createFolder(target)
    writeFile(join(target, TABLESPACE_MARKER), '')
    guarded(target, () => {
      for (const name of listDir(target)) if (name !== TABLESPACE_MARKER) rmSync(join(target, name), { recursive: true })
    })
    createLink(target, join(this.path, 'pg_tblspc', oid))
    this.tablespaces.set(oid, target)
  }

  folder(path: string): void {
    const { root, file } = this.place(path)
    createFolder(file, root)
  }

  file(path: string, content: Uint8Array | string, durable = false): void {
    const { root, file } = this.place(path)
    refuseLinks(root, dirname(file))
    writeFile(file, content, { durable })
  }

  has(path: string): boolean {
    try {
      lstatSync(this.place(path).file)
      return true
    } catch (error) {
      if (isMissing(error)) return false
      throw fileError(error, path)
    }
  }

  /** Files of one fork, of `blocks` zero pages. @param path of segment 0 */
  fork(path: string, blocks: number): ForkWriter {
    const { root, file } = this.place(path)
    createFolder(dirname(file), root)
    return new ForkWriter(file, blocks)
  }

  /** What is in the folder is on the disk. */
  async sync(): Promise<void> {
    for (const target of this.tablespaces.values()) await syncTree(target)
    await syncTree(this.path)
  }

  /** Removes the marks of an unfinished restore. */
  async finish(): Promise<void> {
    for (const target of this.tablespaces.values()) guarded(target, () => rmSync(join(target, TABLESPACE_MARKER)))
    await this.sync()
    this.lock.release()
    guarded(this.path, () => rmSync(join(this.path, RESTORING), { recursive: true }))
    await syncTree(join(this.path, 'global'))
  }

  /** After a failure: what was written stays, marked as unfinished. */
  release(): void {
    this.lock.release()
  }

  /** Where a tablespace goes if nobody says where. */
  defaultTablespace(oid: string): string {
    return join(`${this.path}${TABLESPACES}`, oid)
  }

  /** All that was made here: the data directory, folders of tablespaces. */
  get folders(): string[] {
    const isDefault = [...this.tablespaces].some(([oid, target]) => target === this.defaultTablespace(oid))
    return [this.path, ...(isDefault ? [`${this.path}${TABLESPACES}`] : []), ...this.tablespaces.values()]
  }

  /** @param path relative to the data directory @throws CorruptionError restore.path for one that leads out of it */
  private place(path: string): { root: string; file: string } {
    const names = path.split('/')
    if (names.some((name) => name === '' || name === '.' || name === '..' || name.includes('\0'))) {
      throw new CorruptionError('restore.path', `no path in a data directory: '${path.slice(0, 200)}'`)
    }
    const oid = TABLESPACE_PATH.exec(path)?.[1]
    const tablespace = oid === undefined ? undefined : this.tablespaces.get(oid)
    if (tablespace === undefined) return { root: this.path, file: join(this.path, ...names) }
    return { root: tablespace, file: join(tablespace, ...names.slice(2)) }
  }
}

/** Writes blocks of one fork into its segments, in any order. */
export class ForkWriter {
  private readonly file: string
  private readonly blocks: number
  private readonly written: Uint8Array
  private count = 0
  private open: { segment: number; fd: number } | undefined

  /** By {@link RestoreTarget.fork}. @internal */
  constructor(file: string, blocks: number) {
    this.file = file
    this.blocks = blocks
    this.written = new Uint8Array(Math.ceil(blocks / 8))
    for (let segment = 0; segment === 0 || segment * SEGMENT_BLOCKS < blocks; segment++) {
      const length = Math.min(SEGMENT_BLOCKS, blocks - segment * SEGMENT_BLOCKS) * BLOCK_SIZE
      const name = segmentPath(file, segment)
      this.close()
      this.open = { segment, fd: createFile(name) }
      guarded(name, () => ftruncateSync(this.open!.fd, length))
    }
  }

  /** @throws CorruptionError restore.block for a block beyond the end, or one that was given before */
  write(block: number, page: Uint8Array): void {
    const bit = 1 << (block & 7)
    if (block >= this.blocks || (this.written[block >>> 3]! & bit) !== 0) {
      throw new CorruptionError('restore.block', block >= this.blocks ? `the relation has ${this.blocks} blocks` : 'the block was given twice', { block })
    }
    this.written[block >>> 3]! |= bit
    this.count++
    const name = segmentPath(this.file, Math.floor(block / SEGMENT_BLOCKS))
    guarded(name, () => writeFully(this.descriptor(block, name), page, (block % SEGMENT_BLOCKS) * BLOCK_SIZE))
  }

  /** @throws CorruptionError restore.block if one was not given */
  end(): void {
    if (this.count === this.blocks) return
    throw new CorruptionError('restore.block', `${this.blocks - this.count} of ${this.blocks} blocks are missing`)
  }

  close(): void {
    if (this.open !== undefined) closeSync(this.open.fd)
    this.open = undefined
  }

  private descriptor(block: number, name: string): number {
    const segment = Math.floor(block / SEGMENT_BLOCKS)
    if (this.open?.segment !== segment) {
      this.close()
      this.open = { segment, fd: openForWriting(name) }
    }
    return this.open.fd
  }
}

/** Missing, empty, or what an interrupted restore left. */
function isFree(folder: string, marker: string): boolean {
  const names = listDir(folder)
  return names.length === 0 || names.includes(marker)
}

function taken(folder: string): EnvironmentError {
  return new EnvironmentError('restore.exists', 'the folder is not empty; name another one, or delete it', { file: folder })
}

/** The server of a restore that was killed would write into the files of the next one. @throws EnvironmentError restore.running */
function refuseLeftServer(folder: string): void {
  try {
    refuseRunningServer(folder)
  } catch (error) {
    if (!(isPositioned(error) && error.code === 'datadir.running')) throw error
    throw new EnvironmentError('restore.running', 'a server of the restore that was interrupted still works in the folder: wait until it has ended, then run '
      + `the restore again (${error.reason})`, { file: folder })
  }
}

function guarded<T>(file: string, body: () => T): T {
  try {
    return body()
  } catch (error) {
    throw isPositioned(error) ? error : fileError(error, file)
  }
}
