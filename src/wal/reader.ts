import { dataView } from '../common/bytes.ts'
import { crc32cUpdate } from '../common/crc32c.ts'
import { assert, CorruptionError } from '../common/errors.ts'
import { type WalPosition, formatWalPosition } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import {
  checkPageHeader, pageHeaderSize, pageInfo, pageRemaining, pageTimeline, SIZE_OF_LONG_PAGE_HEADER, WAL_PAGE_SIZE,
  XLP_FIRST_IS_CONTRECORD, XLP_FIRST_IS_OVERWRITE_CONTRECORD,
} from './pageheader.ts'
import { RECORD_SIZE_MAX, WalRecord } from './record.ts'
import { SIZE_OF_RECORD_HEADER, XL_CRC, XL_PREV, XL_RMID, XL_TOT_LEN } from './recordheader.ts'
import type { RecordMemory } from './recordmemory.ts'
import { RecordScratch } from './recordscratch.ts'
import { isRmgrValid, RM_XLOG_ID } from './rmgr.ts'
import { checkSegmentSize } from './segment.ts'
import { isPageOf, type TimelineHistory } from './timelinehistory.ts'
import { type WalEnd, walCorruption } from './walend.ts'
import { XLOG_OVERWRITE_CONTRECORD, XLOG_SWITCH } from './xlog.ts'

/** Before 16 only palloc limited the length of a record (MaxAllocSize, memutils.h); 16 added XLogRecordMaxSize. */
const RECORD_SIZE_MAX_15 = 0x3fffffff

const EMPTY = new Uint8Array(0)

export interface WalReaderOptions {
  major: PgMajor
  /**
   * Where to begin: with the first record that begins here or later. Any position will do, because reading begins at the start of its page. To
   * demand a record at exactly this place, see {@link exact}.
   */
  start: WalPosition
  /** Timeline in the name of the file that the bytes come from: its pages may be of this timeline or an older one. */
  timeline: number
  /** The timeline that is followed, and its ancestors: each page must be of the one that has its place. Without it any older timeline will do. */
  timelineHistory?: TimelineHistory | undefined
  segmentSize: number
  /** Checked against long page headers. */
  systemIdentifier?: bigint | undefined
  /** A record must begin, or the one before must end, at `start`. Anything else there is the end of the WAL. */
  exact?: boolean | undefined
  /** The first bytes fed are those at `start` itself, not those of its page's beginning. `start` is then exact, too. */
  startsMidPage?: boolean | undefined
  /** Where the record before the first one begins, if that is known: xl_prev of the first one must name it. */
  previous?: WalPosition | undefined
  /** Pieces that lie in this memory are checked faster. No other reader may use it. */
  memory?: RecordMemory | undefined
}

/**
 * Takes records out of the WAL's bytes: feed it bytes, ask for records until no record is left, feed more. It makes the checks of recovery
 * (xlogreader.c), ends where recovery ends, and never returns a record beyond that.
 *
 *     page header | record | record | first part of a record ‖ page header | the rest of it | pad to 8 | record …
 *
 * The bytes fed are read in place, so they must not change before {@link next} has returned undefined. Only a record that crosses pages or pieces
 * is copied. All indexes count from the start of the piece; an index past it names a byte that has not been fed yet.
 */
