/** Which records a workload made a server write and redo apply: a table of record types × majors, and what must be in it. */
import type { PgMajor } from '../../src/common/pgversion.ts'
import { MAIN_FORK, VISIBILITYMAP_FORK } from '../../src/common/relpath.ts'
import { type BlockReference, IMAGE_LZ4, IMAGE_PGLZ, IMAGE_PLAIN, IMAGE_ZSTD, type WalRecord } from '../../src/wal/record.ts'
import { RM_BTREE_ID, RM_HEAP2_ID, RM_HEAP_ID, RM_MAX_BUILTIN_ID, rmgrName } from '../../src/wal/rmgr.ts'
import { recordType } from '../../src/wal/text/describe.ts'

/** Index access methods: passed over, whatever they do. */
const INDEX_RMGRS = new Set([RM_BTREE_ID, 12, 13, 14, 16, 17])

export interface Count {
  /** Records that redo applied. */
  applied: number
  /** Those with a main-fork page that was changed by the record's own redo, not replaced by an image. */
  redone: number
}

/** Counts by name: `Heap INSERT+INIT`, and features of records below `~`. */
export type Coverage = Map<string, Count>

/** Counts a record after redo applied it. */
export function countRecord(coverage: Coverage, record: WalRecord, major: PgMajor): void {
  const images = record.blocks.slice(0, record.blockCount).filter(({ applyImage }) => applyImage)
  const redone = record.blocks.slice(0, record.blockCount).some(({ fork, applyImage }) => fork === MAIN_FORK && !applyImage)
  const rmgr = rmgrName(record.rmgr)
  if (INDEX_RMGRS.has(record.rmgr)) return add(coverage, rmgr, false)
  const type = recordType(record.rmgr, record.info, major)
  add(coverage, `${rmgr} ${type}`, redone)
  if (namesMapPage(record)) add(coverage, `~ ${type.replace('+INIT', '')}: map page named`, redone)
  for (const block of images) add(coverage, `~ image ${imageName(block)}`, false)
  if (redone) for (const feature of features(record, major)) add(coverage, `~ ${feature}`, true)
  if (record.topXid !== 0) add(coverage, '~ top-level xid', redone)
  if (record.origin !== 0) add(coverage, '~ replication origin', redone)
}

/** Since 17.11 and 18.6 records that clear bits of the visibility map name its page; VISIBLE always did. */
function namesMapPage({ rmgr, op, blocks, blockCount }: WalRecord): boolean {
  if (rmgr !== RM_HEAP_ID && (rmgr !== RM_HEAP2_ID || (op & 0x70) === 0x40)) return false
  return blocks.slice(0, blockCount).some(({ fork }) => fork === VISIBILITYMAP_FORK)
}

function add(coverage: Coverage, name: string, redone: boolean): void {
  const count = coverage.get(name)
  if (count === undefined) {
    coverage.set(name, { applied: 1, redone: redone ? 1 : 0 })
  } else {
    count.applied++
    if (redone) count.redone++
  }
}

function imageName({ imageCompression, holeLength, fork }: BlockReference): string {
  const method = { [IMAGE_PLAIN]: 'plain', [IMAGE_PGLZ]: 'pglz', [IMAGE_LZ4]: 'lz4', [IMAGE_ZSTD]: 'zstd' }[imageCompression]
  return `${method}${fork === VISIBILITYMAP_FORK ? ' of vm' : ''}${holeLength > 0 ? ' with hole' : ''}`
}

/** What the flags byte of heap records says: name by bit. */
const INSERT_FLAGS: Record<number, string> = {
  0x01: 'all-visible cleared', 0x02: 'last in multi', 0x04: 'speculative', 0x10: 'on TOAST', 0x20: 'all frozen set',
}
const DELETE_FLAGS: Record<number, string> = {
  0x01: 'all-visible cleared', 0x02: 'old tuple', 0x04: 'old key', 0x08: 'super', 0x10: 'partition move',
}
const UPDATE_FLAGS: Record<number, string> = {
  0x01: 'old all-visible cleared', 0x02: 'new all-visible cleared', 0x04: 'old tuple', 0x08: 'old key', 0x20: 'prefix', 0x40: 'suffix',
}
const LOCK_FLAGS: Record<number, string> = { 0x01: 'all-frozen cleared' }
const INFOBITS: Record<number, string> = { 0x01: 'multi', 0x02: 'lock only', 0x04: 'exclusive', 0x08: 'key share', 0x10: 'keys updated' }
const PRUNE_FLAGS: Record<number, string> = {
  0x02: 'catalog', 0x04: 'cleanup lock', 0x08: 'conflict xid', 0x10: 'freeze plans', 0x20: 'redirects', 0x40: 'dead', 0x80: 'unused',
}

