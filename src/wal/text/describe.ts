import type { PgMajor } from '../../common/pgversion.ts'
import type { WalRecord } from '../record.ts'
import { RM_XACT_ID } from '../rmgr.ts'
import { XLOG_XACT_OPMASK } from '../xact.ts'
import { brinText } from './brin.ts'
import { btreeText } from './btree.ts'
import { genericText } from './generic.ts'
import { ginText } from './gin.ts'
import { gistText } from './gist.ts'
import { hashText } from './hash.ts'
import { heapText } from './heap.ts'
import { heap2Text } from './heap2.ts'
import { logicalmsgText } from './logicalmsg.ts'
import { replOriginText } from './replorigin.ts'
import type { RmgrText } from './rmgrtext.ts'
import { clogText, commitTsText, multixactText } from './slru.ts'
import { spgistText } from './spgist.ts'
import { standbyText } from './standby.ts'
import { dbaseText, relmapText, sequenceText, smgrText, tblspcText } from './storage.ts'
import { xactText } from './xact.ts'
import { xlogText } from './xlog.ts'

/** By resource manager id (rmgrlist.h). */
const TEXTS: readonly RmgrText[] = [
  xlogText, xactText, smgrText, clogText, dbaseText, tblspcText, multixactText, relmapText, standbyText, heap2Text, heapText,
  btreeText, hashText, ginText, gistText, sequenceText, spgistText, brinText, commitTsText, replOriginText, genericText, logicalmsgText,
]

/**
 * What kind of record it is, as pg_waldump names it: `INSERT+INIT`, `UNKNOWN (f0)`.
 * @param info xl_info; bits that are not the resource manager's are ignored
 */
export function recordType(rmgr: number, info: number, major: PgMajor): string {
  return TEXTS[rmgr]?.identify(info, major) ?? `UNKNOWN (${(info & 0xf0).toString(16)})`
}

/**
 * What the record says, as pg_waldump and pg_walinspect do; empty for many. Times are in UTC. Of an extension's own resource manager
 * nothing is known.
 * @throws CorruptionError for data that no server of `major` writes
 */
export function describeRecord(record: WalRecord, major: PgMajor): string {
  const text = TEXTS[record.rmgr]
  return text === undefined ? `rmid: ${record.rmgr}` : text.describe(record, major)
}

/** What --stats=record counts together: xl_info's upper four bits, of a transaction's record without the one that is no part of the type. */
export function recordKind({ rmgr, info }: WalRecord): number {
  return (rmgr === RM_XACT_ID ? info & XLOG_XACT_OPMASK : info & 0xf0) >> 4
}
