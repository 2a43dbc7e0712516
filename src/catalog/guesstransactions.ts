import { readU32 } from '../common/bytes.ts'
import { FIRST_NORMAL_XID } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { CLOG_XACTS_PER_PAGE, statusBits } from '../xact/clog.ts'
import { FIRST_MULTIXACT_ID, memberPage, memberXidStart, multiOffsetPage, multiOffsetStart, nextMultiAfter } from '../xact/multixactlayout.ts'
import { SLRU_PAGES_PER_SEGMENT } from '../xact/segments.ts'
import type { SlruPages } from '../xact/slru.ts'
import type { ControlFile } from './controlfile.ts'

const OFFSETS_PER_PAGE = BLOCK_SIZE / 4
/** A page of members has 1,636 of them: a list that does not end within some pages is no list. */
const MEMBERS_MAX = 100_000

/** Counters of pg_control. */
export type GuessedCounters = Pick<ControlFile, 'nextXid' | 'oldestXid' | 'nextMulti' | 'nextMultiOffset' | 'oldestMulti'>

/** An SLRU whose segments are known. */
export interface SegmentedSlru extends SlruPages {
  /** Numbers of the segments that are there. */
  segments(): Iterable<number>
}

/** The counters of pg_control from what pg_xact and pg_multixact hold. No file there has an epoch: that of nextXid is 0, see nextxid.ts. */
export function guessTransactions(clog: SegmentedSlru, offsets: SegmentedSlru, members: SlruPages): GuessedCounters {
  const hasStatus = (page: Uint8Array, n: number): boolean => page.length > (n % CLOG_XACTS_PER_PAGE) >> 2 && statusBits(page, n) !== 0
  const xid = lastIn(clog, CLOG_XACTS_PER_PAGE, hasStatus)
  const hasStart = (page: Uint8Array, n: number): boolean => page.length >= multiOffsetStart(n) + 4 && readU32(page, multiOffsetStart(n)) !== 0
  const multi = lastIn(offsets, OFFSETS_PER_PAGE, hasStart)
  const nextMulti = nextMultiAfter(multi.last)
  return {
    nextXid: { low: Math.max((xid.last + 1) % 2 ** 32, FIRST_NORMAL_XID), epoch: 0 }, oldestXid: Math.max(xid.first, FIRST_NORMAL_XID),
    oldestMulti: Math.max(multi.first, FIRST_MULTIXACT_ID), nextMulti: Math.max(nextMulti, FIRST_MULTIXACT_ID),
    nextMultiOffset: multi.last === 0 ? 1 : endOfMembers(members, readU32(offsets.page(multiOffsetPage(multi.last))!, multiOffsetStart(multi.last))),
  }
}

/**
 * The first entry that an SLRU has room for, and the last one that is set; 0 without one. Entries are numbered by 32 bits, and at most half of the
 * numbers are in use: the first segment is the one behind the widest gap.
 */
function lastIn(pages: SegmentedSlru, perPage: number, isSet: (page: Uint8Array, n: number) => boolean): { first: number; last: number } {
  const inAll = 2 ** 32 / (SLRU_PAGES_PER_SEGMENT * perPage)
  const segments = inUse([...pages.segments()].filter((n) => n < inAll), inAll)
  const first = (segments[0] ?? 0) * SLRU_PAGES_PER_SEGMENT * perPage
  for (const segment of segments.reverse()) {
    for (let n = (segment + 1) * SLRU_PAGES_PER_SEGMENT - 1; n >= segment * SLRU_PAGES_PER_SEGMENT; n--) {
      const page = pages.page(n)
      if (page === undefined || page.every((byte) => byte === 0)) continue
      for (let i = perPage - 1; i >= 0; i--) if (isSet(page, n * perPage + i)) return { first, last: n * perPage + i }
    }
  }
  return { first, last: 0 }
}

/** Numbers on a circle in the order of their use. */
function inUse(segments: number[], inAll: number): number[] {
  segments.sort((a, b) => a - b)
  const gapBefore = (i: number): number => segments[i]! - (segments[i - 1] ?? segments.at(-1)! - inAll)
  const first = segments.reduce((best, _, i) => (gapBefore(i) > gapBefore(best) ? i : best), 0)
  return [...segments.slice(first), ...segments.slice(0, first)]
}

/** The members of the last multixact end before the first slot that is empty. */
function endOfMembers(members: SlruPages, start: number): number {
  for (let i = 0; i < MEMBERS_MAX; i++) {
    const member = (start + i) % 2 ** 32
    // The counter skips 0.
    if (member === 0) continue
    const page = members.page(memberPage(member))
    if (page === undefined || page.length < memberXidStart(member) + 4 || readU32(page, memberXidStart(member)) === 0) return member
  }
  return start
}