function features(record: WalRecord, major: PgMajor): string[] {
  const { rmgr, bytes, mainStart: main, blockCount } = record
  const op = record.op & 0x70
  if (rmgr === RM_HEAP_ID) {
    const crossPage = blockCount > 1 && record.block(1)?.fork === MAIN_FORK ? ['UPDATE cross-page'] : []
    switch (op) {
      case 0x00: return names('INSERT', INSERT_FLAGS, bytes[main + 2]!)
      case 0x10: return [...names('DELETE', DELETE_FLAGS, bytes[main + 7]!), ...names('DELETE xmax', INFOBITS, bytes[main + 6]!)]
      case 0x20:
      case 0x40: return [...crossPage, ...names('UPDATE', UPDATE_FLAGS, bytes[main + 7]!), ...names('UPDATE xmax', INFOBITS, bytes[main + 6]!)]
      case 0x60: return [...names('LOCK', LOCK_FLAGS, bytes[main + 7]!), ...names('LOCK xmax', INFOBITS, bytes[main + 6]!)]
      default: return []
    }
  }
  if (rmgr !== RM_HEAP2_ID) return []
  switch (op) {
    case 0x50: return names('MULTI_INSERT', INSERT_FLAGS, bytes[main]!)
    case 0x60: return [...names('LOCK_UPDATED', LOCK_FLAGS, bytes[main + 7]!), ...names('LOCK_UPDATED xmax', INFOBITS, bytes[main + 6]!)]
    // Since 17 one record for all; before, it has no flags.
    case 0x10:
    case 0x20:
    case 0x30: return major >= 17 ? names('PRUNE', PRUNE_FLAGS, bytes[main + 1]!) : []
    default: return []
  }
}

function names(record: string, flags: Record<number, string>, byte: number): string[] {
  return Object.entries(flags).filter(([bit]) => byte & Number(bit)).map(([, name]) => `${record}: ${name}`)
}

/** A table, one line per name, one column per major: `redone/applied` where redo changes pages, else `applied`. */
export function coverageTable(byMajor: ReadonlyMap<number, Coverage>): string {
  const majors = [...byMajor.keys()].sort((a, b) => a - b)
  const keys = [...new Set([...byMajor.values()].flatMap((coverage) => [...coverage.keys()]))].sort()
  const head = `${'record'.padEnd(44)}${majors.map((major) => String(major).padStart(16)).join('')}`
  const cell = (count: Count | undefined) => (count === undefined ? '-' : count.redone > 0 ? `${count.redone}/${count.applied}` : String(count.applied))
  return [head, ...keys.map((key) => `${key.padEnd(44)}${majors.map((major) => cell(byMajor.get(major)?.get(key)).padStart(16)).join('')}`)].join('\n')
}

/** Records that no workload here can make, and why. */
const IMPOSSIBLE: Readonly<Record<string, string>> = {
  'XLOG NOOP': 'no server writes it',
  'Heap HOT_UPDATE+INIT': 'the page of a HOT update holds the old version: it is never initialised',
}
/** Records that take too long for the quick suite. */
const SLOW: Readonly<Record<string, string>> = {
  'CLOG TRUNCATE': 'needs a million transactions: test/long/recovery.test.ts',
  'XLOG END_OF_RECOVERY': 'needs a promotion: test/long/recovery.test.ts',
}

/** Records that change heap pages must be redone, not only restored from images. */
const REDONE = /^(Heap2? (?!TRUNCATE|NEW_CID|REWRITE)|Sequence LOG)/

