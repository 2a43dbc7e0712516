import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readI32, readI64, readU32 } from '../../common/bytes.ts'
import { CorruptionError, EnvironmentError, withPosition } from '../../common/errors.ts'
import { formatLsn } from '../../common/ids.ts'
import { parsePgMajor } from '../../common/pgversion.ts'
import { type ControlFile, parseControlFile } from '../../catalog/controlfile.ts'
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
      return { ...controlItems(control, bytes), ...(major === 18 && { 'Default char data signedness': bytes[256] === 1 ? 'signed' : 'unsigned' }) }
    } catch (error) {
      const torn = error instanceof CorruptionError && error.code === 'control.crc' && existsSync(join(pgdata, 'postmaster.pid'))
      if (!torn || attempt === ATTEMPTS) throw error
    }
  }
}

/** The rest of ControlFileData (pg_control.h), whose beginning is in controlfile.ts; the same places in 14 to 18. */
function controlItems(control: ControlFile, bytes: Uint8Array): ControlItems {
  const u32 = (at: number): string => String(readU32(bytes, at))
  const lsn = (at: number): string => formatLsn(readI64(bytes, at) & 0xffffffffffffffffn)
  const setting = (at: number): string => (bytes[at] === 1 ? 'on' : 'off')
  return {
    'pg_control version number': String(control.controlVersion),
    'Catalog version number': String(control.catalogVersion),
    'Database system identifier': String(control.systemIdentifier),
    'Database cluster state': control.state,
    'pg_control last modified': time(bytes, 24),
    'Latest checkpoint location': formatLsn(control.checkpoint),
    "Latest checkpoint's REDO location": formatLsn(control.redo),
    "Latest checkpoint's TimeLineID": String(control.timeline),
    "Latest checkpoint's PrevTimeLineID": u32(52),
    "Latest checkpoint's full_page_writes": setting(56),
    "Latest checkpoint's NextXID": `${control.nextXid.epoch}:${control.nextXid.low}`,
    "Latest checkpoint's NextOID": String(control.nextOid),
    "Latest checkpoint's NextMultiXactId": String(control.nextMulti),
    "Latest checkpoint's NextMultiOffset": String(control.nextMultiOffset),
    "Latest checkpoint's oldestXID": String(control.oldestXid),
    "Latest checkpoint's oldestXID's DB": u32(88),
    "Latest checkpoint's oldestActiveXID": u32(120),
    "Latest checkpoint's oldestMultiXid": String(control.oldestMulti),
    "Latest checkpoint's oldestMulti's DB": u32(96),
    "Latest checkpoint's oldestCommitTsXid": u32(112),
    "Latest checkpoint's newestCommitTsXid": u32(116),
    'Time of latest checkpoint': time(bytes, 104),
    'Fake LSN counter for unlogged rels': lsn(128),
    'Minimum recovery ending location': lsn(136),
    "Min recovery ending loc's timeline": u32(144),
    'Backup start location': lsn(152),
    'Backup end location': lsn(160),
    'End-of-backup record required': bytes[168] === 1 ? 'yes' : 'no',
    'wal_level setting': WAL_LEVELS[readI32(bytes, 172)] ?? u32(172),
    'wal_log_hints setting': setting(176),
    'max_connections setting': u32(180),
    'max_worker_processes setting': u32(184),
    'max_wal_senders setting': u32(188),
    'max_prepared_xacts setting': u32(192),
    'max_locks_per_xact setting': u32(196),
    'track_commit_timestamp setting': setting(200),
    'Maximum data alignment': u32(204),
    'Database block size': u32(216),
    'Blocks per segment of large relation': u32(220),
    'WAL block size': u32(224),
    'Bytes per WAL segment': u32(228),
    'Maximum length of identifiers': u32(232),
    'Maximum columns in an index': u32(236),
    'Maximum size of a TOAST chunk': u32(240),
    'Size of a large-object chunk': u32(244),
    'Float8 argument passing': bytes[248] === 1 ? 'by value' : 'by reference',
    'Data page checksum version': u32(252),
  }
}

/** pg_time_t, seconds since 1970. */
function time(bytes: Uint8Array, at: number): string {
  const date = new Date(Number(readI64(bytes, at)) * 1000)
  return Number.isNaN(date.getTime()) ? String(readI64(bytes, at)) : `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
