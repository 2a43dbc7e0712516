/** Bytes of pg_xact and pg_multixact, by their definition (clog.c, multixact.c): which transactions and multixacts a changed byte is about. */
const PAGE = 8192
const XIDS_PER_BYTE = 4
const OFFSETS_PER_PAGE = 2048
const GROUP_SIZE = 20
const MEMBERS_PER_PAGE = 1636

/** Members of each multixact, by xid; `offsets` and `members` are the first segments of a cluster that never wrapped. */
export function membersOf(offsets: Uint8Array, members: Uint8Array): Map<number, number[]> {
  const found = new Map<number, number[]>()
  const starts = startsOf(offsets)
  const view = new DataView(members.buffer, members.byteOffset, members.length)
  for (const [i, [multi, start]] of starts.entries()) {
    const xids: number[] = []
    const end = starts[i + 1]?.[1] ?? Infinity
    for (let member = start; member < end; member++) {
      const at = memberPlace(member)
      const xid = at + 4 <= members.length ? view.getUint32(at, true) : 0
      if (xid === 0) break
      xids.push(xid)
    }
    found.set(multi, xids)
  }
  return found
}

function startsOf(offsets: Uint8Array): [multi: number, start: number][] {
  const view = new DataView(offsets.buffer, offsets.byteOffset, offsets.length)
  const starts: [number, number][] = []
  for (let multi = 1; multi * 4 + 4 <= offsets.length && view.getUint32(multi * 4, true) !== 0; multi++) starts.push([multi, view.getUint32(multi * 4, true)])
  return starts
}

/** Byte position of the member's xid. */
function memberPlace(member: number): number {
  const inPage = member % MEMBERS_PER_PAGE
  return Math.floor(member / MEMBERS_PER_PAGE) * PAGE + Math.floor(inPage / 4) * GROUP_SIZE + 4 + (inPage % 4) * 4
}

/** @param firstPage of the segment @returns whether the status of a transaction may be another */
export function changedXids(before: Uint8Array, after: Uint8Array, firstPage: number): (xid: number) => boolean {
  const lost = lostPages(after, before.length)
  return (xid) => {
    const at = Math.floor(xid / XIDS_PER_BYTE) - firstPage * PAGE
    if (at < 0 || at >= before.length) return false
    const shift = (xid % XIDS_PER_BYTE) * 2
    return lost(Math.floor(at / PAGE)) || ((before[at]! ^ after[at]!) >> shift & 3) !== 0
  }
}

/** A page that is cut off or nothing but zeros is lost as a whole. */
function lostPages(bytes: Uint8Array, length: number): (page: number) => boolean {
  const lost = new Set<number>()
  for (let at = 0; at < length; at += PAGE) {
    const page = bytes.subarray(at, at + PAGE)
    if (page.length < PAGE || page.every((byte) => byte === 0)) lost.add(at / PAGE)
  }
  return (page) => lost.has(page)
}

/** @returns whether the members of a multixact may be others */
export function changedMultis(
  folder: string, before: Uint8Array, after: Uint8Array, firstPage: number, members: ReadonlyMap<number, readonly number[]>,
): (multi: number) => boolean {
  const changed = new Set<number>()
  const lost = lostPages(after, before.length)
  const isChanged = (at: number, length: number): boolean => {
    if (lost(Math.floor(at / PAGE))) return true
    for (let i = at; i < at + length; i++) if (before[i] !== after[i]) return true
    return false
  }
  let start = 1
  for (const [multi, xids] of members) {
    if (folder === 'pg_multixact/offsets') {
      const at = multi * 4 - firstPage * OFFSETS_PER_PAGE * 4
      if (isChanged(at, 8)) changed.add(multi)
    } else {
      // A group's flags are in its first four bytes.
      for (let member = start; member < start + xids.length; member++) {
        const xidAt = memberPlace(member) - firstPage * PAGE
        const flagAt = xidAt - 4 - (member % 4) * 3
        if (isChanged(xidAt, 4) || isChanged(flagAt, 1)) changed.add(multi)
      }
    }
    start += xids.length
  }
  return (multi) => changed.has(multi)
}
