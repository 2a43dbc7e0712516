import { readF64, readI32, readI64, readU32 } from '../common/bytes.ts'
import { crc32c } from '../common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import type { Lsn, Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../common/rel.ts'
import { WAL_PAGE_SIZE } from '../wal/pageheader.ts'
import { SLRU_PAGES_PER_SEGMENT } from '../xact/segments.ts'
import { type ControlPlaces, controlPlaces } from './controlplaces.ts'
import { checkControlRanges } from './controlrange.ts'

const FLOAT_FORMAT = 1234567

/**
 * pg_control_version and catalog_version_no of every released server: they never change within a major. Those of 19 are of its first release
 * candidate; beta releases had others, and other catalogs and WAL.
 */
const VERSIONS: Readonly<Record<PgMajor, { control: number; catalog: number }>> = {
  14: { control: 1300, catalog: 202107181 },
  15: { control: 1300, catalog: 202209061 },
  16: { control: 1300, catalog: 202307071 },
  17: { control: 1700, catalog: 202406281 },
  18: { control: 1800, catalog: 202506291 },
  19: { control: 1905, catalog: 202610061 },
}

/** DBState (pg_control.h) as pg_controldata names it. */
export type ClusterState =
  | 'starting up' | 'shut down' | 'shut down in recovery' | 'shutting down' | 'in crash recovery' | 'in archive recovery' | 'in production'

/** By number. */
const STATES: readonly ClusterState[] = [
  'starting up', 'shut down', 'shut down in recovery', 'shutting down', 'in crash recovery', 'in archive recovery', 'in production',
]

/** catalog_version_no of a major, in the names of its folders in tablespaces. */
export function catalogVersionOf(major: PgMajor): number {
  return VERSIONS[major].catalog
}

export interface ControlFile {
  systemIdentifier: bigint
  controlVersion: number
  catalogVersion: number
  state: ClusterState
  /** LSN where the last checkpoint record begins. */
  checkpoint: Lsn
  /** Where redo would start from it. After a clean shutdown equal to `checkpoint`. */
  redo: Lsn
  timeline: number
  /** Next full xid, in two halves. */
  nextXid: { low: Xid; epoch: number }
  oldestXid: Xid
  nextOid: number
  nextMulti: number
  nextMultiOffset: number
  oldestMulti: number
  checksums: boolean
  walSegmentSize: number
  /** When the last checkpoint began; seconds since 1970. */
  checkpointTime: number
  /** The oldest xid that ran at the last checkpoint; 0 at a shutdown one. */
  oldestActiveXid: Xid
  /** Recovery of an archive has to reach it before the pages are consistent; 0 if the server is no standby. */
  minRecoveryPoint: Lsn
  minRecoveryPointTimeline: number
  /** Where redo of the backup begins that is being recovered, 0 if none: consistent only after its end. */
  backupStartPoint: Lsn
  /** End of a backup that was taken from a standby; 0 if none. */
  backupEndPoint: Lsn
  backupEndRequired: boolean
  /** By number: 0 minimal, 1 replica, 2 logical. */
  walLevel: number
  walLogHints: boolean
  trackCommitTimestamp: boolean
}

/**
 * @throws CorruptionError control.* for damage, UnsupportedError control.* for a server built in a way that ltap does not read
 */
export function parseControlFile(bytes: Uint8Array, major: PgMajor): ControlFile {
  const { control, catalog } = VERSIONS[major]
  const at = controlPlaces(major)
  if (bytes.length < at.crc + 4) throw new CorruptionError('control.size', `pg_control has ${bytes.length} bytes`)
  const controlVersion = readU32(bytes, 8)
  if (controlVersion !== control) throw otherVersion('control.version', 'pg_control_version', controlVersion, major, control, 8)
  if (crc32c(bytes, 0, at.crc) !== readU32(bytes, at.crc)) throw new CorruptionError('control.crc', 'pg_control: wrong CRC', { byte: at.crc })
  const catalogVersion = readU32(bytes, 12)
  if (catalogVersion !== catalog) throw otherVersion('control.catalog-version', 'catalog_version_no', catalogVersion, major, catalog, 12)
  checkLayout(bytes, at)
  const state = STATES[readU32(bytes, 16)]
  if (state === undefined) throw new CorruptionError('control.state', `pg_control: state ${readU32(bytes, 16)}`, { byte: 16 })
  const found: ControlFile = {
    systemIdentifier: readI64(bytes, 0) & 0xffffffffffffffffn, controlVersion, catalogVersion, state, checkpoint: lsnAt(bytes, 32),
    ...checkPointFields(bytes, at, major), ...recoveryFields(bytes, at),
    checksums: checksumVersion(bytes, at), walSegmentSize: walSegmentSizeOf(bytes, at.xlogSegSize),
    walLevel: readI32(bytes, at.walLevel), walLogHints: boolean(bytes, at.walLogHints, 'wal_log_hints'),
    trackCommitTimestamp: boolean(bytes, at.trackCommitTimestamp, 'track_commit_timestamp'),
  }
  checkControlRanges(found)
  return found
}

