import { readU32 } from '../common/bytes.ts'
import { type MultiXactCreate, multiXactMemberStatus, multiXactMemberXid } from '../wal/multixact.ts'
import type { WalRecord } from '../wal/record.ts'
import {
  FIRST_MULTIXACT_ID, isInCircle, memberFlagStart, memberGroupStart, memberPage, memberSegment, memberXidStart, multiOffsetPage,
  multiOffsetPagePrecedes, multiOffsetStart, nextMultiAfter, OFFSET_SIZE,
} from './multixactlayout.ts'
import { truncateSegments } from './segments.ts'
import type { SlruStore } from './store.ts'

/** What is kept from one record to the next: whose turn it is to make a page of offsets. */
export interface OffsetsPages {
  /** The last page of offsets that a record of this WAL made; -1 before the first. */
  lastOffsetsPage: number
  /** The page that a CREATE_ID record made before the ZERO_OFF_PAGE record of that page came; -1 without one. */
  aheadOffsetsPage: number
}

/** Finds a page that must be there, to be changed. */
type Change = (store: SlruStore, n: number) => Uint8Array

/**
 * RecordNewMultiXact (multixact.c): the offset of the new multixact, its members, and the offset of the next one, which newer
 * minor releases write at once. WAL of older ones makes the page for the next one only later: here it is made now, and the record
 * that comes later must not clear it again.
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
  // Member 0 is never the first one.
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

/** XLOG_MULTIXACT_ZERO_OFF_PAGE. */
export function zeroOffsetsPage(offsets: SlruStore, pages: OffsetsPages, page: number): void {
  if (pages.aheadOffsetsPage !== page) {
    offsets.zero(page)
    pages.lastOffsetsPage = page
  }
  pages.aheadOffsetsPage = -1
}

/** PerformOffsetsTruncation: the page before `endMulti` may be the last one there is. */
export function truncateOffsets(offsets: SlruStore, endMulti: number): void {
  const previous = endMulti === FIRST_MULTIXACT_ID ? 0xffffffff : endMulti - 1
  truncateSegments(offsets, multiOffsetPage(previous), multiOffsetPagePrecedes)
}

/** PerformMembersTruncation: members may fill nearly the whole circle, so there is no "before" among them, only a range. */
export function truncateMembers(members: SlruStore, startMember: number, endMember: number): void {
  const [start, end] = [memberSegment(startMember), memberSegment(endMember)]
  for (const segment of Array.from(members.segments())) if (isInCircle(segment, start, end)) members.dropSegment(segment)
}

/** What a server does when it starts (TrimMultiXact): nothing may lie beyond the counters but the offset of the next multixact. */
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
