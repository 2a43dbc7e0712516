import type { Oid, WalPosition, Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { MainData } from './maindata.ts'
import type { WalRecord } from './record.ts'

/*
 * RM_XLOG_ID (xlog_internal.h, pg_control.h). CheckPoint, 88 bytes:
 *
 *  0      8         12        16    20          24      32      36        40          44
 *  +------+---------+---------+-----+-----------+-------+-------+---------+-----------+----
 *  | redo | ThisTLI | PrevTLI | fpw | wal_level | next  | next  | next    | nextMulti |
 *  |      |         |         | pad | 17+       | Xid   | Oid   | Multi   | Offset    |
 *  44          48          52           56            60   64     72         76         80         84   88
 *  +-----------+-----------+------------+-------------+----+------+----------+----------+----------+----+
 *  | oldestXid | …DB       | oldestMulti| …DB         | pad| time | oldest…Ts| newest…Ts| oldest   | pad|
 *  |           |           |            |             |    |      |          |          | ActiveXid|    |
 *
 * The time is a pg_time_t, in seconds since 1970; all other times of the WAL are TimestampTz, in microseconds since 2000. nextXid is a full xid.
 */
export const XLOG_CHECKPOINT_SHUTDOWN = 0x00
export const XLOG_CHECKPOINT_ONLINE = 0x10
export const XLOG_NOOP = 0x20
export const XLOG_NEXTOID = 0x30
export const XLOG_SWITCH = 0x40
export const XLOG_BACKUP_END = 0x50
export const XLOG_PARAMETER_CHANGE = 0x60
export const XLOG_RESTORE_POINT = 0x70
export const XLOG_FPW_CHANGE = 0x80
export const XLOG_END_OF_RECOVERY = 0x90
export const XLOG_FPI_FOR_HINT = 0xa0
export const XLOG_FPI = 0xb0
export const XLOG_OVERWRITE_CONTRECORD = 0xd0
/** 17+. */
export const XLOG_CHECKPOINT_REDO = 0xe0

export const WAL_LEVEL_MINIMAL = 0
const WAL_LEVEL_LOGICAL = 2

const MAXFNAMELEN = 64

export interface CheckPoint {
  redo: WalPosition
  thisTimeline: number
  prevTimeline: number
  fullPageWrites: boolean
  /** 17+. */
  walLevel: number | undefined
  /** Full xid in two halves. */
  nextXid: { low: Xid; epoch: number }
  nextOid: Oid
  nextMulti: number
  nextMultiOffset: number
  oldestXid: Xid
  oldestXidDb: Oid
  oldestMulti: number
  oldestMultiDb: Oid
  /** Seconds since 1970. */
  time: bigint
  oldestCommitTsXid: Xid
  newestCommitTsXid: Xid
  /** 0 in a shutdown checkpoint. */
  oldestActiveXid: Xid
}

export interface ParameterChange {
  maxConnections: number
  maxWorkerProcesses: number
  maxWalSenders: number
  maxPreparedXacts: number
  maxLocksPerXact: number
  walLevel: number
  walLogHints: boolean
  trackCommitTimestamp: boolean
}

export interface EndOfRecovery {
  /** Microseconds since 2000. */
  time: bigint
  thisTimeline: number
  prevTimeline: number
  /** 17+. */
  walLevel: number | undefined
}

const data = new MainData('wal.xlog')

/** Main data of XLOG_CHECKPOINT_SHUTDOWN and XLOG_CHECKPOINT_ONLINE. @throws CorruptionError wal.xlog */
export function decodeCheckPoint(record: WalRecord, major: PgMajor): CheckPoint {
  data.open(record)
  const redo = data.position()
  const thisTimeline = data.u32()
  const prevTimeline = data.u32()
  const fullPageWrites = data.bool()
  data.take(3)
  const walLevel = takeWalLevel(major)
  if (walLevel === undefined) data.take(4)
  const nextXid = { low: data.u32(), epoch: data.u32() }
  const nextOid = data.u32()
  const nextMulti = data.u32()
  const nextMultiOffset = data.u32()
  const oldestXid = data.u32()
  const oldestXidDb = data.u32()
  const oldestMulti = data.u32()
  const oldestMultiDb = data.u32()
  data.take(4)
  const time = data.i64()
  const oldestCommitTsXid = data.u32()
  const newestCommitTsXid = data.u32()
  const oldestActiveXid = data.u32()
  data.take(4)
  data.finish()
  return {
    redo, thisTimeline, prevTimeline, fullPageWrites, walLevel, nextXid, nextOid, nextMulti, nextMultiOffset, oldestXid, oldestXidDb,
    oldestMulti, oldestMultiDb, time, oldestCommitTsXid, newestCommitTsXid, oldestActiveXid,
  }
}

/** The next oid, of XLOG_NEXTOID. @throws CorruptionError wal.xlog */
export function decodeNextOid(record: WalRecord): Oid {
  data.open(record)
  const nextOid = data.u32()
  data.finish()
  return nextOid
}

/** Where the backup's redo began, of XLOG_BACKUP_END. @throws CorruptionError wal.xlog */
export function decodeBackupEnd(record: WalRecord): WalPosition {
  data.open(record)
  const start = data.position()
  data.finish()
  return start
}

/** @throws CorruptionError wal.xlog */
export function decodeParameterChange(record: WalRecord): ParameterChange {
  data.open(record)
  const change = {
    maxConnections: data.i32(),
    maxWorkerProcesses: data.i32(),
    maxWalSenders: data.i32(),
    maxPreparedXacts: data.i32(),
    maxLocksPerXact: data.i32(),
    walLevel: checkWalLevel(data.i32()),
    walLogHints: data.bool(),
    trackCommitTimestamp: data.bool(),
  }
  data.take(2)
  data.finish()
  return change
}

/** `time` in microseconds since 2000; what follows the name's end in its 64 bytes is garbage. @throws CorruptionError wal.xlog */
export function decodeRestorePoint(record: WalRecord): { time: bigint; name: Uint8Array } {
  data.open(record)
  const time = data.i64()
  const field = data.bytes(MAXFNAMELEN)
  data.finish()
  const end = field.indexOf(0)
  if (end < 0) throw data.corrupt('a restore point whose name has no end')
  return { time, name: field.subarray(0, end) }
}

/** full_page_writes from now on. @throws CorruptionError wal.xlog */
export function decodeFpwChange(record: WalRecord): boolean {
  data.open(record)
  const fullPageWrites = data.bool()
  data.finish()
  return fullPageWrites
}

/** @throws CorruptionError wal.xlog */
export function decodeEndOfRecovery(record: WalRecord, major: PgMajor): EndOfRecovery {
  data.open(record)
  const time = data.i64()
  const thisTimeline = data.u32()
  const prevTimeline = data.u32()
  const walLevel = takeWalLevel(major)
  if (walLevel !== undefined) data.take(4)
  data.finish()
  return { time, thisTimeline, prevTimeline, walLevel }
}

/** Where the record begins that was never finished; `time` in microseconds since 2000. @throws CorruptionError wal.xlog */
export function decodeOverwriteContrecord(record: WalRecord): { overwritten: WalPosition; time: bigint } {
  data.open(record)
  const overwritten = data.position()
  const time = data.i64()
  data.finish()
  return { overwritten, time }
}

/** wal_level, of XLOG_CHECKPOINT_REDO (17+). @throws CorruptionError wal.xlog */
export function decodeCheckpointRedo(record: WalRecord): number {
  data.open(record)
  const walLevel = checkWalLevel(data.i32())
  data.finish()
  return walLevel
}

function takeWalLevel(major: PgMajor): number | undefined {
  return major >= 17 ? checkWalLevel(data.i32()) : undefined
}

function checkWalLevel(level: number): number {
  if (level < WAL_LEVEL_MINIMAL || level > WAL_LEVEL_LOGICAL) throw data.corrupt(`wal_level ${level}`)
  return level
}
