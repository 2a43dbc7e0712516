import { UnsupportedError } from '../common/errors.ts'
import type { WalPosition } from '../common/ids.ts'

/*
 * Names in pg_wal and in archives (xlog_internal.h): three numbers of 8 hex digits.
 *
 *     0000000100000002000000A3            timeline 1, segment 0x2A3 if segments have 16 MiB (256 of them in 4 GiB)
 *     0000000100000002000000A3.partial    the last segment of a timeline, not known to be full
 *     00000002.history                    timeline 2
 */
const WAL_SEGMENT_SIZE_MIN = 1 << 20
const WAL_SEGMENT_SIZE_MAX = 1 << 30

export interface SegmentName {
  timeline: number
  /** The middle and the last part: the segment number depends on the segment size, see {@link segmentNumber}. */
  high: number
  low: number
  partial: boolean
}

/** IsValidWalSegSize: a power of two from 1 MiB to 1 GiB. */
export function isSegmentSize(size: number): boolean {
  return size >= WAL_SEGMENT_SIZE_MIN && size <= WAL_SEGMENT_SIZE_MAX && (size & (size - 1)) === 0
}

/** @throws UnsupportedError wal.segment-size */
export function checkSegmentSize(size: number): void {
  if (!isSegmentSize(size)) {
    throw new UnsupportedError('wal.segment-size',
      `WAL segments cannot have ${size} bytes: they have a power of two from 1 MiB to 1 GiB`)
  }
}

/** Parses the name of a segment file, `.partial` included; undefined for any other name. */
export function parseSegmentName(name: string): SegmentName | undefined {
  const match = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?$/.exec(name)
  if (match === null) return undefined
  const [timeline, high, low] = [match[1], match[2], match[3]].map(text => Number.parseInt(text!, 16))
  return { timeline: timeline!, high: high!, low: low!, partial: match[4] !== undefined }
}

/** Number of the segment with this name; undefined if segments of `size` bytes are never called so. */
export function segmentNumber({ high, low }: SegmentName, size: number): number | undefined {
  const perId = 0x100000000 / size
  return low < perId ? high * perId + low : undefined
}

/** `000000010000000000000001` */
export function segmentName(timeline: number, segment: number, size: number): string {
  const perId = 0x100000000 / size
  return hex8(timeline) + hex8(Math.floor(segment / perId)) + hex8(segment % perId)
}

/** Segment of the byte at `position`. The end of WAL or of a record at a boundary belongs to the segment before. */
export function segmentOf(position: WalPosition, size: number): number {
  return Math.floor(position / size)
}

/** `00000002.history` */
export function timelineHistoryName(timeline: number): string {
  return `${hex8(timeline)}.history`
}

/** Timeline of a history file's name; undefined for any other name. */
export function parseTimelineHistoryName(name: string): number | undefined {
  const match = /^([0-9A-F]{8})\.history$/.exec(name)
  return match === null ? undefined : Number.parseInt(match[1]!, 16)
}

function hex8(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, '0')
}
