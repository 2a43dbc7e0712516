import type { Oid, WalPosition, Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { RelFileLocator } from '../common/rel.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/*
 * RM_XACT_ID (xact.h). Commit and abort, all parts but the first optional, 4-byte aligned up to the gid:
 *
 *  +-----------+-------+-------------+----------------+------------------+----------------------+---
 *  | xact_time | xinfo | db, spc     | n, n × xid     | n, n × 12        | n, n × 12 (18: 16)   |
 *  | 8         | 0x80  | HAS_DBINFO  | HAS_SUBXACTS   | HAS_RELFILE…     | HAS_DROPPED_STATS    |
 *  +-----------+-------+-------------+----------------+------------------+----------------------+---
 *  ---+---------------+--------------+-----------------------+---------------------+
 *     | n, n × 16     | xid          | gid, NUL, no padding  | lsn, time; unaligned |
 *     | HAS_INVALS    | HAS_TWOPHASE | HAS_GID               | HAS_ORIGIN          |
 *  ---+---------------+--------------+-----------------------+---------------------+
 *
 * The order is not that of the bits. A record of a prepared transaction has xl_xid 0.
 */
export const XLOG_XACT_COMMIT = 0x00
export const XLOG_XACT_PREPARE = 0x10
export const XLOG_XACT_ABORT = 0x20
export const XLOG_XACT_COMMIT_PREPARED = 0x30
export const XLOG_XACT_ABORT_PREPARED = 0x40
export const XLOG_XACT_ASSIGNMENT = 0x50
export const XLOG_XACT_INVALIDATIONS = 0x60
/** The bits of xl_info that are the opcode. */
export const XLOG_XACT_OPMASK = 0x70
/** The bit of xl_info that says that the record has an xinfo word. */
const XLOG_XACT_HAS_INFO = 0x80
/** Position of xinfo in the main data: after xact_time. */
const XINFO = 8

const XACT_XINFO_HAS_DBINFO = 0x001
const XACT_XINFO_HAS_SUBXACTS = 0x002
const XACT_XINFO_HAS_RELFILELOCATORS = 0x004
const XACT_XINFO_HAS_INVALS = 0x008
const XACT_XINFO_HAS_TWOPHASE = 0x010
const XACT_XINFO_HAS_ORIGIN = 0x020
const XACT_XINFO_HAS_AE_LOCKS = 0x040
const XACT_XINFO_HAS_GID = 0x080
const XACT_XINFO_HAS_DROPPED_STATS = 0x100
export const XACT_COMPLETION_APPLY_FEEDBACK = 0x20000000
export const XACT_COMPLETION_UPDATE_RELCACHE_FILE = 0x40000000
export const XACT_COMPLETION_FORCE_SYNC_COMMIT = 0x80000000

/** All bits of xinfo in 14, as a signed 32-bit number, as `&` gives it. */
const XINFO_KNOWN = (
  XACT_XINFO_HAS_DBINFO | XACT_XINFO_HAS_SUBXACTS | XACT_XINFO_HAS_RELFILELOCATORS | XACT_XINFO_HAS_INVALS | XACT_XINFO_HAS_TWOPHASE |
  XACT_XINFO_HAS_ORIGIN | XACT_XINFO_HAS_AE_LOCKS | XACT_XINFO_HAS_GID |
  XACT_COMPLETION_APPLY_FEEDBACK | XACT_COMPLETION_UPDATE_RELCACHE_FILE | XACT_COMPLETION_FORCE_SYNC_COMMIT
)

const RELFILE_SIZE = 12
const INVALIDATION_MESSAGE_SIZE = 16

/** Size of xl_xact_stats_item: kind, database, object id. The object id has 32 bits until 17 and 64 since 18. 14 has no such items. */
function statsItemSize(major: PgMajor): number {
  return major >= 18 ? 16 : 12
}

/** xl_xact_stats_item. */
export interface DroppedStats {
  kind: number
  dbOid: Oid
  objectId: bigint
}

const data = new MainData('wal.xact')

/**
 * Whether a commit or abort names relation files to remove. It is found without decoding the record, because most name none. A record that is too
 * short for xinfo answers false; decoding it reports the damage.
 */
export function dropsRelfiles({ info, view, mainStart, mainLength }: WalRecord): boolean {
  if ((info & XLOG_XACT_HAS_INFO) === 0 || mainLength < XINFO + 4) return false
  return (view.getUint32(mainStart + XINFO, true) & XACT_XINFO_HAS_RELFILELOCATORS) !== 0
}

/**
 * A commit or abort, of a prepared transaction too. One object, refilled by {@link decode}: counts and positions in the record's
 * bytes, valid as long as those are.
 */
export class XactEnd {
  /** One of XLOG_XACT_COMMIT, _ABORT, _COMMIT_PREPARED, _ABORT_PREPARED. */
  op = 0
  committed = false
  /** The transaction that ended: xl_xid, or the prepared one. */
  xid: Xid = 0
  /** 0 if the record has none. */
  xinfo = 0
  dbOid: Oid = 0
  spcOid: Oid = 0
  subxactCount = 0
  relfileCount = 0
  statsCount = 0
  invalidationCount = 0
  /** Position of the first of 16-byte messages. */
  invalidationsStart = 0
  /** Empty if the record has none. */
  gidLength = 0
  gidStart = 0
  private timeStart = 0
  private subxactsStart = 0
  private relfilesStart = 0
  private statsStart = 0
  private statsSize = 0
  private originStart = 0
  private record: WalRecord | undefined

  /** @throws CorruptionError wal.xact */
  decode(record: WalRecord, major: PgMajor): void {
    this.record = record
    const op = record.info & XLOG_XACT_OPMASK
    const prepared = op === XLOG_XACT_COMMIT_PREPARED || op === XLOG_XACT_ABORT_PREPARED
    this.op = op
    this.committed = op === XLOG_XACT_COMMIT || op === XLOG_XACT_COMMIT_PREPARED
    data.open(record)
    this.timeStart = data.take(8)
    this.xinfo = record.info & XLOG_XACT_HAS_INFO ? data.u32() : 0
    this.checkXinfo(prepared, major)
    this.decodeParts(major)
    this.xid = record.xid
    this.gidLength = 0
    if (prepared) this.decodeTwoPhase()
    this.originStart = this.has(XACT_XINFO_HAS_ORIGIN) ? data.take(16) : 0
    data.finish()
    if (this.xid === 0) throw data.corrupt('the end of a transaction without xid')
  }

  /** Microseconds since 2000. */
  get time(): bigint {
    return this.record!.view.getBigInt64(this.timeStart, true)
  }

  /** A subtransaction that committed, or aborted, with the transaction. */
  subxact(i: number): Xid {
    return this.record!.view.getUint32(this.subxactsStart + i * 4, true)
  }

  /** A relation whose files the server removes now. */
  relfile(i: number): RelFileLocator {
    return relfileAt(this.record!, this.relfilesStart, i)
  }

  droppedStats(i: number): DroppedStats {
    return droppedStatsAt(this.record!, this.statsStart, this.statsSize, i)
  }

  /** Origin of a replicated transaction; undefined for a local one. `time` in microseconds since 2000. */
  get origin(): { lsn: bigint; time: bigint } | undefined {
    const { originStart } = this
    if (originStart === 0) return undefined
    const { view } = this.record!
    return { lsn: view.getBigUint64(originStart, true), time: view.getBigInt64(originStart + 8, true) }
  }

  private has(bit: number): boolean {
    return (this.xinfo & bit) !== 0
  }

  /** Bits that no server of the major writes, or that contradict the opcode: the parts after them could not be found. */
  private checkXinfo(prepared: boolean, major: PgMajor): void {
    const known = XINFO_KNOWN | (major >= 15 ? XACT_XINFO_HAS_DROPPED_STATS : 0)
    if ((this.xinfo & ~known) !== 0 || this.has(XACT_XINFO_HAS_TWOPHASE) !== prepared ||
      (this.has(XACT_XINFO_HAS_GID) && !prepared) || (this.has(XACT_XINFO_HAS_INVALS) && !this.committed)) {
      throw data.corrupt(`xinfo 0x${this.xinfo.toString(16)}`)
    }
  }

  /** ParseCommitRecord and ParseAbortRecord (xactdesc.c): each part is present if its bit of xinfo is set, in this order. */
  private decodeParts(major: PgMajor): void {
    const hasDb = this.has(XACT_XINFO_HAS_DBINFO)
    this.dbOid = hasDb ? data.u32() : 0
    this.spcOid = hasDb ? data.u32() : 0
    this.subxactCount = this.has(XACT_XINFO_HAS_SUBXACTS) ? data.count(4) : 0
    this.subxactsStart = data.take(this.subxactCount * 4)
    this.relfileCount = this.has(XACT_XINFO_HAS_RELFILELOCATORS) ? data.count(RELFILE_SIZE) : 0
    this.relfilesStart = data.take(this.relfileCount * RELFILE_SIZE)
    this.statsSize = statsItemSize(major)
    this.statsCount = this.has(XACT_XINFO_HAS_DROPPED_STATS) ? data.count(this.statsSize) : 0
    this.statsStart = data.take(this.statsCount * this.statsSize)
    this.invalidationCount = this.has(XACT_XINFO_HAS_INVALS) ? data.count(INVALIDATION_MESSAGE_SIZE) : 0
    this.invalidationsStart = data.take(this.invalidationCount * INVALIDATION_MESSAGE_SIZE)
  }

  private decodeTwoPhase(): void {
    this.xid = data.u32()
    if (!this.has(XACT_XINFO_HAS_GID)) return
    this.gidStart = data.at
    this.gidLength = data.cString().length
  }
}

/** Main data of XLOG_XACT_ASSIGNMENT. @throws CorruptionError wal.xact */
export function decodeAssignment(record: WalRecord): { topXid: Xid; subxacts: Xid[] } {
  data.open(record)
  const topXid = data.u32()
  const subxacts = data.u32s(data.count(4))
  data.finish()
  return { topXid, subxacts }
}

/** Main data of XLOG_XACT_INVALIDATIONS: `count` messages of 16 bytes from `messagesStart` on. @throws CorruptionError wal.xact */
export function decodeXactInvalidations(record: WalRecord): { count: number; messagesStart: number } {
  data.open(record)
  const count = data.count(INVALIDATION_MESSAGE_SIZE)
  const messagesStart = data.take(count * INVALIDATION_MESSAGE_SIZE)
  data.finish()
  return { count, messagesStart }
}

/*
 * XLOG_XACT_PREPARE: the state file (twophase.c) without its CRC. After the header each part is padded to 8, with garbage.
 *
 *  0       4           8     12         16            24      28          32            36           (15+)
 *  +-------+-----------+-----+----------+-------------+-------+-----------+-------------+------------+---------
 *  | magic | total_len | xid | database | prepared_at | owner | nsubxacts | ncommitrels | nabortrels | ncommitstats, nabortstats
 *  +-------+-----------+-----+----------+-------------+-------+-----------+-------------+------------+---------
 *  | ninvalmsgs | initfileinval | pad | gidlen u16 | origin_lsn 8 | origin_timestamp 8 | gid, subxids, rels, rels, stats, stats, invals
 *  | then, until rmid 0: len u32, rmid u8, pad, info u16, len bytes
 */
const TWOPHASE_MAGIC = 0x57f94534
const TWOPHASE_RM_END_ID = 0
const CRC_SIZE = 4

/** What a PREPARE says; the gid is a copy, NUL not included. */
export interface Prepare {
  xid: Xid
  dbOid: Oid
  /** Microseconds since 2000. */
  preparedAt: bigint
  owner: Oid
  gid: Uint8Array
  subxacts: Xid[]
  /** Relations whose files are removed if the transaction commits, or if it aborts. */
  commitRelfiles: RelFileLocator[]
  abortRelfiles: RelFileLocator[]
  commitStats: DroppedStats[]
  abortStats: DroppedStats[]
  relcacheInitFileInval: boolean
  invalidationCount: number
  /** Position of the first of 16-byte messages in the record's bytes. */
  invalidationsStart: number
  originLsn: WalPosition
  /** Microseconds since 2000; 0 without origin. */
  originTime: bigint
}

/** @throws CorruptionError wal.xact */
export function decodePrepare(record: WalRecord, major: PgMajor): Prepare {
  data.open(record)
  const magic = data.u32()
  if (magic !== TWOPHASE_MAGIC) throw data.corrupt(`a prepared transaction with magic 0x${magic.toString(16)}`)
  const length = data.u32()
  if (length !== record.mainLength + CRC_SIZE) throw data.corrupt(`a prepared transaction of ${length} bytes in ${record.mainLength}`)
  const [xid, dbOid, preparedAt, owner] = [data.u32(), data.u32(), data.i64(), data.u32()]
  const [subxactCount, commitCount, abortCount] = [data.i32(), data.i32(), data.i32()]
  const commitStatsCount = major >= 15 ? data.i32() : 0
  const abortStatsCount = major >= 15 ? data.i32() : 0
  const invalidationCount = data.i32()
  const relcacheInitFileInval = data.bool()
  data.take(1)
  const gidLength = data.u16()
  const originLsn = data.position()
  const originTime = data.i64()
  const gidStart = takePadded(record, gidLength, 1)
  const gidEnd = gidStart + gidLength - 1
  if (gidLength === 0 || record.bytes.indexOf(0, gidStart) !== gidEnd) throw data.corrupt(`a gid of ${gidLength} bytes without its end`)
  const subxactsStart = takePadded(record, subxactCount, 4)
  const commitStart = takePadded(record, commitCount, RELFILE_SIZE)
  const abortStart = takePadded(record, abortCount, RELFILE_SIZE)
  const size = statsItemSize(major)
  const commitStatsStart = takePadded(record, commitStatsCount, size)
  const abortStatsStart = takePadded(record, abortStatsCount, size)
  const invalidationsStart = takePadded(record, invalidationCount, INVALIDATION_MESSAGE_SIZE)
  takeTwoPhaseRecords(record)
  data.finish()
  return {
    xid, dbOid, preparedAt, owner, gid: record.bytes.slice(gidStart, gidEnd),
    subxacts: listOf(subxactCount, (i) => record.view.getUint32(subxactsStart + i * 4, true)),
    commitRelfiles: listOf(commitCount, (i) => relfileAt(record, commitStart, i)),
    abortRelfiles: listOf(abortCount, (i) => relfileAt(record, abortStart, i)),
    commitStats: listOf(commitStatsCount, (i) => droppedStatsAt(record, commitStatsStart, size, i)),
    abortStats: listOf(abortStatsCount, (i) => droppedStatsAt(record, abortStatsStart, size, i)),
    relcacheInitFileInval, invalidationCount, invalidationsStart, originLsn, originTime,
  }
}

/** `count` items, and the padding up to the next multiple of 8 of the main data. @returns where they begin */
function takePadded(record: WalRecord, count: number, size: number): number {
  if (count < 0 || count * size > record.mainLength) throw data.corrupt(`a prepared transaction with a count of ${count}`)
  const start = data.take(count * size)
  data.take(-(data.at - record.mainStart) & 7)
  return start
}

/** Locks, predicate locks, statistics, multixacts of the transaction: their bytes matter only to the server that resumes it. */
function takeTwoPhaseRecords(record: WalRecord): void {
  for (;;) {
    const length = data.u32()
    const rmid = data.u8()
    data.take(3)
    takePadded(record, length, 1)
    if (rmid === TWOPHASE_RM_END_ID) return
  }
}

function listOf<T>(length: number, item: (i: number) => T): T[] {
  return Array.from({ length }, (_, i) => item(i))
}

function relfileAt({ view }: WalRecord, start: number, i: number): RelFileLocator {
  const at = start + i * RELFILE_SIZE
  return { spcOid: view.getUint32(at, true), dbOid: view.getUint32(at + 4, true), relNumber: view.getUint32(at + 8, true) }
}

function droppedStatsAt({ view }: WalRecord, start: number, size: number, i: number): DroppedStats {
  const at = start + i * size
  const objectId = size === 16 ? view.getBigUint64(at + 8, true) : BigInt(view.getUint32(at + 8, true))
  return { kind: view.getInt32(at, true), dbOid: view.getUint32(at + 4, true), objectId }
}
