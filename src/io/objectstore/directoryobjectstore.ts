import { closeSync, type Dirent, existsSync, fstatSync, fsync, readdirSync, renameSync, type Stats, statSync, unlinkSync } from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'
import { promisify } from 'node:util'
import { assert, EnvironmentError, UnsupportedError } from '../../common/errors.ts'
import { rangeWithin } from '../../engine/byterange.ts'
import { checkKey, checkPrefix, isKey } from '../../engine/objectkey.ts'
import type {
  ByteRange, Leftover, ObjectInfo, ObjectStore, ObjectUpload, PutOptions, PutOutcome, StoreCounters, StoredObject,
} from '../../engine/objectstore.ts'
import type { Random } from '../../engine/random.ts'
import { RequestCounters } from '../../engine/requestcounters.ts'
import type { RequestKind } from '../../lake/state/madeby.ts'
import { uploadGone } from '../../engine/uploadgone.ts'
import { createFile, createFolder, linkFile, refuseLinks, writeFully } from '../disk/create.ts'
import { fileError, isMissing, readFully } from '../disk/files.ts'
import { openRegular } from '../disk/regularfile.ts'
import { syncDirectory } from '../disk/syncpath.ts'
import { systemRandom } from '../process/systemrandom.ts'
import { DraftNames, isDraftName } from './draftname.ts'

const sync = promisify(fsync)

/**
 * Objects as files of a folder, for their owner alone. A file gets its name when its bytes are on disk, and the name is on disk before the call
 * returns: a file that a killed process leaves has a name that no key has. It knows If-None-Match, by link(), and no If-Match. Errors are those of
 * files, `file.*`.
 */
export class DirectoryObjectStore implements ObjectStore {
  readonly url: string
  private readonly root: string
  private readonly random: Pick<Random, 'nonce'>
  private readonly counted = new RequestCounters()
  private readonly drafts = new DraftNames()

  constructor(path: string, random: Pick<Random, 'nonce'> = systemRandom) {
    this.url = path
    this.root = resolve(path)
    this.random = random
  }

  get counters(): StoreCounters {
    return this.counted
  }

  async get(key: string, range?: ByteRange): Promise<StoredObject | undefined> {
    return this.reading('get', key, (fd, info) => {
      const { start, end } = rangeWithin(info.size, range)
      const bytes = new Uint8Array(end - start)
      if (readFully(fd, bytes, 0, bytes.length, start) < bytes.length) {
        throw new EnvironmentError('store.inconsistent',
          `${this.url} has a file that became shorter while it was read: end the program that writes there, then try again`, { file: key })
      }
      this.counted.received(bytes.length)
      return { ...info, bytes }
    })
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    return this.reading('head', key, (_, info) => info)
  }

  async put(key: string, bytes: Uint8Array, { ifNoneMatch, ifMatch }: PutOptions = {}): Promise<PutOutcome> {
    if (ifMatch !== undefined) {
      throw new UnsupportedError('store.condition', 'a folder cannot replace a file only if it is the same (If-Match)', { file: this.pathOf(key) })
    }
    this.counted.sent('put', bytes.length)
    const draft = this.draft(key)
    let isWritten = false
    try {
      draft.write(bytes)
      await draft.sync()
      isWritten = ifNoneMatch ? draft.link() : draft.rename()
      if (!isWritten) return { outcome: 'refused' }
      syncDirectory(dirname(draft.path))
      return { outcome: 'written', etag: draft.etag }
    } catch (error) {
      if (isWritten && ifNoneMatch && error instanceof EnvironmentError) return { outcome: 'unknown', reason: error.reason }
      throw error
    } finally {
      draft.end()
    }
  }

