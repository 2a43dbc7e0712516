import type { PgMajor } from '../../common/pgversion.ts'
import {
  decodeHeapConfirm, decodeHeapInplace, decodeHeapTruncate, HeapDelete, HeapInsert, HeapUpdate, XLH_TRUNCATE_CASCADE, XLH_TRUNCATE_RESTART_SEQS,
  XLHL_KEYS_UPDATED, XLHL_XMAX_EXCL_LOCK, XLHL_XMAX_IS_MULTI, XLHL_XMAX_KEYSHR_LOCK, XLHL_XMAX_LOCK_ONLY, XLOG_HEAP_CONFIRM, XLOG_HEAP_DELETE,
  XLOG_HEAP_HOT_UPDATE, XLOG_HEAP_INPLACE, XLOG_HEAP_INSERT, XLOG_HEAP_LOCK, XLOG_HEAP_OPMASK, XLOG_HEAP_TRUNCATE, XLOG_HEAP_UPDATE,
} from '../heap.ts'
import type { WalRecord } from '../record.ts'
import { INVALIDATION_MESSAGE_SIZE } from '../standby.ts'
import { invalidationsText } from './invalidations.ts'
import { arrayText, flagsText, spaced } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'

const INFOBITS: readonly (readonly [number, string])[] = [
  [XLHL_XMAX_IS_MULTI, 'IS_MULTI'], [XLHL_XMAX_LOCK_ONLY, 'LOCK_ONLY'], [XLHL_XMAX_EXCL_LOCK, 'EXCL_LOCK'],
  [XLHL_XMAX_KEYSHR_LOCK, 'KEYSHR_LOCK'], [XLHL_KEYS_UPDATED, 'KEYS_UPDATED'],
]

const inserted = new HeapInsert()
const deleted = new HeapDelete()
const updated = new HeapUpdate()

/** RM_HEAP_ID (heapdesc.c). 16 gave the fields colons and another order. */
export const heapText: RmgrText = {
  identify: identifyBy([
    'INSERT', 'DELETE', 'UPDATE', 'TRUNCATE', 'HOT_UPDATE', 'HEAP_CONFIRM', 'LOCK', 'INPLACE',
    'INSERT+INIT', '', 'UPDATE+INIT', '', 'HOT_UPDATE+INIT',
  ]),
  describe(record, major) {
    const colon = major >= 16 ? ':' : ''
    switch (record.info & XLOG_HEAP_OPMASK) {
      case XLOG_HEAP_INSERT:
        inserted.read(record)
        return `off${colon} ${inserted.offset}${major >= 16 ? ',' : ''} flags${colon} ${flagsText(inserted.flags)}`
      case XLOG_HEAP_DELETE:
        return removed(record, major)
      case XLOG_HEAP_UPDATE: case XLOG_HEAP_HOT_UPDATE:
        return changed(record, major)
      case XLOG_HEAP_TRUNCATE:
        return truncated(record, major)
      case XLOG_HEAP_CONFIRM:
        return `off${colon} ${decodeHeapConfirm(record)}`
      case XLOG_HEAP_LOCK:
        return lockText(record, major, 'xid')
      case XLOG_HEAP_INPLACE:
        return `off${colon} ${inplaceText(record, major)}`
      default:
        return ''
    }
  },
}

/** LOCK, and LOCK_UPDATED of RM_HEAP2_ID. @param xmaxName what 14 and 15 call the xmax */
export function lockText(record: WalRecord, major: PgMajor, xmaxName: string): string {
  deleted.readLock(record)
  if (major >= 16) return deletedText()
  return `off ${deleted.offset}: ${xmaxName} ${deleted.xmax}: flags ${flagsText(deleted.flags)} ${infobitsOf14(deleted.infobits)}`
}

function removed(record: WalRecord, major: PgMajor): string {
  deleted.read(record)
  return major >= 16 ? deletedText() : `off ${deleted.offset} flags ${flagsText(deleted.flags)} ${infobitsOf14(deleted.infobits)}`
}

function deletedText(): string {
  return `xmax: ${deleted.xmax}, off: ${deleted.offset}, infobits:${arrayText(infobits(deleted.infobits))}, flags: ${flagsText(deleted.flags)}`
}

function changed(record: WalRecord, major: PgMajor): string {
  updated.read(record)
  const { oldXmax, oldOffset, oldInfobits, flags, newXmax, newOffset } = updated
  if (major < 16) {
    return `off ${oldOffset} xmax ${oldXmax} flags ${flagsText(flags)} ${infobitsOf14(oldInfobits)}; new off ${newOffset} xmax ${newXmax}`
  }
  return `old_xmax: ${oldXmax}, old_off: ${oldOffset}, old_infobits:${arrayText(infobits(oldInfobits))}, flags: ${flagsText(flags)}, ` +
    `new_xmax: ${newXmax}, new_off: ${newOffset}`
}

function truncated(record: WalRecord, major: PgMajor): string {
  const { flags, relOids } = decodeHeapTruncate(record)
  const cascade = (flags & XLH_TRUNCATE_CASCADE) !== 0
  const restart = (flags & XLH_TRUNCATE_RESTART_SEQS) !== 0
  if (major < 16) return `${cascade ? 'cascade ' : ''}${restart ? 'restart_seqs ' : ''}nrelids ${relOids.length} relids${spaced(relOids)}`
  const names = [...(cascade ? ['CASCADE'] : []), ...(restart ? ['RESTART_SEQS'] : [])]
  return `flags:${arrayText(names)}, nrelids: ${relOids.length}, relids:${arrayText(relOids)}`
}

function inplaceText(record: WalRecord, major: PgMajor): string {
  const { offset, invalidations } = decodeHeapInplace(record, major)
  if (invalidations === undefined) return String(offset)
  const { messages, ...rest } = invalidations
  const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength)
  return `${offset}${invalidationsText({ ...rest, view, start: 0, count: messages.length / INVALIDATION_MESSAGE_SIZE }, major)}`
}

function infobits(bits: number): string[] {
  return INFOBITS.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name)
}

/** Each name with a blank behind it. */
function infobitsOf14(bits: number): string {
  return infobits(bits).map((name) => `${name} `).join('')
}
