/** A ReplayStore of layers in memory: what one layer changes, those below it do not see. Pages of the lowest are those of a data directory. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BLOCK_SIZE, type RelFileLocator } from '../../src/common/rel.ts'
import type { ReplayStore } from '../../src/replay/replay.ts'
import { type DatabaseDirectory, FSM_FORK, MAIN_FORK } from '../../src/common/relpath.ts'
import type { RedoFork, RedoPage } from '../../src/redo/store.ts'
import type { PgMajor } from '../../src/common/pgversion.ts'
import { relationKey } from '../../src/replay/memoryreplaystore.ts'
import { MemorySlru } from '../../src/replay/memoryslru.ts'
import { MemoryTransactionStore } from '../../src/replay/memorytransactionstore.ts'
import { readTransactionStore } from './memoryslru.ts'
import { databaseDirectories, isIndexFilePage, relationFiles } from './memorystore.ts'

const ZEROS = new Uint8Array(BLOCK_SIZE)
/** MaxBlockNumber (block.h). */
const BLOCK_MAX = 0xfffffffe

/** Told of each page that is handed out, before anything can change it. */
export type PageWatcher = (key: string, fork: number, block: number, page: RedoPage) => void

class LayeredFork implements RedoFork {
  blocks: number
  /** Pages of this layer: far blocks cost no memory. */
  readonly own = new Map<number, RedoPage>()
  private readonly store: LayeredStore
  private readonly key: string
  private readonly fork: number
  private readonly below: LayeredFork | Uint8Array | undefined
  /** Blocks that the layer below still gives. */
  private seen: number

  constructor(store: LayeredStore, key: string, fork: number, below?: LayeredFork | Uint8Array) {
    this.store = store
    this.key = key
    this.fork = fork
    this.below = below
    this.blocks = below === undefined ? 0 : below instanceof LayeredFork ? below.blocks : Math.floor(below.length / BLOCK_SIZE)
    this.seen = this.blocks
  }

  page(block: number): RedoPage | undefined {
    if (block >= this.blocks) return undefined
    let page = this.own.get(block)
    if (page === undefined) {
      const bytes = this.content(block).slice()
      this.own.set(block, page = { bytes, words: new Int32Array(bytes.buffer), dirty: false })
    }
    this.store.watcher?.(this.key, this.fork, block, page)
    return page
  }

  extend(block: number): RedoPage {
    if (block > BLOCK_MAX) throw new Error(`block ${block} is asked for`)
    this.blocks = Math.max(this.blocks, block + 1)
    return this.page(block)!
  }

  truncate(blocks: number): void {
    if (blocks >= this.blocks) return
    this.blocks = blocks
    this.seen = Math.min(this.seen, blocks)
    for (const block of this.own.keys()) if (block >= blocks) this.own.delete(block)
  }

  /** What is in a block; zeros past the end. */
  content(block: number): Uint8Array {
    const own = this.own.get(block)
    if (own !== undefined) return own.bytes
    if (block >= this.seen || this.below === undefined) return ZEROS
    return this.below instanceof LayeredFork ? this.below.content(block) : this.below.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE)
  }
}

interface LayeredRelation extends RelFileLocator {
  forks: (LayeredFork | undefined)[]
}

export class LayeredStore extends MemoryTransactionStore implements ReplayStore {
  watcher: PageWatcher | undefined
  /** What was made, cut or removed, as `spc/db/rel`, `spc/db` or `spc`; indexes that became known, too. */
  readonly restructured = new Set<string>()
  /** The relations of this layer; undefined for one that was dropped in it. */
  readonly own = new Map<string, LayeredRelation | undefined>()
  private readonly disowned: Set<string>
  private readonly directories: Set<string>
  private readonly maps: Map<string, Uint8Array>
  private readonly below: LayeredStore | undefined

  private constructor(major: PgMajor, slrus: MemoryTransactionStore, below?: LayeredStore) {
    super(major, copyOf(slrus.clog), copyOf(slrus.multiOffsets), copyOf(slrus.multiMembers))
    for (const [name, bytes] of slrus.prepared) this.prepared.set(name, bytes)
    this.below = below
    this.disowned = new Set(below?.disowned)
    this.directories = new Set(below?.directories)
    this.maps = new Map(below?.maps)
  }

  /** The store of a data directory: its indexes are disowned, its free space maps left out. */
  static read(dataDir: string, major: number): LayeredStore {
    const store = new LayeredStore(major as PgMajor, readTransactionStore(dataDir, major))
    for (const { dir, spcOid, dbOid } of databaseDirectories(dataDir)) {
      store.directories.add(`${spcOid}/${dbOid}`)
      const map = join(dir, 'pg_filenode.map')
      if (existsSync(map)) store.maps.set(`${spcOid}/${dbOid}`, new Uint8Array(readFileSync(map)))
    }
    for (const file of relationFiles(dataDir)) {
      if (file.fork === FSM_FORK) continue
      const key = relationKey(file)
      const bytes = new Uint8Array(Buffer.concat(file.paths.map((path) => readFileSync(path))))
      if (file.fork === MAIN_FORK && bytes.length >= BLOCK_SIZE && isIndexFilePage(bytes, 0)) store.disowned.add(key)
      const relation = store.own.get(key) ?? { spcOid: file.spcOid, dbOid: file.dbOid, relNumber: file.relNumber, forks: [] }
      relation.forks[file.fork] = new LayeredFork(store, key, file.fork, bytes)
      store.own.set(key, relation)
    }
    for (const key of store.disowned) store.own.delete(key)
    return store
  }

  /** A layer on top of this one, which must not change from here on. */
  layer(): LayeredStore {
    return new LayeredStore(this.major, this, this)
  }

