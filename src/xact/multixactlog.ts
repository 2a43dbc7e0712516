import { readU32 } from '../common/bytes.ts'
import { type MultiXactCreate, multiXactMemberStatus, multiXactMemberXid } from '../wal/multixact.ts'
import type { WalRecord } from '../wal/record.ts'
import {
  FIRST_MULTIXACT_ID, isInCircle, memberFlagStart, memberGroupStart, memberPage, memberSegment, memberXidStart, multiOffsetPage,
  multiOffsetPagePrecedes, multiOffsetStart, nextMultiAfter, OFFSET_SIZE,
} from './multixactlayout.ts'
import { truncateSegments } from './segments.ts'
import type { SlruStore } from './store.ts'

/** What replay of multixacts remembers from one record to the next: which pages of offsets exist already. */
export interface OffsetsPages {
  /** The last page of offsets that a record of this WAL made; -1 before the first. */
  lastOffsetsPage: number
  /** The page that a CREATE_ID record made before the ZERO_OFF_PAGE record of that page came; -1 without one. */
  aheadOffsetsPage: number
}

/** Finds a page that must be there, to be changed. */
type Change = (store: SlruStore, n: number) => Uint8Array

/**
 * RecordNewMultiXact (multixact.c): writes the offset of the new multixact, its members, and the offset of the next multixact. Newer minor
 * releases write that last one at once. WAL of older ones creates the page of the next one later, so redo creates it now, and the ZERO_OFF_PAGE
 * record that follows must not clear it again.
 */
export function recordNewMultiXact(
  offsets: SlruStore, members: SlruStore, pages: OffsetsPages, record: WalRecord, create: MultiXactCreate, change: Change,
): void {
  const { multi, memberOffset, memberCount } = create
  const next = nextMultiAfter(multi)
  const page = multiOffsetPage(multi)
  const nextPage = multiOffsetPage(next)
  pages.aheadOffsetsPage = -1
  if (nextPage !== page && (pages.lastOffsetsPage === -1 ? offsets.page(nextPage) === undefined : pages.lastOffsetsPage === page)) {
    offsets.zero(nextPage)
    pages.aheadOffsetsPage = nextPage
    pages.lastOffsetsPage = nextPage
  }
  writeU32(change(offsets, page), multiOffsetStart(multi), memberOffset)
  // Offset 0 means "not written", so the counter skips 0.
  writeU32(change(offsets, nextPage), multiOffsetStart(next), ((memberOffset + memberCount) >>> 0) || 1)
  let current = -1
  let bytes: Uint8Array | undefined
  for (let i = 0; i < memberCount; i++) {
    const member = (memberOffset + i) >>> 0
    if (bytes === undefined || memberPage(member) !== current) {
      current = memberPage(member)
      bytes = change(members, current)
    }
    writeU32(bytes, memberXidStart(member), multiXactMemberXid(record, create, i))
    bytes[memberFlagStart(member)] = multiXactMemberStatus(record, create, i)
  }
}

/** XLOG_MULTIXACT_ZERO_OFF_PAGE (multixact_redo): creates the page, unless a CREATE_ID record of older WAL did so before. */
export function zeroOffsetsPage(offsets: SlruStore, pages: OffsetsPages, page: number): void {
  if (pages.aheadOffsetsPage !== page) {
    offsets.zero(page)
    pages.lastOffsetsPage = page
  }
  pages.aheadOffsetsPage = -1
}

/**
 * PerformOffsetsTruncation (multixact.c). The cutoff is the page of the multixact before `endMulti`: `endMulti` may be the next multixact, and its
 * page may not exist yet.
 */
export function truncateOffsets(offsets: SlruStore, endMulti: number): void {
  const previous = endMulti === FIRST_MULTIXACT_ID ? 0xffffffff : endMulti - 1
  truncateSegments(offsets, multiOffsetPage(previous), multiOffsetPagePrecedes)
}

/** PerformMembersTruncation (multixact.c): members may fill nearly all 2^32 numbers, so "before" has no meaning, and the record names both ends. */
export function truncateMembers(members: SlruStore, startMember: number, endMember: number): void {
  const [start, end] = [memberSegment(startMember), memberSegment(endMember)]
  for (const segment of Array.from(members.segments())) if (isInCircle(segment, start, end)) members.dropSegment(segment)
}

/**
 * TrimMultiXact (multixact.c), which a server calls when it starts: zeros lie beyond the counters. The offset of the next multixact is written, as
 * newer minor releases do (15.18, 18.6); older ones (14.13, 17.4) make it zero, too.
 */
export function trimMultiXact(offsets: SlruStore, members: SlruStore, nextMulti: number, nextMember: number, change: Change): void {
  const page = multiOffsetPage(nextMulti)
  const at = multiOffsetStart(nextMulti)
  if (at === 0) offsets.zero(page)
  const bytes = change(offsets, page)
  writeU32(bytes, at, nextMember)
  if (at !== 0) bytes.fill(0, at + OFFSET_SIZE)
  if (memberGroupStart(nextMember) !== 0) change(members, memberPage(nextMember)).fill(0, memberXidStart(nextMember))
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  if (readU32(bytes, at) === value) return
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}