export class WalReader {
  private readonly options: WalReaderOptions
  /** What pages must say; the timeline rises when the source goes over to files of a newer one. */
  private readonly expected: { major: PgMajor; segmentSize: number; timeline: number; systemIdentifier: bigint | undefined }
  private readonly recordSizeMax: number
  private readonly record = new WalRecord()
  private bytes: Uint8Array = EMPTY
  private view: DataView = new DataView(EMPTY.buffer)
  private size = 0
  /** WAL position of the piece. */
  private base: WalPosition
  /** The next byte to look at, and where its page ends. If both are equal, a page header follows. */
  private at = 0
  private pageEnd = 0
  /** Where WebAssembly checks records, if the piece lies there; it has checked those that begin before `soundUpTo`. */
  private readonly memory: RecordMemory | undefined
  private pieceInMemory = false
  private soundUpTo = 0
  private readonly headerBytes = new Uint8Array(SIZE_OF_LONG_PAGE_HEADER)
  private readonly headerView = new DataView(this.headerBytes.buffer)
  /** Bytes of a page header that lie in earlier pieces. */
  private headerLength = 0
  private lastTimeline = 0
  /** The beginning of a record that crosses pages or pieces; its length is known from 4 bytes on. */
  private readonly scratch: RecordScratch
  private total = 0
  /** Where the record in `scratch` begins. */
  private startLsn: WalPosition = 0
  /** The reader has returned no record yet, and must find out where one begins. */
  private searching: boolean
  /** Where the last record begins; -1 before the first one. */
  private previousStart: WalPosition
  /** Where the record begins that a page with XLP_FIRST_IS_OVERWRITE_CONTRECORD gave up; -1 without such a page. */
  private overwritten: WalPosition = -1
  private ended: WalEnd | undefined
  private endOfLast: WalPosition

  /** @throws UnsupportedError wal.segment-size */
  constructor(options: WalReaderOptions) {
    const { major, start, timeline, segmentSize, systemIdentifier } = options
    checkSegmentSize(segmentSize)
    this.options = options
    this.memory = options.memory
    this.scratch = new RecordScratch(options.memory)
    this.expected = { major, segmentSize, timeline, systemIdentifier }
    this.recordSizeMax = major < 16 ? RECORD_SIZE_MAX_15 : RECORD_SIZE_MAX
    this.previousStart = options.previous ?? -1
    this.endOfLast = start
    const inPage = start % WAL_PAGE_SIZE
    const exact = options.exact === true || options.startsMidPage === true
    this.searching = !exact
    this.base = start - inPage
    if (exact && (start % 8 !== 0 || (inPage > 0 && inPage < pageHeaderSize(this.base, segmentSize)))) {
      this.fail(start, 'wal.start', 'no record begins here')
    }
    if (options.startsMidPage === true && inPage > 0) {
      this.base = start
      this.pageEnd = WAL_PAGE_SIZE - inPage
    }
  }

  /** Why no record can follow; undefined while bytes may still come. */
  get end(): WalEnd | undefined {
    return this.ended
  }

  /** End of the last record returned; before that, the start. */
  get position(): WalPosition {
    return this.endOfLast
  }

  /** Where the last record begins; undefined before the first one. For {@link WalReaderOptions.previous}. */
  get previous(): WalPosition | undefined {
    return this.previousStart < 0 ? undefined : this.previousStart
  }

  /** WAL position of the byte that {@link feed} wants next. */
  get fed(): WalPosition {
    return this.base + this.size
  }

  /** Where the part of the WAL begins that was not used yet: of a record that waits for its rest, or what follows {@link position}. */
  get pending(): WalPosition {
    return this.scratch.length > 0 ? this.startLsn : this.base + this.at
  }

  /** The bytes fed from now on are of a file of this timeline. */
  set timeline(timeline: number) {
    this.expected.timeline = timeline
  }

  /** Bytes that follow those fed so far, in any split; the first ones are those at the start of `start`'s page. */
  feed(bytes: Uint8Array): void {
    if (this.at < this.size) {
      const joined = new Uint8Array(this.size - this.at + bytes.length)
      joined.set(this.bytes.subarray(this.at, this.size))
      joined.set(bytes, this.size - this.at)
      this.adopt(joined, this.at)
    } else {
      this.adopt(bytes, this.size)
    }
  }

  /**
   * Goes on at `position` without the bytes up to there: after a switch of segments they are of no use, so {@link pending} is there already.
   */
  skipTo(position: WalPosition): void {
    assert(position >= this.fed && position <= this.pending, `the bytes before ${formatWalPosition(position)} are needed`)
    this.adopt(EMPTY, position - this.base)
  }

  /** No more bytes come: this is the end, unless it was found before. */
  finish(code: string, reason: string): WalEnd {
    return this.ended ?? this.fail(this.pending, code, reason)
  }

