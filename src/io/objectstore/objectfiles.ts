import { closeSync, fstatSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { crc32cUpdate } from '../../common/crc32c.ts'
import { CorruptionError, isPositioned } from '../../common/errors.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import { missingObject } from '../../engine/pagereader.ts'
import { createFile, createFolder, writeFully } from '../disk/create.ts'
import { fileError, isMissing, readFully } from '../disk/files.ts'
import { openRegular } from '../disk/regularfile.ts'
import { breathe } from '../process/interruption.ts'
import { DirectoryObjectStore } from './directoryobjectstore.ts'

const PIECE_BYTES = 8 << 20
/** A file that is fetched has a number for a name, and ends as what it is: the names in a lake are a stranger's. */
const SUFFIX = '.parquet'

/** An object, and how to know that it is the one that was written: `bytes` long, with this CRC-32C. */
interface WantedObject {
  readonly key: string
  readonly bytes: number
  readonly crc: number
}

/** A file of this machine that has the bytes of an object. */
export interface ObjectFile {
  readonly path: string
  /** It may be removed now. */
  release(): void
}

interface Fetched {
  readonly path: string
  readonly bytes: number
  /** It is whole. */
  readonly ready: Promise<void>
  users: number
}

/**
 * Objects as files, for what reads files: DuckDB, threads. The objects of a folder are read where they are; those of another store are fetched into a
 * folder of this job, as many as have room. Each is checked against its CRC-32C first.
 */
export class ObjectFiles {
  private readonly store: ObjectStore
  private readonly folder: string
  private readonly bytesMax: number
  /** The last used one last. */
  private readonly fetched = new Map<string, Fetched>()
  private bytes = 0
  private next = 0
  private waiting: (() => void)[] = []

  /**
   * @param folder of this job alone: it goes with the job; it is made when the first object is fetched
   * @param bytesMax of fetched objects together; one alone may be larger
   */
  constructor(store: ObjectStore, folder: string, bytesMax: number) {
    this.store = store
    this.folder = folder
    this.bytesMax = bytesMax
  }

  /** Whether objects are fetched: then those that are open at the same time must have room together. */
  get fetches(): boolean {
    return !(this.store instanceof DirectoryObjectStore)
  }

  /**
   * Waits until others are released if there is no room for it.
   * @throws CorruptionError lake.missing-object, lake.object if it is not what was written; EnvironmentError store.*, file.*
   */
  async open(object: WantedObject): Promise<ObjectFile> {
    if (this.store instanceof DirectoryObjectStore) {
      const path = this.store.fileOf(object.key)
      await this.check(path, object)
      return { path, release: () => {} }
    }
    while (!this.fetched.has(object.key) && !this.makeRoom(object.bytes)) await new Promise<void>((resolve) => this.waiting.push(resolve))
    const file = this.fetched.get(object.key) ?? this.begin(object)
    this.fetched.delete(object.key)
    this.fetched.set(object.key, file)
    file.users++
    try {
      await file.ready
      return { path: file.path, release: () => this.release(file) }
    } catch (error) {
      if (this.fetched.get(object.key) === file) {
        this.fetched.delete(object.key)
        this.remove(file)
      }
      this.release(file)
      throw error
    }
  }

  /** Removes what was fetched and is not open. */
  removeUnused(): void {
    for (const [key, file] of this.fetched) {
      if (file.users > 0) continue
      this.fetched.delete(key)
      this.remove(file)
    }
  }

  private begin(object: WantedObject): Fetched {
    if (this.next === 0) createFolder(this.folder)
    const path = join(this.folder, `${this.next++}${SUFFIX}`)
    this.bytes += object.bytes
    return { path, bytes: object.bytes, ready: this.copy(object, path), users: 0 }
  }

  private release(file: Fetched): void {
    file.users--
    const { waiting } = this
    this.waiting = []
    for (const wake of waiting) wake()
  }

  private makeRoom(bytes: number): boolean {
    const hasRoom = (): boolean => this.bytes === 0 || this.bytes + bytes <= this.bytesMax
    for (const [key, file] of this.fetched) {
      if (hasRoom()) break
      if (file.users > 0) continue
      this.fetched.delete(key)
      this.remove(file)
    }
    return hasRoom()
  }

  private remove({ path, bytes }: Fetched): void {
    this.bytes -= bytes
    try {
      unlinkSync(path)
    } catch (error) {
      if (!isMissing(error)) throw fileError(error, path)
    }
  }

  private async copy(object: WantedObject, path: string): Promise<void> {
    const sum = new Sum()
    const fd = createFile(path, true)
    try {
      while (sum.bytes < object.bytes) {
        const found = await this.store.get(object.key, { start: sum.bytes, end: Math.min(object.bytes, sum.bytes + PIECE_BYTES) })
        if (found === undefined) throw this.missing(object)
        if (found.size !== object.bytes || found.bytes.length === 0) throw this.other(object, found.size)
        sum.add(found.bytes)
        write(fd, found.bytes, path)
      }
      if (object.bytes === 0 && await this.store.head(object.key) === undefined) throw this.missing(object)
      if (sum.crc !== object.crc) throw this.other(object, sum.bytes)
    } finally {
      closeSync(fd)
    }
  }

  private async check(path: string, object: WantedObject): Promise<void> {
    let fd: number | undefined
    try {
      fd = openRegular(path)
      const { size } = fstatSync(fd)
      if (size !== object.bytes) throw this.other(object, size)
      const sum = new Sum()
      const piece = new Uint8Array(Math.min(PIECE_BYTES, size))
      while (sum.bytes < size) {
        const count = readFully(fd, piece, 0, Math.min(piece.length, size - sum.bytes), sum.bytes)
        if (count === 0) throw this.other(object, sum.bytes)
        sum.add(piece.subarray(0, count))
        await breathe()
      }
      if (sum.crc !== object.crc) throw this.other(object, size)
    } catch (error) {
      if (isPositioned(error)) throw error
      throw isMissing(error) ? this.missing(object) : fileError(error, path)
    } finally {
      if (fd !== undefined) closeSync(fd)
    }
  }

  private missing({ key }: WantedObject): CorruptionError {
    return missingObject(this.store, key)
  }

  private other({ key, bytes }: WantedObject, found: number): CorruptionError {
    const what = found === bytes ? `its ${bytes} bytes do not have the CRC-32C that the lake has of them` : `it has ${found} bytes, the lake says ${bytes}`
    return new CorruptionError('lake.object', `the object ${key} in ${this.store.url} is not as it was written: ${what}`)
  }
}

/** CRC-32C of bytes, piece by piece. */
class Sum {
  bytes = 0
  private state = -1

  add(piece: Uint8Array): void {
    this.state = crc32cUpdate(this.state, new DataView(piece.buffer, piece.byteOffset, piece.byteLength), 0, piece.length)
    this.bytes += piece.length
  }

  get crc(): number {
    return (this.state ^ -1) >>> 0
  }
}

function write(fd: number, bytes: Uint8Array, path: string): void {
  try {
    writeFully(fd, bytes)
  } catch (error) {
    throw fileError(error, path)
  }
}