const EXPECTED_APPLIED = [
  'BRIN', 'Btree', 'Gin', 'Gist', 'Hash', 'SPGist', '~ replication origin', '~ top-level xid',
  '~ image plain', '~ image plain with hole', '~ image plain of vm', '~ image pglz', '~ image pglz with hole', '~ image pglz of vm',
]
const EXPECTED_FEATURES = [
  'DELETE xmax: multi', 'DELETE xmax: exclusive', 'DELETE xmax: keys updated', 'DELETE: all-visible cleared', 'DELETE: old key', 'DELETE: old tuple',
  'DELETE: partition move', 'DELETE: super', 'INSERT: all-visible cleared', 'INSERT: on TOAST', 'INSERT: speculative',
  'LOCK xmax: multi', 'LOCK xmax: lock only', 'LOCK xmax: exclusive', 'LOCK xmax: key share', 'LOCK xmax: keys updated', 'LOCK: all-frozen cleared',
  'LOCK_UPDATED xmax: multi', 'LOCK_UPDATED xmax: lock only', 'LOCK_UPDATED xmax: exclusive', 'LOCK_UPDATED xmax: key share',
  'MULTI_INSERT: all frozen set', 'MULTI_INSERT: all-visible cleared', 'MULTI_INSERT: last in multi',
  'UPDATE cross-page', 'UPDATE xmax: multi', 'UPDATE xmax: exclusive', 'UPDATE xmax: keys updated', 'UPDATE: new all-visible cleared',
  'UPDATE: old all-visible cleared', 'UPDATE: old key', 'UPDATE: old tuple', 'UPDATE: prefix', 'UPDATE: suffix',
]
const EXPECTED_PRUNE = ['catalog', 'cleanup lock', 'conflict xid', 'freeze plans', 'redirects', 'dead', 'unused'].map((flag) => `PRUNE: ${flag}`)
/** {@link namesMapPage}: LTAP_TEST_MAP_PAGES says that the servers do it. */
const EXPECTED_MAP_PAGES = ['DELETE', 'INSERT', 'LOCK', 'MULTI_INSERT', 'UPDATE'].map((type) => `${type}: map page named`)

/** Every record type that servers of this major name, those of indexes apart. */
function recordTypes(major: PgMajor): string[] {
  const types = new Set<string>()
  for (let rmgr = 0; rmgr <= RM_MAX_BUILTIN_ID; rmgr++) {
    for (let info = 0; info < 0x100 && !INDEX_RMGRS.has(rmgr); info += 0x10) {
      const type = recordType(rmgr, info, major)
      if (!type.startsWith('UNKNOWN')) types.add(`${rmgrName(rmgr)} ${type}`)
    }
  }
  return [...types]
}

/**
 * What is not asked for beside {@link excuses}: freezing of HEAP_MOVED tuples, which needs a cluster upgraded from 8.4.
 * @param quick without what takes too long
 * @returns what is missing, empty if the coverage is complete
 */
export function missingRecords(coverage: Coverage, major: PgMajor, quick: boolean): string[] {
  const excused = excuses(quick)
  const types = recordTypes(major).filter((type) => excused[type] === undefined)
  const features = [...EXPECTED_FEATURES, ...(major >= 17 ? EXPECTED_PRUNE : []), ...(major >= 17 && process.env['LTAP_TEST_MAP_PAGES'] ? EXPECTED_MAP_PAGES : [])].map((name) => `~ ${name}`)
  return [
    ...[...types.filter((type) => REDONE.test(type)), ...features].filter((name) => (coverage.get(name)?.redone ?? 0) === 0),
    ...[...types, ...EXPECTED_APPLIED].filter((name) => !coverage.has(name)),
    ...Object.keys(IMPOSSIBLE).filter((name) => coverage.has(name)).map((name) => `${name}: it can be made`),
  ]
}

function excuses(quick: boolean): Readonly<Record<string, string>> {
  return quick ? { ...IMPOSSIBLE, ...SLOW } : IMPOSSIBLE
}

/** Record types that are not asked for, with the reason of each. */
export function excusesText(quick: boolean): string {
  return Object.entries(excuses(quick)).map(([name, reason]) => `${name.padEnd(44)}${reason}`).join('\n')
}
