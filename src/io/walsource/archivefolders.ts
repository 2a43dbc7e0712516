import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import { fileError } from '../disk/files.ts'
import { parseArchiveName } from '../../wal/archivename.ts'

/** Folders of segments inside an archive: a log id of pgBackRest and Barman. */
const LOG_FOLDER = /^[0-9A-F]{16}$/
/** Folders that hold the archive: of Barman, of WAL-G, of a data directory; `<version>-<number>` of pgBackRest. */
const INNER_FOLDER = /^(?:wals|wal_005|pg_wal|\d+(?:\.\d+)?-\d+)$/
const LAYOUTS = 'a folder of segments (plain, .gz .lz4 .zst .bz2 .xz .lzma .br), pg_wal, pg_wal.tar, and the archives of pgBackRest, Barman and WAL-G'

/**
 * Names and paths of what may be WAL in an archive: the folder's own files and those of its log folders, or of the one folder inside that
 * is the archive.
 * @throws EnvironmentError file.*, wal.ambiguous
 */
export function archiveFiles(dir: string): [name: string, path: string][] {
  const found: [string, string][] = []
  const inner: string[] = []
  for (const name of namesIn(dir)) {
    const path = join(dir, name)
    if (LOG_FOLDER.test(name) && isFolder(path)) for (const segment of namesIn(path)) found.push([segment, join(path, segment)])
    else if (INNER_FOLDER.test(name) && isFolder(path)) inner.push(path)
    else if (/^[0-9A-F]{8}/.test(name)) found.push([name, path])
  }
  if (inner.length === 0 || found.some(([name]) => parseArchiveName(name)?.kind === 'segment')) return found
  if (inner.length === 1) return archiveFiles(inner[0]!)
  throw new EnvironmentError('wal.ambiguous', `several archives here: ${inner.slice(0, 5).join(', ')}; name one of them`, { file: dir })
}

/** Why ltap finds no WAL in a folder or a file. */
export function whyNoWal(path: string, single: boolean, timelines: readonly number[]): string {
  if (single) return `no WAL segment here: that file is not called as one is, such as 000000010000000000000001; ltap reads ${LAYOUTS}`
  const names = namesIn(path)
  const what = names.length === 0 ? 'the folder is empty'
    : timelines.length > 0 ? `the folder has history files only, of ${timelines.length} timelines`
    : `none of its ${names.length} entries is called as a segment is, such as 000000010000000000000001`
  return `no WAL segment here: ${what}; ltap reads ${LAYOUTS}`
}

export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    throw fileError(error, path)
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir).sort()
  } catch (error) {
    throw fileError(error, dir)
  }
}
