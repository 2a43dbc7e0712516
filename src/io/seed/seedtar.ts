import { closeSync, existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CorruptionError, EnvironmentError, isPositioned, UnsupportedError } from '../../common/errors.ts'
import { BLOCK_SIZE, type RelFileLocator, SEGMENT_BLOCKS } from '../../common/rel.ts'
import { tablespaceVersionName } from '../../common/relpath.ts'
import { utf8Decode } from '../../common/utf8.ts'
import { createFile, createFolder, writeFully } from '../disk/create.ts'
import { readControlFile, readMajor } from '../datadir/datadir.ts'
import { fileError } from '../disk/files.ts'
import { tellRelationKind } from '../../page/indexpage.ts'
import { type KeptFile, keptFile } from '../../replay/pagestore/keptfile.ts'
import type { CopiedFiles } from './seeddirectory.ts'
import { parseTablespaceMap } from '../../replay/tablespacemap.ts'
import type { BackupTars } from './findtars.ts'
import type { TarEntry } from '../../common/tar/tarreader.ts'
import { readTar } from './tarfile.ts'

/** WAL that came inside a tar backup is put here. */
export const EXTRACTED_WAL = 'ltap/wal'
/** backup_label and tablespace_map are text of a few lines. */
const LABEL_BYTES_MAX = 1 << 20
const SEGMENT_BYTES = SEGMENT_BLOCKS * BLOCK_SIZE
/** Folders whose files are kept. */
const KEPT_FOLDER = /^(?:global|base(?:\/\d+)?|pg_xact|pg_multixact(?:\/offsets|\/members)?|pg_twophase|pg_tblspc|pg_tblspc\/\d+\/PG_\d+_\d+(?:\/\d+)?)$/
/** What a relation's file of an incremental backup of WAL-G begins with: "wi1" and 0x55. */
const INCREMENT_MAGIC = [0x77, 0x69, 0x31, 0x55]


export interface ExtractedBackup extends CopiedFiles {
  /** Content of backup_label. */
  label: string | undefined
  /** Absolute; undefined if no WAL came with the backup. */
  walDirectory: string | undefined
}

/**
 * Extracts what a page store keeps.
 * @throws EnvironmentError backup.tablespace, file.*; CorruptionError, UnsupportedError backup.tar, backup.incremental
 */
export async function extractBackup({ parts, rooted, tablespaces, wal }: BackupTars, out: string): Promise<ExtractedBackup> {
  const target = new Extraction(out)
  for (const part of parts) await readTar(part, (entry) => target.take(entry, '', undefined, part), { rooted })
  const major = readMajor(out)
  const version = tablespaceVersionName({ major, catalogVersion: readControlFile(out, major).catalogVersion })
  const map = target.labels.get('tablespace_map')
  for (const oid of map === undefined ? [] : parseTablespaceMap(map).keys()) {
    if (tablespaces.has(oid) || existsSync(join(out, 'pg_tblspc', String(oid)))) continue
    const reason = `the tar file of tablespace ${oid} is missing; put it beside this one, under the name ${oid}.tar and the end of its compression`
    throw new EnvironmentError('backup.tablespace', reason, { file: parts[0]! })
  }
  for (const [oid, path] of tablespaces) {
    createFolder(join(out, 'pg_tblspc', String(oid), version), out)
    await readTar(path, (entry) => target.take(entry, `pg_tblspc/${oid}/`, version, path))
  }
  if (wal !== undefined) await readTar(wal, (entry) => target.take(entry, 'pg_wal/', version, wal))
  const { indexes, files, bytes, labels, hasWal } = target
  return { indexes: [...indexes.values()], files, bytes, label: labels.get('backup_label'), walDirectory: hasWal ? join(out, EXTRACTED_WAL) : undefined }
}

/** Extracts the WAL of a tar file of its own, pg_wal.tar. @returns how many files */
export async function extractWal(tar: string, out: string): Promise<number> {
  const target = new Extraction(out)
  await readTar(tar, (entry) => target.take(entry, 'pg_wal/', undefined, tar))
  return target.files
}

class Extraction implements Omit<CopiedFiles, 'indexes'> {
  readonly indexes = new Map<string, RelFileLocator>()
  readonly labels = new Map<string, string>()
  files = 0
  bytes = 0
  hasWal = false
  private readonly seen = new Set<string>()
  private readonly out: string

  constructor(out: string) {
    this.out = out
  }

  /** @param tar where the entry is from */
  async take(entry: TarEntry, prefix: string, version: string | undefined, tar: string): Promise<void> {
    const path = prefix + entry.name
    if (entry.type === 'directory') return
    if (entry.type !== 'file') {
      this.refuseLink(entry, path, version)
      return
    }
    const kept = keptFile(path, version)
    if (kept === undefined) return
    const { byte } = entry
    if (this.seen.has(path)) throw new CorruptionError('backup.tar', `the tar file has two entries named ${path}`, { file: tar, byte })
    this.seen.add(path)
    if (kept.kind === 'relation' && entry.size > SEGMENT_BYTES) {
      throw new CorruptionError('backup.tar', `${path} has ${entry.size} bytes, more than a segment of a relation`, { file: tar, byte })
    }
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

  /**
   * Refuses a link or device in place of a file that is needed. Other links are ignored, such as pg_wal or a tablespace that has its own tar file.
   */
  private refuseLink({ type, byte }: TarEntry, path: string, version: string | undefined): void {
    const kept = keptFile(path, version)
    if (kept?.kind === 'configuration' || (kept === undefined && !KEPT_FOLDER.test(path))) return
    const what = type === 'link' ? 'a link' : 'a device or FIFO'
    throw new UnsupportedError('backup.tar', `${path} is ${what}, without the content; pack the backup with that (tar -h)`, { byte })
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
          if (INCREMENT_MAGIC.every((byte, i) => head![i] === byte)) {
            throw new UnsupportedError('backup.incremental', 'an incremental backup of WAL-G: this file holds changed pages only; fetch the backup with wal-g')
          }
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