  beginRecord(): void {}

  endRecord(): void {}

  fork(spcOid: number, dbOid: number, relNumber: number, fork: number): LayeredFork | undefined {
    const key = `${spcOid}/${dbOid}/${relNumber}`
    if (this.disowned.has(key)) return undefined
    let relation = this.relation(key)
    if (relation === undefined) {
      this.own.set(key, relation = { spcOid, dbOid, relNumber, forks: [] })
      this.directories.add(`${spcOid}/${dbOid}`)
    }
    return relation.forks[fork] ??= new LayeredFork(this, key, fork)
  }

  /** Its forks as this layer has them; undefined if there is no such relation. */
  relation(key: string): LayeredRelation | undefined {
    if (this.own.has(key)) return this.own.get(key)
    const below = this.below?.relation(key)
    if (below === undefined) return undefined
    const relation = { ...below, forks: below.forks.map((fork, n) => fork && new LayeredFork(this, key, n, fork)) }
    this.own.set(key, relation)
    return relation
  }

  /** As {@link relation}, without a copy in this layer. */
  look(key: string): LayeredRelation | undefined {
    return this.own.has(key) ? this.own.get(key) : this.below?.look(key)
  }

  /** Every block that this layer holds, changed or only looked at. */
  *touched(): Iterable<[key: string, fork: number, block: number]> {
    for (const [key, relation] of this.own) {
      for (const [fork, layered] of (relation?.forks ?? []).entries()) for (const block of layered?.own.keys() ?? []) yield [key, fork, block]
    }
  }

  exists(locator: RelFileLocator, fork: number): boolean {
    return this.relation(relationKey(locator))?.forks[fork] !== undefined
  }

  disown(locator: RelFileLocator): void {
    const key = relationKey(locator)
    if (this.disowned.has(key)) return
    this.restructured.add(key)
    this.own.set(key, undefined)
    this.disowned.add(key)
  }

  create(locator: RelFileLocator, fork: number): void {
    this.restructured.add(relationKey(locator))
    this.fork(locator.spcOid, locator.dbOid, locator.relNumber, fork)
  }

  truncate(locator: RelFileLocator, fork: number, blocks: number): void {
    this.restructured.add(relationKey(locator))
    this.relation(relationKey(locator))?.forks[fork]?.truncate(blocks)
  }

  drop(locator: RelFileLocator): void {
    const key = relationKey(locator)
    this.restructured.add(key)
    this.own.set(key, undefined)
    this.disowned.delete(key)
  }

  directoryExists({ spcOid, dbOid }: DatabaseDirectory): boolean {
    return this.directories.has(`${spcOid}/${dbOid}`)
  }

  copyDatabase(from: DatabaseDirectory, to: DatabaseDirectory): void {
    this.dropDatabase(to)
    this.createDatabase(to)
    for (const key of this.keys(`${from.spcOid}/${from.dbOid}/`)) {
      const relation = this.relation(key)
      const copy = `${to.spcOid}/${to.dbOid}/${key.split('/')[2]}`
      if (this.disowned.has(key)) this.disowned.add(copy)
      if (relation === undefined) continue
      this.own.set(copy, { ...relation, ...to, forks: relation.forks.map((fork, n) => fork && new LayeredFork(this, copy, n, snapshotOf(fork))) })
    }
    const map = this.maps.get(`${from.spcOid}/${from.dbOid}`)
    if (map !== undefined) this.maps.set(`${to.spcOid}/${to.dbOid}`, map)
  }

  createDatabase({ spcOid, dbOid }: DatabaseDirectory): void {
    this.restructured.add(`${spcOid}/${dbOid}`)
    this.directories.add(`${spcOid}/${dbOid}`)
  }

  dropDatabase({ spcOid, dbOid }: DatabaseDirectory): void {
    this.restructured.add(`${spcOid}/${dbOid}`)
    this.directories.delete(`${spcOid}/${dbOid}`)
    this.maps.delete(`${spcOid}/${dbOid}`)
    this.remove(`${spcOid}/${dbOid}/`)
  }

  createTablespace(oid: number): void {
    this.restructured.add(String(oid))
  }

  dropTablespace(oid: number): void {
    this.restructured.add(String(oid))
    this.remove(`${oid}/`)
    for (const key of this.directories) if (key.startsWith(`${oid}/`)) this.directories.delete(key)
  }

  writeRelationMap({ spcOid, dbOid }: DatabaseDirectory, bytes: Uint8Array): void {
    this.restructured.add(`map ${spcOid}/${dbOid}`)
    this.maps.set(`${spcOid}/${dbOid}`, bytes.slice())
  }

  private remove(prefix: string): void {
    for (const key of this.keys(prefix)) {
      this.own.set(key, undefined)
      this.disowned.delete(key)
    }
  }

  /** The keys of all layers. */
  private keys(prefix: string): Set<string> {
    const keys = this.below?.keys(prefix) ?? new Set<string>()
    for (const key of [...this.own.keys(), ...this.disowned]) if (key.startsWith(prefix)) keys.add(key)
    return keys
  }
}

/** The fork as it is now: the original may change. */
function snapshotOf(fork: LayeredFork): Uint8Array {
  const bytes = new Uint8Array(fork.blocks * BLOCK_SIZE)
  for (let block = 0; block < fork.blocks; block++) bytes.set(fork.content(block), block * BLOCK_SIZE)
  return bytes
}

function copyOf(slru: MemorySlru): MemorySlru {
  const copy = new MemorySlru()
  for (const [n, page] of slru.pages) copy.pages.set(n, page.slice())
  return copy
}
