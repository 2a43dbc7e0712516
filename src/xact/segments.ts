import type { SlruStore } from './store.ts'

/** SLRU_PAGES_PER_SEGMENT (slru.h): pages of one file. */
export const SLRU_PAGES_PER_SEGMENT = 32

/** Name of a segment's file in the folder of its SLRU (SlruFileName, slru.c, with short names): `002A`. */
export function segmentFileName(segment: number): string {
  return segment.toString(16).toUpperCase().padStart(4, '0')
}

/** Numbers of the segments in the folder of an SLRU. */
export function segmentNumbers(names: readonly string[]): number[] {
  return names.filter((name) => /^[0-9A-F]{4,6}$/.test(name)).map((name) => Number.parseInt(name, 16))
}

/** Where a person finds a page: `page 3 of pg_xact/0000`. */
export function slruPageName(folder: string, n: number): string {
  return `page ${n % SLRU_PAGES_PER_SEGMENT} of ${folder}/${segmentFileName(Math.floor(n / SLRU_PAGES_PER_SEGMENT))}`
}

/** SimpleLruTruncate (slru.c): drops the segments of which every page comes before page `cutoff` in the order of `precedes`. */
export function truncateSegments(store: SlruStore, cutoff: number, precedes: (page: number, other: number) => boolean): void {
  for (const segment of Array.from(store.segments())) {
    const first = segment * SLRU_PAGES_PER_SEGMENT
    if (precedes(first, cutoff) && precedes(first + SLRU_PAGES_PER_SEGMENT - 1, cutoff)) store.dropSegment(segment)
  }
}
