import { CorruptionError } from '../common/errors.ts'
import { type BlockNumber, formatWalPosition, type Oid, type WalPosition, type Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { INIT_FORK } from '../common/relpath.ts'
import * as header from './recordheader.ts'

// V8 folds a module's own constants into compiled code, and looks up those of other modules: records are decoded by the million.
const {
  BLOCK_IMAGE_HOLE_OFFSET, BLOCK_IMAGE_INFO, BLOCK_IMAGE_LENGTH, BLOCK_DATA_LENGTH, BLOCK_FORK_FLAGS, LOCATOR_DB_OID, LOCATOR_REL_NUMBER, LOCATOR_SPC_OID,
  SIZE_OF_BLOCK_COMPRESS_HEADER, SIZE_OF_BLOCK_HEADER, SIZE_OF_BLOCK_IMAGE_HEADER, SIZE_OF_LOCATOR, SIZE_OF_RECORD_HEADER,
  XL_CRC, XL_INFO, XL_PREV, XL_RMID, XL_TOT_LEN, XL_XID,
} = header

/** XLR_INFO_MASK: bits of xl_info that are not the resource manager's. */
export const XLR_SPECIAL_REL_UPDATE = 0x01
export const XLR_CHECK_CONSISTENCY = 0x02
/** XLogRecordMaxSize: no record is longer (1020 MiB). */
export const RECORD_SIZE_MAX: number = 1020 * 1024 * 1024

// Ids of the headers in a record (xlogrecord.h): up to 32 a block, from 252 on other things.
/** XLR_MAX_BLOCK_ID. */
const MAX_BLOCK_ID = 32
const XLR_BLOCK_ID_DATA_SHORT = 255
const XLR_BLOCK_ID_DATA_LONG = 254
const XLR_BLOCK_ID_ORIGIN = 253
const XLR_BLOCK_ID_TOPLEVEL_XID = 252

const BKPBLOCK_FORK_MASK = 0x0f
const BKPBLOCK_HAS_IMAGE = 0x10
const BKPBLOCK_HAS_DATA = 0x20
const BKPBLOCK_WILL_INIT = 0x40
const BKPBLOCK_SAME_REL = 0x80

const BKPIMAGE_HAS_HOLE = 0x01

/** How the bytes of a full-page image are stored. 15 added lz4 and zstd to pglz. */
export const IMAGE_PLAIN = 0
export const IMAGE_PGLZ = 1
export const IMAGE_LZ4 = 2
export const IMAGE_ZSTD = 3
export type ImageCompression = typeof IMAGE_PLAIN | typeof IMAGE_PGLZ | typeof IMAGE_LZ4 | typeof IMAGE_ZSTD

/**
 * Bits of bimg_info beside HAS_HOLE. The same byte means different things: 0x07 is a compressed image to apply in all majors,
 * but 0x03 is compressed and not to be applied in 14, plain and to be applied since 15.
 */
interface ImageBits {
  apply: number
  pglz: number
  lz4: number
  zstd: number
}
const IMAGE_BITS_14: ImageBits = { apply: 0x04, pglz: 0x02, lz4: 0, zstd: 0 }
const IMAGE_BITS_15: ImageBits = { apply: 0x02, pglz: 0x04, lz4: 0x08, zstd: 0x10 }

/** A block that a record changes, and where in the record's bytes its image and data are. */
export class BlockReference {
  /** Block id: ascending within a record, with gaps. Meaning depends on the record type, never on the count. */
  id = 0
  fork = 0
  spcOid: Oid = 0
  dbOid: Oid = 0
  relNumber = 0
  block: BlockNumber = 0
  /** BKPBLOCK_WILL_INIT: redo begins with an empty page. */
  willInit = false
  hasImage = false
  /** The image replaces the page (BKPIMAGE_APPLY). An image without that flag was added for wal_consistency_checking alone. */
  applyImage = false
  imageStart = 0
  imageLength = 0
  imageCompression: ImageCompression = IMAGE_PLAIN
  holeOffset = 0
  holeLength = 0
  /** bimg_info as stored. */
  imageInfo = 0
  hasData = false
  dataStart = 0
  dataLength = 0
}

/**
 * One WAL record, decoded in place. The reader keeps a single object and refills it: what it holds, the bytes too, is valid until
 * the next record is asked for. All `…Start` fields are positions in {@link bytes}.
 */
export class WalRecord {
  bytes: Uint8Array = new Uint8Array(0)
  view: DataView = new DataView(this.bytes.buffer)
  /** Position of the record's header in {@link bytes}. */
  start = 0
  /** xl_tot_len. */
  length = 0
  /** Where the record begins in the WAL. */
  startLsn: WalPosition = 0
  /** Where it ends, padding included: the LSN that redo puts on pages, and the one that decides whether it belongs to a state. */
  endLsn: WalPosition = 0
  /** xl_xid: the xid of the subtransaction, if one wrote the record; 0 if no transaction did. */
  xid: Xid = 0
  /** xl_info, all eight bits. */
  info = 0
  rmgr = 0
  /** How many of {@link blocks} are this record's. */
  blockCount = 0
  readonly blocks: BlockReference[] = []
  mainStart = 0
  mainLength = 0
  /** Replication origin, 0 if none. */
  origin = 0
  /** Top-level xid that wal_level logical adds to the first record of a subtransaction; 0 if none. */
  topXid: Xid = 0

  /** The block with this id. */
  block(id: number): BlockReference | undefined {
    for (let i = 0; i < this.blockCount; i++) if (this.blocks[i]!.id === id) return this.blocks[i]
    return undefined
  }

  /** xl_prev: where the record before begins. */
  get prev(): WalPosition {
    return this.view.getUint32(this.start + XL_PREV + 4, true) * 0x100000000 + this.view.getUint32(this.start + XL_PREV, true)
  }

  get crc(): number {
    return this.view.getUint32(this.start + XL_CRC, true)
  }

  /** xl_info without the bits that belong to every resource manager. */
  get op(): number {
    return this.info & 0xf0
  }

  /**
   * Reads header and block references of the record whose bytes are at `start`; the caller has checked length and CRC.
   * @throws CorruptionError wal.record for headers that no server writes
   */
  decode(bytes: Uint8Array, view: DataView, start: number, startLsn: WalPosition, endLsn: WalPosition, major: PgMajor): void {
    this.bytes = bytes
    this.view = view
    this.start = start
    this.startLsn = startLsn
    this.endLsn = endLsn
    this.length = view.getUint32(start + XL_TOT_LEN, true)
    this.xid = view.getUint32(start + XL_XID, true)
    this.info = bytes[start + XL_INFO]!
    this.rmgr = bytes[start + XL_RMID]!
    this.blockCount = 0
    this.mainLength = 0
    this.origin = 0
    this.topXid = 0
    this.decodeHeaders(major)
  }

  /**
   * DecodeXLogRecord (xlogreader.c): headers come first, payloads after them in the same order. Nothing marks the end of the headers: it is where the
   * bytes left are as many as the payloads announced so far.
   */
  private decodeHeaders(major: PgMajor): void {
    const { bytes, view, start } = this
    const end = start + this.length
    let at = start + SIZE_OF_RECORD_HEADER
    let payload = 0
    while (end - at > payload) {
      const id = bytes[at++]!
      if (id <= MAX_BLOCK_ID) {
        at = this.decodeBlock(id, at - 1, end, major)
        const block = this.blocks[this.blockCount - 1]!
        payload += block.imageLength + block.dataLength
      } else if (id === XLR_BLOCK_ID_DATA_SHORT) {
        if (at + 1 > end) throw this.corrupt('main data header cut short')
        this.mainLength = bytes[at]!
        payload += this.mainLength
        at += 1
        break
      } else if (id === XLR_BLOCK_ID_DATA_LONG) {
        if (at + 4 > end) throw this.corrupt('main data header cut short')
        this.mainLength = view.getUint32(at, true)
        payload += this.mainLength
        at += 4
        break
      } else if (id === XLR_BLOCK_ID_ORIGIN) {
        if (at + 2 > end) throw this.corrupt('origin cut short')
        this.origin = view.getUint16(at, true)
        at += 2
      } else if (id === XLR_BLOCK_ID_TOPLEVEL_XID) {
        if (at + 4 > end) throw this.corrupt('top-level xid cut short')
        this.topXid = view.getUint32(at, true)
        at += 4
      } else {
        throw this.corrupt(`unknown header id ${id}`)
      }
    }
    if (end - at !== payload) throw this.corrupt(`${end - at} bytes where headers announce ${payload}`)
    this.placePayloads(at)
  }

  private placePayloads(start: number): void {
    let at = start
    for (let i = 0; i < this.blockCount; i++) {
      const block = this.blocks[i]!
      block.imageStart = at
      at += block.imageLength
      block.dataStart = at
      at += block.dataLength
    }
    this.mainStart = at
  }

  /** @returns where the next header begins */
  private decodeBlock(id: number, start: number, end: number, major: PgMajor): number {
    const { view, bytes } = this
    const previous = this.blockCount > 0 ? this.blocks[this.blockCount - 1] : undefined
    // "out-of-order block_id" of DecodeXLogRecord: ids ascend, so no block is referenced twice.
    if (previous !== undefined && id <= previous.id) throw this.corrupt(`block id ${id} after ${previous.id}`)
    if (start + SIZE_OF_BLOCK_HEADER > end) throw this.corrupt('block header cut short')
    const flags = bytes[start + BLOCK_FORK_FLAGS]!
    const block = this.blocks[this.blockCount] ??= new BlockReference()
    block.id = id
    block.fork = flags & BKPBLOCK_FORK_MASK
    block.willInit = (flags & BKPBLOCK_WILL_INIT) !== 0
    block.hasData = (flags & BKPBLOCK_HAS_DATA) !== 0
    block.hasImage = (flags & BKPBLOCK_HAS_IMAGE) !== 0
    block.dataLength = view.getUint16(start + BLOCK_DATA_LENGTH, true)
    if (block.fork > INIT_FORK) throw this.corrupt(`block ${id} in fork ${block.fork}`)
    // "BKPBLOCK_HAS_DATA set, but no data included" of DecodeXLogRecord, and its opposite.
    if (block.hasData !== block.dataLength > 0) throw this.corrupt(`block ${id} with data flag ${block.hasData} and ${block.dataLength} bytes`)
    let at = start + SIZE_OF_BLOCK_HEADER
    if (block.hasImage) {
      at = this.decodeImage(block, at, end, major)
    } else {
      block.applyImage = false
      block.imageLength = 0
    }
    if ((flags & BKPBLOCK_SAME_REL) === 0) {
      if (at + SIZE_OF_LOCATOR > end) throw this.corrupt('relation of a block cut short')
      block.spcOid = view.getUint32(at + LOCATOR_SPC_OID, true)
      block.dbOid = view.getUint32(at + LOCATOR_DB_OID, true)
      block.relNumber = view.getUint32(at + LOCATOR_REL_NUMBER, true)
      at += SIZE_OF_LOCATOR
    } else {
      if (previous === undefined) throw this.corrupt(`block ${id} has BKPBLOCK_SAME_REL, but no block comes before it`)
      block.spcOid = previous.spcOid
      block.dbOid = previous.dbOid
      block.relNumber = previous.relNumber
    }
    if (at + 4 > end) throw this.corrupt('block number cut short')
    block.block = view.getUint32(at, true)
    this.blockCount++
    return at + 4
  }

  /** XLogRecordBlockImageHeader, with the cross-checks of DecodeXLogRecord (xlogreader.c). */
  private decodeImage(block: BlockReference, start: number, end: number, major: PgMajor): number {
    const { view, bytes } = this
    if (start + SIZE_OF_BLOCK_IMAGE_HEADER > end) throw this.corrupt('image header cut short')
    const bits = major === 14 ? IMAGE_BITS_14 : IMAGE_BITS_15
    const info = bytes[start + BLOCK_IMAGE_INFO]!
    const hasHole = (info & BKPIMAGE_HAS_HOLE) !== 0
    block.imageInfo = info
    block.imageLength = view.getUint16(start + BLOCK_IMAGE_LENGTH, true)
    block.holeOffset = view.getUint16(start + BLOCK_IMAGE_HOLE_OFFSET, true)
    block.applyImage = (info & bits.apply) !== 0
    block.imageCompression = info & bits.pglz ? IMAGE_PGLZ : info & bits.lz4 ? IMAGE_LZ4 : info & bits.zstd ? IMAGE_ZSTD : IMAGE_PLAIN
    // Unknown bits would mean a compression that this code would take for a plain image.
    const compression = info & ~(BKPIMAGE_HAS_HOLE | bits.apply)
    // One bit or none: the name of the format was set from it, above.
    if ((compression & (compression - 1)) !== 0 || (compression & ~(bits.pglz | bits.lz4 | bits.zstd)) !== 0) {
      throw this.corrupt(`image info 0x${info.toString(16)}`)
    }
    let at = start + SIZE_OF_BLOCK_IMAGE_HEADER
    if (block.imageCompression === IMAGE_PLAIN) {
      // A plain image stores no hole length: it is what the image lacks of a page. A compressed one must store it.
      block.holeLength = hasHole ? BLOCK_SIZE - block.imageLength : 0
    } else if (hasHole) {
      if (at + SIZE_OF_BLOCK_COMPRESS_HEADER > end) throw this.corrupt('hole length cut short')
      block.holeLength = view.getUint16(at, true)
      at += SIZE_OF_BLOCK_COMPRESS_HEADER
    } else {
      block.holeLength = 0
    }
    this.checkImage(block, hasHole)
    return at
  }

  /** The cross-checks of DecodeXLogRecord: with a hole the offset and length say where; without one the image is a page, or smaller if compressed. */
  private checkImage({ imageLength, imageCompression, holeOffset, holeLength }: BlockReference, hasHole: boolean): void {
    const sound = hasHole
      ? holeOffset > 0 && holeLength > 0 && holeOffset + holeLength <= BLOCK_SIZE && imageLength < BLOCK_SIZE
      : holeOffset === 0 && (imageCompression === IMAGE_PLAIN ? imageLength === BLOCK_SIZE : imageLength < BLOCK_SIZE)
    if (!sound) throw this.corrupt(`image of ${imageLength} bytes with a hole of ${holeLength} at ${holeOffset}`)
  }

  private corrupt(reason: string): CorruptionError {
    return new CorruptionError('wal.record', reason, { lsn: formatWalPosition(this.startLsn) })
  }
}

