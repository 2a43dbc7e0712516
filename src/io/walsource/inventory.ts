import { basename, dirname, join } from 'node:path'
import { CorruptionError, EnvironmentError, UnsupportedError, withPosition } from '../../common/errors.ts'
import { firstTimelineHistory, parseTimelineHistory, type TimelineEntry, type TimelineHistory } from '../../wal/timelinehistory.ts'
import { readWalPageHeader, SIZE_OF_LONG_PAGE_HEADER } from '../../wal/pageheader.ts'
import { segmentName, segmentNumber, timelineHistoryName } from '../../wal/segment.ts'
import { COMPRESSIONS, compressionOf } from '../../common/compression/format.ts'
import { decompressFile } from '../compression/decompress.ts'
import { readFile, readPart } from '../disk/files.ts'
import { archiveFiles, isFolder, whyNoWal } from './archivefolders.ts'
import { type ArchiveSegment, type ArchiveTimelineHistory, parseArchiveName } from '../../wal/archivename.ts'

/** History files grow by a line per promotion. */
const TIMELINE_HISTORY_SIZE_MAX = 1 << 24

export interface SegmentFile extends ArchiveSegment {
  path: string
  /** Another complete file of the same segment whose content is another one, as its checksum says. */
  rival?: string
}

/**
 * Where the WAL is: a folder or one segment file; or that and a second folder for segments that the first lacks, as a server looks into its pg_wal
 * after the archive.
 */
export type WalPlace = string | readonly [wal: string, own: string]

/**
 * The WAL files of a folder (pg_wal, or an archive with its folders), or one segment file. Files with other names are ignored. Only names are read,
 * because an archive may have 100,000 segments.
 */
export class WalInventory {
  readonly dir: string
  /** By timeline, high, low; of several files for one segment the best: complete before partial, plain before compressed. */
  private readonly segments = new Map<string, SegmentFile>()
  private readonly timelineHistories = new Map<number, ArchiveTimelineHistory & { path: string }>()

  /** @throws EnvironmentError file.*, wal.none if there is no WAL */
  constructor(place: WalPlace) {
    const [path, own] = typeof place === 'string' ? [place] : place
    const single = !isFolder(path)
    this.dir = single ? dirname(path) : path
    if (single) this.add(basename(path), path)
    else for (const [name, file] of archiveFiles(path)) this.add(name, file)
    if (own !== undefined) for (const [name, file] of archiveFiles(own)) this.fill(name, file)
    if (this.segments.size === 0) throw new EnvironmentError('wal.none', whyNoWal(path, single, [...this.timelineHistories.keys()]), { file: path })
  }

  /** All segment files, complete ones first. */
  get files(): SegmentFile[] {
    return [...this.segments.values()].sort((a, b) => Number(a.partial) - Number(b.partial))
  }

  /** The timeline that is newest here, by a segment or a history file. */
  get newestTimeline(): number {
    let newest = 0
    for (const timeline of this.timelineHistories.keys()) newest = Math.max(newest, timeline)
    for (const { timeline } of this.segments.values()) newest = Math.max(newest, timeline)
    return newest
  }

  /** A timeline without history file has no ancestors. @throws CorruptionError wal.history */
  timelineHistory(timeline: number): TimelineHistory {
    const found = this.timelineHistories.get(timeline)
    if (found === undefined) return firstTimelineHistory(timeline)
    const bytes = withPosition({ file: found.path }, () => {
      if (found.unread !== undefined) throw new UnsupportedError('archive.encrypted', `the file is ${found.unread}`)
      const packed = readFile(found.path)
      return decompressFile(packed, compressionOf(packed, found.compression), TIMELINE_HISTORY_SIZE_MAX, false)
    })
    try {
      return parseTimelineHistory(new TextDecoder().decode(bytes), timeline)
    } catch (error) {
      throw error instanceof CorruptionError ? error.at({ file: found.path }) : error
    }
  }

  /**
   * XLogFileReadAnyTLI (xlogrecovery.c): the file of the newest timeline that is in `history` there: after a switch its segment begins
   * as a copy of the ancestor's.
   */
  find(timelineHistory: TimelineHistory, segment: number, size: number): { file: SegmentFile; entry: TimelineEntry } | undefined {
    for (const entry of [...timelineHistory].reverse()) {
      if (entry.begin >= (segment + 1) * size || entry.end <= segment * size) continue
      const file = this.segments.get(segmentName(entry.timeline, segment, size))
      if (file !== undefined) return { file, entry }
    }
    return undefined
  }

  /** Numbers of all segments that {@link find} finds, ascending. @throws EnvironmentError wal.segment-name */
  numbers(timelineHistory: TimelineHistory, size: number): number[] {
    const numbers = new Set<number>()
    for (const file of this.segments.values()) {
      const number = segmentNumber(file, size)
      if (number === undefined) throw otherSize(file, size)
      if (this.find(timelineHistory, number, size) !== undefined) numbers.add(number)
    }
    return [...numbers].sort((a, b) => a - b)
  }

  /** Adds a file if its segment or history is missing so far, or is there only in part. */
  private fill(name: string, path: string): void {
    const parsed = parseArchiveName(name)
    if (parsed === undefined) return
    const isThere = parsed.kind === 'timeline-history' ? this.timelineHistories.has(parsed.timeline) : this.segments.get(parsed.name)?.partial === false
    if (!isThere && (parsed.kind === 'timeline-history' || isAtItsPlace(path, parsed))) this.add(name, path)
  }

  private add(name: string, path: string): void {
    const parsed = parseArchiveName(name)
    if (parsed === undefined) return
    if (parsed.kind === 'timeline-history') {
      const known = this.timelineHistories.get(parsed.timeline)
      if (known === undefined || parsed.compression === '') this.timelineHistories.set(parsed.timeline, { ...parsed, path })
      return
    }
    const file: SegmentFile = { ...parsed, path }
    const known = this.segments.get(file.name)
    if (known === undefined || rank(file) < rank(known)) this.segments.set(file.name, file)
    else if (!known.partial && !file.partial && known.sha1 !== undefined && file.sha1 !== undefined && known.sha1 !== file.sha1) known.rival = path
  }
}

/** Whether the file has the WAL of its name. A server recycles old files under names of later segments; their first page has another address. */
function isAtItsPlace(path: string, name: ArchiveSegment): boolean {
  const page = new Uint8Array(SIZE_OF_LONG_PAGE_HEADER)
  if (readPart(path, page, page.length, 0) !== page.length) return false
  const { long, pageAddress } = readWalPageHeader(new DataView(page.buffer), 0)
  return long !== undefined && long.segmentSize > 0 && segmentNumber(name, long.segmentSize) === pageAddress / long.segmentSize
}

function otherSize({ path }: SegmentFile, size: number): EnvironmentError {
  const reason = `the name is not that of a segment of ${size} bytes, as the other files here are; if the file is of another cluster, remove it`
  return new EnvironmentError('wal.segment-name', reason, { file: path })
}

/** Name of the file that would be here. */
export function describeMissing({ dir }: WalInventory, timeline: number, segment: number, size: number): string {
  return join(dir, segmentName(timeline, segment, size))
}

/** Where a reader would look for the ancestors of `timeline`. */
export function timelineHistoryPath({ dir }: WalInventory, timeline: number): string {
  return join(dir, timelineHistoryName(timeline))
}

function rank({ partial, compression, unread }: SegmentFile): number {
  return (partial ? 100 : 0) + (unread === undefined ? 0 : 10) + COMPRESSIONS.indexOf(compression)
}
