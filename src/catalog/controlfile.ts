import { readF64, readI32, readI64, readU32 } from '../common/bytes.ts'
import { crc32c } from '../common/crc32c.ts'
import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import type { Lsn, Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { BLOCK_SIZE, SEGMENT_BLOCKS } from '../common/rel.ts'
import { WAL_PAGE_SIZE } from '../wal/pageheader.ts'
import { SIZE_OF_CHECKPOINT } from '../wal/shutdowncheckpoint.ts'
import { checkControlRanges } from './controlrange.ts'

/*
 * global/pg_control (ControlFileData, pg_control.h), little-endian, in a file of 8192 bytes:
 *
 *  0               8         12        16      24     32         40 …         136      204        208       216
 *  +---------------+---------+---------+-------+------+----------+------------+--- … --+----------+---------+--- … ---+-----+
 *  | system id u64 | control | catalog | state | time | checkPt  | CheckPoint | …      | maxAlign | 1234567 | …       | CRC |
 *  +---------------+---------+---------+-------+------+----------+------------+--- … --+----------+---------+--- … ---+-----+
 *
 * The CRC-32C of everything before it is at 288, in 18 (which has one more field) at 292.
 */
const FLOAT_FORMAT = 1234567
const CRC_BEFORE_18 = 288
const CRC_18 = 292

/** pg_control_version and catalog_version_no of every released server: they never change within a major. */
const VERSIONS: Readonly<Record<PgMajor, { control: number; catalog: number; crcAt: number }>> = {
  14: { control: 1300, catalog: 202107181, crcAt: CRC_BEFORE_18 },
  15: { control: 1300, catalog: 202209061, crcAt: CRC_BEFORE_18 },
  16: { control: 1300, catalog: 202307071, crcAt: CRC_BEFORE_18 },
  17: { control: 1700, catalog: 202406281, crcAt: CRC_BEFORE_18 },
  18: { control: 1800, catalog: 202506291, crcAt: CRC_18 },
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
  const { control, catalog, crcAt } = VERSIONS[major]
  if (bytes.length < crcAt + 4) throw new CorruptionError('control.size', `pg_control has ${bytes.length} bytes`)
  const controlVersion = readU32(bytes, 8)
  if (controlVersion !== control) throw unsupported('control.version', 'pg_control_version', controlVersion, control, 8)
  if (crc32c(bytes, 0, crcAt) !== readU32(bytes, crcAt)) throw new CorruptionError('control.crc', 'pg_control: wrong CRC', { byte: crcAt })
  const catalogVersion = readU32(bytes, 12)
  if (catalogVersion !== catalog) throw unsupported('control.catalog-version', 'catalog_version_no', catalogVersion, catalog, 12)
  checkLayout(bytes, major)
  const lsn = (at: number): Lsn => readI64(bytes, at) & 0xffffffffffffffffn
  const state = STATES[readU32(bytes, 16)]
  if (state === undefined) throw new CorruptionError('control.state', `pg_control: state ${readU32(bytes, 16)}`, { byte: 16 })
  const found: ControlFile = {
    systemIdentifier: readI64(bytes, 0) & 0xffffffffffffffffn, controlVersion, catalogVersion, state,
    checkpoint: lsn(32), redo: lsn(40), timeline: readU32(bytes, 48),
    nextXid: { low: readU32(bytes, 64), epoch: readU32(bytes, 68) }, oldestXid: readU32(bytes, 84),
    nextOid: readU32(bytes, 72), nextMulti: readU32(bytes, 76), nextMultiOffset: readU32(bytes, 80), oldestMulti: readU32(bytes, 92),
    checksums: checksumVersion(bytes), walSegmentSize: walSegmentSizeOf(bytes),
    checkpointTime: Number(readI64(bytes, 104)), oldestActiveXid: readU32(bytes, 120),
    minRecoveryPoint: lsn(136), minRecoveryPointTimeline: readU32(bytes, 144),
    backupStartPoint: lsn(152), backupEndPoint: lsn(160), backupEndRequired: boolean(bytes, 168, 'backupEndRequired'),
    walLevel: readI32(bytes, 172), walLogHints: boolean(bytes, 176, 'wal_log_hints'), trackCommitTimestamp: boolean(bytes, 200, 'track_commit_timestamp'),
  }
  checkControlRanges(found)
  return found
}

/**
 * What the build of the server decides (ReadControlFile, xlog.c, compares each of them). `float8ByVal` is not one of these: it says whether 8
 * bytes fit into a Datum, so it is 0 on machines of 32 bits, such as PGlite's WebAssembly. Stored values are the same there as long as
 * maxAlign is 8: catalogs differ in typbyval and attbyval, which nothing here reads.
 */
const LAYOUT: readonly (readonly [name: string, byte: number, value: number])[] = [
  // Where tuples and their attributes begin. i386 has 4.
  ['maxAlign', 204, 8],
  // The page.
  ['blcksz', 216, BLOCK_SIZE],
  // Which file has a block.
  ['relseg_size', 220, SEGMENT_BLOCKS],
  // The WAL page, and with it where the record of the last checkpoint ends.
  ['xlog_blcksz', 224, WAL_PAGE_SIZE],
  // typlen of name: the catalogs.
  ['nameDataLen', 232, 64],
  // Length of catalogs' arrays. No server is known to have another.
  ['indexMaxKeys', 236, 32],
  // The chunks of an out-of-line value.
  ['toast_max_chunk_size', 240, 1996],
  // A quarter of blcksz: the rows of pg_largeobject.
  ['loblksize', 244, BLOCK_SIZE / 4],
]
const FLOAT8_BY_VAL = 248
/** Since 18: whether char has a sign where the cluster was made. Some indexes are ordered by it, no heap is. */
const DEFAULT_CHAR_SIGNEDNESS = 256

function checkLayout(bytes: Uint8Array, major: PgMajor): void {
  if (readF64(bytes, 208) !== FLOAT_FORMAT) {
    throw new UnsupportedError('control.float', 'pg_control: the server stores double precision in another format, which ltap does not read', { byte: 208 })
  }
  for (const [name, at, value] of LAYOUT) {
    const found = readI32(bytes, at)
    if (found !== value) throw unsupported('control.layout', name, found, value, at)
  }
  checkFlag(bytes, 'float8ByVal', FLOAT8_BY_VAL)
  if (major >= 18) checkFlag(bytes, 'default_char_signedness', DEFAULT_CHAR_SIGNEDNESS)
}

function checkFlag(bytes: Uint8Array, name: string, byte: number): void {
  const found = bytes[byte]!
  if (found > 1) throw new UnsupportedError('control.layout', `pg_control: ${name} is ${found}, ltap reads 0 and 1`, { byte })
}

/** A size that initdb --wal-segsize takes. */
function walSegmentSizeOf(bytes: Uint8Array): number {
  const size = readU32(bytes, 228)
  const isPower = size >= 1 << 20 && size <= 1 << 30 && (size & (size - 1)) === 0
  if (!isPower) throw new CorruptionError('control.layout', `pg_control: xlog_seg_size is ${size}, not a power of two from 1 MiB to 1 GiB`, { byte: 228 })
  return size
}

function boolean(bytes: Uint8Array, at: number, name: string): boolean {
  if (bytes[at]! > 1) throw new CorruptionError('control.range', `pg_control: ${name} is ${bytes[at]}, which no server writes`, { byte: at })
  return bytes[at] === 1
}

const CHECKPOINT_COPY = 40
const STATE_SHUT_DOWN = 1

/** checkPointCopy: the CheckPoint of the last checkpoint. @param bytes of a file that {@link parseControlFile} takes */
export function checkPointCopy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.subarray(CHECKPOINT_COPY, CHECKPOINT_COPY + SIZE_OF_CHECKPOINT))
}

