import { dataView, maxAlign } from '../common/bytes.ts'
import { CorruptionError } from '../common/errors.ts'
import type { BlockNumber } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import {
  checkPageBounds, PD_CHECKSUM, PD_FLAGS, PD_LOWER, PD_LSN, PD_PRUNE_XID, PD_SPECIAL, PD_UPPER, PD_VALID_FLAG_BITS,
} from '../page/header.ts'
import { linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../page/linepointer.ts'
import { T_CID, T_CTID, T_INFOMASK } from '../tuple/header.ts'
import { HEAP_XMAX_COMMITTED, HEAP_XMAX_INVALID, HEAP_XMIN_FROZEN } from '../tuple/infomask.ts'

/*
 * What wal_consistency_checking does not compare (bufmask.c, heap_mask): bits and bytes that a primary changes without WAL become zero
 * in both pages. It hides lock bits of unfrozen tuples and command ids, so equal masked pages are no proof of equal pages.
 */
/** All bits of t_infomask that locks, hints and command ids set (htup_details.h). */
const HEAP_XACT_MASK = 0xfff0
/** SpecTokenOffsetNumber (itemptr.h). */
const SPEC_TOKEN_OFFSET = 0xfffe

/** heap_mask, in place. @throws CorruptionError page.header */
export function maskHeapPage(page: Uint8Array, block: BlockNumber): void {
  const view = dataView(page)
  maskHeader(page, view)
  view.setUint32(PD_PRUNE_XID, 0, true)
  view.setUint16(PD_FLAGS, view.getUint16(PD_FLAGS, true) & ~PD_VALID_FLAG_BITS, true)
  const count = linePointerCount(page)
  for (let offset = 1; offset <= count; offset++) {
    const word = linePointer(page, offset)
    const start = lpOff(word)
    const length = lpLen(word)
    if (start + length > BLOCK_SIZE) throw new CorruptionError('page.line-pointer', `impossible item: lp_off ${start}, lp_len ${length}`, { offset })
    if (lpFlags(word) === LP_NORMAL) maskTuple(view, start, block, offset)
    page.fill(0, start + length, start + maxAlign(length))
  }
}

function maskTuple(view: DataView, start: number, block: BlockNumber, offset: number): void {
  const infomask = view.getUint16(start + T_INFOMASK, true)
  // A backend sets hint bits without WAL, but FREEZE is logged: the xmin bits of a frozen tuple are compared.
  const frozen = (infomask & HEAP_XMIN_FROZEN) === HEAP_XMIN_FROZEN
  view.setUint16(start + T_INFOMASK, infomask & ~(frozen ? HEAP_XMAX_COMMITTED | HEAP_XMAX_INVALID : HEAP_XACT_MASK), true)
  view.setUint32(start + T_CID, 0, true)
  // The token of a speculative insertion is not in the WAL: redo has the tuple's own place in t_ctid.
  if (view.getUint16(start + T_CTID + 4, true) !== SPEC_TOKEN_OFFSET) return
  view.setUint16(start + T_CTID, block >>> 16, true)
  view.setUint16(start + T_CTID + 2, block & 0xffff, true)
  view.setUint16(start + T_CTID + 4, offset, true)
}

/** seq_mask (sequence.c), in place. @throws CorruptionError page.header */
export function maskSequencePage(page: Uint8Array): void {
  maskHeader(page, dataView(page))
}

/** mask_page_lsn_and_checksum and mask_unused_space (bufmask.c). */
function maskHeader(page: Uint8Array, view: DataView): void {
  const lower = view.getUint16(PD_LOWER, true)
  const upper = view.getUint16(PD_UPPER, true)
  const special = view.getUint16(PD_SPECIAL, true)
  checkPageBounds(lower, upper, special)
  view.setBigUint64(PD_LSN, 0n, true)
  view.setUint16(PD_CHECKSUM, 0, true)
  page.fill(0, lower, upper)
}
