import { readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CorruptionError, EnvironmentError } from '../../common/errors.ts'
import { firstHistory, parseHistory, type TimelineEntry, type TimelineHistory } from '../../wal/history.ts'
import { historyName, parseHistoryName, parseSegmentName, type SegmentName, segmentName, segmentNumber } from '../../wal/segment.ts'
import { fileError, readFile } from '../datadir/files.ts'
import { type Compression, COMPRESSIONS, decompressFile } from './decompress.ts'

/** History files grow by a line per promotion. */
const HISTORY_SIZE_MAX = 1 << 24

export interface SegmentFile extends SegmentName {
  path: string
  compression: Compression
}

/** What a folder of WAL holds, or one segment file by itself. Names that are none of WAL are passed over. */
export class WalInventory {
  readonly dir: string
  /** By timeline, high, low; of several files for one segment the best: complete before partial, plain before compressed. */
  private readonly segments = new Map<string, SegmentFile>()
  private readonly histories = new Map<number, { path: string; compression: Compression }>()

  /** @throws EnvironmentError file.*, wal.none if there is no WAL */
  constructor(path: string) {
    const single = !isFolder(path)
    this.dir = single ? dirname(path) : path
    for (const name of single ? [basename(path)] : namesIn(path)) this.add(name)
    if (this.segments.size === 0) throw new EnvironmentError('wal.none', 'no WAL segment here', { file: path })
  }

  /** All segment files, complete ones first. */
  get files(): SegmentFile[] {
    return [...this.segments.values()].sort((a, b) => Number(a.partial) - Number(b.partial))
  }

  /** The timeline that is newest here, by a segment or a history file. */
  get newestTimeline(): number {
    return Math.max(...[...this.segments.values()].map(file => file.timeline), ...this.histories.keys())
  }

  /** A timeline without history file has no ancestors. @throws CorruptionError wal.history */
  history(timeline: number): TimelineHistory {
    const found = this.histories.get(timeline)
    if (found === undefined) return firstHistory(timeline)
    const bytes = decompressFile(readFile(found.path), found.compression, HISTORY_SIZE_MAX, false)
    try {
      return parseHistory(new TextDecoder().decode(bytes), timeline)
    } catch (error) {
      throw error instanceof CorruptionError ? error.at({ file: found.path }) : error
    }
  }

  /**
   * XLogFileReadAnyTLI (xlogrecovery.c): the file of the newest timeline that is in `history` there: after a switch its segment begins
   * as a copy of the ancestor's.
   */
  find(history: TimelineHistory, segment: number, size: number): { file: SegmentFile; entry: TimelineEntry } | undefined {
    for (const entry of [...history].reverse()) {
      if (entry.begin >= (segment + 1) * size || entry.end <= segment * size) continue
      const file = this.segments.get(segmentName(entry.timeline, segment, size))
      if (file !== undefined) return { file, entry }
    }
    return undefined
  }

  /** Numbers of all segments that {@link find} finds, ascending. @throws EnvironmentError wal.segment-name */
  numbers(history: TimelineHistory, size: number): number[] {
    const numbers = new Set<number>()
    for (const file of this.segments.values()) {
      const number = segmentNumber(file, size)
      if (number === undefined) throw new EnvironmentError('wal.segment-name', `no name of a segment of ${size} bytes`, { file: file.path })
      if (this.find(history, number, size) !== undefined) numbers.add(number)
    }
    return [...numbers].sort((a, b) => a - b)
  }

  /** pg_receivewal has both orders: `….gz.partial`, while others compress what is called `….partial`. */
  private add(name: string): void {
    const [stem, outer] = splitCompression(name)
    const partial = outer === '' && stem.endsWith('.partial')
    const [inner, compression] = partial ? splitCompression(stem.slice(0, -'.partial'.length)) : [stem, outer]
    const path = join(this.dir, name)
    const timeline = parseHistoryName(stem)
    if (timeline !== undefined) {
      const known = this.histories.get(timeline)
      if (known === undefined || compression === '') this.histories.set(timeline, { path, compression })
      return
    }
    const parsed = parseSegmentName(partial ? `${inner}.partial` : stem)
    if (parsed === undefined) return
    const key = (partial ? inner : stem).slice(0, 24)
    const file = { ...parsed, path, compression }
    const known = this.segments.get(key)
    if (known === undefined || rank(file) < rank(known)) this.segments.set(key, file)
  }
}

/** Name of the file that would be here. */
export function describeMissing({ dir }: WalInventory, timeline: number, segment: number, size: number): string {
  return join(dir, segmentName(timeline, segment, size))
}

/** Where a reader would look for the ancestors of `timeline`. */
export function historyPath({ dir }: WalInventory, timeline: number): string {
  return join(dir, historyName(timeline))
}

function splitCompression(name: string): [stem: string, compression: Compression] {
  const found = COMPRESSIONS.find(suffix => suffix !== '' && name.endsWith(suffix)) ?? ''
  return [name.slice(0, name.length - found.length), found]
}

function rank({ partial, compression }: SegmentFile): number {
  return (partial ? 10 : 0) + COMPRESSIONS.indexOf(compression)
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    throw fileError(error, path)
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir).sort()
  } catch (error) {
    throw fileError(error, dir)
  }
}
