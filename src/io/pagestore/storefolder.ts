import { closeSync, existsSync, fstatSync, fsyncSync, ftruncateSync, renameSync, rmSync, statSync, unlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../../common/rel.ts'
import { segmentPath } from '../../common/relpath.ts'
import type { OpSink, StoreOp } from '../../replay/pagestore/ops.ts'
import type { StoreFiles } from '../../replay/pagestore/storefiles.ts'
import { fileError, isMissing, listDir, readFile, readFully } from '../disk/files.ts'
import { copyFile, createFile, createFolder, openForWriting, refuseLinks, writeFile, writeFully } from '../disk/create.ts'
import type { FolderLock } from '../disk/folderlock.ts'
import { JournalWriter, readJournal, removeJournal, removeUnfinishedJournal } from './journal.ts'
import { syncDirectory, syncPath } from '../disk/syncpath.ts'

const SEGMENT_BYTES = SEGMENT_BLOCKS * BLOCK_SIZE
const MAX_OPEN_FILES = 64

interface OpenFile {
  fd: number
  /** Written since the last fsync. */
  written: boolean
}

/** A folder on disk as the files of a page store. A commit writes its journal first, then changes the files. Few files stay open. */
export class StoreFolder implements StoreFiles {
  readonly root: string
  // In order of last use.
  private readonly open = new Map<string, OpenFile>()
  /** Absolute paths of directories whose entries changed. */
  private readonly changedDirectories = new Set<string>()
  private readonly checkedFolders = new Set<string>()
  private readonly lock: FolderLock | undefined

  /** @param lock of the folder, released when this is closed */
  constructor(root: string, lock?: FolderLock) {
    this.root = root
    this.lock = lock
  }

  nameOf(path: string): string {
    return join(this.root, path)
  }

  exists(path: string): boolean {
    return existsSync(join(this.root, path))
  }

  list(path: string): string[] {
    return listDir(join(this.root, path))
  }

  size(path: string): number {
    const file = join(this.root, path)
    try {
      return statSync(file).size
    } catch (error) {
      throw fileError(error, file)
    }
  }

  readFile(path: string): Uint8Array {
    return readFile(join(this.root, path))
  }

  blocks(path: string): number | undefined {
    for (let segment = 0, blocks = 0; ; segment++) {
      const size = sizeIfThere(join(this.root, segmentPath(path, segment)))
      if (size === undefined) return segment === 0 ? undefined : blocks
      if (size > SEGMENT_BYTES) throw new CorruptionError('relation.segment', `segment of ${size} bytes`, { file: segmentPath(path, segment) })
      blocks += Math.floor(size / BLOCK_SIZE)
      if (size < SEGMENT_BYTES) return blocks
    }
  }

  readPage(path: string, block: number, into: Uint8Array): void {
    const file = segmentPath(path, Math.floor(block / SEGMENT_BLOCKS))
    const byte = (block % SEGMENT_BLOCKS) * BLOCK_SIZE
    if (this.readPart(file, byte, into) !== BLOCK_SIZE) {
      throw new CorruptionError('relation.short-read',
        'the file is shorter than the page store left it; seed the page store again', { file: join(this.root, file), block })
    }
  }

  readPart(path: string, at: number, into: Uint8Array): number {
    try {
      return readFully(this.descriptor(path, false).fd, into, 0, into.length, at)
    } catch (error) {
      if (isMissing(error)) return 0
      throw fileError(error, join(this.root, path))
    }
  }

  apply(op: StoreOp, data: Uint8Array = new Uint8Array(0)): void {
    try {
      this.applyOp(op, data)
    } catch (error) {
      throw isPositioned(error) ? error : fileError(error, join(this.root, op.path))
    }
  }

  copyFiles(from: string, to: string, keeps: (name: string) => boolean): void {
    for (const name of this.list(from)) {
      if (!keeps(name)) continue
      copyFile(join(this.root, from, name), join(this.root, to, name))
      syncPath(join(this.root, to, name))
    }
  }

  commit(fill: (add: OpSink) => void): void {
    const journal = new JournalWriter(this.root)
    fill(journal.add)
    journal.finish()
    this.applyJournal()
  }

  /** Finishes a commit that was interrupted, after all of its journal was checked, or undoes one whose journal is incomplete. */
  recover(): void {
    removeUnfinishedJournal(this.root)
    if (readJournal(this.root, () => {})) this.applyJournal()
  }

  sync(): void {
    for (const [path, file] of this.open) this.syncFile(path, file)
    for (const directory of this.changedDirectories) if (existsSync(directory)) syncDirectory(directory)
    this.changedDirectories.clear()
  }

  close(): void {
    this.closeFiles()
    this.lock?.release()
  }

  private applyJournal(): void {
    readJournal(this.root, (op, data) => this.apply(op, data))
    this.sync()
    removeJournal(this.root)
  }

  private closeFiles(): void {
    for (const { fd } of this.open.values()) closeSync(fd)
    this.open.clear()
  }

  private applyOp(op: StoreOp, data: Uint8Array): void {
    switch (op.op) {
      case 'remove-directory':
        return this.removeDirectory(op.path)
      case 'make-directory':
        return this.makeDirectory(join(this.root, op.path))
      case 'adopt-directory':
        return this.adoptDirectory(op.path, op.from)
      case 'remove-fork':
        return this.removeSegments(op.path, 0)
      case 'resize-fork':
        return this.resizeFork(op.path, op.keep, op.blocks)
      case 'write-pages':
        return this.writePart(segmentPath(op.path, Math.floor(op.first / SEGMENT_BLOCKS)), (op.first % SEGMENT_BLOCKS) * BLOCK_SIZE, data)
      case 'write-file':
        return this.replaceFile(op.path, data)
      case 'write-part':
        return this.writePart(op.path, op.at, data)
      case 'remove-file':
        return void this.removeFile(op.path)
    }
  }

  private removeDirectory(path: string): void {
    this.closeAll()
    rmSync(join(this.root, path), { recursive: true, force: true })
    this.changed(path)
  }

  private makeDirectory(directory: string): void {
    if (existsSync(directory)) return
    this.makeDirectory(dirname(directory))
    createFolder(directory)
    this.changedDirectories.add(dirname(directory)).add(directory)
  }

  private adoptDirectory(path: string, from: string): void {
    if (!existsSync(join(this.root, from))) return
    this.removeDirectory(path)
    this.makeDirectory(dirname(join(this.root, path)))
    renameSync(join(this.root, from), join(this.root, path))
    this.changed(from)
    this.changed(path)
  }

  private resizeFork(path: string, keep: number, blocks: number): void {
    const last = Math.max(0, Math.ceil(blocks / SEGMENT_BLOCKS) - 1)
    this.removeSegments(path, last + 1)
    for (let segment = 0; segment <= last; segment++) {
      const first = segment * SEGMENT_BLOCKS
      const kept = Math.min(Math.max(keep - first, 0), SEGMENT_BLOCKS) * BLOCK_SIZE
      const size = Math.min(blocks - first, SEGMENT_BLOCKS) * BLOCK_SIZE
      const { fd } = this.descriptor(segmentPath(path, segment), true)
      const found = fstatSync(fd).size
      // Blocks beyond the kept ones must read as zeros, so the file is cut first and lengthened then.
      if (found > kept && found !== 0) ftruncateSync(fd, Math.min(kept, size))
      if (found !== size || found > kept) ftruncateSync(fd, size)
    }
  }

  private removeSegments(path: string, first: number): void {
    for (let segment = first; this.removeFile(segmentPath(path, segment)); segment++);
  }

  /** @returns whether there was one */
  private removeFile(path: string): boolean {
    const open = this.open.get(path)
    if (open) closeSync(open.fd)
    this.open.delete(path)
    try {
      unlinkSync(join(this.root, path))
    } catch (error) {
      if (isMissing(error)) return false
      throw error
    }
    this.changed(path)
    return true
  }

  private replaceFile(path: string, data: Uint8Array): void {
    const file = join(this.root, path)
    const open = this.open.get(path)
    if (open) closeSync(open.fd)
    this.open.delete(path)
    this.makeDirectory(dirname(file))
    writeFile(`${file}.new`, data, { durable: true })
    renameSync(`${file}.new`, file)
    this.changed(path)
  }

  private writePart(path: string, at: number, data: Uint8Array): void {
    writeFully(this.descriptor(path, true).fd, data, at)
  }

  /** Opens for reading and writing; makes the file if `write`. */
  private descriptor(path: string, write: boolean): OpenFile {
    let file = this.open.get(path)
    if (file === undefined) {
      this.closeOldest()
      const absolute = join(this.root, path)
      file = { fd: this.openFile(absolute, write), written: false }
    } else {
      this.open.delete(path)
    }
    this.open.set(path, file)
    if (write) file.written = true
    return file
  }

  private openFile(absolute: string, write: boolean): number {
    this.checkFolder(dirname(absolute))
    try {
      return openForWriting(absolute)
    } catch (error) {
      if (!isMissing(error) || !write) throw error
    }
    this.makeDirectory(dirname(absolute))
    this.changedDirectories.add(dirname(absolute))
    return createFile(absolute)
  }

  /** Checks each folder once: see {@link refuseLinks}. */
  private checkFolder(directory: string): void {
    if (this.checkedFolders.has(directory)) return
    refuseLinks(this.root, directory)
    this.checkedFolders.add(directory)
  }

  private closeOldest(): void {
    for (const [path, file] of this.open) {
      if (this.open.size < MAX_OPEN_FILES) return
      this.syncFile(path, file)
      closeSync(file.fd)
      this.open.delete(path)
    }
  }

  private closeAll(): void {
    for (const [path, file] of this.open) this.syncFile(path, file)
    this.closeFiles()
  }

  private syncFile(path: string, file: OpenFile): void {
    if (!file.written) return
    try {
      fsyncSync(file.fd)
    } catch (error) {
      throw fileError(error, join(this.root, path))
    }
    file.written = false
  }

  private changed(path: string): void {
    this.changedDirectories.add(dirname(join(this.root, path)))
  }
}

function sizeIfThere(file: string): number | undefined {
  try {
    return statSync(file).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw fileError(error, file)
  }
}
