import { existsSync, lstatSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { EnvironmentError } from '../../common/errors.ts'
import type { Oid } from '../../common/ids.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import { utf8Decode } from '../../common/utf8.ts'
import { fileError, isMissing, listDir, readIfThere } from '../disk/files.ts'
import { listRelationFiles } from '../datadir/listrelationfiles.ts'
import { copyFile, createFolder } from '../disk/create.ts'
import { readConfiguration } from '../datadir/configuration.ts'
import { breathe } from '../process/interruption.ts'
import { keptFile } from '../../replay/pagestore/keptfile.ts'
import { parseTablespaceMap } from '../../replay/tablespacemap.ts'
import { isIndex } from './settle.ts'

const DIGITS = /^\d+$/
/** What settings name there is no file of settings: folders of a server, and the one of ltap's own files, which a stranger must not fill. */
const NEVER_SETTINGS = /^(?:global|base|pg_[a-z]+|ltap)\//

export interface CopiedFiles {
  /** Indexes that were not copied. */
  indexes: RelFileLocator[]
  files: number
  bytes: number
}

/**
 * Copies what a page store keeps from a data directory or a plain base backup, tablespaces too.
 * @param version PG_<major>_<catalog version>
 * @throws EnvironmentError datadir.tablespace, file.*
 */
export async function copyDataDirectory(source: string, out: string, version: string): Promise<CopiedFiles> {
  const copied: CopiedFiles = { indexes: [], files: 0, bytes: 0 }
  const databases = listDir(join(source, 'base')).filter((name) => DIGITS.test(name)).map((name) => `base/${name}`)
  for (const dir of ['global', 'pg_xact', 'pg_multixact/offsets', 'pg_multixact/members', 'pg_twophase', 'pg_logical', ...databases]) {
    await copyFolder(join(source, dir), out, dir, version, copied)
  }
  for (const [oid, location] of tablespaces(source, version)) {
    createFolder(join(out, 'pg_tblspc', String(oid), version), out)
    for (const name of listDir(join(location, version))) {
      if (DIGITS.test(name)) await copyFolder(join(location, version, name), out, `pg_tblspc/${oid}/${version}/${name}`, version, copied)
    }
  }
  copyOne(join(source, 'PG_VERSION'), join(out, 'PG_VERSION'), copied)
  copyConfiguration(source, out, copied)
  return copied
}

/** @param path of the folder in a data directory */
async function copyFolder(from: string, out: string, path: string, version: string, copied: CopiedFiles): Promise<void> {
  createFolder(join(out, path), out)
  const indexes = new Set<number>()
  const place = keptFile(`${path}/1`, version)
  if (place?.kind === 'relation') {
    for (const files of listRelationFiles(from).relations.values()) {
      if (!isIndex(from, files)) continue
      indexes.add(files.relNumber)
      copied.indexes.push({ ...place.place, relNumber: files.relNumber })
    }
  }
  for (const name of listDir(from)) {
    const kept = keptFile(`${path}/${name}`, version)
    if (kept === undefined || (kept.kind === 'relation' && indexes.has(kept.relNumber))) continue
    copyOne(join(from, name), join(out, path, name), copied)
    await breathe()
  }
}

/** The server's settings, and files in the data directory that they name. What is no regular file, or a link that leads nowhere, is left. */
function copyConfiguration(source: string, out: string, copied: CopiedFiles): void {
  const own = listDir(source).filter((name) => keptFile(name, undefined)?.kind === 'configuration')
  for (const path of new Set([...own, ...readConfiguration(source).inside])) {
    const from = join(source, path)
    if (NEVER_SETTINGS.test(path) || !existsSync(from) || !statSync(from).isFile()) continue
    createFolder(dirname(join(out, path)), out)
    copyOne(from, join(out, path), copied)
  }
}

function copyOne(from: string, to: string, copied: CopiedFiles): void {
  createFolder(dirname(to))
  try {
    copied.bytes += statSync(from).size
  } catch (error) {
    throw fileError(error, from)
  }
  copyFile(from, to)
  copied.files++
}

/** A directory in pg_tblspc is the tablespace; else tablespace_map says where it is, as in recovery; else the link does. */
function tablespaces(source: string, version: string): [Oid, string][] {
  const map = readIfThere(join(source, 'tablespace_map'))
  const mapped = map === undefined ? new Map<Oid, string>() : parseTablespaceMap(utf8Decode(map))
  const oids = new Set([...listDir(join(source, 'pg_tblspc')).filter((name) => DIGITS.test(name)).map(Number), ...mapped.keys()])
  return [...oids].sort((a, b) => a - b).map((oid) => {
    const entry = join(source, 'pg_tblspc', String(oid))
    const location = isDirectory(entry) ? entry : mapped.get(oid) ?? entry
    if (!existsSync(join(location, version))) {
      throw new EnvironmentError('datadir.tablespace', `the directory ${version} of tablespace ${oid} is missing; mount or copy it`, { file: location })
    }
    return [oid, location]
  })
}

function isDirectory(path: string): boolean {
  try {
    return lstatSync(path).isDirectory()
  } catch (error) {
    if (isMissing(error)) return false
    throw fileError(error, path)
  }
}
