/**
 * Redo of TPC-B WAL of Postgres 15 as one writes it first: segments in memory, pages in one arena, a prune by way of a picture of the page; no
 * check but the LSN's, no relation but heaps, no record that TPC-B does not write. The speed that redo shall have was set beside a
 * program like this one, so it is measured beside it, and the pages of both are compared.
 */
import type { PlainBlock, PlainWal } from './plainwal.ts'

const PAGE = 8192
const RM_XLOG = 0
const RM_HEAP2 = 9
const RM_HEAP = 10
const OPMASK = 0x70
const INSERT = 0x00
const UPDATE = 0x20
const HOT_UPDATE = 0x40
const LOCK = 0x60
const PRUNE = 0x10

/** Byte positions in a page (line pointer 1 is at 24) and in a tuple. */
const PD = { flags: 10, lower: 12, upper: 14, special: 16, version: 18, pruneXid: 20, beforeItems: 20 }
const T = { xmax: 4, cid: 8, block: 12, offset: 16, infomask2: 18, infomask: 20, hoff: 22, data: 23 }

export class PlainRedo {
  private readonly wal: PlainWal
  private readonly arena: Uint8Array
  private readonly view: DataView
  private readonly picture = new Uint8Array(PAGE)
  private used = 0
  /** Number in the arena of each block, by database and relfilenode. */
  private readonly forks = new Map<number, number[]>()
  private lastKey = -1
  private lastFork: number[] = []

  constructor(wal: PlainWal, arenaPages: number) {
    this.wal = wal
    this.arena = new Uint8Array(arenaPages * PAGE)
    this.view = new DataView(this.arena.buffer)
  }

  /** The pages of a main fork as they are before. */
  load(dbOid: number, relNumber: number, pages: readonly { bytes: Uint8Array }[]): void {
    const fork = this.fork(dbOid, relNumber)
    for (const { bytes } of pages) {
      this.arena.set(bytes, this.used * PAGE)
      fork.push(this.used++)
    }
  }

  page(dbOid: number, relNumber: number, block: number): Uint8Array {
    const start = this.fork(dbOid, relNumber)[block]! * PAGE
    return this.arena.subarray(start, start + PAGE)
  }

  run(): void {
    const { wal } = this
    while (wal.next()) {
      if (wal.rmgr !== RM_HEAP && wal.rmgr !== RM_HEAP2 && wal.rmgr !== RM_XLOG) continue
      for (let i = 0; i < wal.blockCount; i++) if (wal.blocks[i]!.appliesImage && wal.blocks[i]!.fork === 0) this.restore(wal.blocks[i]!)
      if (wal.rmgr === RM_HEAP) this.heap(wal.info & OPMASK)
      else if (wal.rmgr === RM_HEAP2 && (wal.info & OPMASK) === PRUNE) this.prune()
    }
  }

  private heap(op: number): void {
    if (op === INSERT) this.insert()
    else if (op === UPDATE || op === HOT_UPDATE) this.update(op === HOT_UPDATE)
    else if (op === LOCK) this.lock()
  }

  private fork(dbOid: number, relNumber: number): number[] {
    const key = dbOid * 0x100000000 + relNumber
    if (key !== this.lastKey) {
      let fork = this.forks.get(key)
      if (fork === undefined) this.forks.set(key, fork = [])
      this.lastKey = key
      this.lastFork = fork
    }
    return this.lastFork
  }

  /** Where the page of a block begins; made if it is not there. */
  private start({ dbOid, relNumber, block }: PlainBlock): number {
    const fork = this.fork(dbOid, relNumber)
    while (fork.length <= block) fork.push(this.used++)
    return fork[block]! * PAGE
  }

  /** Where the page begins that the record changes, -1 if it is done already. */
  private toChange(block: PlainBlock): number {
    if (block.appliesImage) return -1
    const { view } = this
    const page = this.start(block)
    if (block.willInit) {
      this.arena.fill(0, page, page + PAGE)
      view.setUint16(page + PD.lower, 24, true)
      view.setUint16(page + PD.upper, PAGE, true)
      view.setUint16(page + PD.special, PAGE, true)
      view.setUint16(page + PD.version, PAGE | 4, true)
      return page
    }
    return view.getUint32(page, true) * 0x100000000 + view.getUint32(page + 4, true) >= this.wal.endLsn ? -1 : page
  }

