import { basename } from 'node:path'
import { EnvironmentError, isPositioned, withPosition } from '../../common/errors.ts'
import { formatWalPosition, type WalPosition } from '../../common/ids.ts'
import type { PgMajor } from '../../common/pgversion.ts'
import type { TimelineHistory } from '../../wal/timelinehistory.ts'
import { checkPageHeader, endPosition, majorOfMagic, readWalPageHeader, SIZE_OF_LONG_PAGE_HEADER, WAL_PAGE_SIZE } from '../../wal/pageheader.ts'
import { WalReader } from '../../wal/reader.ts'
import { type WalEnd, walCorruption } from '../../wal/walend.ts'
import type { WalRecord } from '../../wal/record.ts'
import { RecordMemory } from '../../wal/recordmemory.ts'
import { isSegmentSize, segmentOf } from '../../wal/segment.ts'
import { refuseOpenPgp } from '../../common/compression/unread.ts'
import { describeMissing, type SegmentFile, timelineHistoryPath, WalInventory, type WalPlace } from './inventory.ts'
import { readSegmentHead, SegmentReader } from './segmentreader.ts'

/** Bytes of WAL in memory, at most, beside one record and one compressed segment. */
const CHUNK_SIZE = 1 << 20

export interface WalSourceOptions {
  /** Where to begin, as for {@link WalReader}; default: the oldest segment. */
  start?: WalPosition | undefined
  exact?: boolean | undefined
  /** Which timeline to follow, through its ancestors. Default: the newest one there is. */
  timeline?: number | 'latest' | undefined
  /** The major that the WAL must be of. Default: found from its pages. */
  major?: PgMajor | undefined
  systemIdentifier?: bigint | undefined
}

/** What the first page of a segment says. */
interface WalIdentity {
  major: PgMajor
  segmentSize: number
  systemIdentifier: bigint
}

/**
 * WAL in a folder, pg_wal or an archive, or in one segment file: records along a timeline and its ancestors.
 * @throws EnvironmentError file.*, wal.* if there is no such WAL
 */
export function openWal(path: WalPlace, options: WalSourceOptions = {}): WalSource {
  return new WalSource(path, options)
}

export class WalSource {
  readonly major: PgMajor
  readonly segmentSize: number
  readonly systemIdentifier: bigint
  /** The history of the timeline that is followed. */
  readonly timelineHistory: TimelineHistory
  private readonly path: WalPlace
  private readonly memory = RecordMemory.create(CHUNK_SIZE)
  private readonly chunk = this.memory?.piece ?? new Uint8Array(CHUNK_SIZE)
  private inventory: WalInventory
  private reader: WalReader
  private segment: SegmentReader | undefined
  private number = -1
  /** Bytes of the segment that are on the timeline. */
  private limit = 0

  constructor(path: WalPlace, options: WalSourceOptions) {
    this.path = path
    this.inventory = new WalInventory(path)
    const { major, segmentSize, systemIdentifier } = identify(this.inventory, options)
    this.major = major
    this.segmentSize = segmentSize
    this.systemIdentifier = systemIdentifier
    const newest = options.timeline === undefined || options.timeline === 'latest'
    this.timelineHistory = this.inventory.timelineHistory(newest ? this.inventory.newestTimeline : Number(options.timeline))
    const start = options.start ?? this.firstPosition()
    const { timelineHistory, memory } = this
    this.reader = new WalReader({ major, segmentSize, systemIdentifier, start, exact: options.exact, timeline: 0, timelineHistory, memory })
    if (this.inventory.find(this.timelineHistory, segmentOf(start, segmentSize), segmentSize) === undefined && !this.endsAt(start)) throw this.missing(start)
  }

  /** Why {@link read} has no more records; undefined while there may be some. */
  get end(): WalEnd | undefined {
    return this.reader.end
  }

  /** End of the last record read; before that, the start. */
  get position(): WalPosition {
    return this.reader.position
  }

  /**
   * The next record: one object, refilled each time. Undefined at the end of the WAL.
   * @throws CorruptionError wal.* if the WAL goes on behind a place that cannot be read
   * @throws EnvironmentError wal.missing-segment, file.*
   */
  read(): WalRecord | undefined {
    try {
      for (;;) {
        const record = this.reader.next()
        if (record !== undefined) return record
        if (this.reader.end !== undefined) break
        this.feed()
      }
    } catch (error) {
      throw isPositioned(error) && this.segment !== undefined ? error.at({ file: this.segment.file.path }) : error
    }
    this.checkEnd(this.reader.end)
    return undefined
  }

