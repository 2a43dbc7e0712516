/** Our redo over the base copy of a recovery case, and its comparison with what the server made: every byte, pd_checksum apart. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatWalPosition } from '../../src/common/ids.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { openWal } from '../../src/io/walsource/walsource.ts'
import { canonicalPage, newPageBuffer } from '../../src/page/canonical.ts'
import { Redo } from '../../src/redo/redo.ts'
import { FSM_FORK, INIT_FORK, MAIN_FORK, VISIBILITYMAP_FORK } from '../../src/common/relpath.ts'
import type { WalRecord } from '../../src/wal/record.ts'
import { dumpRecord } from '../../src/wal/waldump.ts'
import { databaseDirectories, FORK_SUFFIXES, isIndexFilePage, loadDataDir, relationFiles, type RelationFile } from './memorystore.ts'
import { MemoryPage } from '../../src/replay/memoryfork.ts'
import { type MemoryReplayStore, relationKey } from '../../src/replay/memoryreplaystore.ts'
import type { RecoveryCase } from './recovery.ts'

const PD_CHECKSUM = 8
/** Relations with heap pages or a sequence: those of the catalogs' relkind. */
const HEAP_KINDS = new Set(['r', 't', 'm', 'S'])
const COMPARED_FORKS = [MAIN_FORK, VISIBILITYMAP_FORK, INIT_FORK]
const DIFFERENCES_TOLD = 5

export interface RedoneCase {
  store: MemoryReplayStore
  records: number
}

export interface RedoHooks {
  /** Before it is applied. */
  before?(record: WalRecord, store: MemoryReplayStore): void
  after?(record: WalRecord, store: MemoryReplayStore): void
}

/** Applies the WAL of the case, up to its end. @param canonical start from canonical pages, as a lake gives them back */
export function redoCase(found: RecoveryCase, hooks: RedoHooks = {}, canonical = false): RedoneCase {
  const store = loadDataDir(found.base)
  if (canonical) for (const { forks } of store.relations.values()) for (const page of forks[MAIN_FORK]?.pages ?? []) makeCanonical(page)
  const { major, control, variant } = found
  const redo = new Redo(store, { major, checksums: control.checksums, walLogHints: variant.walLogHints })
  let records = 0
  let consistent = false
  const reach = (position: number) => {
    if (consistent || position < found.consistentAt) return
    redo.reachedConsistency()
    consistent = true
  }
  reach(found.start)
  forEachRecord(found, (record) => {
    hooks.before?.(record, store)
    redo.apply(record)
    hooks.after?.(record, store)
    records++
    reach(record.endLsn)
  })
  reach(Infinity)
  return { store, records }
}

function makeCanonical({ bytes, words }: MemoryPage): void {
  const page = newPageBuffer()
  canonicalPage(words, 0, page)
  bytes.set(page.bytes)
}

function forEachRecord({ wal, start, end, last, major, control }: RecoveryCase, body: (record: WalRecord) => void): void {
  const source = openWal(wal, { start, major, systemIdentifier: control.systemIdentifier })
  let begin = start
  for (let record = source.read(); record !== undefined; record = source.read()) {
    if (record.startLsn >= end) return source.close()
    begin = record.startLsn
    body(record)
  }
  if (last === begin) return
  throw new Error(`the WAL ends with ${formatWalPosition(begin)}: ${source.end?.reason}; the server read ${formatWalPosition(last ?? end)}`)
}

export interface Comparison {
  relations: number
  pages: number
  /** Empty if redo is right. */
  differences: string[]
}

/** Compares existence, length and bytes of every fork that redo keeps. @param canonical only the bytes that Postgres can reach */
export function compareWithRecovered(found: RecoveryCase, store: MemoryReplayStore, canonical = false): Comparison {
  const result: Comparison = { relations: 0, pages: 0, differences: [] }
  const files = relationFiles(found.recovered).filter(({ fork }) => fork !== FSM_FORK)
  const unlogged = new Set(files.filter(({ fork }) => fork === INIT_FORK).map(relationKey))
  const seen = new Set<string>()
  for (const file of files) {
    const key = relationKey(file)
    seen.add(`${key} ${file.fork}`)
    if (!isCompared(found, store, file, result)) continue
    if (unlogged.has(key) && file.fork !== INIT_FORK) continue
    compareFork(found, store, file, result, canonical)
  }
  for (const [key, relation] of store.relations) {
    for (const fork of COMPARED_FORKS) {
      if (relation.forks[fork] === undefined || seen.has(`${key} ${fork}`) || unlogged.has(key)) continue
      result.differences.push(`${key}${FORK_SUFFIXES[fork]}: ${relation.forks[fork].blocks} blocks that recovery does not have`)
    }
  }
  compareDirectories(found, store, result)
  result.differences = result.differences.slice(0, DIFFERENCES_TOLD * 4)
  return result
}