  /**
   * The next record: one object, refilled each time. Undefined: feed more, unless {@link end} says that none can follow.
   * @throws CorruptionError wal.record for a record that is whole (its CRC is right) but makes no sense; it is the end, too
   */
  next(): WalRecord | undefined {
    while (this.ended === undefined) {
      if (this.at === this.pageEnd) {
        if (!this.enterPage()) return undefined
        continue
      }
      if (this.at >= this.size) return undefined
      const done = this.scratch.length > 0 ? this.gather() : this.takeInPlace()
      if (done && this.record.startLsn >= this.options.start) {
        this.endOfLast = this.record.endLsn
        return this.record
      }
    }
    return undefined
  }

  private adopt(bytes: Uint8Array, passed: number): void {
    this.bytes = bytes
    this.view = dataView(bytes)
    this.pieceInMemory = this.memory?.holds(bytes) === true
    this.soundUpTo = 0
    this.size = bytes.length
    this.base += passed
    this.at -= passed
    this.pageEnd -= passed
  }

  /** The record at `at`, if it lies in this page and piece as a whole; else its first part goes to `scratch`. @returns true for a record */
  private takeInPlace(): boolean {
    const { view, at } = this
    const room = Math.min(this.pageEnd, this.size) - at
    if (room < SIZE_OF_RECORD_HEADER) return this.gather()
    const length = view.getUint32(at + XL_TOT_LEN, true)
    const startLsn = this.base + at
    if (!this.checkLength(length, startLsn) || !this.checkHeader(view, at, startLsn)) return false
    if (length > room) return this.gather()
    if (at >= this.soundUpTo && !this.isSoundInPiece(room) && !this.checkCrc(view, at, length, startLsn)) return false
    this.at = at + ((length + 7) & ~7)
    return this.accept(this.bytes, view, at, startLsn)
  }

  /** Moves the available bytes of a record into `scratch`. @returns true when the record is complete */
  private gather(): boolean {
    if (this.scratch.length === 0) this.beginGathering()
    while (this.at < this.pageEnd && this.at < this.size) {
      // The length first, then the header, so that neither is believed before it is checked.
      const wanted = this.scratch.length < 4 ? 4 : this.scratch.length < SIZE_OF_RECORD_HEADER ? SIZE_OF_RECORD_HEADER : this.total
      const to = this.at + Math.min(wanted - this.scratch.length, Math.min(this.pageEnd, this.size) - this.at)
      this.scratch.append(this.bytes.subarray(this.at, to), this.total)
      this.at = to
      if (this.scratch.length < wanted) return false
      if (wanted === 4) {
        this.total = this.scratch.view.getUint32(XL_TOT_LEN, true)
        if (!this.checkLength(this.total, this.startLsn)) return false
      } else if (wanted === SIZE_OF_RECORD_HEADER && !this.checkHeader(this.scratch.view, 0, this.startLsn)) {
        return false
      }
      if (this.scratch.length === this.total) return this.completeGathered()
    }
    return false
  }

  private beginGathering(): void {
    this.startLsn = this.base + this.at
    this.total = SIZE_OF_RECORD_HEADER
  }

  private completeGathered(): boolean {
    const { scratch, total } = this
    scratch.length = 0
    const sound = this.memory?.holds(scratch.bytes) === true && this.memory.soundUpTo(scratch.bytes, 0, total) > 0
    if (!sound && !this.checkCrc(scratch.view, 0, total, this.startLsn)) return false
    this.at += (8 - ((this.base + this.at) % 8)) % 8
    return this.accept(scratch.bytes, scratch.view, 0, this.startLsn)
  }

  /** ValidXLogRecordHeader (xlogreader.c), xl_tot_len. Zeros are the usual end: servers reuse segments, and fill new ones with zeros. */
  private checkLength(length: number, startLsn: WalPosition): boolean {
    if (length >= SIZE_OF_RECORD_HEADER && length <= this.recordSizeMax) return true
    if (length === 0) this.fail(startLsn, 'wal.zero', 'zeros where a record would begin')
    else this.fail(startLsn, 'wal.record-length', `a record of ${length} bytes`)
    return false
  }

