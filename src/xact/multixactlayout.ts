import { readU32 } from '../common/bytes.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { SLRU_PAGES_PER_SEGMENT } from './segments.ts'

/*
 * pg_multixact/offsets (multixact.c): per multixact the number of its first member, a u32 until 18, 2048 per page; since 19 a u64, 1024 per page.
 *
 * pg_multixact/members: 409 groups of 20 bytes per page, the last 12 bytes are unused.
 *
 *   0      1      2      3      4        8        12       16       20
 *   +------+------+------+------+--------+--------+--------+--------+
 *   | flag | flag | flag | flag |  xid   |  xid   |  xid   |  xid   |
 *   +------+------+------+------+--------+--------+--------+--------+
 *
 * The members of m end where those of m + 1 begin. The counter of multixacts wraps at 2^32 and skips 0; that of members does so until 18. Since 19 it
 * has 64 bits and never wraps; ltap counts it up to 2^53.
 */
const MEMBERS_PER_GROUP = 4
const GROUP_SIZE = 20
const GROUPS_PER_PAGE = 409
const MEMBERS_PER_PAGE = GROUPS_PER_PAGE * MEMBERS_PER_GROUP

export const FIRST_MULTIXACT_ID = 1

/** sizeof(MultiXactOffset). */
export function multiOffsetSize(major: PgMajor): 4 | 8 {
  return major >= 19 ? 8 : 4
}

/** MULTIXACT_OFFSETS_PER_PAGE. */
export function multiOffsetsPerPage(major: PgMajor): number {
  return BLOCK_SIZE / multiOffsetSize(major)
}

export function multiOffsetPage(multi: number, major: PgMajor): number {
  return Math.floor(multi / multiOffsetsPerPage(major))
}

/** Byte position in its page. */
export function multiOffsetStart(multi: number, major: PgMajor): number {
  return (multi % multiOffsetsPerPage(major)) * multiOffsetSize(major)
}

/** The offset at a {@link multiOffsetStart}; undefined for a number of 2^53 or more, which no server reaches. */
export function readMultiOffset(page: Uint8Array, at: number, major: PgMajor): number | undefined {
  const low = readU32(page, at)
  if (major < 19) return low
  const high = readU32(page, at + 4)
  return high < 0x200000 ? high * 2 ** 32 + low : undefined
}

/** The number of the member that comes `count` members after `member`. */
export function memberAfter(member: number, count: number, major: PgMajor): number {
  return major >= 19 ? member + count : (member + count) >>> 0
}

/** MultiXactOffsetPrecedes of multixact.c until 18, modulo 2^32; since 19 `<`. */
export function memberPrecedes(a: number, b: number, major: PgMajor): boolean {
  return major >= 19 ? a < b : multiPrecedes(a, b)
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

/** MultiXactIdPrecedes: modulo 2^32. */
export function multiPrecedes(a: number, b: number): boolean {
  return ((a - b) | 0) < 0
}

/** MultiXactOffsetPagePrecedes (multixact.c): the order of pages, modulo 2^32. */
export function multiOffsetPagePrecedes(page: number, other: number, major: PgMajor): boolean {
  const perPage = multiOffsetsPerPage(major)
  const first = page * perPage + FIRST_MULTIXACT_ID + 1
  const otherFirst = other * perPage + FIRST_MULTIXACT_ID + 1
  return multiPrecedes(first, otherFirst) && multiPrecedes(first, otherFirst + perPage - 1)
}
