/** Records of WAL of Postgres 15, whole segments in memory: what {@link PlainRedo} reads. Nothing is checked but the CRC. */
import { crc32cUpdate } from '../src/common/crc32c.ts'
import type { WalPosition } from '../src/common/ids.ts'

const PAGE = 8192
const SHORT_HEADER = 24
const LONG_HEADER = 40
const RECORD_HEADER = 24
const CRC = 20
/** A record of many images: 32 blocks of a page each, and what describes them. */
const RECORD_MAX = 1 << 20

/** Ids of what is no block: main data of up to 255 bytes, of more, a replication origin, the xid of the transaction above. */
const DATA_SHORT = 255
const DATA_LONG = 254
const ORIGIN = 253
const TOPLEVEL_XID = 252
const BLOCKS_MAX = 33

const HAS_IMAGE = 0x10
const WILL_INIT = 0x40
const SAME_RELATION = 0x80
const IMAGE_HAS_HOLE = 0x01
const IMAGE_APPLIES = 0x02
const IMAGE_COMPRESSED = 0x1c

/** Places are bytes of {@link PlainWal.bytes}. */
export class PlainBlock {
  dbOid = 0
  relNumber = 0
  fork = 0
  block = 0
  willInit = false
  hasImage = false
  appliesImage = false
  imageStart = 0
  imageLength = 0
  holeOffset = 0
  holeLength = 0
  dataStart = 0
  dataLength = 0
}

/** The record that {@link next} found. */
export class PlainWal {
  bytes: Uint8Array
  view: DataView
  xid = 0
  rmgr = 0
  info = 0
  endLsn: WalPosition = 0
  mainStart = 0
  blockCount = 0
  readonly blocks = Array.from({ length: BLOCKS_MAX }, () => new PlainBlock())
  private readonly wal: Uint8Array
  private readonly walView: DataView
  private readonly gathered = new Uint8Array(RECORD_MAX)
  private readonly gatheredView = new DataView(this.gathered.buffer)
  private readonly base: WalPosition
  private readonly segmentSize: number
  private at: number

  /** @param base position of the first byte, the beginning of a segment */
  constructor(wal: Uint8Array, base: WalPosition, segmentSize: number, start: WalPosition) {
    this.wal = this.bytes = wal
    this.walView = this.view = new DataView(wal.buffer)
    this.base = base
    this.segmentSize = segmentSize
    this.at = start - base
  }

  /** @returns false at the end */
  next(): boolean {
    if (this.at % PAGE === 0) this.skipPageHeader()
    if (this.at + RECORD_HEADER > this.wal.length) return false
    const length = this.walView.getUint32(this.at, true)
    if (length === 0) return false
    const start = length > PAGE - (this.at % PAGE) ? this.gather(length) : this.take(length)
    this.at = (this.at + 7) & ~7
    if (!this.isSound(start, length)) return false
    this.xid = this.view.getUint32(start + 4, true)
    this.info = this.bytes[start + 16]!
    this.rmgr = this.bytes[start + 17]!
    // XLOG_SWITCH
    if (this.rmgr === 0 && (this.info & 0xf0) === 0x40) this.at = Math.ceil(this.at / this.segmentSize) * this.segmentSize
    this.endLsn = this.base + this.at
    this.readBlocks(start + RECORD_HEADER, start + length)
    return true
  }

  private skipPageHeader(): void {
    this.at += this.at % this.segmentSize === 0 ? LONG_HEADER : SHORT_HEADER
  }

  private take(length: number): number {
    const start = this.at
    this.bytes = this.wal
    this.view = this.walView
    this.at += length
    return start
  }

  private gather(length: number): number {
    for (let got = 0; ;) {
      const count = Math.min(PAGE - (this.at % PAGE), length - got)
      this.gathered.set(this.wal.subarray(this.at, this.at + count), got)
      got += count
      this.at += count
      if (got === length) break
      this.skipPageHeader()
    }
    this.bytes = this.gathered
    this.view = this.gatheredView
    return 0
  }

  private isSound(start: number, length: number): boolean {
    const payload = crc32cUpdate(-1, this.view, start + RECORD_HEADER, start + length)
    return (crc32cUpdate(payload, this.view, start, start + CRC) ^ -1) === this.view.getInt32(start + CRC, true)
  }

  private readBlocks(from: number, end: number): void {
    let at = from
    let data = 0
    this.blockCount = 0
    while (end - at > data) {
      const id = this.bytes[at]!
      if (id === DATA_SHORT || id === DATA_LONG) {
        at += id === DATA_SHORT ? 2 : 5
        break
      }
      if (id === ORIGIN || id === TOPLEVEL_XID) {
        at += id === ORIGIN ? 3 : 5
        continue
      }
      const block = this.blocks[this.blockCount]!
      at = this.readBlock(block, at)
      data += block.dataLength + (block.hasImage ? block.imageLength : 0)
      this.blockCount++
    }
    for (let i = 0; i < this.blockCount; i++) {
      const block = this.blocks[i]!
      block.imageStart = at
      if (block.hasImage) at += block.imageLength
      block.dataStart = at
      at += block.dataLength
    }
    this.mainStart = at
  }

  /** @returns where the next one begins */
  private readBlock(block: PlainBlock, start: number): number {
    const { bytes, view } = this
    let at = start + 4
    const flags = bytes[start + 1]!
    block.fork = flags & 0x0f
    block.willInit = (flags & WILL_INIT) !== 0
    block.hasImage = (flags & HAS_IMAGE) !== 0
    block.appliesImage = false
    block.dataLength = view.getUint16(start + 2, true)
    if (block.hasImage) {
      block.imageLength = view.getUint16(at, true)
      block.holeOffset = view.getUint16(at + 2, true)
      const info = bytes[at + 4]!
      if (info & IMAGE_COMPRESSED) throw new Error('compressed images are not read here')
      block.holeLength = info & IMAGE_HAS_HOLE ? PAGE - block.imageLength : 0
      block.appliesImage = (info & IMAGE_APPLIES) !== 0
      at += 5
    }
    if (flags & SAME_RELATION) {
      const before = this.blocks[this.blockCount - 1]!
      block.dbOid = before.dbOid
      block.relNumber = before.relNumber
    } else {
      block.dbOid = view.getUint32(at + 4, true)
      block.relNumber = view.getUint32(at + 8, true)
      at += 12
    }
    block.block = view.getUint32(at, true)
    return at + 4
  }
}