  private setLsn(page: number): void {
    const { endLsn } = this.wal
    this.view.setUint32(page, Math.floor(endLsn / 0x100000000), true)
    this.view.setUint32(page + 4, endLsn % 0x100000000, true)
  }

  private restore(block: PlainBlock): void {
    const { arena, wal: { bytes } } = this
    const page = this.start(block)
    const { imageStart, imageLength, holeOffset, holeLength } = block
    arena.set(bytes.subarray(imageStart, imageStart + holeOffset), page)
    arena.fill(0, page + holeOffset, page + holeOffset + holeLength)
    arena.set(bytes.subarray(imageStart + holeOffset, imageStart + imageLength), page + holeOffset + holeLength)
    this.setLsn(page)
  }

  /** @returns where the tuple begins */
  private place(page: number, offset: number, length: number): number {
    const { view } = this
    const count = (view.getUint16(page + PD.lower, true) - 24) >> 2
    const upper = (view.getUint16(page + PD.upper, true) - length) & ~7
    if (offset > count) view.setUint16(page + PD.lower, 24 + offset * 4, true)
    view.setUint16(page + PD.upper, upper, true)
    view.setUint32(page + PD.beforeItems + offset * 4, upper | (1 << 15) | (length << 17), true)
    return page + upper
  }

  private setHeader(tuple: number, xmax: number, block: number, offset: number): void {
    const { view, wal: { xid } } = this
    view.setUint32(tuple, xid, true)
    view.setUint32(tuple + T.xmax, xmax, true)
    view.setUint32(tuple + T.cid, 0, true)
    this.setCtid(tuple, block, offset)
  }

  private setCtid(tuple: number, block: number, offset: number): void {
    this.view.setUint16(tuple + T.block, block >>> 16, true)
    this.view.setUint16(tuple + T.block + 2, block & 0xffff, true)
    this.view.setUint16(tuple + T.offset, offset, true)
  }

  private copy(to: number, from: Uint8Array, start: number, length: number): number {
    for (let i = 0; i < length; i++) this.arena[to + i] = from[start + i]!
    return to + length
  }

  private insert(): void {
    const { bytes, view, mainStart, blocks } = this.wal
    const block = blocks[0]!
    const page = this.toChange(block)
    if (page < 0) return
    const offset = view.getUint16(mainStart, true)
    const tuple = this.place(page, offset, T.data + block.dataLength - 5)
    this.setHeader(tuple, 0, block.block, offset)
    this.copy(tuple + T.infomask2, bytes, block.dataStart, block.dataLength)
    this.setLsn(page)
  }

  private update(hot: boolean): void {
    const { view, mainStart, blocks, blockCount, xid } = this.wal
    const fresh = blocks[0]!
    const isOther = blockCount > 1 && blocks[1]!.fork === 0
    const newOffset = view.getUint16(mainStart + 12, true)
    const oldPage = this.toChange(isOther ? blocks[1]! : fresh)
    let item = 0
    if (oldPage >= 0) {
      item = this.view.getUint32(oldPage + PD.beforeItems + view.getUint16(mainStart + 4, true) * 4, true)
      const old = oldPage + (item & 0x7fff)
      this.setXmax(old, view.getUint32(mainStart, true), this.wal.bytes[mainStart + 6]!)
      const infomask2 = this.view.getUint16(old + T.infomask2, true) & ~0x4000
      this.view.setUint16(old + T.infomask2, hot ? infomask2 | 0x4000 : infomask2, true)
      this.setCtid(old, fresh.block, newOffset)
      const prune = this.view.getUint32(oldPage + PD.pruneXid, true)
      if (prune === 0 || ((xid - prune) | 0) < 0) this.view.setUint32(oldPage + PD.pruneXid, xid, true)
      this.clearAllVisible(oldPage, 0x01)
      this.setLsn(oldPage)
    }
    const page = isOther ? this.toChange(fresh) : oldPage
    if (page < 0) return
    this.addVersion(page, fresh, newOffset, oldPage + (item & 0x7fff), item >>> 17)
    this.clearAllVisible(page, 0x02)
    this.setLsn(page)
  }

  private clearAllVisible(page: number, flag: number): void {
    const { wal, view } = this
    if (wal.bytes[wal.mainStart + 7]! & flag) view.setUint16(page + PD.flags, view.getUint16(page + PD.flags, true) & ~4, true)
  }

