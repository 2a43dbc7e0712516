import { assert, CorruptionError, isPositioned, UnsupportedError } from '../common/errors.ts'
import { xidEpoch, FIRST_NORMAL_XID } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { maxAlign } from '../common/bytes.ts'
import type { PageBuffer } from '../page/canonical.ts'
import { PAGESIZE_VERSION, PD_FLAGS, PD_LOWER, PD_LSN, PD_PRUNE_XID, PD_SPECIAL, PD_UPPER, SIZE_OF_PAGE_HEADER } from '../page/header.ts'
import { LP_NORMAL } from '../page/linepointer.ts'
import { T_CID, T_CTID, T_INFOMASK, T_INFOMASK2, T_XMAX, T_XMIN } from '../tuple/header.ts'
import {
  HEAP_NATTS_MASK, HEAP_XMAX_INVALID, HEAP_XMAX_IS_MULTI, HEAP_XMIN_FROZEN, HEAP_XMIN_INVALID,
} from '../tuple/infomask.ts'
import type { Batch } from './batch.ts'
import { IN_PROGRESS, type TupleDecoder, VISIBLE } from './decodetuple.ts'
import type { DecodeItems } from './generatedecoder.ts'
import { PAGE_KIND_HEADER, PAGE_KIND_ZERO } from './physical.ts'
import { IMPLIED_BITS, PREDICTED_HINTS } from './predict.ts'

/** Decides rows at the file's L; implemented by xact's Snapshot. */
export interface RowVisibility {
  isVisible(xmin: number, xmax: number, infomask: number, xvac: number): boolean
  /** Neither visible at L nor ever after: its out-of-line values may be gone. */
  isDead(xmin: number, xmax: number, infomask: number, xvac: number): boolean
  /** Whether it is visible depends on a transaction whose status is lost: its out-of-line values, too, may be gone. */
  isUnknown?(xmin: number, xmax: number, infomask: number, xvac: number): boolean
  /** Next full xid at L, for the epochs of 32-bit xids. */
  readonly nextXid: { low: number; epoch: number }
}

/** Words of a tuple, which begins at a multiple of 8. */
const XMIN = T_XMIN >> 2
const XMAX = T_XMAX >> 2
const CID = T_CID >> 2
const CTID_BLOCK = T_CTID >> 2
/** ip_posid of t_ctid, and t_infomask2 in the upper half. */
const POSID_AND_INFOMASK2 = T_INFOMASK2 >> 2
const INFOMASK = T_INFOMASK >> 2
/** Words of pd_lsn, the high half of the LSN first. */
const LSN_HIGH = PD_LSN >> 2
const LSN_LOW = LSN_HIGH + 1

const LINE_POINTERS_MAX = (BLOCK_SIZE - SIZE_OF_PAGE_HEADER) / 4

/** Called for every row that no reader may see at L: `row` is its position in the batch. */
export type HideRow = (row: number) => void

/**
 * Page → rows: appends one row per line pointer, up to the last one that is not all zero, with the `_ltap` children that differ
 * from their prediction. Tuples go through the TupleDecoder.
 */
export class PageDecoder {
  private readonly batch: Batch
  private readonly tuples: TupleDecoder
  private readonly visibility: RowVisibility
  private readonly hide: HideRow
  private readonly generated: DecodeItems | undefined
  /** The page's rows: where each tuple begins (0: none), its length, and VISIBLE or IN_PROGRESS if its values must be whole. */
  private readonly offs = new Int32Array(LINE_POINTERS_MAX)
  private readonly lens = new Int32Array(LINE_POINTERS_MAX)
  private readonly live = new Uint8Array(LINE_POINTERS_MAX)
  /** Tuples of the last page whose visibility is unknown. */
  unknownRows = 0

  /** @param generated code for the batch's TupleDesc; without it the interpreter decodes everything */
  constructor(batch: Batch, tuples: TupleDecoder, visibility: RowVisibility, hide: HideRow, generated?: DecodeItems) {
    this.batch = batch
    this.tuples = tuples
    this.visibility = visibility
    this.hide = hide
    this.generated = generated
  }

  /**
   * @param page a canonical page: checked header and line pointers, or all zero
   * @param careful use the interpreter and form every value back, see TupleDecoder
   * @returns false if generated code met something that needs care: truncate the batch and ask for it
   */
  decode(page: PageBuffer, block: number, careful: boolean): boolean {
    const { batch } = this
    const first = batch.rows
    this.unknownRows = 0
    if (u16(page, PD_UPPER) === 0) {
      this.structureRow(block)
      this.zeroHeader(first)
    } else {
      this.linePointers(page, block)
      if (batch.rows === first) this.structureRow(block)
    }
    const { pageLsn } = batch.physical
    pageLsn.padTo(first)
    pageLsn.push2(page.words[LSN_LOW]!, page.words[LSN_HIGH]!)
    return this.columns(page, first, careful)
  }