/** Directories of databases in all tablespaces, and the relation maps in them. */
function compareDirectories(found: RecoveryCase, store: MemoryReplayStore, result: Comparison): void {
  const directories = databaseDirectories(found.recovered)
  const theirs = directories.map(({ spcOid, dbOid }) => `${spcOid}/${dbOid}`).sort()
  const ours = [...store.directories].sort()
  if (ours.join() !== theirs.join()) result.differences.push(`directories ${ours.join()}, recovery has ${theirs.join()}`)
  for (const { dir, spcOid, dbOid } of directories) {
    const path = join(dir, 'pg_filenode.map')
    const map = existsSync(path) ? readFileSync(path).toString('hex') : undefined
    const own = store.maps.get(`${spcOid}/${dbOid}`)
    if (map !== (own && Buffer.from(own).toString('hex'))) result.differences.push(`${path}: another relation map`)
  }
}

/** Whether the file is one of a heap or a sequence: the catalogs say so, else its pages. What redo takes for an index must be one. */
function isCompared(found: RecoveryCase, store: MemoryReplayStore, file: RelationFile, result: Comparison): boolean {
  const key = relationKey(file)
  const kind = found.kinds.get(key)
  if (store.disowned.has(key)) {
    if (kind === undefined ? file.fork === MAIN_FORK && !looksLikeIndex(file) : HEAP_KINDS.has(kind)) {
      result.differences.push(`${key}: taken for an index, relkind ${kind ?? 'unknown'}`)
    }
    return false
  }
  return kind === undefined ? !looksLikeIndex(file) : HEAP_KINDS.has(kind)
}

function looksLikeIndex(file: RelationFile): boolean {
  const bytes = fileBytes(file)
  for (let block = 0; block * BLOCK_SIZE < bytes.length; block++) {
    if (isIndexFilePage(bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE), block)) return true
  }
  return false
}

function compareFork(found: RecoveryCase, store: MemoryReplayStore, file: RelationFile, result: Comparison, canonical: boolean): void {
  const name = `${relationKey(file)}${FORK_SUFFIXES[file.fork]}`
  const bytes = fileBytes(file)
  const fork = store.relations.get(relationKey(file))?.forks[file.fork]
  if (fork === undefined) return void result.differences.push(`${name}: recovery has it, with ${bytes.length / BLOCK_SIZE} blocks`)
  if (file.fork === MAIN_FORK) result.relations++
  if (fork.blocks * BLOCK_SIZE !== bytes.length) {
    result.differences.push(`${name}: ${fork.blocks} blocks, recovery has ${bytes.length / BLOCK_SIZE}${history(found, file, undefined)}`)
  }
  for (let block = 0; block < fork.blocks && (block + 1) * BLOCK_SIZE <= bytes.length; block++) {
    const theirs = new MemoryPage(bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE))
    const ours = new MemoryPage(fork.pages[block]!.bytes)
    if (canonical && file.fork === MAIN_FORK) [theirs, ours].forEach(makeCanonical)
    result.pages++
    const at = firstDifference(ours.bytes, theirs.bytes)
    if (at < 0) continue
    const told = result.differences.length < DIFFERENCES_TOLD ? history(found, file, block) : ''
    const values = `${hexAt(ours.bytes, at)}, recovery has ${hexAt(theirs.bytes, at)}`
    result.differences.push(`${name} block ${block} byte ${at} (relkind ${found.kinds.get(relationKey(file)) ?? 'unknown'}): ${values}${told}`)
  }
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < BLOCK_SIZE; at++) if (a[at] !== b[at] && at !== PD_CHECKSUM && at !== PD_CHECKSUM + 1) return at
  return -1
}

function hexAt(page: Uint8Array, at: number): string {
  return Buffer.from(page.subarray(at, at + 12)).toString('hex')
}

/** The last records that touched the block, or the relation. */
function history(found: RecoveryCase, file: RelationFile, block: number | undefined): string {
  const lines: string[] = []
  forEachRecord(found, (record) => {
    for (let i = 0; i < record.blockCount; i++) {
      const ref = record.blocks[i]!
      const touches = ref.spcOid === file.spcOid && ref.dbOid === file.dbOid && ref.relNumber === file.relNumber && ref.fork === file.fork &&
        (block === undefined || ref.block === block)
      if (touches) lines.push(dumpRecord(record, found.major).trimEnd())
    }
    if (lines.length > 6) lines.shift()
  })
  return `\n    last records:\n      ${lines.join('\n      ')}`
}

function fileBytes({ paths }: RelationFile): Uint8Array {
  return Buffer.concat(paths.map((path) => readFileSync(path)))
}
