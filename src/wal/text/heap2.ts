import type { PgMajor } from '../../common/pgversion.ts'
import { heapBlock, XLOG_HEAP_INIT_PAGE, XLOG_HEAP_OPMASK } from '../heap.ts'
import {
  decodeHeapNewCid, HeapMultiInsert, HeapVisible, XLOG_HEAP2_FREEZE_PAGE, XLOG_HEAP2_LOCK_UPDATED, XLOG_HEAP2_MULTI_INSERT, XLOG_HEAP2_NEW_CID,
  XLOG_HEAP2_PRUNE, XLOG_HEAP2_VACUUM, XLOG_HEAP2_VISIBLE,
} from '../heap2.ts'
import { HeapPrune, XLHP_HAS_CONFLICT_HORIZON, XLHP_IS_CATALOG_REL } from '../heapprune.ts'
import type { WalRecord } from '../record.ts'
import { lockText } from './heap.ts'
import { arrayText, flagsText, locatorText, truth } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

const OTHER_NAMES = ['VISIBLE', 'MULTI_INSERT', 'LOCK_UPDATED', 'NEW_CID', '', '', '', '', '', 'MULTI_INSERT+INIT']
const identify16 = identifyBy(['REWRITE', 'PRUNE', 'VACUUM', 'FREEZE_PAGE', ...OTHER_NAMES])
const identify17 = identifyBy(['REWRITE', 'PRUNE_ON_ACCESS', 'PRUNE_VACUUM_SCAN', 'PRUNE_VACUUM_CLEANUP', ...OTHER_NAMES])

const prune = new HeapPrune()
const inserted = new HeapMultiInsert()
const visible = new HeapVisible()

/** RM_HEAP2_ID (heapdesc.c). */
export const heap2Text: RmgrText = {
  identify: (info, major) => (major >= 17 ? identify17 : identify16)(info),
  describe(record, major) {
    switch (record.info & XLOG_HEAP_OPMASK) {
      case XLOG_HEAP2_PRUNE:
        return major >= 17 ? unifiedText(record, major) : pruneText(record, major)
      case XLOG_HEAP2_VACUUM:
        return major >= 17 ? unifiedText(record, major) : vacuumText(record, major)
      case XLOG_HEAP2_FREEZE_PAGE:
        return major >= 17 ? unifiedText(record, major) : freezeText(record, major)
      case XLOG_HEAP2_VISIBLE:
        visible.read(record, major)
        return major >= 16 ? `snapshotConflictHorizon: ${visible.conflictHorizon}, flags: ${flagsText(visible.flags)}`
          : `cutoff xid ${visible.conflictHorizon} flags ${flagsText(visible.flags)}`
      case XLOG_HEAP2_MULTI_INSERT:
        return multiInsertText(record, major)
      case XLOG_HEAP2_LOCK_UPDATED:
        return lockText(record, major, 'xmax')
      case XLOG_HEAP2_NEW_CID:
        return newCidText(record, major)
      default:
        return ''
    }
  },
}

function pruneText(record: WalRecord, major: PgMajor): string {
  prune.read(record, major)
  const { conflictHorizon, announcedRedirected, announcedDead } = prune
  if (major < 16) return `latestRemovedXid ${conflictHorizon} nredirected ${announcedRedirected} ndead ${announcedDead}`
  const head = `snapshotConflictHorizon: ${conflictHorizon}, nredirected: ${announcedRedirected}, ndead: ${announcedDead}`
  if (!prune.hasLists) return head
  return `${head}, nunused: ${prune.unusedCount}, redirected:${redirected(record)}, dead:${dead(record)}, unused:${unused(record)}`
}

function vacuumText(record: WalRecord, major: PgMajor): string {
  prune.read(record, major)
  if (major < 16) return `nunused ${prune.announced}`
  return `nunused: ${prune.announced}${prune.hasLists ? `, unused:${unused(record)}` : ''}`
}

function freezeText(record: WalRecord, major: PgMajor): string {
  prune.read(record, major)
  if (major < 16) return `cutoff xid ${prune.conflictHorizon} ntuples ${prune.announced}`
  return `snapshotConflictHorizon: ${prune.conflictHorizon}, nplans: ${prune.announced}${prune.hasLists ? `, plans:${plans(record)}` : ''}`
}

/** Since 17; without a horizon the text begins with a comma. */
function unifiedText(record: WalRecord, major: PgMajor): string {
  prune.read(record, major)
  const horizon = prune.flags & XLHP_HAS_CONFLICT_HORIZON ? `snapshotConflictHorizon: ${prune.conflictHorizon}` : ''
  const head = `${horizon}, isCatalogRel: ${truth(prune.flags & XLHP_IS_CATALOG_REL)}`
  if (!prune.hasLists) return head
  const { planCount, redirectedCount, deadCount, unusedCount } = prune
  return `${head}, nplans: ${planCount}, nredirected: ${redirectedCount}, ndead: ${deadCount}, nunused: ${unusedCount}` +
    (planCount > 0 ? `, plans:${plans(record)}` : '') + (redirectedCount > 0 ? `, redirected:${redirected(record)}` : '') +
    (deadCount > 0 ? `, dead:${dead(record)}` : '') + (unusedCount > 0 ? `, unused:${unused(record)}` : '')
}

function plans(record: WalRecord): string {
  let first = 0
  return arrayText(Array.from({ length: prune.planCount }, (_, plan) => {
    const tuples = prune.planTuples(record, plan)
    const offsets = Array.from({ length: tuples }, (_item, i) => prune.freezeOffset(record, first + i))
    first += tuples
    return `{ xmax: ${prune.planXmax(record, plan)}, infomask: ${prune.planInfomask(record, plan)}, ` +
      `infomask2: ${prune.planInfomask2(record, plan)}, ntuples: ${tuples}, offsets:${arrayText(offsets)} }`
  }))
}

function redirected(record: WalRecord): string {
  const numbers = offsetsAt(record, prune.redirectedStart, prune.redirectedCount * 2)
  return arrayText(Array.from({ length: prune.redirectedCount }, (_, i) => `${numbers[i * 2]}->${numbers[i * 2 + 1]}`))
}

function dead(record: WalRecord): string {
  return arrayText(offsetsAt(record, prune.deadStart, prune.deadCount))
}

function unused(record: WalRecord): string {
  return arrayText(offsetsAt(record, prune.unusedStart, prune.unusedCount))
}

function offsetsAt({ view }: WalRecord, start: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => view.getUint16(start + i * 2, true))
}

function multiInsertText(record: WalRecord, major: PgMajor): string {
  inserted.read(record)
  const { count, flags } = inserted
  if (major < 16) return `${count} tuples flags ${flagsText(flags)}`
  const text = `ntuples: ${count}, flags: ${flagsText(flags)}`
  if (!heapBlock(record).hasData || (record.info & XLOG_HEAP_INIT_PAGE) !== 0) return text
  return `${text}, offsets:${arrayText(Array.from({ length: count }, (_, i) => inserted.offsetOf(record, i)))}`
}

function newCidText(record: WalRecord, major: PgMajor): string {
  const { locator, block, offset, cmin, cmax, comboCid } = decodeHeapNewCid(record)
  const place = major >= 16 ? `rel: ${locatorText(locator)}, tid: ${block}/${offset},` : `rel ${locatorText(locator)}; tid ${block}/${offset};`
  return `${place} cmin: ${cmin}, cmax: ${cmax}, combo: ${comboCid}`
}
