import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readI32, readI64, readU32 } from '../../common/bytes.ts'
import { CorruptionError, EnvironmentError, withPosition } from '../../common/errors.ts'
import { formatLsn } from '../../common/ids.ts'
import { parsePgMajor, type PgMajor } from '../../common/pgversion.ts'
import { type ControlFile, parseControlFile } from '../../catalog/controlfile.ts'
import { controlPlaces } from '../../catalog/controlplaces.ts'
import { lsnText } from '../../wal/text/parts.ts'
import { readFile, readIfThere } from '../../io/disk/files.ts'

/** Items of pg_control by pg_controldata's names. */
export type ControlItems = Record<string, string>

const WAL_LEVELS = ['minimal', 'replica', 'logical']
/** A running server may be writing the file while we read it. */
const ATTEMPTS = 10

/**
 * What pg_controldata prints, of any data directory: running, crashed, a backup.
 * @throws EnvironmentError if there is no pg_control; CorruptionError, UnsupportedError control.*
 */
export function readControlItems(pgdata: string): ControlItems {
  const version = readIfThere(join(pgdata, 'PG_VERSION'))
  if (version === undefined) {
    throw new EnvironmentError('datadir.missing', 'not a Postgres data directory: it has no file PG_VERSION', { file: pgdata })
  }
  const major = withPosition({ file: join(pgdata, 'PG_VERSION') }, () => parsePgMajor(new TextDecoder().decode(version)))
  const file = join(pgdata, 'global/pg_control')
  for (let attempt = 1; ; attempt++) {
    const bytes = readFile(file)
    try {
      const control = withPosition({ file }, () => parseControlFile(bytes, major))
      return controlItems(control, bytes, major)
    } catch (error) {
      const torn = error instanceof CorruptionError && error.code === 'control.crc' && existsSync(join(pgdata, 'postmaster.pid'))
      if (!torn || attempt === ATTEMPTS) throw error
    }
  }
}

/** The rest of ControlFileData (pg_control.h), whose beginning is in controlfile.ts. */
function controlItems(control: ControlFile, bytes: Uint8Array, major: PgMajor): ControlItems {
  const at = controlPlaces(major)
  const { checkPoint } = at
  const u32 = (place: number): string => String(readU32(bytes, place))
  const lsn = (place: number): string => lsnText(formatLsn(readI64(bytes, place) & 0xffffffffffffffffn), major)
  const setting = (place: number): string => (bytes[place] === 1 ? 'on' : 'off')
  return {
    'pg_control version number': String(control.controlVersion),
    'Catalog version number': String(control.catalogVersion),
    'Database system identifier': String(control.systemIdentifier),
    'Database cluster state': control.state,
    'pg_control last modified': time(bytes, 24),
    'Latest checkpoint location': lsn(32),
    "Latest checkpoint's REDO location": lsn(40),
    "Latest checkpoint's TimeLineID": String(control.timeline),
    "Latest checkpoint's PrevTimeLineID": u32(52),
    "Latest checkpoint's full_page_writes": setting(56),
    ...major >= 19 && { "Latest checkpoint's logical decoding": setting(64) },
    "Latest checkpoint's NextXID": `${control.nextXid.epoch}:${control.nextXid.low}`,
    "Latest checkpoint's NextOID": String(control.nextOid),
    "Latest checkpoint's NextMultiXactId": String(control.nextMulti),
    "Latest checkpoint's NextMultiOffset": String(control.nextMultiOffset),
    "Latest checkpoint's oldestXID": String(control.oldestXid),
    "Latest checkpoint's oldestXID's DB": u32(checkPoint.oldestXidDB),
    "Latest checkpoint's oldestActiveXID": u32(checkPoint.oldestActiveXid),
    "Latest checkpoint's oldestMultiXid": String(control.oldestMulti),
    "Latest checkpoint's oldestMulti's DB": u32(checkPoint.oldestMultiDB),
    "Latest checkpoint's oldestCommitTsXid": u32(checkPoint.oldestCommitTsXid),
    "Latest checkpoint's newestCommitTsXid": u32(checkPoint.newestCommitTsXid),
    'Time of latest checkpoint': time(bytes, checkPoint.time),
    'Fake LSN counter for unlogged rels': lsn(at.unloggedLSN),
    'Minimum recovery ending location': lsn(at.minRecoveryPoint),
    "Min recovery ending loc's timeline": u32(at.minRecoveryPointTLI),
    'Backup start location': lsn(at.backupStartPoint),
    'Backup end location': lsn(at.backupEndPoint),
    'End-of-backup record required': bytes[at.backupEndRequired] === 1 ? 'yes' : 'no',
    'wal_level setting': WAL_LEVELS[readI32(bytes, at.walLevel)] ?? u32(at.walLevel),
    'wal_log_hints setting': setting(at.walLogHints),
    'max_connections setting': u32(at.maxConnections),
    'max_worker_processes setting': u32(at.maxWorkerProcesses),
    'max_wal_senders setting': u32(at.maxWalSenders),
    'max_prepared_xacts setting': u32(at.maxPreparedXacts),
    'max_locks_per_xact setting': u32(at.maxLocksPerXact),
    'track_commit_timestamp setting': setting(at.trackCommitTimestamp),
    'Maximum data alignment': u32(at.maxAlign),
    'Database block size': u32(at.blcksz),
    'Blocks per segment of large relation': u32(at.relsegSize),
    ...at.slruPagesPerSegment !== undefined && { 'Pages per SLRU segment': u32(at.slruPagesPerSegment) },
    'WAL block size': u32(at.xlogBlcksz),
    'Bytes per WAL segment': u32(at.xlogSegSize),
    'Maximum length of identifiers': u32(at.nameDataLen),
    'Maximum columns in an index': u32(at.indexMaxKeys),
    'Maximum size of a TOAST chunk': u32(at.toastMaxChunkSize),
    'Size of a large-object chunk': u32(at.loblksize),
    'Float8 argument passing': bytes[at.float8ByVal] === 1 ? 'by value' : 'by reference',
    'Data page checksum version': u32(at.dataChecksumVersion),
    ...at.defaultCharSignedness !== undefined && { 'Default char data signedness': bytes[at.defaultCharSignedness] === 1 ? 'signed' : 'unsigned' },
  }
}

/** pg_time_t, seconds since 1970. */
function time(bytes: Uint8Array, at: number): string {
  const date = new Date(Number(readI64(bytes, at)) * 1000)
  return Number.isNaN(date.getTime()) ? String(readI64(bytes, at)) : `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
