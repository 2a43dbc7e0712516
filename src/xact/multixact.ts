import { readU32 } from '../common/bytes.ts'
import { CorruptionError } from '../common/errors.ts'
import type { Xid } from '../common/ids.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import {
  FIRST_MULTIXACT_ID, memberFlagStart, memberPage, memberXidStart, multiOffsetPage, multiOffsetStart, nextMultiAfter,
} from './multixactlayout.ts'
import { slruPageName } from './segments.ts'
import type { SlruPages } from './slru.ts'

const OFFSETS_FOLDER = 'pg_multixact/offsets'
const MEMBERS_FOLDER = 'pg_multixact/members'

const MULTIXACT_STATUS_NO_KEY_UPDATE = 4
const MULTIXACT_STATUS_UPDATE = 5

/** MultiXactStatus (multixact.h): the first four lock the row, the last two update or delete it. */
export type MultiXactStatus = 'for key share' | 'for share' | 'for no key update' | 'for update' | 'no key update' | 'update'

/** The names, indexed by MultiXactStatus. */
const STATUS_NAMES: readonly MultiXactStatus[] = ['for key share', 'for share', 'for no key update', 'for update', 'no key update', 'update']

export interface MultiXactMember {
  xid: Xid
  status: MultiXactStatus
}

export interface MultiXactSources {
  offsets: SlruPages
  members: SlruPages
  /** The counters of the same LSN as the pages: from pg_control's checkpoint, or from replay. */
  oldestMulti: number
  nextMulti: number
  nextMultiOffset: number
}

/**
 * Reads members of the multixacts between oldestMulti and nextMulti, as GetMultiXactIdMembers does (multixact.c). Every method throws
 * CorruptionError: xact.multixact for a multixact outside of that range, xact.multixact-lost where pg_multixact is damaged.
 */
export class MultiXacts {
  private readonly sources: MultiXactSources

  constructor(sources: MultiXactSources) {
    this.sources = sources
  }

  members(multi: number): MultiXactMember[] {
    const members: MultiXactMember[] = []
    this.forEachMember(multi, (xid, flag) => members.push({ xid, status: STATUS_NAMES[flag]! }))
    return members
  }

  /** The member that updated or deleted the row; 0 if all of them only lock it (HeapTupleGetUpdateXid). */
  updater(multi: number): Xid {
    let updater = 0
    this.forEachMember(multi, (xid, flag) => {
      if (flag !== MULTIXACT_STATUS_NO_KEY_UPDATE && flag !== MULTIXACT_STATUS_UPDATE) return
      // MultiXactIdGetUpdateXid (heapam.c) takes the first updater and asserts that there is no second one.
      if (updater !== 0) throw lost(`multixact ${multi} has two updaters, ${updater} and ${xid}`)
      updater = xid
    })
    return updater
  }

  private forEachMember(multi: number, visit: (xid: Xid, flag: number) => void): void {
    const { oldestMulti, nextMulti } = this.sources
    if (multi === 0 || (multi - oldestMulti) >>> 0 >= (nextMulti - oldestMulti) >>> 0) {
      throw new CorruptionError('xact.multixact', `multixact ${multi} is not between the oldest ${oldestMulti} and the next ${nextMulti}`)
    }
    const end = this.end(multi)
    // If the offsets are damaged the loop ends at a missing page or at an invalid member.
    for (let at = this.start(multi); at !== end; at = (at + 1) >>> 0) this.visitMember(multi, at, visit)
  }

  private visitMember(multi: number, member: number, visit: (xid: Xid, flag: number) => void): void {
    const n = memberPage(member)
    const page = multiPage(this.sources.members, MEMBERS_FOLDER, n, multi)
    const xid = readU32(page, memberXidStart(member))
    const flag = page[memberFlagStart(member)]!
    // The counter of members skips 0 when it wraps, because offset 0 means "not written": slot 0 stays empty (GetMultiXactIdMembers).
    if (member === 0 && xid === 0) return
    if (xid === 0 || flag > MULTIXACT_STATUS_UPDATE) {
      throw lost(`multixact ${multi} has member ${xid} with status ${flag} on ${slruPageName(MEMBERS_FOLDER, n)}`)
    }
    visit(xid, flag)
  }

  private start(multi: number): number {
    const n = multiOffsetPage(multi)
    const start = readU32(multiPage(this.sources.offsets, OFFSETS_FOLDER, n, multi), multiOffsetStart(multi))
    if (start === 0) throw lost(`multixact ${multi} has no members on ${slruPageName(OFFSETS_FOLDER, n)}`)
    return start
  }

  /**
   * Where the members of `multi` end: where those of the next multixact begin. Older minor releases write the next entry only when
   * that multixact is created; for the last multixact the end is the counter.
   */
  private end(multi: number): number {
    const next = nextMultiAfter(multi)
    // The counter is 0 between its wrap and the next multixact.
    const counter = this.sources.nextMulti === 0 ? FIRST_MULTIXACT_ID : this.sources.nextMulti
    return next === counter ? this.sources.nextMultiOffset : this.start(next)
  }
}

function multiPage(pages: SlruPages, folder: string, n: number, multi: number): Uint8Array {
  const page = pages.page(n)
  if (page === undefined) throw lost(`multixact ${multi} needs ${slruPageName(folder, n)}, which ${pages.problem?.(n) ?? 'is missing'}`)
  if (page.length < BLOCK_SIZE) throw lost(`multixact ${multi} needs ${slruPageName(folder, n)}, which ends after ${page.length} of ${BLOCK_SIZE} bytes`)
  return page
}

function lost(reason: string): CorruptionError {
  const meaning = 'who updated or locked the rows is lost; restore the file from a backup'
  return new CorruptionError('xact.multixact-lost', `${reason}: ${meaning}`)
}