  /** Numbers of the segments on the timeline, ascending. */
  get segmentNumbers(): number[] {
    return this.inventory.numbers(this.timelineHistory, this.segmentSize)
  }

  /** The next record is the first one that begins at or after `start`, which must lie in a segment that was there when this was opened. */
  seek(start: WalPosition): void {
    this.close()
    const { major, segmentSize, systemIdentifier, timelineHistory, memory } = this
    this.reader = new WalReader({ major, segmentSize, systemIdentifier, start, timeline: 0, timelineHistory, memory })
  }

  /** Call this after the end: it looks for WAL that was written since. */
  resume(): void {
    this.close()
    this.inventory = new WalInventory(this.path)
    const { major, segmentSize, systemIdentifier, timelineHistory, memory } = this
    const { position, previous } = this.reader
    const exact = previous !== undefined
    this.reader = new WalReader({ major, segmentSize, systemIdentifier, start: position, exact, previous, timeline: 0, timelineHistory, memory })
  }

  close(): void {
    this.segment?.close()
    this.segment = undefined
    this.number = -1
  }

  /** Gives the reader more bytes, or tells it that no more will come. */
  private feed(): void {
    const { reader, segmentSize } = this
    const segmentEnd = (segmentOf(reader.fed, segmentSize) + 1) * segmentSize
    if (reader.pending >= segmentEnd) reader.skipTo(segmentEnd)
    const number = segmentOf(reader.fed, segmentSize)
    if (number !== this.number && !this.open(number)) return
    const at = reader.fed % segmentSize
    const bytes = this.segment!.read(at, this.limit - at, this.chunk)
    if (bytes.length > 0) reader.feed(bytes)
    else this.finishSegment()
  }

  private open(number: number): boolean {
    this.close()
    const found = this.inventory.find(this.timelineHistory, number, this.segmentSize)
    if (found === undefined) {
      this.reader.finish('wal.missing-segment', `there is no file ${this.missingFile(number)}`)
      return false
    }
    const { file, entry } = found
    this.segment = new SegmentReader(file, this.segmentSize)
    this.number = number
    this.limit = Math.min(this.segment.length, this.segmentSize, entry.end - number * this.segmentSize)
    this.reader.timeline = file.timeline
    return true
  }

  /** The file has no more bytes of this timeline, and its segment is not full. */
  private finishSegment(): void {
    const { file, length } = this.segment!
    const reason = this.limit < length
      ? `timeline ${file.timeline} ends here, and there is no file ${this.missingFile(this.number)}`
      : `the file ends after ${length} of ${this.segmentSize} bytes`
    this.reader.finish(this.limit < length ? 'wal.missing-segment' : 'wal.short-segment', reason)
  }

  /** A later segment that is no recycled file shows that this is not the end of the WAL. */
  private checkEnd(end: WalEnd): void {
    const { fed } = this.reader
    const last = this.segment === undefined ? segmentOf(fed, this.segmentSize) : this.number
    const later = this.inventory.numbers(this.timelineHistory, this.segmentSize).find(number => number > last && this.isGenuine(number))
    if (later === undefined) return
    if (end.code === 'wal.missing-segment') throw this.missing(fed)
    throw walCorruption(end).at({ file: this.segment?.file.path ?? this.inventory.dir })
  }

  /**
   * Whether the first page of a segment is at its place: servers recycle old files under names of later segments. After a switch of the timeline
   * these may be files of its ancestor, whose pages have the same addresses.
   */
  private isGenuine(number: number): boolean {
    const { file } = this.inventory.find(this.timelineHistory, number, this.segmentSize)!
    const { major, segmentSize, systemIdentifier } = this
    const view = firstPage(file)
    const start = number * segmentSize
    const { timeline = 0 } = this.timelineHistory.findLast(({ begin }) => begin <= start) ?? {}
    return view !== undefined
      && checkPageHeader(view, 0, start, timeline, { major, segmentSize, systemIdentifier, timeline: file.timeline }) === undefined
  }

  private firstPosition(): WalPosition {
    const [first] = this.inventory.numbers(this.timelineHistory, this.segmentSize)
    if (first !== undefined) return first * this.segmentSize
    const reason = `no WAL of timeline ${this.timelineHistory.at(-1)!.timeline} or its ancestors: name another folder, or another --timeline`
    throw new EnvironmentError('wal.none', reason, { file: this.inventory.dir })
  }