type CheckPointFields = 'redo' | 'timeline' | 'nextXid' | 'oldestXid' | 'nextOid' | 'nextMulti' | 'nextMultiOffset' | 'oldestMulti' | 'checkpointTime' |
  'oldestActiveXid'

function checkPointFields(bytes: Uint8Array, { checkPoint: at }: ControlPlaces, major: PgMajor): Pick<ControlFile, CheckPointFields> {
  const u32 = (place: number): number => readU32(bytes, place)
  return {
    redo: lsnAt(bytes, 40), timeline: u32(48), nextXid: { low: u32(at.nextXid), epoch: u32(at.nextXid + 4) }, oldestXid: u32(at.oldestXid),
    nextOid: u32(at.nextOid), nextMulti: u32(at.nextMulti), nextMultiOffset: major >= 19 ? memberNumber(bytes, at.nextMultiOffset) : u32(at.nextMultiOffset),
    oldestMulti: u32(at.oldestMulti), checkpointTime: Number(readI64(bytes, at.time)), oldestActiveXid: u32(at.oldestActiveXid),
  }
}

type RecoveryFields = 'minRecoveryPoint' | 'minRecoveryPointTimeline' | 'backupStartPoint' | 'backupEndPoint' | 'backupEndRequired'

function recoveryFields(bytes: Uint8Array, at: ControlPlaces): Pick<ControlFile, RecoveryFields> {
  return {
    minRecoveryPoint: lsnAt(bytes, at.minRecoveryPoint), minRecoveryPointTimeline: readU32(bytes, at.minRecoveryPointTLI),
    backupStartPoint: lsnAt(bytes, at.backupStartPoint), backupEndPoint: lsnAt(bytes, at.backupEndPoint),
    backupEndRequired: boolean(bytes, at.backupEndRequired, 'backupEndRequired'),
  }
}

function lsnAt(bytes: Uint8Array, at: number): Lsn {
  return readI64(bytes, at) & 0xffffffffffffffffn
}

/** nextMultiOffset since 19. */
function memberNumber(bytes: Uint8Array, at: number): number {
  const found = lsnAt(bytes, at)
  if (found > Number.MAX_SAFE_INTEGER) throw new CorruptionError('control.range', `pg_control: nextMultiOffset is ${found}, which no server writes`, { byte: at })
  return Number(found)
}

/**
 * What the build of the server decides (ReadControlFile, xlog.c, compares each of them). `float8ByVal` is not one of these: it says whether 8
 * bytes fit into a Datum, so it is 0 on machines of 32 bits, such as PGlite's WebAssembly. Stored values are the same there as long as
 * maxAlign is 8: catalogs differ in typbyval and attbyval, which nothing here reads.
 */
function layoutOf(at: ControlPlaces): (readonly [name: string, byte: number, value: number])[] {
  return [
    // Where tuples and their attributes begin. i386 has 4.
    ['maxAlign', at.maxAlign, 8],
    // The page.
    ['blcksz', at.blcksz, BLOCK_SIZE],
    // Which file has a block.
    ['relseg_size', at.relsegSize, SEGMENT_BLOCKS],
    // Which file has a page of an SLRU. Until 18 servers do not write it down.
    ...at.slruPagesPerSegment === undefined ? [] : [['slru_pages_per_segment', at.slruPagesPerSegment, SLRU_PAGES_PER_SEGMENT] as const],
    // The WAL page, and with it where the record of the last checkpoint ends.
    ['xlog_blcksz', at.xlogBlcksz, WAL_PAGE_SIZE],
    // typlen of name: the catalogs.
    ['nameDataLen', at.nameDataLen, 64],
    // Length of catalogs' arrays. No server is known to have another.
    ['indexMaxKeys', at.indexMaxKeys, 32],
    // The chunks of an out-of-line value.
    ['toast_max_chunk_size', at.toastMaxChunkSize, 1996],
    // A quarter of blcksz: the rows of pg_largeobject.
    ['loblksize', at.loblksize, BLOCK_SIZE / 4],
  ]
}

