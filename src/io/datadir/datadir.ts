import { existsSync, lstatSync } from 'node:fs'
import { join } from 'node:path'
import { CorruptionError, EnvironmentError, withPosition } from '../../common/errors.ts'
import type { Oid } from '../../common/ids.ts'
import { parsePgMajor, type PgMajor } from '../../common/pgversion.ts'
import { DEFAULT_TABLESPACE, GLOBAL_TABLESPACE } from '../../common/rel.ts'
import { type PreparedTransaction, parseTwoPhaseFile } from '../../xact/twophase.ts'
import { STATE_FILE } from '../../replay/pagestore/statefile.ts'
import { type ControlFile, parseControlFile } from '../../catalog/controlfile.ts'
import { isMissing, listDir, readFile, readIfThere } from '../disk/files.ts'
import { refuseRunningServer } from './lockfile.ts'
import { databasePath as databaseDirectoryPath } from '../../common/relpath.ts'

/** Files that tell that the data directory is a backup or a standby, whose pages are not yet what pg_control says. */
const RECOVERY_FILES = ['backup_label', 'recovery.signal', 'standby.signal']
/** pg_twophase: an xid up to 16, a full xid since 17. */
const TWOPHASE_FILE = /^(?:[0-9A-F]{8}){1,2}$/
const DIGITS = /^\d+$/

/** The data directory of a cleanly shut down server. */
export interface DataDirectory {
  path: string
  major: PgMajor
  control: ControlFile
  /** Oids of the tablespaces besides pg_default and pg_global that have a directory. */
  tablespaces: readonly Oid[]
}

/**
 * @throws EnvironmentError datadir.* if this is no data directory or none that was shut down cleanly, saying what to do about it
 * @throws CorruptionError, UnsupportedError control.*, cluster.version
 */
export function openDataDirectory(path: string, major: PgMajor = readMajor(path)): DataDirectory {
  const stale = refuseUnsettled(path)
  const control = readControlFile(path, major)
  if (control.state !== 'shut down') {
    const advice = 'replay its WAL (ltap replay, or --wal), or start the server and stop it with pg_ctl stop -m fast'
    throw refusal('state', `the server was not shut down cleanly (pg_control: ${control.state}${stale === undefined ? '' : `; ${stale}`}); ${advice}`, path)
  }
  return { path, major, control, tablespaces: listTablespaces(path) }
}

/**
 * @returns a sentence about a postmaster.pid that a server left behind; undefined without one
 * @throws EnvironmentError datadir.* for folders whose pages are not yet what pg_control says, or change
 */
export function refuseUnsettled(path: string): string | undefined {
  if (exists(join(path, STATE_FILE))) throw refusal('replayed', 'ltap replay made this folder; name the data directory of a server', path)
  const stale = refuseRunningServer(path)
  for (const name of RECOVERY_FILES) {
    if (!exists(join(path, name))) continue
    const advice = 'replay its WAL (ltap replay, or --wal), or start the server, let its recovery end, stop it with pg_ctl stop -m fast'
    throw refusal('recovery', `${name} is there: a backup or a standby that was not recovered to the end; ${advice}`, path)
  }
  return stale
}

/** Oids of the tablespaces besides pg_default and pg_global. */
export function listTablespaces(path: string): Oid[] {
  return listDir(join(path, 'pg_tblspc')).filter((name) => DIGITS.test(name)).map(Number)
}

/** @throws EnvironmentError datadir.missing, UnsupportedError cluster.version */
export function readMajor(path: string): PgMajor {
  const file = join(path, 'PG_VERSION')
  const version = readIfThere(file)
  if (version === undefined) {
    const next = 'write the major version into one, or name it: --on-corrupt carry --major <number>'
    const advice = exists(join(path, 'base')) ? `; ${next}` : ''
    throw refusal('missing', `not a Postgres data directory: it has no file PG_VERSION${advice}`, path)
  }
  return withPosition({ file }, () => parsePgMajor(ascii(version)))
}

/** global/pg_control. @throws EnvironmentError file.*, CorruptionError and UnsupportedError control.* */
export function readControlFile(path: string, major: PgMajor): ControlFile {
  const file = join(path, 'global/pg_control')
  return withPosition({ file }, () => parseControlFile(readFile(file), major))
}

/** {@link databaseDirectoryPath} below this data directory. */
export function databasePath({ path, major, control }: DataDirectory, spcOid: Oid, dbOid: Oid): string {
  return join(path, databaseDirectoryPath({ spcOid, dbOid }, { major, catalogVersion: control.catalogVersion }))
}

/** Every database directory that is there, in any tablespace, whether or not a catalog knows it. */
export function listDatabaseDirectories(datadir: DataDirectory): { spcOid: Oid; dbOid: Oid }[] {
  const found = [{ spcOid: GLOBAL_TABLESPACE, dbOid: 0 }]
  for (const spcOid of datadir.tablespaces) {
    const link = join(datadir.path, 'pg_tblspc', String(spcOid))
    if (!existsSync(link)) throw refusal('tablespace', 'the directory of a tablespace is missing; mount or copy it', link)
  }
  for (const spcOid of [DEFAULT_TABLESPACE, ...datadir.tablespaces]) {
    const dir = join(databasePath(datadir, spcOid, 0), '..')
    for (const name of listDir(dir)) if (DIGITS.test(name)) found.push({ spcOid, dbOid: Number(name) })
  }
  return found
}

/**
 * pg_twophase.
 * @param onDamaged called for a damaged file, whose name tells the transaction: it is taken as prepared, its subtransactions are not known
 * @throws EnvironmentError file.*, CorruptionError xact.twophase unless onDamaged takes it
 */
export function readPrepared(
  { path, major }: Pick<DataDirectory, 'path' | 'major'>, onDamaged?: (error: CorruptionError) => void,
): PreparedTransaction[] {
  const folder = join(path, 'pg_twophase')
  return listDir(folder).filter((name) => TWOPHASE_FILE.test(name)).map((name) => {
    const file = join(folder, name)
    try {
      return withPosition({ file }, () => parsePreparedFile(file, name, major))
    } catch (error) {
      if (onDamaged === undefined || !(error instanceof CorruptionError)) throw error
      onDamaged(error)
      return { xid: Number.parseInt(name.slice(-8), 16), database: 0, subxacts: [] }
    }
  })
}

/** Reads a state file. TwoPhaseFilePath (twophase.c) names it by the xid, since 17 by the full xid. */
function parsePreparedFile(file: string, name: string, major: PgMajor): PreparedTransaction {
  const prepared = parseTwoPhaseFile(readFile(file), major)
  if (Number.parseInt(name.slice(-8), 16) === prepared.xid) return prepared
  throw new CorruptionError('xact.twophase', `prepared transaction: the file is of xid ${prepared.xid}, not of the one in its name`)
}

function refusal(code: string, reason: string, file: string): EnvironmentError {
  return new EnvironmentError(`datadir.${code}`, reason, { file })
}

function exists(path: string): boolean {
  try {
    lstatSync(path)
    return true
  } catch (error) {
    return !isMissing(error)
  }
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, 4096))
}
