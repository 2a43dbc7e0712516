import { lstatSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { EnvironmentError, UnsupportedError } from '../../common/errors.ts'
import type { Oid } from '../../common/ids.ts'
import { parseTimelineHistoryName, parseSegmentName } from '../../wal/segment.ts'
import { COMPRESSIONS, type Compression, splitCompression } from '../../common/compression/format.ts'
import { splitUnread } from '../../common/compression/unread.ts'
import { wholeTarName, withoutLaterPieces } from '../../common/tar/tarpieces.ts'
import { fileError, isMissing, listDir } from '../disk/files.ts'
import { isTar, readTar } from './tarfile.ts'

/** In a folder with more files than these, ltap looks only into files that are called `.tar`. */
const PROBED_FILES_MAX = 100
/** Entries of a tar file that are looked at for what it is. */
const PROBED_ENTRIES_MAX = 1000
const BASE_NAME = /^(?:(?:backup_label|tablespace_map|PG_VERSION)$|(?:global|base|pg_xact|pg_multixact)(?:\/|$))/
const TABLESPACE_NAME = /^PG_\d+_\d+(?:\/|$)/

/** The tar files of a base backup. */
export interface BackupTars {
  /** Tar files of the data directory: one, or several that together have all its files. */
  parts: string[]
  /** Their names begin with a slash that means the data directory (WAL-G). */
  rooted: boolean
  tablespaces: Map<Oid, string>
  wal: string | undefined
}

type TarKind = 'base' | 'tablespace' | 'wal' | 'other'

/**
 * The tar files of pg_basebackup's format or like it, by their names or, where they were renamed, by their content; or of WAL-G.
 * @param source a folder of tar files, or the one of the data directory
 * @returns undefined if it is neither
 * @throws EnvironmentError backup.*, file.*; UnsupportedError backup.*, archive.encrypted
 */
export async function findTars(source: string): Promise<BackupTars | undefined> {
  const kind = kindOf(source)
  if (kind === undefined) return undefined
  const folder = kind === 'file' ? dirname(source) : source
  const names = tarNames(folder)
  refuseOtherBackups(folder, names)
  if (kind === 'folder' && names.includes('PG_VERSION')) return undefined
  const parts = walGParts(folder, names)
  if (parts !== undefined) return { parts, rooted: true, tablespaces: new Map(), wal: undefined }
  const base = kind === 'file' ? await baseFile(source) : await findBase(folder, names)
  if (base === undefined) return undefined
  return { parts: [base], rooted: false, ...(await findOthers(folder, names, base)) }
}

/** A tar file of WAL: this file, or `pg_wal.tar` in this folder, compressed or not, if that has no segment of its own. */
export async function findWalTar(path: string): Promise<string | undefined> {
  const kind = kindOf(path)
  if (kind === 'folder') {
    const names = tarNames(path)
    if (names.some((name) => parseSegmentName(splitCompression(name)[0]) !== undefined)) return undefined
    const found = named(names, 'pg_wal')
    if (found !== undefined) return join(path, found)
    refuseUnreadTar(path, names, (stem) => stem === 'pg_wal')
    return undefined
  }
  return kind === 'file' && !isSegmentLike(basename(path)) && await probe(path) === 'wal' ? path : undefined
}

function isSegmentLike(name: string): boolean {
  return /^[0-9A-F]{24}/.test(name) || parseTimelineHistoryName(splitCompression(name)[0]) !== undefined
}

async function baseFile(source: string): Promise<string> {
  if (await probe(source) === 'base') return source
  throw new EnvironmentError('backup.base', 'the file is not the tar file of a data directory; name that file, or its folder', { file: source })
}

async function findBase(folder: string, names: readonly string[]): Promise<string | undefined> {
  const usual = named(names, 'base')
  if (usual !== undefined) return join(folder, usual)
  const found: string[] = []
  let unread: UnsupportedError | undefined
  for (const name of candidates(folder, names)) {
    try {
      if (await probe(join(folder, name)) === 'base') found.push(name)
    } catch (error) {
      // Other files may lie there, and cost nothing where a tar file is found.
      if (tarStem(name)[1] || !(error instanceof UnsupportedError)) throw error
      unread ??= error
    }
  }
  // A data directory that lost PG_VERSION has other files, too.
  if (found.length === 0 && unread !== undefined && !names.includes('global')) throw unread
  if (found.length > 1) {
    const which = found.slice(0, 5).join(', ')
    throw new EnvironmentError('backup.ambiguous', `several tar files here hold a data directory: ${which}; name one of them`, { file: folder })
  }
  return found.length === 0 ? undefined : join(folder, found[0]!)
}

/** Tablespaces by the oid in their names, WAL by its name or content. */
async function findOthers(folder: string, names: readonly string[], base: string): Promise<Pick<BackupTars, 'tablespaces' | 'wal'>> {
  const tablespaces = new Map<Oid, string>()
  for (const name of names) {
    const [stem, tar] = tarStem(name)
    if (!tar || !/^\d+$/.test(stem)) continue
    if (tablespaces.has(Number(stem))) {
      throw new EnvironmentError('backup.ambiguous', `two tar files hold tablespace ${stem}; remove one of them`, { file: join(folder, name) })
    }
    tablespaces.set(Number(stem), join(folder, name))
  }
  const usual = named(names, 'pg_wal')
  refuseUnreadTar(folder, names, (stem) => (stem === 'pg_wal' ? usual === undefined : /^\d+$/.test(stem) && !tablespaces.has(Number(stem))))
  if (usual !== undefined) return { tablespaces, wal: join(folder, usual) }
  for (const name of candidates(folder, names)) {
    const path = join(folder, name)
    if (path !== base && tarStem(name)[1] && ![...tablespaces.values()].includes(path) && await probe(path) === 'wal') return { tablespaces, wal: path }
  }
  return { tablespaces, wal: undefined }
}

/** The parts of a base backup of WAL-G, whose names begin with a slash: part_001.tar.lz4, …, pg_control.tar.lz4. */
function walGParts(folder: string, names: readonly string[]): string[] | undefined {
  const inside = basename(folder) === 'tar_partitions'
  const dir = inside ? folder : join(folder, 'tar_partitions')
  const found = inside ? names : names.includes('tar_partitions') ? tarNames(dir) : []
  const parts = found.filter((name) => tarStem(name)[1])
  if (parts.length === 0) return undefined
  const backup = basename(inside ? dirname(folder) : folder)
  if (/_D_/.test(backup)) throw new UnsupportedError('backup.incremental', 'an incremental backup of WAL-G; fetch it with wal-g backup-fetch', { file: folder })
  return parts.map((name) => join(dir, name))
}

/** Formats of other tools that are no tar files. */
function refuseOtherBackups(folder: string, names: readonly string[]): void {
  if (!names.includes('backup.manifest')) return
  const reason = 'a backup in the form of pgBackRest; restore it with pgbackrest restore. Its archive can be --wal as it is'
  throw new UnsupportedError('backup.pgbackrest', reason, { file: folder })
}

function candidates(folder: string, names: readonly string[]): string[] {
  const files = names.filter((name) => !/\.(?:json|manifest|history|backup)$|^backup_manifest/.test(name) && !isSegmentLike(name))
  const called = files.filter((name) => tarStem(name)[1])
  return files.length > PROBED_FILES_MAX ? called : files.filter((name) => lstatSync(join(folder, name)).isFile())
}

/** What a file holds, undefined if it is no tar file. Its content decides, then its name. @throws UnsupportedError archive.encrypted */
async function probe(path: string): Promise<TarKind | undefined> {
  if (isTar(path)) return tarKind(path)
  const [, why] = splitUnread(wholeTarName(basename(path)))
  if (why !== undefined) throw unreadTar(path, why)
  return undefined
}

/** A tar file that is needed and not there, but encrypted is. @param isNeeded by the name without its ends */
function refuseUnreadTar(folder: string, names: readonly string[], isNeeded: (stem: string) => boolean): void {
  for (const name of names) {
    const [readable, why] = splitUnread(wholeTarName(name))
    const [stem, tar] = tarStem(readable)
    if (why !== undefined && tar && isNeeded(stem)) throw unreadTar(join(folder, name), why)
  }
}

function unreadTar(file: string, why: string): UnsupportedError {
  return new UnsupportedError('archive.encrypted', `the file is ${why}`, { file })
}

/** What the entries at the beginning say. */
async function tarKind(path: string): Promise<TarKind> {
  let kind: TarKind = 'other'
  let seen = 0
  await readTar(path, ({ name }) => {
    const base = name.slice(name.lastIndexOf('/') + 1)
    if (BASE_NAME.test(name)) kind = 'base'
    else if (TABLESPACE_NAME.test(name)) kind = 'tablespace'
    else if (!name.includes('/') && (parseSegmentName(base) !== undefined || parseTimelineHistoryName(base) !== undefined)) kind = 'wal'
    return Promise.resolve(kind === 'other' && ++seen < PROBED_ENTRIES_MAX)
  })
  return kind
}

/** The file of this name as a tar file, whatever its compression. */
function named(names: readonly string[], stem: string): string | undefined {
  const all = COMPRESSIONS.map((compression: Compression) => `${stem}.tar${compression}`)
  return [...all, `${stem}.tgz`].map((whole) => names.find((name) => name === whole) ?? names.find((name) => wholeTarName(name) === whole))
    .find((name) => name !== undefined)
}

/** Names in a folder; a tar file in pieces has only its first one. */
function tarNames(folder: string): string[] {
  return withoutLaterPieces(listDir(folder))
}

function tarStem(name: string): [stem: string, tar: boolean] {
  const [stem] = splitCompression(wholeTarName(name).replace(/\.tgz$/, '.tar.gz').replace(/\.tbz2?$/, '.tar.bz2').replace(/\.txz$/, '.tar.xz'))
  return stem.endsWith('.tar') ? [stem.slice(0, -'.tar'.length), true] : [name, false]
}

function kindOf(path: string): 'file' | 'folder' | undefined {
  try {
    return statSync(path).isDirectory() ? 'folder' : 'file'
  } catch (error) {
    if (isMissing(error)) return undefined
    throw fileError(error, path)
  }
}