  /**
   * ValidXLogRecordHeader (xlogreader.c), xl_rmid and xl_prev. The link catches what a CRC cannot: a reused segment has old records, each with a
   * right CRC, but their links name older positions.
   */
  private checkHeader(view: DataView, start: number, startLsn: WalPosition): boolean {
    const rmgr = view.getUint8(start + XL_RMID)
    if (!isRmgrValid(rmgr, this.expected.major)) {
      this.fail(startLsn, 'wal.rmgr', `a record of resource manager ${rmgr}`)
      return false
    }
    const prev = view.getUint32(start + XL_PREV + 4, true) * 0x100000000 + view.getUint32(start + XL_PREV, true)
    const sound = this.previousStart < 0 ? prev < startLsn : prev === this.previousStart
    if (sound) return true
    const known = this.previousStart < 0 ? '' : `, not to ${formatWalPosition(this.previousStart)}`
    this.fail(startLsn, 'wal.prev-link', `a record that is linked to ${formatWalPosition(prev)}${known}`)
    return false
  }

  /** Whether WebAssembly finds the record at `at` sound; goes on with those behind it, up to `room` bytes. */
  private isSoundInPiece(room: number): boolean {
    if (!this.pieceInMemory) return false
    this.soundUpTo = this.memory!.soundUpTo(this.bytes, this.at, this.at + room)
    return this.soundUpTo > this.at
  }

  /** ValidXLogRecord (xlogreader.c): the CRC covers the payload first and the header last, without xl_crc itself. */
  private checkCrc(view: DataView, start: number, length: number, startLsn: WalPosition): boolean {
    const payload = crc32cUpdate(-1, view, start + SIZE_OF_RECORD_HEADER, start + length)
    if ((crc32cUpdate(payload, view, start, start + XL_CRC) ^ -1) === view.getInt32(start + XL_CRC, true)) return true
    this.fail(startLsn, 'wal.crc', `a record of ${length} bytes with a wrong CRC`)
    return false
  }

  /** The record at `start` is sound and `at` behind it. */
  private accept(bytes: Uint8Array, view: DataView, start: number, startLsn: WalPosition): true {
    const { record } = this
    try {
      record.decode(bytes, view, start, startLsn, this.base + this.at, this.expected.major)
    } catch (error) {
      if (error instanceof CorruptionError) this.fail(startLsn, error.code, error.reason)
      throw error
    }
    this.previousStart = startLsn
    if (record.rmgr === RM_XLOG_ID && record.op === XLOG_SWITCH) this.endSegment()
    if (this.overwritten >= 0) this.checkOverwrite()
    return true
  }

  /** XLOG_SWITCH (pg_switch_wal): the rest of the segment has no records. It belongs to the switch, so the next record begins in the next segment. */
  private endSegment(): void {
    const { segmentSize } = this.expected
    const endLsn = Math.ceil((this.base + this.at) / segmentSize) * segmentSize
    this.at = endLsn - this.base
    this.pageEnd = this.at
    this.record.endLsn = endLsn
  }

  /**
   * xlogrecovery_redo (xlogrecovery.c): a crash may leave a record without its end on the next page. The server then writes an OVERWRITE_CONTRECORD
   * record there, which names the one it gave up. Without that name, a missing page could pass for a crash.
   */
  private checkOverwrite(): void {
    const { record, overwritten } = this
    this.overwritten = -1
    const { view, mainStart } = record
    const sound = record.rmgr === RM_XLOG_ID && record.op === XLOG_OVERWRITE_CONTRECORD && record.mainLength >= 8
      && view.getUint32(mainStart + 4, true) * 0x100000000 + view.getUint32(mainStart, true) === overwritten
    if (sound) return
    const end = this.fail(record.startLsn, 'wal.overwrite', `the record at ${formatWalPosition(overwritten)} has no end, and what follows does not say so`)
    throw walCorruption(end)
  }

