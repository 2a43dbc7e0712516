import { closeSync, fstatSync, fsyncSync, ftruncateSync, lstatSync, realpathSync, type Stats, unlinkSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../../common/rel.ts'
import type { LakeRelation } from '../../lake/manifest.ts'
import { createFile, linkRefused, openForWriting, refuseLinks } from '../disk/create.ts'
import { fileError, isMissing } from '../disk/files.ts'

/** Where a relation's files go. */
export interface TargetPlace {
  /** From here down no folder and no file may be a symbolic link: the data directory, or where a tablespace's link leads. */
  root: string
  /** Absolute path of segment 0. */
  file: string
}

/** The files of one relation in the data directory that is rebuilt. Files outside of it are written only with `force`. */
export class RebuildTarget {
  readonly place: TargetPlace
  private readonly blocks: number
  private readonly force: boolean

  /**
   * @param pgdata its real path @param force tablespaces outside of it, and files that have other names too, may be written
   * @throws EnvironmentError rebuild.tablespace, file.*
   */
  constructor(pgdata: string, { path, forks }: LakeRelation, force: boolean) {
    this.place = placeOf(pgdata, path, force)
    this.blocks = forks.main ?? 0
    this.force = force
  }

  /** @throws EnvironmentError file.link, rebuild.hard-link, file.missing, if a file may not be written */
  check(): void {
    const { root, file } = this.place
    refuseLinks(root, file)
    if (stat(dirname(file)) === undefined) {
      throw new EnvironmentError('file.missing', 'the folder of a database is missing: this is not a copy of the data directory', { file: dirname(file) })
    }
    for (let segment = 0; ; segment++) {
      const name = segmentFile(file, segment)
      const found = stat(name)
      if (found === undefined) return
      checkFile(name, found, this.force)
    }
  }

  /** Gives every segment its length and removes those beyond. */
  resize(): void {
    const count = segmentCount(this.blocks)
    for (let segment = 0; segment < count; segment++) {
      const length = Math.min(SEGMENT_BLOCKS, this.blocks - segment * SEGMENT_BLOCKS) * BLOCK_SIZE
      this.onSegment(segment, true, (fd) => ftruncateSync(fd, length))
    }
    for (let beyond = count; remove(segmentFile(this.place.file, beyond)); beyond++);
  }

  sync(): void {
    for (let segment = 0; segment < segmentCount(this.blocks); segment++) this.onSegment(segment, false, fsyncSync)
  }

  private onSegment(segment: number, create: boolean, body: (fd: number) => void): void {
    const fd = openSegment(this.place, segment, this.force, create)
    try {
      body(fd)
    } catch (error) {
      throw fileError(error, segmentFile(this.place.file, segment))
    } finally {
      closeSync(fd)
    }
  }
}

export function segmentFile(file: string, segment: number): string {
  return segment === 0 ? file : `${file}.${segment}`
}

/** Opens a segment to write it. @param create makes it if it is not there @throws EnvironmentError file.*, rebuild.hard-link */
export function openSegment({ root, file }: TargetPlace, segment: number, force: boolean, create = false): number {
  const name = segmentFile(file, segment)
  refuseLinks(root, dirname(name))
  let fd: number
  try {
    fd = openForWriting(name)
  } catch (error) {
    if (isMissing(error) && create) return createFile(name)
    throw error instanceof Error && 'code' in error && error.code === 'ELOOP' ? linkRefused(name) : fileError(error, name)
  }
  try {
    checkFile(name, fstatSync(fd), force)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** A copied pg_tblspc link still leads to the original's files: writing there would destroy them. */
function placeOf(pgdata: string, path: string, force: boolean): TargetPlace {
  if (!path.startsWith('pg_tblspc/')) return { root: pgdata, file: join(pgdata, path) }
  const [folder, oid, ...rest] = path.split('/') as [string, string, ...string[]]
  refuseLinks(pgdata, join(pgdata, folder))
  const link = join(pgdata, folder, oid)
  let root: string
  try {
    root = realpathSync(link)
  } catch (error) {
    throw fileError(error, link)
  }
  if (!root.startsWith(pgdata + sep) && !force) {
    const reason = `the tablespace lies outside the data directory, at ${root}; if that is a copy as well, say --force`
    throw new EnvironmentError('rebuild.tablespace', reason, { file: link })
  }
  return { root, file: join(root, ...rest) }
}

/** `cp -al` and some backup tools give a copy the same files as its original: writing to the copy changes the original, too. */
function checkFile(file: string, found: Stats, force: boolean): void {
  if (found.isSymbolicLink()) throw linkRefused(file)
  if (!found.isFile()) throw new EnvironmentError('file.error', 'not a regular file', { file })
  if (found.nlink === 1 || force) return
  const reason = 'the file has other names (hard links, as cp -al makes), which would be overwritten too; make a copy with cp -a, or say --force'
  throw new EnvironmentError('rebuild.hard-link', reason, { file })
}

function segmentCount(blocks: number): number {
  return Math.max(1, Math.ceil(blocks / SEGMENT_BLOCKS))
}

function stat(file: string): Stats | undefined {
  try {
    return lstatSync(file, { throwIfNoEntry: false })
  } catch (error) {
    throw fileError(error, file)
  }
}

/** @returns whether there was one */
function remove(file: string): boolean {
  try {
    unlinkSync(file)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw fileError(error, file)
  }
}
