import { formatWalPosition } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import type { WalRecord } from '../record.ts'
import {
  decodeBackupEnd, decodeCheckPoint, decodeCheckpointRedo, decodeEndOfRecovery, decodeFpwChange, decodeNextOid, decodeOverwriteContrecord,
  decodeParameterChange, decodeRestorePoint, XLOG_BACKUP_END, XLOG_CHECKPOINT_ONLINE, XLOG_CHECKPOINT_REDO, XLOG_CHECKPOINT_SHUTDOWN,
  XLOG_END_OF_RECOVERY, XLOG_FPW_CHANGE, XLOG_NEXTOID, XLOG_OVERWRITE_CONTRECORD, XLOG_PARAMETER_CHANGE, XLOG_RESTORE_POINT,
} from '../xlog.ts'
import { serverText } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'
import { timeText } from './time.ts'

const NAMES = [
  'CHECKPOINT_SHUTDOWN', 'CHECKPOINT_ONLINE', 'NOOP', 'NEXTOID', 'SWITCH', 'BACKUP_END', 'PARAMETER_CHANGE', 'RESTORE_POINT', 'FPW_CHANGE',
  'END_OF_RECOVERY', 'FPI_FOR_HINT', 'FPI', '', 'OVERWRITE_CONTRECORD',
]
const identify16 = identifyBy(NAMES)
const identify17 = identifyBy([...NAMES, 'CHECKPOINT_REDO'])

/** By WAL_LEVEL_MINIMAL, _REPLICA, _LOGICAL. */
const WAL_LEVELS = ['minimal', 'replica', 'logical']

/** RM_XLOG_ID (xlogdesc.c). */
export const xlogText: RmgrText = {
  identify: (info, major) => (major >= 17 ? identify17 : identify16)(info),
  describe(record, major) {
    switch (record.op) {
      case XLOG_CHECKPOINT_SHUTDOWN: case XLOG_CHECKPOINT_ONLINE:
        return checkPointText(record, major)
      case XLOG_NEXTOID:
        return String(decodeNextOid(record))
      case XLOG_BACKUP_END:
        return formatWalPosition(decodeBackupEnd(record))
      case XLOG_PARAMETER_CHANGE:
        return parameterChangeText(record)
      case XLOG_RESTORE_POINT:
        return serverText(decodeRestorePoint(record).name)
      case XLOG_FPW_CHANGE:
        return String(decodeFpwChange(record))
      case XLOG_END_OF_RECOVERY:
        return endOfRecoveryText(record, major)
      case XLOG_OVERWRITE_CONTRECORD:
        return overwriteText(record)
      case XLOG_CHECKPOINT_REDO:
        return major >= 17 ? `wal_level ${WAL_LEVELS[decodeCheckpointRedo(record)]}` : ''
      default:
        return ''
    }
  },
}

function checkPointText(record: WalRecord, major: PgMajor): string {
  const checkPoint = decodeCheckPoint(record, major)
  const { walLevel, nextXid, oldestCommitTsXid, newestCommitTsXid } = checkPoint
  return [
    `redo ${formatWalPosition(checkPoint.redo)}`, `tli ${checkPoint.thisTimeline}`, `prev tli ${checkPoint.prevTimeline}`,
    `fpw ${checkPoint.fullPageWrites}`, ...(walLevel === undefined ? [] : [`wal_level ${WAL_LEVELS[walLevel]}`]),
    `xid ${nextXid.epoch}:${nextXid.low}`, `oid ${checkPoint.nextOid}`, `multi ${checkPoint.nextMulti}`, `offset ${checkPoint.nextMultiOffset}`,
    `oldest xid ${checkPoint.oldestXid} in DB ${checkPoint.oldestXidDb}`, `oldest multi ${checkPoint.oldestMulti} in DB ${checkPoint.oldestMultiDb}`,
    `oldest/newest commit timestamp xid: ${oldestCommitTsXid}/${newestCommitTsXid}`, `oldest running xid ${checkPoint.oldestActiveXid}`,
    record.op === XLOG_CHECKPOINT_SHUTDOWN ? 'shutdown' : 'online',
  ].join('; ')
}

function parameterChangeText(record: WalRecord): string {
  const change = decodeParameterChange(record)
  return `max_connections=${change.maxConnections} max_worker_processes=${change.maxWorkerProcesses} max_wal_senders=${change.maxWalSenders} ` +
    `max_prepared_xacts=${change.maxPreparedXacts} max_locks_per_xact=${change.maxLocksPerXact} wal_level=${WAL_LEVELS[change.walLevel]} ` +
    `wal_log_hints=${change.walLogHints ? 'on' : 'off'} track_commit_timestamp=${change.trackCommitTimestamp ? 'on' : 'off'}`
}

function endOfRecoveryText(record: WalRecord, major: PgMajor): string {
  const { thisTimeline, prevTimeline, time, walLevel } = decodeEndOfRecovery(record, major)
  return `tli ${thisTimeline}; prev tli ${prevTimeline}; time ${timeText(time)}${walLevel === undefined ? '' : `; wal_level ${WAL_LEVELS[walLevel]}`}`
}

function overwriteText(record: WalRecord): string {
  const { overwritten, time } = decodeOverwriteContrecord(record)
  return `lsn ${formatWalPosition(overwritten)}; time ${timeText(time)}`
}
