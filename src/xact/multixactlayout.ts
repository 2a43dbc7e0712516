import { SLRU_PAGES_PER_SEGMENT } from './segments.ts'

/*
 * pg_multixact/offsets (multixact.c): one u32 per multixact, the number of its first member; 2048 per page.
 *
 * pg_multixact/members: 409 groups of 20 bytes per page, the last 12 bytes are unused.
 *
 *   0      1      2      3      4        8        12       16       20
 *   +------+------+------+------+--------+--------+--------+--------+
 *   | flag | flag | flag | flag |  xid   |  xid   |  xid   |  xid   |
 *   +------+------+------+------+--------+--------+--------+--------+
 *
 * The members of m end where those of m + 1 begin. Both counters wrap at 2^32 and skip 0.
 */
const OFFSETS_PER_PAGE = 2048
export const OFFSET_SIZE = 4
const MEMBERS_PER_GROUP = 4
const GROUP_SIZE = 20
const GROUPS_PER_PAGE = 409
const MEMBERS_PER_PAGE = GROUPS_PER_PAGE * MEMBERS_PER_GROUP

export const FIRST_MULTIXACT_ID = 1

export function multiOffsetPage(multi: number): number {
  return Math.floor(multi / OFFSETS_PER_PAGE)
}

/** Byte position in its page. */
export function multiOffsetStart(multi: number): number {
  return (multi % OFFSETS_PER_PAGE) * OFFSET_SIZE
}

export function memberPage(member: number): number {
  return Math.floor(member / MEMBERS_PER_PAGE)
}

/** Byte position, in its page, of a member's flag. */
export function memberFlagStart(member: number): number {
  return memberGroupStart(member) + (member & 3)
}

/** Byte position, in its page, of a member's xid. */
export function memberXidStart(member: number): number {
  return memberGroupStart(member) + MEMBERS_PER_GROUP + (member & 3) * 4
}

/** Byte position, in its page, of the group a member is in. */
export function memberGroupStart(member: number): number {
  return ((member % MEMBERS_PER_PAGE) >> 2) * GROUP_SIZE
}

/** The multixact after `multi`, as RecordNewMultiXact (multixact.c) counts: 0 is InvalidMultiXactId, which the counter skips. */
export function nextMultiAfter(multi: number): number {
  return multi === 0xffffffff ? FIRST_MULTIXACT_ID : multi + 1
}

/** File that a member is in. */
export function memberSegment(member: number): number {
  return Math.floor(memberPage(member) / SLRU_PAGES_PER_SEGMENT)
}

/** Whether `n` lies in [start, end), of numbers that wrap. */
export function isInCircle(n: number, start: number, end: number): boolean {
  return start <= end ? n >= start && n < end : n >= start || n < end
}

/** MultiXactIdPrecedes and MultiXactOffsetPrecedes: modulo 2^32. */
export function multiPrecedes(a: number, b: number): boolean {
  return ((a - b) | 0) < 0
}

/** MultiXactOffsetPagePrecedes (multixact.c): the order of pages, modulo 2^32. */
export function multiOffsetPagePrecedes(page: number, other: number): boolean {
  const first = page * OFFSETS_PER_PAGE + FIRST_MULTIXACT_ID + 1
  const otherFirst = other * OFFSETS_PER_PAGE + FIRST_MULTIXACT_ID + 1
  return multiPrecedes(first, otherFirst) && multiPrecedes(first, otherFirst + OFFSETS_PER_PAGE - 1)
}
