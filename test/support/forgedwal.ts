/** WAL as a forger writes it, every CRC right, applied to the pages and the transaction status that it was written for. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CorruptionError } from '../../src/common/errors.ts'
import type { WalPosition } from '../../src/common/ids.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { BLOCK_SIZE } from '../../src/common/rel.ts'
import { Replay, type ReplayProgress } from '../../src/replay/replay.ts'
import { parseControlFile } from '../../src/catalog/controlfile.ts'
import { readPrepared } from '../../src/io/datadir/datadir.ts'
import type { RedoObserver } from '../../src/redo/buffers.ts'
import type { RedoPage } from '../../src/redo/store.ts'
import { pageHeaderSize, WAL_PAGE_SIZE } from '../../src/wal/pageheader.ts'
import { WalReader } from '../../src/wal/reader.ts'
import { MAIN_FORK, VISIBILITYMAP_FORK } from '../../src/common/relpath.ts'
import type { WalRecord } from '../../src/wal/record.ts'
import {
  RM_CLOG_ID, RM_COMMIT_TS_ID, RM_DBASE_ID, RM_MULTIXACT_ID, RM_SMGR_ID, RM_STANDBY_ID, RM_TBLSPC_ID, RM_XACT_ID, RM_XLOG_ID,
} from '../../src/wal/rmgr.ts'
import { dumpRecord } from '../../src/wal/waldump.ts'
import { XLOG_SWITCH } from '../../src/wal/xlog.ts'
import { startState } from '../../src/xact/transactionstate.ts'
import { changeWords, sealRecord } from './forgedbytes.ts'
import { LayeredStore } from './layeredstore.ts'
import type { Random } from './random.ts'

export interface ForgedWalSetup {
  /** The bytes from `start`, a page, to the end of what the server wrote. */
  path: string
  start: WalPosition
  end: WalPosition
  timeline: number
  segmentSize: number
  systemIdentifier: string
  /** Copy of the data directory as of `redo`, where nothing ran. */
  base: string
}

/** An input is a piece of so many bytes, with the state of the store where it begins; redo of what lies before is done once. */
const WINDOW = 8 * WAL_PAGE_SIZE
/** Heap blocks on a page of the visibility map: (8192 - 24) * 4. */
const HEAP_BLOCKS_PER_MAP_PAGE = 32672
const ZEROS = new Uint8Array(BLOCK_SIZE)

/** Resource managers whose records change the status of transactions, or counters that lead to it. */
const STATUS_MANAGERS = new Set([RM_XACT_ID, RM_CLOG_ID, RM_MULTIXACT_ID, RM_STANDBY_ID, RM_XLOG_ID, RM_COMMIT_TS_ID])
/** Resource managers whose records name relations, databases and tablespaces in their main data. */
const STORAGE_MANAGERS = new Set([RM_XACT_ID, RM_SMGR_ID, RM_DBASE_ID, RM_TBLSPC_ID])

interface KnownRecord {
  startLsn: WalPosition
  length: number
  /** What it names, and what it made, cut or removed. */
  reach: ReadonlySet<string>
  changesStatus: boolean
}

interface Stage {
  start: WalPosition
  store: LayeredStore
  progress: ReplayProgress
  records: KnownRecord[]
}

export class ForgedWal {
  private readonly setup: ForgedWalSetup
  private readonly major: PgMajor
  private readonly bytes: Uint8Array
  /** In order; the last one is the end. */
  private readonly stages: Stage[] = []

  constructor(setup: ForgedWalSetup, major: PgMajor) {
    this.setup = setup
    this.major = major
    this.bytes = new Uint8Array(readFileSync(setup.path))
    this.replayOnce()
  }