  /** Checks the header of the page that begins at `at`. @returns false if bytes are missing, or at the end */
  private enterPage(): boolean {
    const address = this.base + this.at - this.headerLength
    const headerSize = pageHeaderSize(address, this.expected.segmentSize) - this.headerLength
    const available = this.size - this.at
    if (this.headerLength === 0 && available >= headerSize) {
      this.pageEnd = this.at + WAL_PAGE_SIZE
      this.at += headerSize
      return this.beginPage(this.view, this.at - headerSize, address)
    }
    if (available <= 0) return false
    return this.gatherPageHeader(Math.min(available, headerSize), headerSize, address)
  }

  /** Collects a page header that lies in several pieces. While it is incomplete, `at` and `pageEnd` move on together. */
  private gatherPageHeader(count: number, wanted: number, address: WalPosition): boolean {
    this.headerBytes.set(this.bytes.subarray(this.at, this.at + count), this.headerLength)
    this.headerLength += count
    this.at += count
    this.pageEnd = this.at
    if (count < wanted) return false
    this.pageEnd += WAL_PAGE_SIZE - this.headerLength
    this.headerLength = 0
    return this.beginPage(this.headerView, 0, address)
  }

  /** Checks the header of a page, at `start` of `view`, and decides what its first bytes are; `at` is already after the header. */
  private beginPage(view: DataView, start: number, address: WalPosition): boolean {
    const fault = checkPageHeader(view, start, address, this.lastTimeline, this.expected)
    if (fault !== undefined) {
      this.failPage(address, fault.code, fault.reason)
      return false
    }
    const timeline = pageTimeline(view, start)
    const { timelineHistory } = this.options
    if (timelineHistory !== undefined && !isPageOf(timelineHistory, timeline, address)) {
      this.failPage(address, 'wal.timeline', `a page of timeline ${timeline} where the history of timeline ${timelineHistory.at(-1)!.timeline} has another one`)
      return false
    }
    this.lastTimeline = timeline
    const info = pageInfo(view, start)
    const remaining = pageRemaining(view, start)
    if (this.scratch.length > 0) {
      if ((info & XLP_FIRST_IS_OVERWRITE_CONTRECORD) === 0) return this.checkContinuation(info, remaining, address)
      this.overwritten = this.startLsn
      this.scratch.length = 0
    } else if (this.searching) {
      return this.findRecord(info, remaining)
    } else if (address < this.options.start) {
      this.at = this.options.start - this.base
      return true
    }
    if ((info & XLP_FIRST_IS_CONTRECORD) === 0) return true
    this.failPage(address, 'wal.contrecord', 'a page that begins with the rest of a record, but no record has begun before it')
    return false
  }

  /** The page must go on with the record that was begun, by as many bytes as are missing: XLogDecodeNextRecord (xlogreader.c) compares both. */
  private checkContinuation(info: number, remaining: number, address: WalPosition): boolean {
    if ((info & XLP_FIRST_IS_CONTRECORD) === 0) {
      this.failPage(address, 'wal.contrecord', 'a page that does not begin with the rest of the record')
      return false
    }
    if (remaining === this.total - this.scratch.length) return true
    this.failPage(address, 'wal.contrecord', `${remaining} bytes of a record of which ${this.total - this.scratch.length} are missing`)
    return false
  }

  /** XLogFindNextRecord (xlogreader.c): skips the rest of a record that began before the start. */
  private findRecord(info: number, remaining: number): boolean {
    const rest = (info & XLP_FIRST_IS_CONTRECORD) === 0 ? 0 : Math.ceil(remaining / 8) * 8
    const room = this.pageEnd - this.at
    this.at += Math.min(rest, room)
    this.searching = rest >= room
    return true
  }

  private failPage(address: WalPosition, code: string, reason: string): void {
    const lsn = this.scratch.length > 0 ? this.startLsn : address
    this.fail(lsn, code, lsn === address ? reason : `page ${formatWalPosition(address)}: ${reason}`)
  }

  private fail(lsn: WalPosition, code: string, reason: string): WalEnd {
    this.ended = { lsn, code, reason }
    return this.ended
  }
}