  /** Whether the WAL may end right before `start`: true if a segment ends there that exists here. An archive ends like that after each switch. */
  private endsAt(start: WalPosition): boolean {
    const end = endPosition(start, this.segmentSize)
    return end > 0 && end % this.segmentSize === 0 && this.inventory.find(this.timelineHistory, end / this.segmentSize - 1, this.segmentSize) !== undefined
  }

  private missing(position: WalPosition): EnvironmentError {
    const number = segmentOf(position, this.segmentSize)
    const { timeline } = this.timelineHistory.at(-1)!
    const hint = this.timelineHistory.length > 1 || timeline === 1 ? '' : `; its ancestors would be in ${timelineHistoryPath(this.inventory, timeline)}`
    return new EnvironmentError('wal.missing-segment', `no file holds this WAL segment${this.neighbours(number)}${hint}`, {
      file: this.missingFile(number), lsn: formatWalPosition(position),
    })
  }

  /** A sentence that says which segments exist before and after a missing one, and what to do about it. */
  private neighbours(number: number): string {
    const numbers = this.inventory.numbers(this.timelineHistory, this.segmentSize)
    const name = (found: number | undefined): string | undefined =>
      found === undefined ? undefined : basename(this.inventory.find(this.timelineHistory, found, this.segmentSize)!.file.path)
    const before = name(numbers.findLast((known) => known < number))
    const behind = name(numbers.find((known) => known > number))
    const { timeline } = this.timelineHistory.at(-1)!
    if (before === undefined && behind === undefined) return ` on timeline ${timeline}`
    const between = before === undefined ? `before ${behind}, the first one here`
      : behind === undefined ? `behind ${before}, the last one here` : `between ${before} and ${behind}`
    return ` on timeline ${timeline}, ${between}; copy it from the server's pg_wal or another archive`
  }

  private missingFile(number: number): string {
    const entry = this.timelineHistory.findLast(({ begin }) => begin < (number + 1) * this.segmentSize)
    return describeMissing(this.inventory, entry!.timeline, number, this.segmentSize)
  }
}

/** The first bytes of a segment; undefined if it has none. */
function firstPage(file: SegmentFile): DataView | undefined {
  const bytes = readSegmentHead(file, SIZE_OF_LONG_PAGE_HEADER)
  return bytes.length < SIZE_OF_LONG_PAGE_HEADER ? undefined : new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

/**
 * Takes major, system identifier and segment size from the first file that has them: servers keep files of zeros for later segments.
 * @throws EnvironmentError wal.identity if no file is WAL that ltap reads; wal.major, wal.system if it is not what is wanted
 */
function identify(inventory: WalInventory, wanted: WalSourceOptions): WalIdentity {
  for (const file of inventory.files) {
    const view = firstPage(file)
    const header = view === undefined ? undefined : readWalPageHeader(view, 0)
    const major = header === undefined ? undefined : majorOfMagic(header.magic)
    if (header?.long === undefined || major === undefined || !isSegmentSize(header.long.segmentSize) || header.long.pageSize !== WAL_PAGE_SIZE) continue
    const found = { major, segmentSize: header.long.segmentSize, systemIdentifier: header.long.systemIdentifier }
    checkIdentity(file, found, wanted)
    return found
  }
  const first = inventory.files[0]!
  withPosition({ file: first.path }, () => refuseOpenPgp(readSegmentHead(first, SIZE_OF_LONG_PAGE_HEADER)))
  const reason = 'no file here begins as a WAL segment of Postgres 14 to 18: it is damaged, encrypted, or of another version; name another archive'
  throw new EnvironmentError('wal.identity', reason, { file: first.path })
}

function checkIdentity(file: SegmentFile, found: WalIdentity, wanted: WalSourceOptions): void {
  if (wanted.major !== undefined && wanted.major !== found.major) {
    const reason = `the WAL is of Postgres ${found.major}, the cluster of ${wanted.major}; name the archive of this cluster`
    throw new EnvironmentError('wal.major', reason, { file: file.path })
  }
  if (wanted.systemIdentifier !== undefined && wanted.systemIdentifier !== found.systemIdentifier) {
    const reason = `the WAL is of the cluster ${found.systemIdentifier}, the pages of ${wanted.systemIdentifier}; name the archive of this cluster`
    throw new EnvironmentError('wal.system', reason, { file: file.path })
  }
}
