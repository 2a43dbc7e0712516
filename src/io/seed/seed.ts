import { existsSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { EnvironmentError, isPositioned, UnsupportedError, withPosition } from '../../common/errors.ts'
import { type WalPosition, walPosition } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import { DEFAULT_TABLESPACE, GLOBAL_TABLESPACE, type RelFileLocator } from '../../common/rel.ts'
import { utf8Decode } from '../../common/utf8.ts'
import type { ControlFile } from '../../catalog/controlfile.ts'
import { readControlFile, readMajor } from '../datadir/datadir.ts'
import { fileError, listDir, readIfThere } from '../disk/files.ts'
import { createFolder, writeFile } from '../disk/create.ts'
import { refuseRunningServer } from '../datadir/lockfile.ts'
import { syncTree } from '../disk/syncpath.ts'
import { databasePath, tablespaceVersionName } from '../../common/relpath.ts'
import { STATE_FILE, type StoreIdentity } from '../../replay/pagestore/statefile.ts'
import { LOCK_FILE, SEEDING_FILE } from '../pagestore/openstore.ts'
import { type BackupLabel, parseBackupLabel } from '../../replay/backuplabel.ts'
import { copyDataDirectory } from './seeddirectory.ts'
import { findTars } from './findtars.ts'
import { extractBackup } from './seedtar.ts'
import { settleDirectory } from './settle.ts'

const DIGITS = /^\d+$/
/** The folder of ltap's own files. */
const OWN = dirname(SEEDING_FILE)

/** What a page store was seeded from, and where replay has to begin. */
export interface Seed {
  /** `backup`: of a running server; `crashed`: a server that did not shut down as a primary does, or a standby. */
  kind: 'clean' | 'crashed' | 'backup'
  major: PgMajor
  control: ControlFile
  identity: StoreIdentity
  /** Redo begins with the record here. */
  start: WalPosition
  /** Where the checkpoint record begins that says what the transactions' state at `start` was. */
  checkpoint: WalPosition
  timeline: number
  /** The pages are consistent once replay has reached this; undefined where only the WAL tells. */
  consistentAt: WalPosition | undefined
  /**
   * Consistent not before a BACKUP_END record whose content is this position. With neither this nor `consistentAt` the directory of
   * a primary crashed: its pages may be as new as the end of its WAL, and only that is consistent.
   */
  backupEndOf: WalPosition | undefined
  backupLabel: BackupLabel | undefined
  /** The WAL that came with it. */
  walDirectory: string | undefined
  /** Relations not kept because they are indexes. */
  indexes: RelFileLocator[]
  /** Bytes after the last whole block of relation files: no server reads them, and the store does not keep them. */
  trailingBytes: number
  /** Number of files that were copied. */
  files: number
  bytes: number
}

/**
 * The first step of every replay: a page store begins as a copy of a stopped server's data directory, of a crashed server's, or of a base backup.
 * It copies what a page store keeps into `out`, a folder that is locked and otherwise empty or of an interrupted seeding, and makes it durable;
 * createPageStore does the rest.
 * @param source data directory of a server that does not run, plain base backup, or tar files: see findTars
 * @throws EnvironmentError datadir.*, backup.*, file.*; CorruptionError; UnsupportedError
 */
export async function seed(source: string, out: string): Promise<Seed> {
  if (existsSync(join(source, STATE_FILE)) || existsSync(join(source, SEEDING_FILE))) {
    const reason = 'ltap replay made this folder, so it cannot be the source of a replay; to continue that replay, name the folder with --out'
    throw new EnvironmentError('datadir.replayed', reason, { file: source })
  }
  makeEmpty(out)
  const tars = await findTars(source)
  if (tars !== undefined) {
    const { label, indexes, files, bytes, walDirectory } = await extractBackup(tars, out)
    if (label === undefined) {
      throw new EnvironmentError('backup.label',
        'no backup_label in the tar file of the data directory, so it is not a base backup; take one with pg_basebackup', { file: tars.parts[0]! })
    }
    return describe(out, label, { indexes, files, bytes }, walDirectory)
  }
  const major = readMajor(source)
  refuseRunningServer(source)
  const { catalogVersion } = readControlFile(source, major)
  const label = readIfThere(join(source, 'backup_label'))
  const copied = await copyDataDirectory(source, out, tablespaceVersionName({ major, catalogVersion }))
  const wal = join(source, 'pg_wal')
  return describe(out, label === undefined ? undefined : utf8Decode(label), copied, existsSync(wal) ? wal : undefined)
}

/** Whether a folder is missing, empty, or what a seeding left that was interrupted. @throws EnvironmentError file.* */
export function isSeedable(out: string): boolean {
  if (existsSync(join(out, SEEDING_FILE))) return !existsSync(join(out, STATE_FILE))
  return listDir(out).every((name) => name === OWN) && listDir(join(out, OWN)).every(isLock)
}

/** Whether a name is the lock's, or that of a file that exists for a moment while a process takes the lock over. */
function isLock(name: string): boolean {
  return name.startsWith(basename(LOCK_FILE))
}

function makeEmpty(out: string): void {
  if (!isSeedable(out)) throw new EnvironmentError('pagestore.exists', 'the folder is not empty; name another one, or delete it', { file: out })
  try {
    // The marker stays until all else is gone.
    for (const name of listDir(out)) if (name !== OWN) rmSync(join(out, name), { recursive: true })
    for (const name of listDir(join(out, OWN))) {
      if (name !== basename(SEEDING_FILE) && !isLock(name)) rmSync(join(out, OWN, name), { recursive: true })
    }
    createFolder(join(out, OWN), out)
    writeFile(join(out, SEEDING_FILE), '')
  } catch (error) {
    throw isPositioned(error) ? error : fileError(error, out)
  }
}

async function describe(
  out: string, labelText: string | undefined, copied: Pick<Seed, 'indexes' | 'files' | 'bytes'>, walDirectory: string | undefined,
): Promise<Seed> {
  const major = readMajor(out)
  const control = readControlFile(out, major)
  const backupLabel = labelText === undefined ? undefined : withPosition({ file: 'backup_label' }, () => parseBackupLabel(labelText))
  const identity = { systemIdentifier: control.systemIdentifier, major, catalogVersion: control.catalogVersion, checksums: control.checksums }
  const settled = settleDirectories(out, identity)
  const indexes = [...copied.indexes, ...settled.flatMap((directory) => directory.indexes)]
  const trailingBytes = settled.reduce((sum, directory) => sum + directory.trailingBytes, 0)
  await syncTree(out)
  return { major, control, identity, backupLabel, walDirectory, ...copied, indexes, trailingBytes, ...startOf(control, backupLabel) }
}

/** Where recovery begins and when it is consistent: InitWalRecovery and CheckRecoveryConsistency (xlogrecovery.c). */
function startOf(
  control: ControlFile, label: BackupLabel | undefined,
): Pick<Seed, 'kind' | 'start' | 'checkpoint' | 'timeline' | 'consistentAt' | 'backupEndOf'> {
  const start = label?.start ?? walPosition(control.redo)
  const checkpoint = label?.checkpoint ?? walPosition(control.checkpoint)
  const timeline = label?.timeline ?? control.timeline
  const place = { start, checkpoint, timeline }
  const minimum = Math.max(start, walPosition(control.minRecoveryPoint))
  const standby = control.state === 'in archive recovery' || control.state === 'shut down in recovery'
  if (label?.from === 'standby') {
    if (!standby) {
      throw new UnsupportedError('backup.standby',
        `backup_label says that the backup is of a standby, but pg_control says '${control.state}': use another backup`)
    }
    return { kind: 'backup', ...place, consistentAt: minimum, backupEndOf: undefined }
  }
  if (label !== undefined) return { kind: 'backup', ...place, consistentAt: minimum, backupEndOf: start }
  if (control.backupEndPoint !== 0n) {
    return { kind: 'backup', ...place, consistentAt: Math.max(minimum, walPosition(control.backupEndPoint)), backupEndOf: undefined }
  }
  if (control.backupStartPoint !== 0n || control.backupEndRequired) {
    return { kind: 'backup', ...place, consistentAt: minimum, backupEndOf: walPosition(control.backupStartPoint) }
  }
  if (control.state === 'shut down') return { kind: 'clean', ...place, consistentAt: start, backupEndOf: undefined }
  return { kind: 'crashed', ...place, consistentAt: standby ? minimum : undefined, backupEndOf: undefined }
}

/** {@link settleDirectory} of every database directory. @throws EnvironmentError file.* */
export function settleDirectories(out: string, identity: StoreIdentity): ReturnType<typeof settleDirectory>[] {
  const places = [{ spcOid: GLOBAL_TABLESPACE, dbOid: 0 }]
  const spaces = listDir(join(out, 'pg_tblspc')).filter((name) => DIGITS.test(name)).map(Number)
  for (const spcOid of [DEFAULT_TABLESPACE, ...spaces]) {
    const parent = dirname(join(out, databasePath({ spcOid, dbOid: 0 }, identity)))
    for (const name of listDir(parent)) if (DIGITS.test(name)) places.push({ spcOid, dbOid: Number(name) })
  }
  return places.map((place) => settleDirectory(join(out, databasePath(place, identity)), place))
}