  /** @param plant a fault of redo, for tests of this test */
  run(dice: Random, plant?: (store: LayeredStore) => RedoObserver): void {
    const first = dice.int(this.stages.length - 1)
    const stage = this.stages[first]!
    const end = this.stages[Math.min(first + dice.pick([1, 1, 2]), this.stages.length - 1)]!
    const piece = this.bytes.slice(stage.start - this.setup.start, Math.min(end.start - this.setup.start + 4 * WAL_PAGE_SIZE, this.bytes.length))
    const changed = new Map<WalPosition, KnownRecord>()
    for (let left = dice.pick([1, 1, 3]); left > 0; left--) {
      const known = dice.pick(stage.records)
      this.change(piece, stage.start, known, dice)
      changed.set(known.startLsn, known)
    }
    const store = stage.store.layer()
    const tainted = new Set([...changed.values()].flatMap(({ reach }) => [...reach]))
    let isCut = false
    let statusChanges = [...changed.values()].some(({ changesStatus }) => changesStatus)
    this.replay(piece, stage, end.start, store, plant?.(store), (record, apply) => {
      if (!changed.has(record.startLsn)) return apply()
      dumpRecord(record, this.major, true)
      statusChanges ||= STATUS_MANAGERS.has(record.rmgr)
      // A switch ends its segment, for a server as well.
      isCut ||= record.rmgr === RM_XLOG_ID && record.op === XLOG_SWITCH
      for (const name of reachOf(record)) tainted.add(name)
      store.restructured.clear()
      apply()
      for (const name of store.restructured) tainted.add(name)
    })
    if (isCut) return
    this.compare(store, stage, end, tainted)
    if (!statusChanges) compareStatus(store, end.store)
  }

  /** Replay of the whole piece as it was written, with the states on the way. */
  private replayOnce(): void {
    const { base, start, end } = this.setup
    const control = parseControlFile(readFileSync(join(base, 'global/pg_control')), this.major)
    let store = LayeredStore.read(base, this.major)
    let progress: ReplayProgress = {
      lsn: Number(control.redo), time: 0, consistency: { at: Number(control.redo), reached: false },
      transactions: startState(control, readPrepared({ path: base, major: this.major }), store.clog),
      redo: { walLogHints: control.walLogHints, invalidPages: [] },
    }
    for (let at = start; at < end; at += WINDOW) {
      const stage: Stage = { start: at, store, progress, records: [] }
      store = store.layer()
      progress = this.replay(this.bytes.subarray(at - start), stage, Math.min(at + WINDOW, end), store, undefined, (record, apply) => {
        const { startLsn, length } = record
        store.restructured.clear()
        if (startLsn >= Number(control.redo)) apply()
        stage.records.push({ startLsn, length, reach: new Set([...reachOf(record), ...store.restructured]), changesStatus: STATUS_MANAGERS.has(record.rmgr) })
      })
      this.stages.push(stage)
    }
    this.stages.push({ start: end, store, progress, records: [] })
  }

  /** Applies the records that begin in the piece, from its stage up to `end`. @throws whatever is wrong with one */
  private replay(
    piece: Uint8Array, { start, progress }: Stage, end: WalPosition, store: LayeredStore, pages: RedoObserver | undefined,
    visit: (record: WalRecord, apply: () => void) => void,
  ): ReplayProgress {
    const { timeline, segmentSize, systemIdentifier } = this.setup
    const reader = new WalReader({ major: this.major, start, timeline, segmentSize, systemIdentifier: BigInt(systemIdentifier) })
    const replay = new Replay(store, progress, { major: this.major, checksums: true, ...(pages && { pages }) })
    reader.feed(piece)
    for (let record = reader.next(); record !== undefined && record.startLsn < end; record = reader.next()) {
      const current = record
      visit(current, () => applyWatched(current, this.major, store, () => replay.apply(current)))
    }
    // Bytes that are no record end the WAL: only a caller that knows that the WAL goes on can call that damage.
    if (reader.end !== undefined && reader.end.lsn < end) throw new CorruptionError(reader.end.code, reader.end.reason)
    return replay.progress
  }

  /** Anything but the record's length and link; its pages' headers stay between its bytes. */
  private change(piece: Uint8Array, start: WalPosition, { startLsn, length }: KnownRecord, dice: Random): void {
    const places = placesOf(startLsn, length, this.setup.segmentSize).map((position) => position - start)
    if (places[length - 1]! >= piece.length) return
    const record = Uint8Array.from(places, (place) => piece[place]!)
    if (dice.int(4) === 0) record[dice.pick([4, 5, 6, 7, 16, 16, 16, 17])] = dice.int(256)
    else if (length > 24) changeWords(record, 24, dice.int(2) ? length : Math.min(length, 60), dice)
    sealRecord(record)
    places.forEach((place, i) => piece[place] = record[i]!)
  }

