import type { PgMajor } from '../common/pgversion.ts'
import type { SlruStore } from './store.ts'

/** SLRU_PAGES_PER_SEGMENT (slru.h): pages of one file. */
export const SLRU_PAGES_PER_SEGMENT = 32
/** Their pages are counted exactly below 2^53. */
const SEGMENTS_MAX = 2 ** 48

/** Whether names of segments have 4 to 6 digits or 15 (long_segment_names of SlruOpts, slru.h). */
export type SegmentNames = 'short' | 'long'

/** Names of the segments of pg_multixact/members: 19 made the numbers of members 64 bits wide. Other SLRUs that ltap reads have short names. */
export function memberSegmentNames(major: PgMajor): SegmentNames {
  return major >= 19 ? 'long' : 'short'
}

/** Name of a segment's file in the folder of its SLRU (SlruFileName, slru.c): `002A`, with long names `00000000000002A`. */
export function segmentFileName(segment: number, names: SegmentNames = 'short'): string {
  return segment.toString(16).toUpperCase().padStart(names === 'long' ? 15 : 4, '0')
}

/** Numbers of the segments in the folder of an SLRU. */
export function segmentNumbers(files: readonly string[], names: SegmentNames = 'short'): number[] {
  const pattern = names === 'long' ? /^[0-9A-F]{15}$/ : /^[0-9A-F]{4,6}$/
  return files.filter((name) => pattern.test(name)).map((name) => Number.parseInt(name, 16)).filter((n) => n < SEGMENTS_MAX)
}

/** Where a person finds a page: `page 3 of pg_xact/0000`. */
export function slruPageName(folder: string, n: number, names: SegmentNames = 'short'): string {
  return `page ${n % SLRU_PAGES_PER_SEGMENT} of ${folder}/${segmentFileName(Math.floor(n / SLRU_PAGES_PER_SEGMENT), names)}`
}

/** SimpleLruTruncate (slru.c): drops the segments of which every page comes before page `cutoff` in the order of `precedes`. */
export function truncateSegments(store: SlruStore, cutoff: number, precedes: (page: number, other: number) => boolean): void {
  for (const segment of Array.from(store.segments())) {
    const first = segment * SLRU_PAGES_PER_SEGMENT
    if (precedes(first, cutoff) && precedes(first + SLRU_PAGES_PER_SEGMENT - 1, cutoff)) store.dropSegment(segment)
  }
}
