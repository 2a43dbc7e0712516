import { parseTimelineHistoryName, parseSegmentName, type SegmentName } from './segment.ts'
import { type Compression, splitCompression } from '../common/compression/format.ts'
import { splitUnread } from '../common/compression/unread.ts'

/*
 * How tools name the files of an archive:
 *
 *     0000000100000002000000A3[.gz|.lz4|.zst|.bz2|.xz|.lzma|.br]   by hand, WAL-G, Barman (without an end, too)
 *     0000000100000002000000A3.gz.partial, ….partial.gz             pg_receivewal, and who compresses its files
 *     0000000100000002000000A3[.partial]-<sha1 of the segment>[.gz|.lz4|.zst|.bz2]   pgBackRest
 *     00000002.history[.gz|…]
 */
const SHA1 = /^(.+)-([0-9a-f]{40})$/

export interface ArchiveSegment extends SegmentName {
  kind: 'segment'
  /** The 24 digits. */
  name: string
  compression: Compression
  /** SHA-1 of the segment, which pgBackRest puts into the name. */
  sha1: string | undefined
  /** Why ltap cannot read it. */
  unread: string | undefined
}

export interface ArchiveTimelineHistory {
  kind: 'timeline-history'
  timeline: number
  compression: Compression
  unread: string | undefined
}

/** Undefined if the name is not that of a WAL file. */
export function parseArchiveName(name: string): ArchiveSegment | ArchiveTimelineHistory | undefined {
  if (!/^[0-9A-F]{8}/.test(name)) return undefined
  const [readable, unread] = splitUnread(name)
  const [stem, outer] = splitCompression(readable)
  const timeline = parseTimelineHistoryName(stem)
  if (timeline !== undefined) return { kind: 'timeline-history', timeline, compression: outer, unread }
  const [, plain = stem, sha1] = SHA1.exec(stem) ?? []
  // ….gz.partial
  const partial = outer === '' && plain.endsWith('.partial')
  const [inner, compression] = partial ? splitCompression(plain.slice(0, -'.partial'.length)) : [plain, outer]
  const parsed = parseSegmentName(partial ? `${inner}.partial` : plain)
  return parsed === undefined ? undefined : { kind: 'segment', ...parsed, name: plain.slice(0, 24), compression, sha1, unread }
}
