import { formatLsn, formatWalPosition } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import type { RelFileLocator } from '../../common/rel.ts'
import { MAIN_FORK } from '../../common/relpath.ts'
import type { WalRecord } from '../record.ts'
import {
  decodeAssignment, decodePrepare, decodeXactInvalidations, type DroppedStats, XACT_COMPLETION_APPLY_FEEDBACK, XACT_COMPLETION_FORCE_SYNC_COMMIT,
  XACT_COMPLETION_UPDATE_RELCACHE_FILE, XactEnd, XLOG_XACT_ABORT, XLOG_XACT_ABORT_PREPARED, XLOG_XACT_ASSIGNMENT, XLOG_XACT_COMMIT,
  XLOG_XACT_COMMIT_PREPARED, XLOG_XACT_INVALIDATIONS, XLOG_XACT_OPMASK, XLOG_XACT_PREPARE,
} from '../xact.ts'
import { invalidationsText } from './invalidations.ts'
import { relationPath, serverText, spaced } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'
import { timeText } from './time.ts'

const identify = identifyBy(['COMMIT', 'PREPARE', 'ABORT', 'COMMIT_PREPARED', 'ABORT_PREPARED', 'ASSIGNMENT', 'INVALIDATION'])

const ended = new XactEnd()

/** RM_XACT_ID (xactdesc.c). */
export const xactText: RmgrText = {
  identify: (info) => identify(info & XLOG_XACT_OPMASK),
  describe(record, major) {
    switch (record.info & XLOG_XACT_OPMASK) {
      case XLOG_XACT_COMMIT: case XLOG_XACT_COMMIT_PREPARED:
        return commitText(record, major)
      case XLOG_XACT_ABORT: case XLOG_XACT_ABORT_PREPARED:
        return abortText(record, major)
      case XLOG_XACT_PREPARE:
        return prepareText(record, major)
      case XLOG_XACT_ASSIGNMENT:
        return assignmentText(record)
      case XLOG_XACT_INVALIDATIONS:
        return invalidations(record, major)
      default:
        return ''
    }
  },
}

function commitText(record: WalRecord, major: PgMajor): string {
  ended.decode(record, major)
  const { view } = record
  const { xinfo, invalidationCount: count, invalidationsStart: start, dbOid, spcOid } = ended
  const relcacheInitFileInval = (xinfo & XACT_COMPLETION_UPDATE_RELCACHE_FILE) !== 0
  let text = endText() + relationsText(major) + subxactsText() + droppedText(major)
  text += invalidationsText({ view, start, count, dbOid, spcOid, relcacheInitFileInval }, major)
  if (major >= 15 && (xinfo & XACT_COMPLETION_APPLY_FEEDBACK) !== 0) text += '; apply_feedback'
  if ((xinfo & XACT_COMPLETION_FORCE_SYNC_COMMIT) !== 0) text += '; sync'
  return text + originText(record)
}

function abortText(record: WalRecord, major: PgMajor): string {
  ended.decode(record, major)
  return endText() + relationsText(major) + subxactsText() + (major >= 15 ? originText(record) : '') + droppedText(major)
}

/** The time; before it the prepared transaction, whose xid the record's header does not have. */
function endText(): string {
  const prepared = ended.op === XLOG_XACT_COMMIT_PREPARED || ended.op === XLOG_XACT_ABORT_PREPARED
  return `${prepared ? `${ended.xid}: ` : ''}${timeText(ended.time)}`
}

function relationsText(major: PgMajor): string {
  return relationList('rels', listOf(ended.relfileCount, (i) => ended.relfile(i)), major)
}

function subxactsText(): string {
  return subxactList(listOf(ended.subxactCount, (i) => ended.subxact(i)))
}

function droppedText(major: PgMajor): string {
  return major >= 15 ? statsList('', listOf(ended.statsCount, (i) => ended.droppedStats(i))) : ''
}

function originText(record: WalRecord): string {
  const { origin } = ended
  return origin === undefined ? '' : originAt(record, formatLsn(origin.lsn), origin.time)
}

function originAt({ origin }: WalRecord, lsn: string, time: bigint): string {
  return `; origin: node ${origin}, lsn ${lsn}, at ${timeText(time)}`
}

function prepareText(record: WalRecord, major: PgMajor): string {
  const prepare = decodePrepare(record, major)
  const { invalidationsStart: start, invalidationCount: count, dbOid, relcacheInitFileInval } = prepare
  let text = `gid ${serverText(prepare.gid)}: ${timeText(prepare.preparedAt)}`
  text += relationList('rels(commit)', prepare.commitRelfiles, major) + relationList('rels(abort)', prepare.abortRelfiles, major)
  text += statsList('commit ', prepare.commitStats) + statsList('abort ', prepare.abortStats) + subxactList(prepare.subxacts)
  text += invalidationsText({ view: record.view, start, count, dbOid, spcOid: 0, relcacheInitFileInval }, major)
  if (major >= 15 && record.origin !== 0) text += originAt(record, formatWalPosition(prepare.originLsn), prepare.originTime)
  return text
}

function assignmentText(record: WalRecord): string {
  const { topXid, subxacts } = decodeAssignment(record)
  return `xtop ${topXid}: subxacts:${spaced(subxacts)}`
}

function invalidations(record: WalRecord, major: PgMajor): string {
  const { count, messagesStart: start } = decodeXactInvalidations(record)
  return invalidationsText({ view: record.view, start, count, dbOid: 0, spcOid: 0, relcacheInitFileInval: false }, major)
}

function relationList(label: string, locators: readonly RelFileLocator[], major: PgMajor): string {
  return locators.length === 0 ? '' : `; ${label}:${spaced(locators.map((locator) => relationPath(locator, MAIN_FORK, major)))}`
}

function subxactList(xids: readonly number[]): string {
  return xids.length === 0 ? '' : `; subxacts:${spaced(xids)}`
}

function statsList(label: string, stats: readonly DroppedStats[]): string {
  return stats.length === 0 ? '' : `; ${label}dropped stats:${spaced(stats.map(({ kind, dbOid, objectId }) => `${kind}/${dbOid}/${objectId}`))}`
}

function listOf<T>(length: number, item: (i: number) => T): T[] {
  return Array.from({ length }, (_, i) => item(i))
}
