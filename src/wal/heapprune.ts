import type { OffsetNumber, Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { corruptHeapRecord, heapBlock, XLOG_HEAP_OPMASK } from './heap.ts'
import { XLOG_HEAP2_FREEZE_PAGE, XLOG_HEAP2_PRUNE, XLOG_HEAP2_VACUUM } from './heap2.ts'
import type { WalRecord } from './record.ts'

/*
 * Records that remove row versions from a page, and freeze row versions (heapam_xlog.h). Until 16 there are three:
 *
 *   PRUNE         xid u32, nredirected u16, ndead u16, 16: isCatalogRel u8
 *                 block data: redirected (from u16, to u16)[], dead u16[], unused u16[] to the end
 *   VACUUM        nunused u16; block data: unused u16[]
 *   FREEZE_PAGE   14, 15: cutoff xid u32, ntuples u16; block data: {xmax u32, offset u16, infomask2 u16, infomask u16, frzflags u8, pad}[]
 *                 16: horizon u32, nplans u16, isCatalogRel u8; block data: plans, then the plans' offsets u16[]
 *
 * Since 17 there is one (xl_heap_prune), with three opcodes that say on which occasion it was written:
 *
 *   main data     reason u8 (garbage), flags u8, [conflict xid u32]
 *   block data    [nplans u16, garbage u16, plans], [n u16, (from, to)[n]], [n u16, dead[n]], [n u16, unused[n]], offsets of the plans u16[]
 *
 *   plan, 12 bytes: xmax u32, infomask2 u16, infomask u16, frzflags u8, pad u8, ntuples u16
 */
export const XLHP_IS_CATALOG_REL = 0x02
/** The server held a cleanup lock, so redo may move tuples. Without it only line pointers change (lp_truncate_only of heap_page_prune_execute). */
export const XLHP_CLEANUP_LOCK = 0x04
export const XLHP_HAS_CONFLICT_HORIZON = 0x08
const XLHP_HAS_FREEZE_PLANS = 0x10
const XLHP_HAS_REDIRECTIONS = 0x20
const XLHP_HAS_DEAD_ITEMS = 0x40
const XLHP_HAS_NOW_UNUSED_ITEMS = 0x80
const XLHP_VALID_FLAGS = 0xfe

/** Bits of frzflags. */
export const XLH_FREEZE_XVAC = 0x02
export const XLH_INVALID_XVAC = 0x04

/** xl_heap_freeze_tuple (until 15), xl_heap_freeze_plan (16), xlhp_freeze_plan (17+). */
const SIZE_OF_FREEZE_PLAN = 12

/**
 * A PRUNE, VACUUM, FREEZE_PAGE or unified prune record of any major; refilled. Lists are positions in the record's bytes and counts. A record
 * whose block has a full-page image may leave out the block data, and with it all lists (`hasLists`), whatever the main data says.
 */
export class HeapPrune {
  /** XLHP_ bits: as stored since 17; for older records the bits that say the same. */
  flags = 0
  conflictHorizon: Xid = 0
  hasLists = false
  /** Pairs (from, to) of u16. */
  redirectedStart = 0
  redirectedCount = 0
  deadStart = 0
  deadCount = 0
  unusedStart = 0
  unusedCount = 0
  plansStart = 0
  /** Plans, or until 15 frozen tuples. */
  planCount = 0
  /** Offset numbers of the plans' tuples, plan by plan; 16+. */
  freezeOffsetsStart = 0
  freezeOffsetCount = 0
  /** Until 15: xl_heap_freeze_tuple, a plan for one tuple that holds the tuple's offset number, with its fields in another order. */
  perTuple = false
  /** Counts in the main data of PRUNE (until 16), which are there even if the lists are not. */
  announcedRedirected = 0
  announcedDead = 0
  /** The count in the main data of VACUUM (tuples) and FREEZE_PAGE (plans), until 16. */
  announced = 0
  private at = 0
  private end = 0

  /** @throws CorruptionError wal.heap */
  read(record: WalRecord, major: PgMajor): void {
    const { hasData, dataStart, dataLength } = heapBlock(record)
    this.redirectedCount = this.deadCount = this.unusedCount = this.planCount = this.freezeOffsetCount = 0
    this.announcedRedirected = this.announcedDead = this.announced = 0
    this.conflictHorizon = 0
    this.perTuple = false
    this.hasLists = hasData
    this.at = dataStart
    this.end = dataStart + dataLength
    if (major >= 17) {
      this.readUnified(record)
    } else {
      const op = record.info & XLOG_HEAP_OPMASK
      if (op === XLOG_HEAP2_PRUNE) this.readPrune(record, major)
      else if (op === XLOG_HEAP2_VACUUM) this.readVacuum(record)
      else if (op === XLOG_HEAP2_FREEZE_PAGE) this.readFreeze(record, major)
      else throw corruptHeapRecord(record, 'not a prune record')
    }
    if (this.at !== this.end) throw corruptHeapRecord(record, `${this.end - this.at} bytes of block data too many`)
  }

  /** Fields of plan `index`. */
  planXmax(record: WalRecord, index: number): Xid {
    return record.view.getUint32(this.plansStart + index * SIZE_OF_FREEZE_PLAN, true)
  }

  planInfomask2(record: WalRecord, index: number): number {
    return record.view.getUint16(this.plansStart + index * SIZE_OF_FREEZE_PLAN + (this.perTuple ? 6 : 4), true)
  }

  planInfomask(record: WalRecord, index: number): number {
    return record.view.getUint16(this.plansStart + index * SIZE_OF_FREEZE_PLAN + (this.perTuple ? 8 : 6), true)
  }

  planFrzflags(record: WalRecord, index: number): number {
    return record.view.getUint8(this.plansStart + index * SIZE_OF_FREEZE_PLAN + (this.perTuple ? 10 : 8))
  }

  /** How many tuples plan `index` freezes. */
  planTuples(record: WalRecord, index: number): number {
    return this.perTuple ? 1 : record.view.getUint16(this.plansStart + index * SIZE_OF_FREEZE_PLAN + 10, true)
  }

  /** The offset number of tuple `index` of all the plans' tuples. */
  freezeOffset(record: WalRecord, index: number): OffsetNumber {
    return record.view.getUint16(this.perTuple ? this.plansStart + index * SIZE_OF_FREEZE_PLAN + 4 : this.freezeOffsetsStart + index * 2, true)
  }

  /** heap_xlog_deserialize_prune_and_freeze (heapdesc.c): the flags say which lists follow, in this order; the plans' offsets come last. */
  private readUnified(record: WalRecord): void {
    const { view, mainStart, mainLength } = record
    if (mainLength < 2) throw corruptHeapRecord(record, `main data of ${mainLength} bytes`)
    this.flags = view.getUint8(mainStart + 1)
    if (this.flags & ~XLHP_VALID_FLAGS) throw corruptHeapRecord(record, `prune flags 0x${this.flags.toString(16)}`)
    const horizon = (this.flags & XLHP_HAS_CONFLICT_HORIZON) !== 0
    if (mainLength !== (horizon ? 6 : 2)) throw corruptHeapRecord(record, `main data of ${mainLength} bytes, prune flags 0x${this.flags.toString(16)}`)
    if (horizon) this.conflictHorizon = view.getUint32(mainStart + 2, true)
    if (!this.hasLists) return
    if (this.flags & XLHP_HAS_FREEZE_PLANS) {
      this.planCount = this.takeCount(record)
      this.take(record, 2)
      this.plansStart = this.take(record, this.planCount * SIZE_OF_FREEZE_PLAN)
    }
    if (this.flags & XLHP_HAS_REDIRECTIONS) {
      this.redirectedCount = this.takeCount(record)
      this.redirectedStart = this.take(record, this.redirectedCount * 4)
    }
    if (this.flags & XLHP_HAS_DEAD_ITEMS) {
      this.deadCount = this.takeCount(record)
      this.deadStart = this.take(record, this.deadCount * 2)
    }
    if (this.flags & XLHP_HAS_NOW_UNUSED_ITEMS) {
      this.unusedCount = this.takeCount(record)
      this.unusedStart = this.take(record, this.unusedCount * 2)
    }
    this.takeFreezeOffsets(record)
  }

  private readPrune(record: WalRecord, major: PgMajor): void {
    const { view, mainStart } = record
    this.checkMain(record, major === 16 ? 9 : 8)
    this.conflictHorizon = view.getUint32(mainStart, true)
    this.announcedRedirected = view.getUint16(mainStart + 4, true)
    this.announcedDead = view.getUint16(mainStart + 6, true)
    this.flags = XLHP_CLEANUP_LOCK | XLHP_HAS_CONFLICT_HORIZON | (major === 16 ? this.catalogFlag(record, mainStart + 8) : 0)
    if (!this.hasLists) return
    this.redirectedCount = this.announcedRedirected
    this.redirectedStart = this.take(record, this.redirectedCount * 4)
    this.deadCount = this.announcedDead
    this.deadStart = this.take(record, this.deadCount * 2)
    // The main data has no count of unused items: they are the rest of the block data.
    this.unusedCount = (this.end - this.at) >> 1
    this.unusedStart = this.take(record, this.unusedCount * 2)
    this.flags |= (this.redirectedCount > 0 ? XLHP_HAS_REDIRECTIONS : 0) | (this.deadCount > 0 ? XLHP_HAS_DEAD_ITEMS : 0) |
      (this.unusedCount > 0 ? XLHP_HAS_NOW_UNUSED_ITEMS : 0)
  }

  private readVacuum(record: WalRecord): void {
    this.checkMain(record, 2)
    this.announced = record.view.getUint16(record.mainStart, true)
    this.flags = XLHP_HAS_NOW_UNUSED_ITEMS
    if (!this.hasLists) return
    this.unusedCount = this.announced
    this.unusedStart = this.take(record, this.unusedCount * 2)
  }

  private readFreeze(record: WalRecord, major: PgMajor): void {
    const { view, mainStart } = record
    this.checkMain(record, major === 16 ? 7 : 6)
    this.perTuple = major < 16
    this.conflictHorizon = view.getUint32(mainStart, true)
    this.announced = view.getUint16(mainStart + 4, true)
    this.flags = XLHP_HAS_CONFLICT_HORIZON | XLHP_HAS_FREEZE_PLANS | (major === 16 ? this.catalogFlag(record, mainStart + 6) : 0)
    if (!this.hasLists) return
    this.planCount = this.announced
    this.plansStart = this.take(record, this.planCount * SIZE_OF_FREEZE_PLAN)
    if (this.perTuple) this.freezeOffsetCount = this.planCount
    else this.takeFreezeOffsets(record)
  }

  private takeFreezeOffsets(record: WalRecord): void {
    for (let i = 0; i < this.planCount; i++) this.freezeOffsetCount += this.planTuples(record, i)
    this.freezeOffsetsStart = this.take(record, this.freezeOffsetCount * 2)
  }

  private catalogFlag(record: WalRecord, at: number): number {
    const value = record.view.getUint8(at)
    if (value > 1) throw corruptHeapRecord(record, `a bool of ${value}`)
    return value === 1 ? XLHP_IS_CATALOG_REL : 0
  }

  private checkMain(record: WalRecord, length: number): void {
    if (record.mainLength !== length) throw corruptHeapRecord(record, `main data of ${record.mainLength} bytes, ${length} expected`)
  }

  private takeCount(record: WalRecord): number {
    return record.view.getUint16(this.take(record, 2), true)
  }

  private take(record: WalRecord, length: number): number {
    const at = this.at
    if (length > this.end - at) throw corruptHeapRecord(record, 'block data is too short')
    this.at = at + length
    return at
  }
}