/**
 * pg_control of a server that was shut down at this checkpoint, as a primary and with no backup under way; all else stays as it is.
 * @param bytes as {@link checkPointCopy} @param at where the record of the checkpoint begins
 */
export function shutDownControlFile(bytes: Uint8Array, major: PgMajor, at: Lsn, checkPoint: Uint8Array): Uint8Array {
  const { crcAt } = VERSIONS[major]
  const changed = new Uint8Array(bytes)
  const view = new DataView(changed.buffer)
  view.setUint32(16, STATE_SHUT_DOWN, true)
  view.setBigUint64(32, at, true)
  changed.set(checkPoint, CHECKPOINT_COPY)
  // minRecoveryPoint and its timeline, backupStartPoint, backupEndPoint, backupEndRequired.
  changed.fill(0, 136, 148)
  changed.fill(0, 152, 169)
  view.setUint32(crcAt, crc32c(changed, 0, crcAt), true)
  return changed
}

function checksumVersion(bytes: Uint8Array): boolean {
  const version = readU32(bytes, 252)
  if (version > 1) throw unsupported('control.checksums', 'data_checksum_version', version, 1, 252)
  return version === 1
}

function unsupported(code: string, name: string, found: number, expected: number, byte: number): UnsupportedError {
  return new UnsupportedError(code, `pg_control: ${name} is ${found}, ltap reads ${expected}`, { byte })
}