  upload(key: string): ObjectUpload {
    checkKey(key)
    let draft: Draft | undefined
    let hasEnded = false
    const open = (): Draft => {
      assert(!hasEnded, 'an upload that ended')
      return draft ??= this.draft(key)
    }
    return {
      write: async (bytes) => {
        this.counted.sent('upload', bytes.length)
        open().write(bytes)
      },
      finish: async () => {
        const whole = open()
        hasEnded = true
        this.counted.sent('upload')
        try {
          await whole.sync()
          whole.rename()
          syncDirectory(dirname(whole.path))
          return { etag: whole.etag, size: whole.size }
        } finally {
          whole.end()
        }
      },
      abort: async () => {
        if (!hasEnded) draft?.end()
        hasEnded = true
      },
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    const folders = new Set<string>()
    for (const key of keys) {
      const path = this.pathOf(key)
      this.counted.sent('delete')
      if (removeFile(this.root, path)) folders.add(dirname(path))
    }
    folders.forEach(syncDirectory)
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    checkPrefix(prefix)
    this.counted.sent('list')
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    for (const key of this.keysBelow(folder, prefix)) {
      const info = this.reading(undefined, key, (_, found) => found)
      if (info !== undefined) yield info
    }
  }

  async *leftovers(): AsyncGenerator<Leftover> {
    this.counted.sent('list')
    yield* this.draftsBelow(this.root)
  }

  private *draftsBelow(folder: string): Generator<Leftover> {
    for (const entry of entriesOf(folder)) {
      const path = join(folder, entry.name)
      if (entry.isDirectory() && isKey(entry.name)) yield* this.draftsBelow(path)
      if (!entry.isFile() || !isDraftName(entry.name)) continue
      const started = statSync(path, { throwIfNoEntry: false })?.mtimeMs
      if (started === undefined) continue
      const remove = async (): Promise<void> => void removeFile(this.root, path)
      yield { key: undefined, started, process: this.drafts.judge(entry.name), remove }
    }
  }

  private *keysBelow(folder: string, prefix: string): Generator<string> {
    for (const name of this.namesIn(folder)) {
      const key = `${folder}${name}`
      const isFolder = name.endsWith('/')
      if (!key.startsWith(prefix) && !(isFolder && prefix.startsWith(key))) continue
      if (isFolder) yield* this.keysBelow(key, prefix)
      else yield key
    }
  }

  private namesIn(folder: string): string[] {
    return entriesOf(join(this.root, folder))
      .filter((entry) => isKey(entry.name) && (entry.isFile() || entry.isDirectory()))
      .map((entry) => entry.isDirectory() ? `${entry.name}/` : entry.name)
      .sort()
  }

  private reading<T>(kind: RequestKind | undefined, key: string, body: (fd: number, info: ObjectInfo) => T): T | undefined {
    const path = this.pathOf(key)
    if (kind !== undefined) this.counted.sent(kind)
    let fd: number | undefined
    try {
      refuseLinks(this.root, path)
      fd = openRegular(path)
      const stats = fstatSync(fd)
      return body(fd, { key, size: stats.size, etag: etagOf(stats), modified: stats.mtimeMs })
    } catch (error) {
      if (isMissing(error) || isNoFolder(error)) return undefined
      throw fileError(error, path)
    } finally {
      if (fd !== undefined) closeSync(fd)
    }
  }

  /** The file of an object, which may or may not be there. @throws EnvironmentError file.link if a symbolic link lies on the way to it */
  fileOf(key: string): string {
    const path = this.pathOf(key)
    refuseLinks(this.root, path)
    return path
  }

  private draft(key: string): Draft {
    const path = this.pathOf(key)
    return new Draft(this.root, path, join(dirname(path), this.drafts.next(this.random.nonce())))
  }

  private pathOf(key: string): string {
    checkKey(key)
    return join(this.root, ...key.split('/'))
  }
}

/** A file that has no key yet. */
class Draft {
  readonly path: string
  size = 0
  etag = ''
  private readonly name: string
  private readonly fd: number
  private isNamed = true

  constructor(root: string, path: string, name: string) {
    this.path = path
    this.name = name
    makeFolders(root, dirname(path))
    this.fd = createFile(name)
  }

  write(bytes: Uint8Array): void {
    try {
      writeFully(this.fd, bytes)
    } catch (error) {
      throw fileError(error, this.path)
    }
    this.size += bytes.length
  }

  async sync(): Promise<void> {
    try {
      await sync(this.fd)
      this.etag = etagOf(fstatSync(this.fd))
    } catch (error) {
      throw fileError(error, this.path)
    }
  }

  link(): boolean {
    return this.unlessGone(() => linkFile(this.name, this.path))
  }

  rename(): true {
    this.unlessGone(() => renameSync(this.name, this.path))
    this.isNamed = false
    return true
  }

  private unlessGone<T>(body: () => T): T {
    try {
      return body()
    } catch (error) {
      if (!existsSync(this.name)) throw uploadGone(this.path)
      throw error instanceof UnsupportedError ? error : fileError(error, this.path)
    }
  }

  end(): void {
    closeSync(this.fd)
    if (!this.isNamed) return
    this.isNamed = false
    try {
      unlinkSync(this.name)
    } catch (error) {
      if (!isMissing(error)) throw fileError(error, this.name)
    }
  }
}

/** Each new folder is on disk in the one above it. */
function makeFolders(root: string, folder: string): void {
  if (isFolder(folder)) return refuseLinks(root, folder)
  if (dirname(folder) !== folder) makeFolders(root, dirname(folder))
  createFolder(folder, folder.startsWith(root + sep) ? root : undefined)
  syncDirectory(dirname(folder))
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if (isMissing(error) || isNoFolder(error)) return []
    throw fileError(error, folder)
  }
}

/** @returns whether it was there */
function removeFile(root: string, path: string): boolean {
  try {
    refuseLinks(root, dirname(path))
    unlinkSync(path)
    return true
  } catch (error) {
    if (isMissing(error) || isNoFolder(error)) return false
    throw fileError(error, path)
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function isNoFolder(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOTDIR'
}

function etagOf({ ino, size, mtimeMs }: Stats): string {
  return `"${[ino, size, mtimeMs * 1000].map((number) => Math.round(number).toString(36)).join('-')}"`
}
