import type { PgMajor } from '../../common/pgversion.ts'
import type { WalRecord } from '../record.ts'
import {
  decodeRunningXacts, decodeStandbyInvalidations, decodeStandbyLocks, XLOG_INVALIDATIONS, XLOG_RUNNING_XACTS, XLOG_STANDBY_LOCK,
} from '../standby.ts'
import { invalidationsText } from './invalidations.ts'
import { spaced } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

/** RM_STANDBY_ID (standbydesc.c). */
export const standbyText: RmgrText = {
  identify: identifyBy(['LOCK', 'RUNNING_XACTS', 'INVALIDATIONS']),
  describe(record, major) {
    switch (record.op) {
      case XLOG_STANDBY_LOCK:
        return decodeStandbyLocks(record).map(({ xid, dbOid, relOid }) => `xid ${xid} db ${dbOid} rel ${relOid} `).join('')
      case XLOG_RUNNING_XACTS:
        return runningXactsText(record, major)
      case XLOG_INVALIDATIONS:
        return invalidations(record, major)
      default:
        return ''
    }
  },
}

function runningXactsText(record: WalRecord, major: PgMajor): string {
  const { nextXid, latestCompletedXid, oldestRunningXid, subxidOverflow, xids, subxids } = decodeRunningXacts(record)
  let text = `nextXid ${nextXid} latestCompletedXid ${latestCompletedXid} oldestRunningXid ${oldestRunningXid}`
  if (xids.length > 0) text += `; ${xids.length} xacts:${spaced(xids)}`
  if (subxidOverflow) text += major >= 16 ? '; subxid overflowed' : '; subxid ovf'
  if (major >= 16 && subxids.length > 0) text += `; ${subxids.length} subxacts:${spaced(subxids)}`
  return text
}

function invalidations(record: WalRecord, major: PgMajor): string {
  const { messagesStart: start, ...rest } = decodeStandbyInvalidations(record)
  return invalidationsText({ ...rest, view: record.view, start }, major)
}
