import { CLOG_TRUNCATE, CLOG_ZEROPAGE, decodeClogTruncate, decodeClogZeroPage } from '../clog.ts'
import { COMMIT_TS_TRUNCATE, COMMIT_TS_ZEROPAGE, decodeCommitTsTruncate, decodeCommitTsZeroPage } from '../committs.ts'
import {
  decodeMultiXactCreate, decodeMultiXactTruncate, decodeMultiXactZeroPage, multiXactMemberStatus, multiXactMemberXid, XLOG_MULTIXACT_CREATE_ID,
  XLOG_MULTIXACT_TRUNCATE_ID, XLOG_MULTIXACT_ZERO_MEM_PAGE, XLOG_MULTIXACT_ZERO_OFF_PAGE,
} from '../multixact.ts'
import type { WalRecord } from '../record.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

/** By MultiXactStatus. */
const MEMBER_STATUSES = ['keysh', 'sh', 'fornokeyupd', 'forupd', 'nokeyupd', 'upd']

/** RM_CLOG_ID (clogdesc.c). */
export const clogText: RmgrText = {
  identify: identifyBy(['ZEROPAGE', 'TRUNCATE']),
  describe(record, major) {
    if (record.op === CLOG_ZEROPAGE) return `page ${decodeClogZeroPage(record, major)}`
    if (record.op !== CLOG_TRUNCATE) return ''
    const { page, oldestXid } = decodeClogTruncate(record, major)
    return `page ${page}; oldestXact ${oldestXid}`
  },
}

/** RM_COMMIT_TS_ID (committsdesc.c). */
export const commitTsText: RmgrText = {
  identify: identifyBy(['ZEROPAGE', 'TRUNCATE']),
  describe(record, major) {
    if (record.op === COMMIT_TS_ZEROPAGE) return String(decodeCommitTsZeroPage(record, major))
    if (record.op !== COMMIT_TS_TRUNCATE) return ''
    const { page, oldestXid } = decodeCommitTsTruncate(record, major)
    return `pageno ${page}, oldestXid ${oldestXid}`
  },
}

/** RM_MULTIXACT_ID (mxactdesc.c). */
export const multixactText: RmgrText = {
  identify: identifyBy(['ZERO_OFF_PAGE', 'ZERO_MEM_PAGE', 'CREATE_ID', 'TRUNCATE_ID']),
  describe(record, major) {
    switch (record.op) {
      case XLOG_MULTIXACT_ZERO_OFF_PAGE: case XLOG_MULTIXACT_ZERO_MEM_PAGE:
        return String(decodeMultiXactZeroPage(record, major))
      case XLOG_MULTIXACT_CREATE_ID:
        return createText(record)
      case XLOG_MULTIXACT_TRUNCATE_ID:
        return truncateText(record)
      default:
        return ''
    }
  },
}

function createText(record: WalRecord): string {
  const created = decodeMultiXactCreate(record)
  let text = `${created.multi} offset ${created.memberOffset} nmembers ${created.memberCount}: `
  for (let i = 0; i < created.memberCount; i++) {
    text += `${multiXactMemberXid(record, created, i)} (${MEMBER_STATUSES[multiXactMemberStatus(record, created, i)]}) `
  }
  return text
}

function truncateText(record: WalRecord): string {
  const { startMulti, endMulti, startMember, endMember } = decodeMultiXactTruncate(record)
  return `offsets [${startMulti}, ${endMulti}), members [${startMember}, ${endMember})`
}
