import { join } from 'node:path'
import { readU32 } from '../../common/bytes.ts'
import { FIRST_NORMAL_XID } from '../../common/ids.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import { CLOG_XACTS_PER_PAGE, statusBits } from '../../xact/clog.ts'
import { FIRST_MULTIXACT_ID, memberPage, memberXidStart, multiOffsetPage, multiOffsetStart } from '../../xact/multixactlayout.ts'
import { SLRU_PAGES_PER_SEGMENT } from '../../xact/segments.ts'
import { listDir } from '../disk/files.ts'
import type { ControlFile } from '../../catalog/controlfile.ts'
import { FileSlru } from './slru.ts'

const SEGMENT = /^[0-9A-F]{4,6}$/
const OFFSETS_PER_PAGE = BLOCK_SIZE / 4
/** A page of members has 1,636 of them: a list that does not end within some pages is no list. */
const MEMBERS_MAX = 100_000

type Counters = Pick<ControlFile, 'nextXid' | 'oldestXid' | 'nextMulti' | 'nextMultiOffset' | 'oldestMulti'>

/** The counters of pg_control from what pg_xact and pg_multixact hold: those of a cluster whose transaction ids never went round. */
export function guessTransactions(path: string): Counters {
  const clogFolder = join(path, 'pg_xact')
  const clog = new FileSlru(clogFolder, undefined, 'lost')
  const hasStatus = (page: Uint8Array, n: number): boolean => page.length > (n % CLOG_XACTS_PER_PAGE) >> 2 && statusBits(page, n) !== 0
  const xid = lastIn(clogFolder, clog, CLOG_XACTS_PER_PAGE, hasStatus)
  const offsetsFolder = join(path, 'pg_multixact/offsets')
  const offsets = new FileSlru(offsetsFolder, undefined, 'lost')
  const hasStart = (page: Uint8Array, n: number): boolean => page.length >= multiOffsetStart(n) + 4 && readU32(page, multiOffsetStart(n)) !== 0
  const multi = lastIn(offsetsFolder, offsets, OFFSETS_PER_PAGE, hasStart)
  const nextMulti = multi.last + 1
  return {
    nextXid: { low: Math.max(xid.last + 1, FIRST_NORMAL_XID), epoch: 0 }, oldestXid: Math.max(xid.first, FIRST_NORMAL_XID),
    oldestMulti: Math.max(multi.first, FIRST_MULTIXACT_ID), nextMulti: Math.max(nextMulti, FIRST_MULTIXACT_ID),
    nextMultiOffset: multi.last === 0 ? 1 : endOfMembers(path, readU32(offsets.page(multiOffsetPage(multi.last))!, multiOffsetStart(multi.last))),
  }
}

/** The first entry that an SLRU has room for, and the last one that is set; 0 without one. */
function lastIn(folder: string, pages: FileSlru, perPage: number, isSet: (page: Uint8Array, n: number) => boolean): { first: number; last: number } {
  const segments = listDir(folder).filter((name) => SEGMENT.test(name)).map((name) => Number.parseInt(name, 16)).sort((a, b) => a - b)
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

/** The members of the last multixact end before the first slot that is empty. */
function endOfMembers(path: string, start: number): number {
  const members = new FileSlru(join(path, 'pg_multixact/members'), undefined, 'lost')
  for (let member = start; member < start + MEMBERS_MAX; member++) {
    const page = members.page(memberPage(member))
    if (page === undefined || page.length < memberXidStart(member) + 4 || readU32(page, memberXidStart(member)) === 0) return member
  }
  return start
}