  private columns(page: PageBuffer, first: number, careful: boolean): boolean {
    const { batch, offs, lens, live } = this
    const count = batch.rows - first
    this.tuples.beginPage()
    if (this.generated && !careful) return this.generated(page, first, count, offs, lens, live)
    for (let i = 0; i < count; i++) {
      if (offs[i] === 0) {
        for (const column of batch.columns) column.pushNull()
        continue
      }
      try {
        this.tuple(page, first + i, offs[i]!, lens[i]!, live[i]!, careful)
      } catch (error) {
        throw isPositioned(error) ? error.at({ offset: i + 1 }) : error
      }
    }
    return true
  }

  private tuple(page: PageBuffer, row: number, off: number, len: number, live: number, verify: boolean): void {
    const { batch } = this
    if (this.decodesTuple(page, row, off, len, live, verify)) return
    const natts = (page.words[(off >> 2) + POSID_AND_INFOMASK2]! >>> 16) & HEAP_NATTS_MASK
    // A relation of a transaction that is open has no columns yet, but it may have frozen rows: those of a materialized view that was refreshed.
    const { length: columns } = batch.schema.attributes
    if (live === VISIBLE && columns > 0) throw new CorruptionError('tuple.natts', `${natts} attributes, the table has ${columns}`)
    batch.physical.tuple.padTo(row)
    batch.physical.tuple.push(page.bytes, off, off + len)
    for (const column of batch.columns) column.pushNull()
  }

  /**
   * False if the descriptor does not describe the tuple. That is normal where its own transaction had changed the table and did
   * not commit: no reader sees such a tuple, and no catalog describes its bytes any more; its TOAST relation, too, may be one that no catalog names.
   */
  private decodesTuple(page: PageBuffer, row: number, off: number, len: number, live: number, verify: boolean): boolean {
    try {
      return this.tuples.decode(page.bytes, off, off + len, row, live, verify)
    } catch (error) {
      const refused = error instanceof CorruptionError || error instanceof UnsupportedError
      if (live === VISIBLE || !refused || error.code === 'tuple.header') throw error
      if (live !== 0 && error.code.startsWith('toast.') && error.code !== 'toast.relation') throw error
      this.tuples.abandon(row)
      return false
    }
  }

  private linePointers(page: PageBuffer, block: number): void {
    const { batch, offs, lens } = this
    const first = batch.rows
    const lower = u16(page, PD_LOWER)
    const special = u16(page, PD_SPECIAL)
    const pointers = (lower - SIZE_OF_PAGE_HEADER) >> 2
    let count = pointers
    while (count > 0 && page.words[SIZE_OF_PAGE_HEADER / 4 + count - 1] === 0) count--
    let previous = special
    let lowest = special
    batch.physical.reserveIdentity(count)
    for (let offset = 1; offset <= count; offset++) {
      const word = page.words[SIZE_OF_PAGE_HEADER / 4 + offset - 1]!
      if (((word >>> 15) & 3) !== LP_NORMAL) {
        this.hiddenRow(block, offset)
        this.linePointer(batch.rows - 1, word)
        continue
      }
      const off = word & 0x7fff
      const len = word >>> 17
      offs[offset - 1] = off
      lens[offset - 1] = len
      this.tupleHeader(page, off >> 2, offset - 1, block, offset)
      if (off !== previous - maxAlign(len)) this.linePointer(batch.rows - 1, word)
      previous = off
      if (off < lowest) lowest = off
    }
    batch.physical.commitIdentity(count)
    const predicted =
      u16(page, PD_UPPER) === lowest && special === BLOCK_SIZE && lower === SIZE_OF_PAGE_HEADER + 4 * count && pointers === count &&
      u16(page, PD_FLAGS) === batch.schema.context.pageFlags && u16(page, PD_SPECIAL + 2) === PAGESIZE_VERSION && page.words[PD_PRUNE_XID >> 2] === 0
    if (!predicted) this.storeHeader(first, page, pointers, special)
  }