  /** What the changed records do not name is as if they had not been changed. */
  private compare(found: LayeredStore, from: Stage, to: Stage, tainted: ReadonlySet<string>): void {
    const layers = this.stages.slice(this.stages.indexOf(from) + 1, this.stages.indexOf(to) + 1).map(({ store }) => store)
    for (const layer of [found, ...layers]) {
      for (const [key, fork, block] of layer.touched()) {
        const [spc, db] = key.split('/')
        if ([`${key}/${fork}/${block}`, key, `${spc}/${db}`, String(spc)].some((name) => tainted.has(name))) continue
        const [ours, theirs] = [found, to.store].map((store) => store.look(key)?.forks[fork]?.content(block) ?? ZEROS)
        if (Buffer.compare(ours!, theirs!) === 0) continue
        throw new Error(`silent difference: block ${block} of ${key}, fork ${fork}, which no changed record names`)
      }
    }
  }
}

/** Blocks that a record names, with the pages of the visibility map over them; the relation, too, where storage is its business. */
function reachOf(record: WalRecord): Set<string> {
  const names = new Set<string>()
  for (const { spcOid, dbOid, relNumber, fork, block } of record.blocks.slice(0, record.blockCount)) {
    names.add(`${spcOid}/${dbOid}/${relNumber}/${fork}/${block}`)
    if (fork !== MAIN_FORK) continue
    names.add(`${spcOid}/${dbOid}/${relNumber}/${VISIBILITYMAP_FORK}/${Math.floor(block / HEAP_BLOCKS_PER_MAP_PAGE)}`)
  }
  return names
}

/** Applies a record. @throws Error if it changes a block that it does not name, or a relation or database whose oids are not in it */
function applyWatched(record: WalRecord, major: PgMajor, store: LayeredStore, apply: () => void): void {
  const named = reachOf(record)
  const others: { name: string; key: string; page: RedoPage; before: Uint8Array }[] = []
  store.watcher = (key, fork, block, page) => {
    const name = `${key}/${fork}/${block}`
    if (!named.has(name)) others.push({ name, key, page, before: page.bytes.slice() })
  }
  const before = new Set(store.restructured)
  try {
    apply()
  } finally {
    store.watcher = undefined
  }
  for (const { name, key, page, before: bytes } of others) {
    if (Buffer.compare(page.bytes, bytes) === 0 || isNamedInData(record, key)) continue
    throw new Error(`silent difference: block ${name} changes with a record that does not name it: ${dumpRecord(record, major).slice(0, 300)}`)
  }
  for (const name of store.restructured) {
    if (before.has(name) || isNamedInData(record, name) || [...named].some((block) => block.startsWith(`${name}/`))) continue
    throw new Error(`silent difference: ${name} is made, cut or removed by a record that does not name it`)
  }
}

/** Whether main data has these oids, one after the other where they are a relation's. */
function isNamedInData({ view, mainStart, mainLength, rmgr }: WalRecord, name: string): boolean {
  if (name.startsWith('map ')) return true
  if (!STORAGE_MANAGERS.has(rmgr)) return false
  const oids = name.split('/').map(Number)
  const has = (at: number, wanted: readonly number[]): boolean => wanted.every((oid, i) => view.getUint32(at + i * 4, true) === oid)
  const places = Array.from({ length: Math.max(0, mainLength - 4 * oids.length + 1) }, (_, i) => mainStart + i)
  return places.some((at) => has(at, oids)) || (oids.length === 2 && places.some((at) => has(at, [oids[1]!, oids[0]!])))
}

/** Commit status, multixacts and prepared transactions, which no changed record is about. */
function compareStatus(found: LayeredStore, expected: LayeredStore): void {
  for (const name of ['clog', 'multiOffsets', 'multiMembers'] as const) {
    for (const n of new Set([...found[name].pages.keys(), ...expected[name].pages.keys()])) {
      const [a, b] = [found[name].page(n), expected[name].page(n)]
      if (a === undefined || b === undefined || Buffer.compare(a, b) !== 0) throw new Error(`silent difference: page ${n} of ${name}`)
    }
  }
  const prepared = (store: LayeredStore): string => JSON.stringify([...store.prepared].sort().map(([name, bytes]) => [name, Buffer.from(bytes).toString('hex')]))
  if (prepared(found) !== prepared(expected)) throw new Error('silent difference: other prepared transactions')
}

/** WAL positions of a record's bytes. */
function placesOf(startLsn: WalPosition, length: number, segmentSize: number): number[] {
  const places: number[] = []
  for (let at = startLsn; places.length < length; at++) {
    if (at % WAL_PAGE_SIZE === 0) at += pageHeaderSize(at, segmentSize)
    places.push(at)
  }
  return places
}
