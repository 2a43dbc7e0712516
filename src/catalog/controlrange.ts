import { CorruptionError } from '../common/errors.ts'
import { FIRST_NORMAL_XID, type Lsn, type Xid } from '../common/ids.ts'

/** Fields of pg_control whose range is known. */
interface RangedFields {
  timeline: number
  nextXid: { low: Xid }
  oldestXid: Xid
  nextMulti: number
  oldestMulti: number
  checkpointTime: number
  walLevel: number
  checkpoint: Lsn
  redo: Lsn
}

/** Seconds since 1970 of the years 1970 and 9999. */
const TIME_MAX = 253_402_300_799

/**
 * Values that no server writes. An LSN may have any value: a caller that needs it below 2^53 checks that.
 * @throws CorruptionError control.range with the field
 */
export function checkControlRanges(control: RangedFields): void {
  const { timeline, nextXid, oldestXid, nextMulti, oldestMulti, checkpointTime, walLevel, checkpoint, redo } = control
  const checks: readonly [field: string, value: number | bigint | string, isRight: boolean][] = [
    ['ThisTimeLineID', timeline, timeline > 0],
    ['nextXid', nextXid.low, nextXid.low >= FIRST_NORMAL_XID],
    ['oldestXid', oldestXid, oldestXid >= FIRST_NORMAL_XID],
    ['nextMulti', nextMulti, nextMulti > 0],
    ['oldestMulti', oldestMulti, oldestMulti > 0],
    ['time', checkpointTime, checkpointTime >= 0 && checkpointTime <= TIME_MAX],
    ['wal_level', walLevel, walLevel >= 0 && walLevel <= 2],
    ['redo', redo, redo <= checkpoint],
  ]
  const wrong = checks.find(([, , isRight]) => !isRight)
  if (wrong) throw new CorruptionError('control.range', `pg_control: ${wrong[0]} is ${wrong[1]}, which no server writes`)
}
