import { lstatSync, readlinkSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { isKeptFile, isKeptFolder, isTablespace } from '../../lake/keptfiles.ts'
import { tablespaceVersionName } from '../../common/relpath.ts'
import { fileError, isMissing, listDir } from '../disk/files.ts'
import { statRegular } from '../disk/regularfile.ts'
import { readConfiguration } from './configuration.ts'

/** A file, folder or link of a data directory that a lake keeps. */
export type ClusterEntry =
  /** @property mode permission bits @property bytes its length */
  | { kind: 'file'; path: string; mode: number; bytes: number }
  | { kind: 'folder'; path: string; mode: number }
  /** A tablespace: where its link leads. */
  | { kind: 'link'; path: string; target: string }

/**
 * Everything of a data directory that a lake keeps besides the pages of heaps, a folder before what is in it. Its content does not matter: what is
 * read of a file is up to the caller, `join(pgdata, path)`, through links. A file or folder that is a link elsewhere counts as what it leads to.
 * @param version PG_<major>_<catalog version>, of the cluster's folders in tablespaces
 * @throws EnvironmentError file.*, datadir.tablespace
 */
export function* clusterFilesOf(pgdata: string, version: { major: PgMajor; catalogVersion: number }): Generator<ClusterEntry> {
  const folder = tablespaceVersionName(version)
  const named = new Set(readConfiguration(pgdata).inside)
  const seen = new Set<string>()
  for (const entry of walk(pgdata, '', folder)) {
    seen.add(entry.path)
    yield entry
  }
  for (const path of named) if (!seen.has(path)) yield* namedFile(pgdata, path, seen)
}

function* walk(pgdata: string, parent: string, version: string): Generator<ClusterEntry> {
  for (const name of listDir(join(pgdata, parent))) {
    const path = parent === '' ? name : `${parent}/${name}`
    if (isTablespace(path)) yield* tablespace(pgdata, path, version)
    else if (isKeptFolder(path, version)) yield* folderOf(pgdata, path, version)
    else if (isKeptFile(path, version)) yield fileOf(pgdata, path)
  }
}

function* tablespace(pgdata: string, path: string, version: string): Generator<ClusterEntry> {
  const place = join(pgdata, path)
  const found = stat(place, lstatSync)
  if (found?.isSymbolicLink()) {
    if (stat(place, statSync)?.isDirectory() !== true) {
      throw new EnvironmentError('datadir.tablespace', 'the directory of a tablespace is missing; mount or copy it', { file: place })
    }
    yield { kind: 'link', path, target: target(place) }
    yield* walk(pgdata, path, version)
  } else if (found?.isDirectory()) yield* folderOf(pgdata, path, version)
}

function* folderOf(pgdata: string, path: string, version: string): Generator<ClusterEntry> {
  const found = stat(join(pgdata, path), statSync)
  if (!found?.isDirectory()) {
    throw new EnvironmentError('datadir.folder',
      'the folder is missing, and every data directory has it: the copy is incomplete', { file: join(pgdata, path) })
  }
  yield { kind: 'folder', path, mode: found.mode & 0o777 }
  yield* walk(pgdata, path, version)
}

/** What the configuration names, with the folders above it. */
function* namedFile(pgdata: string, path: string, seen: Set<string>): Generator<ClusterEntry> {
  const found = stat(join(pgdata, path), statSync)
  if (found === undefined || !found.isFile()) return
  const parts = path.split('/')
  for (let depth = 1; depth < parts.length; depth++) {
    const above = parts.slice(0, depth).join('/')
    if (seen.has(above)) continue
    seen.add(above)
    const folder = stat(join(pgdata, above), statSync)
    if (folder !== undefined) yield { kind: 'folder', path: above, mode: folder.mode & 0o777 }
  }
  yield fileOf(pgdata, path)
}

function fileOf(pgdata: string, path: string): ClusterEntry {
  const file = join(pgdata, path)
  try {
    const { mode, size } = statRegular(file)
    return { kind: 'file', path, mode: mode & 0o777, bytes: size }
  } catch (error) {
    throw fileError(error, file)
  }
}

function stat(path: string, read: typeof lstatSync | typeof statSync): Stats | undefined {
  try {
    return read(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw fileError(error, path)
  }
}

function target(link: string): string {
  try {
    return readlinkSync(link)
  } catch (error) {
    throw fileError(error, link)
  }
}
