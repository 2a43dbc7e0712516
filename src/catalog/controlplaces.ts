import type { PgMajor } from '../common/pgversion.ts'

/*
 * global/pg_control (ControlFileData, pg_control.h), little-endian, in a file of 8192 bytes:
 *
 *  0               8         12        16      24     32         40 …         then            crc
 *  +---------------+---------+---------+-------+------+----------+------------+--- … --------+-----+
 *  | system id u64 | control | catalog | state | time | checkPt  | CheckPoint | other fields | CRC |
 *  +---------------+---------+---------+-------+------+----------+------------+--- … --------+-----+
 *
 * The CRC-32C is of everything before it. 18 added default_char_signedness. 19 made CheckPoint 8 bytes longer (xlog.ts says where), and added
 * slru_pages_per_segment and data_checksum_version_init.
 */

/** Byte positions in the file, by the fields' names in pg_controldata's source; `checkPoint` has those of the copy of CheckPoint. */
export interface ControlPlaces {
  checkPoint: {
    size: number
    nextXid: number
    nextOid: number
    nextMulti: number
    nextMultiOffset: number
    oldestXid: number
    oldestXidDB: number
    oldestMulti: number
    oldestMultiDB: number
    time: number
    oldestCommitTsXid: number
    newestCommitTsXid: number
    oldestActiveXid: number
  }
  unloggedLSN: number
  minRecoveryPoint: number
  minRecoveryPointTLI: number
  backupStartPoint: number
  backupEndPoint: number
  backupEndRequired: number
  walLevel: number
  walLogHints: number
  maxConnections: number
  maxWorkerProcesses: number
  maxWalSenders: number
  maxPreparedXacts: number
  maxLocksPerXact: number
  trackCommitTimestamp: number
  maxAlign: number
  floatFormat: number
  blcksz: number
  relsegSize: number
  /** 19+. */
  slruPagesPerSegment?: number
  xlogBlcksz: number
  xlogSegSize: number
  nameDataLen: number
  indexMaxKeys: number
  toastMaxChunkSize: number
  loblksize: number
  float8ByVal: number
  dataChecksumVersion: number
  /** What initdb chose; 19+. */
  dataChecksumVersionInit?: number
  /** 18+. */
  defaultCharSignedness?: number
  crc: number
}

const UNTIL_17: ControlPlaces = {
  checkPoint: {
    size: 88, nextXid: 64, nextOid: 72, nextMulti: 76, nextMultiOffset: 80, oldestXid: 84, oldestXidDB: 88, oldestMulti: 92, oldestMultiDB: 96,
    time: 104, oldestCommitTsXid: 112, newestCommitTsXid: 116, oldestActiveXid: 120,
  },
  unloggedLSN: 128, minRecoveryPoint: 136, minRecoveryPointTLI: 144, backupStartPoint: 152, backupEndPoint: 160, backupEndRequired: 168,
  walLevel: 172, walLogHints: 176, maxConnections: 180, maxWorkerProcesses: 184, maxWalSenders: 188, maxPreparedXacts: 192, maxLocksPerXact: 196,
  trackCommitTimestamp: 200, maxAlign: 204, floatFormat: 208, blcksz: 216, relsegSize: 220, xlogBlcksz: 224, xlogSegSize: 228, nameDataLen: 232,
  indexMaxKeys: 236, toastMaxChunkSize: 240, loblksize: 244, float8ByVal: 248, dataChecksumVersion: 252, crc: 288,
}

const IN_18: ControlPlaces = { ...UNTIL_17, defaultCharSignedness: 256, crc: 292 }

const SINCE_19: ControlPlaces = {
  checkPoint: {
    size: 96, nextXid: 72, nextOid: 80, nextMulti: 84, nextMultiOffset: 88, oldestXid: 96, oldestXidDB: 100, oldestMulti: 104, oldestMultiDB: 108,
    time: 112, oldestCommitTsXid: 120, newestCommitTsXid: 124, oldestActiveXid: 128,
  },
  unloggedLSN: 136, minRecoveryPoint: 144, minRecoveryPointTLI: 152, backupStartPoint: 160, backupEndPoint: 168, backupEndRequired: 176,
  walLevel: 180, walLogHints: 184, maxConnections: 188, maxWorkerProcesses: 192, maxWalSenders: 196, maxPreparedXacts: 200, maxLocksPerXact: 204,
  trackCommitTimestamp: 208, maxAlign: 212, floatFormat: 216, blcksz: 224, relsegSize: 228, slruPagesPerSegment: 232, xlogBlcksz: 236,
  xlogSegSize: 240, nameDataLen: 244, indexMaxKeys: 248, toastMaxChunkSize: 252, loblksize: 256, float8ByVal: 260, dataChecksumVersionInit: 264,
  dataChecksumVersion: 268, defaultCharSignedness: 272, crc: 308,
}

const PLACES: Readonly<Record<PgMajor, ControlPlaces>> = { 14: UNTIL_17, 15: UNTIL_17, 16: UNTIL_17, 17: UNTIL_17, 18: IN_18, 19: SINCE_19 }

export function controlPlaces(major: PgMajor): ControlPlaces {
  return PLACES[major]
}