  /** The new version takes bytes at its beginning and end from the old one, if the record says so. */
  private addVersion(page: number, block: PlainBlock, offset: number, old: number, oldLength: number): void {
    const { arena, wal: { bytes, view, mainStart } } = this
    const flags = bytes[mainStart + 7]!
    let at = block.dataStart
    const end = at + block.dataLength
    let prefix = 0
    let suffix = 0
    if (flags & 0x20) { prefix = view.getUint16(at, true); at += 2 }
    if (flags & 0x40) { suffix = view.getUint16(at, true); at += 2 }
    const tuple = this.place(page, offset, T.data + end - at - 5 + prefix + suffix)
    this.setHeader(tuple, view.getUint32(mainStart + 8, true), block.block, offset)
    const bitmap = prefix > 0 ? bytes[at + 4]! - T.data : 0
    let to = this.copy(tuple + T.infomask2, bytes, at, 5 + bitmap)
    to = this.copy(to, arena, old + arena[old + T.hoff]!, prefix)
    to = this.copy(to, bytes, at + 5 + bitmap, end - at - 5 - bitmap)
    this.copy(to, arena, old + oldLength - suffix, suffix)
  }

  private lock(): void {
    const { bytes, view, mainStart, blocks } = this.wal
    const page = this.toChange(blocks[0]!)
    if (page < 0) return
    const tuple = page + (this.view.getUint32(page + PD.beforeItems + view.getUint16(mainStart + 4, true) * 4, true) & 0x7fff)
    this.setXmax(tuple, view.getUint32(mainStart, true), bytes[mainStart + 6]!)
    this.setLsn(page)
  }

  private setXmax(tuple: number, xmax: number, infobits: number): void {
    const { view } = this
    let infomask = view.getUint16(tuple + T.infomask, true) & ~0xdcf0
    let infomask2 = view.getUint16(tuple + T.infomask2, true) & ~0x2000
    if (infobits & 0x01) infomask |= 0x1000
    if (infobits & 0x02) infomask |= 0x0080
    if (infobits & 0x04) infomask |= 0x0040
    if (infobits & 0x08) infomask |= 0x0010
    if (infobits & 0x10) infomask2 |= 0x2000
    view.setUint16(tuple + T.infomask, infomask, true)
    view.setUint16(tuple + T.infomask2, infomask2, true)
    view.setUint32(tuple + T.xmax, xmax, true)
    view.setUint32(tuple + T.cid, 0, true)
  }

  private prune(): void {
    const { view, mainStart, blocks } = this.wal
    const block = blocks[0]!
    const page = this.toChange(block)
    if (page < 0) return
    const item = (at: number): number => page + PD.beforeItems + view.getUint16(at, true) * 4
    let at = block.dataStart
    const end = at + block.dataLength
    for (let left = view.getUint16(mainStart + 4, true); left > 0; left--, at += 4) {
      this.view.setUint32(item(at), view.getUint16(at + 2, true) | (2 << 15), true)
    }
    for (let left = view.getUint16(mainStart + 6, true); left > 0; left--, at += 2) this.view.setUint32(item(at), 3 << 15, true)
    for (; at < end; at += 2) this.view.setUint32(item(at), 0, true)
    this.pack(page)
    this.setLsn(page)
  }

  /** PageRepairFragmentation: in the order of the line pointers, from a picture of the page. */
  private pack(page: number): void {
    const { view, arena, picture } = this
    const count = (view.getUint16(page + PD.lower, true) - 24) >> 2
    let upper = view.getUint16(page + PD.special, true)
    let last = 0
    let unused = 0
    picture.set(arena.subarray(page, page + PAGE))
    for (let offset = 1; offset <= count; offset++) {
      const item = page + PD.beforeItems + offset * 4
      const word = view.getUint32(item, true)
      if ((word & (3 << 15)) === 0) { unused++; continue }
      last = offset
      if (word >>> 17 === 0) continue
      const length = ((word >>> 17) + 7) & ~7
      const from = word & 0x7fff
      upper -= length
      if (from === upper) continue
      arena.set(picture.subarray(from, from + length), page + upper)
      view.setUint32(item, (word & ~0x7fff) | upper, true)
    }
    view.setUint16(page + PD.upper, upper, true)
    view.setUint16(page + PD.lower, 24 + last * 4, true)
    const flags = view.getUint16(page + PD.flags, true) & ~1
    view.setUint16(page + PD.flags, unused > count - last ? flags | 1 : flags, true)
  }
}
