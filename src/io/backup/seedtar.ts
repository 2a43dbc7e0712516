import { closeSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CorruptionError, EnvironmentError, isPositioned } from '../../common/errors.ts'
import type { Oid } from '../../common/ids.ts'
import { BLOCK_SIZE, type RelFileLocator } from '../../common/rel.ts'
import { utf8Decode } from '../../common/utf8.ts'
import { readControlFile, readMajor } from '../datadir/datadir.ts'
import { fileError, isMissing, listDir } from '../datadir/files.ts'
import { createFile, createFolder, writeFully } from '../create.ts'
import { tellRelationKind } from './indexpage.ts'
import { type KeptFile, keptFile } from './keptfile.ts'
import type { CopiedFiles } from './seeddirectory.ts'
import { parseTablespaceMap } from './tablespacemap.ts'
import { readTar, TAR_ENDINGS, type TarEntry } from './tarfile.ts'

/** WAL that came inside a tar backup is put here. */
export const EXTRACTED_WAL = 'ltap/wal'
/** backup_label and tablespace_map are text of a few lines. */
const LABEL_BYTES_MAX = 1 << 20

/** The files of pg_basebackup's tar format. */
export interface BackupTars {
  base: string
  tablespaces: Map<Oid, string>
  wal: string | undefined
}

export interface ExtractedBackup extends CopiedFiles {
  /** Content of backup_label. */
  label: string | undefined
  /** Absolute; undefined if no WAL came with the backup. */
  walDirectory: string | undefined
}

/** @param source a folder with base.tar, or that file @returns undefined if it is neither */
export function findTars(source: string): BackupTars | undefined {
  const folder = isFile(source) ? dirname(source) : source
  const names = listDir(folder)
  const named = (stem: string): string | undefined => {
    const found = TAR_ENDINGS.map((ending) => stem + ending).find((name) => names.includes(name))
    return found === undefined ? undefined : join(folder, found)
  }
  const base = named('base')
  if (base === undefined || (folder !== source && basename(source) !== basename(base))) return undefined
  const tablespaces = new Map<Oid, string>()
  for (const name of names) {
    const oid = /^(\d+)\.tar(?:\.gz|\.lz4|\.zst)?$/.exec(name)?.[1]
    if (oid !== undefined) tablespaces.set(Number(oid), join(folder, name))
  }
  return { base, tablespaces, wal: named('pg_wal') }
}

/**
 * Extracts what a page store keeps.
 * @throws EnvironmentError backup.tablespace, file.*; CorruptionError backup.tar
 */
export async function extractBackup({ base, tablespaces, wal }: BackupTars, out: string): Promise<ExtractedBackup> {
  const target = new Extraction(out)
  await readTar(base, (entry) => target.take(entry, '', undefined))
  const major = readMajor(out)
  const version = `PG_${major}_${readControlFile(out, major).catalogVersion}`
  const map = target.labels.get('tablespace_map')
  for (const oid of map === undefined ? [] : parseTablespaceMap(map).keys()) {
    if (tablespaces.has(oid)) continue
    throw new EnvironmentError('backup.tablespace', `the file ${oid}.tar of a tablespace is missing; put it beside base.tar`, { file: base })
  }
  for (const [oid, path] of tablespaces) {
    createFolder(join(out, 'pg_tblspc', String(oid), version), out)
    await readTar(path, (entry) => target.take(entry, `pg_tblspc/${oid}/`, version))
  }
  if (wal !== undefined) await readTar(wal, (entry) => target.take(entry, 'pg_wal/', version))
  const { indexes, files, bytes, labels, hasWal } = target
  return { indexes: [...indexes.values()], files, bytes, label: labels.get('backup_label'), walDirectory: hasWal ? join(out, EXTRACTED_WAL) : undefined }
}

class Extraction implements Omit<CopiedFiles, 'indexes'> {
  readonly indexes = new Map<string, RelFileLocator>()
  readonly labels = new Map<string, string>()
  files = 0
  bytes = 0
  hasWal = false
  private readonly out: string

  constructor(out: string) {
    this.out = out
  }

  async take(entry: TarEntry, prefix: string, version: string | undefined): Promise<void> {
    const path = prefix + entry.name
    const kept = keptFile(path, version)
    if (kept === undefined) return
    if (kept.kind === 'label') {
      this.labels.set(entry.name, await readText(entry))
      return
    }
    if (kept.kind === 'relation' && this.indexes.has(relationKey(kept))) return
    if (kept.kind === 'wal') this.hasWal = true
    const file = join(this.out, kept.kind === 'wal' ? `${EXTRACTED_WAL}/${kept.name}` : path)
    const decide = kept.kind === 'relation' && kept.fork === 'main' && kept.segment === 0
    try {
      if (await this.write(entry, file, decide)) this.files++
      else if (kept.kind === 'relation') this.indexes.set(relationKey(kept), { ...kept.place, relNumber: kept.relNumber })
    } catch (error) {
      throw isPositioned(error) || !(error instanceof Error && 'syscall' in error) ? error : fileError(error, file)
    }
  }

  /** @param decide look at the first page, and write nothing if it is an index's @returns whether the file was written */
  private async write({ chunks }: TarEntry, file: string, decide: boolean): Promise<boolean> {
    let head: Uint8Array | undefined = decide ? new Uint8Array(0) : undefined
    let index = false
    createFolder(dirname(file), this.out)
    let fd: number | undefined = decide ? undefined : createFile(file)
    try {
      for await (const chunk of chunks) {
        if (index) continue
        if (head !== undefined) {
          head = Buffer.concat([head, chunk])
          if (head.length < BLOCK_SIZE) continue
          index = tellRelationKind(head.subarray(0, BLOCK_SIZE), 0) === 'index'
          if (index) continue
        }
        fd ??= createFile(file)
        this.append(fd, head ?? chunk)
        head = undefined
      }
      if (index) return false
      fd ??= createFile(file)
      if (head !== undefined) this.append(fd, head)
      return true
    } finally {
      if (fd !== undefined) closeSync(fd)
    }
  }

  private append(fd: number, bytes: Uint8Array): void {
    writeFully(fd, bytes)
    this.bytes += bytes.length
  }
}

async function readText({ name, chunks }: TarEntry): Promise<string> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > LABEL_BYTES_MAX) throw new CorruptionError('backup.tar', `${name} of more than ${LABEL_BYTES_MAX} bytes`)
    parts.push(chunk)
  }
  return utf8Decode(Buffer.concat(parts))
}

function relationKey({ directory, relNumber }: KeptFile & { kind: 'relation' }): string {
  return `${directory}/${relNumber}`
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile()
  } catch (error) {
    if (isMissing(error)) return false
    throw fileError(error, path)
  }
}