  /** Physical columns of the tuple at word `w`; `item` counts the page's rows from 0. */
  private tupleHeader(page: PageBuffer, w: number, item: number, block: number, offset: number): void {
    const { batch, visibility } = this
    const { physical, schema } = batch
    const row = batch.rows++
    const xmin = page.words[w + XMIN]!
    const xmax = page.words[w + XMAX]!
    const cid = page.words[w + CID]!
    const infomask = page.words[w + INFOMASK]! & 0xffff
    const infomask2 = page.words[w + POSID_AND_INFOMASK2]! >>> 16
    const visible = visibility.isVisible(xmin >>> 0, xmax >>> 0, infomask, cid >>> 0)
    if (!visible) this.hide(row)
    const unknown = visibility.isUnknown?.(xmin >>> 0, xmax >>> 0, infomask, cid >>> 0) === true
    if (unknown) this.unknownRows++
    if (visible) this.live[item] = VISIBLE
    else this.live[item] = unknown || visibility.isDead(xmin >>> 0, xmax >>> 0, infomask, cid >>> 0) ? 0 : IN_PROGRESS
    const xminHinted = infomask & HEAP_XMIN_FROZEN
    const settled = xminHinted === HEAP_XMIN_FROZEN || xminHinted === HEAP_XMIN_INVALID
    physical.writeIdentity(row, block, offset, xmin, settled ? 0 : this.epoch(xmin))
    if (xmax !== 0) {
      physical.xmax.padTo(row)
      physical.xmax.push2(xmax, infomask & (HEAP_XMAX_IS_MULTI | HEAP_XMAX_INVALID) ? 0 : this.epoch(xmax))
    }
    if (cid !== 0) {
      physical.cid.padTo(row)
      physical.cid.push2(cid, 0)
    }
    if ((infomask & ~IMPLIED_BITS) !== PREDICTED_HINTS) {
      physical.infomask.padTo(row)
      physical.infomask.push1(infomask)
    }
    if (infomask2 !== schema.attributes.length) {
      physical.infomask2.padTo(row)
      physical.infomask2.push1(infomask2)
    }
    const ctidBlock = ((page.words[w + CTID_BLOCK]! << 16) | (page.words[w + CTID_BLOCK]! >>> 16)) >>> 0
    const ctidOffset = page.words[w + POSID_AND_INFOMASK2]! & 0xffff
    if (ctidBlock !== block || ctidOffset !== offset) {
      physical.ctid.padTo(row)
      physical.ctidBlock.push2(ctidBlock, 0)
      physical.ctidOffset.push1(ctidOffset)
      physical.ctid.close()
    }
  }

  private epoch(xid: number): number {
    const { low, epoch } = this.visibility.nextXid
    return xid >>> 0 < FIRST_NORMAL_XID ? 0 : xidEpoch(xid >>> 0, low, epoch)
  }

  /** The only row of a block without line pointers. */
  private structureRow(block: number): void {
    const { batch } = this
    this.offs[0] = 0
    batch.physical.pushStructure(batch.rows, block)
    this.hide(batch.rows++)
  }

  /** The row of a line pointer that is not a tuple's: hidden, all user columns NULL. */
  private hiddenRow(block: number, offset: number): void {
    const { batch } = this
    this.offs[offset - 1] = 0
    batch.physical.writeIdentity(batch.rows, block, offset, 0, 0)
    this.hide(batch.rows++)
  }

  private linePointer(row: number, word: number): void {
    const { lp, lpState, lpOff, lpLen } = this.batch.physical
    lp.padTo(row)
    lpState.push1((word >>> 15) & 3)
    lpOff.push1(word & 0x7fff)
    lpLen.push1(word >>> 17)
    lp.close()
  }

  private zeroHeader(first: number): void {
    const { pageHeader, headerKind } = this.batch.physical
    pageHeader.padTo(first)
    headerKind.push1(PAGE_KIND_ZERO)
    pageHeader.close()
  }

  private storeHeader(first: number, page: PageBuffer, count: number, special: number): void {
    const { pageHeader, headerKind, headerBytes, headerCount, headerSpecial } = this.batch.physical
    assert(pageHeader.length <= first, 'one header per page')
    pageHeader.padTo(first)
    headerKind.push1(PAGE_KIND_HEADER)
    headerBytes.push(page.bytes, 8, SIZE_OF_PAGE_HEADER)
    headerCount.push1(count)
    headerSpecial.push(page.bytes, special, BLOCK_SIZE)
    pageHeader.close()
  }
}

function u16(page: PageBuffer, at: number): number {
  return page.bytes[at]! | (page.bytes[at + 1]! << 8)
}