function checkLayout(bytes: Uint8Array, at: ControlPlaces): void {
  if (readF64(bytes, at.floatFormat) !== FLOAT_FORMAT) {
    throw new UnsupportedError('control.float', 'pg_control: the server stores double precision in another format, which ltap does not read', {
      byte: at.floatFormat,
    })
  }
  for (const [name, place, value] of layoutOf(at)) {
    const found = readI32(bytes, place)
    if (found !== value) throw unsupported('control.layout', name, found, value, place)
  }
  checkFlag(bytes, 'float8ByVal', at.float8ByVal)
  // Whether char has a sign where the cluster was made. Some indexes are ordered by it, no heap is.
  if (at.defaultCharSignedness !== undefined) checkFlag(bytes, 'default_char_signedness', at.defaultCharSignedness)
}

function checkFlag(bytes: Uint8Array, name: string, byte: number): void {
  const found = bytes[byte]!
  if (found > 1) throw new UnsupportedError('control.layout', `pg_control: ${name} is ${found}, ltap reads 0 and 1`, { byte })
}

/** A size that initdb --wal-segsize takes. */
function walSegmentSizeOf(bytes: Uint8Array, byte: number): number {
  const size = readU32(bytes, byte)
  const isPower = size >= 1 << 20 && size <= 1 << 30 && (size & (size - 1)) === 0
  if (!isPower) throw new CorruptionError('control.layout', `pg_control: xlog_seg_size is ${size}, not a power of two from 1 MiB to 1 GiB`, { byte })
  return size
}

function boolean(bytes: Uint8Array, at: number, name: string): boolean {
  if (bytes[at]! > 1) throw new CorruptionError('control.range', `pg_control: ${name} is ${bytes[at]}, which no server writes`, { byte: at })
  return bytes[at] === 1
}

const CHECKPOINT_COPY = 40
const STATE_SHUT_DOWN = 1

/** checkPointCopy: the CheckPoint of the last checkpoint. @param bytes of a file that {@link parseControlFile} takes */
export function checkPointCopy(bytes: Uint8Array, major: PgMajor): Uint8Array {
  return new Uint8Array(bytes.subarray(CHECKPOINT_COPY, CHECKPOINT_COPY + controlPlaces(major).checkPoint.size))
}

/**
 * pg_control of a server that was shut down at this checkpoint, as a primary and with no backup under way; all else stays as it is.
 * @param bytes as {@link checkPointCopy} @param at where the record of the checkpoint begins
 */
export function shutDownControlFile(bytes: Uint8Array, major: PgMajor, at: Lsn, checkPoint: Uint8Array): Uint8Array {
  const places = controlPlaces(major)
  const changed = new Uint8Array(bytes)
  const view = new DataView(changed.buffer)
  view.setUint32(16, STATE_SHUT_DOWN, true)
  view.setBigUint64(32, at, true)
  changed.set(checkPoint, CHECKPOINT_COPY)
  changed.fill(0, places.minRecoveryPoint, places.minRecoveryPointTLI + 4)
  changed.fill(0, places.backupStartPoint, places.backupEndRequired + 1)
  view.setUint32(places.crc, crc32c(changed, 0, places.crc), true)
  return changed
}

function checksumVersion(bytes: Uint8Array, { dataChecksumVersion: at }: ControlPlaces): boolean {
  const version = readU32(bytes, at)
  if (version > 1) throw unsupported('control.checksums', 'data_checksum_version', version, 1, at)
  return version === 1
}

/** A server of another release, or a pre-release. What ltap does not know is refused: catalogs, pages or WAL may differ. */
function otherVersion(code: string, name: string, found: number, major: PgMajor, known: number, byte: number): UnsupportedError {
  const release = major === 19 ? '19 rc1' : String(major)
  const advice = 'files of a beta or development version are not read; use a newer ltap for a newer release'
  return new UnsupportedError(code, `pg_control: ${name} is ${found}, that of Postgres ${release}, which ltap reads, is ${known}: ${advice}`, { byte })
}

function unsupported(code: string, name: string, found: number, expected: number, byte: number): UnsupportedError {
  return new UnsupportedError(code, `pg_control: ${name} is ${found}, ltap reads ${expected}`, { byte })
}
