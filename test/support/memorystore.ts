/** A RedoStore in memory, seeded from a data directory: for tests and benches of redo. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BLOCK_SIZE, DEFAULT_TABLESPACE, GLOBAL_TABLESPACE, type RelFileLocator } from '../../src/common/rel.ts'
import type { DatabaseDirectory } from '../../src/common/relpath.ts'
import type { RedoFork, RedoPage, RedoStore } from '../../src/redo/store.ts'
import { FSM_FORK, INIT_FORK, MAIN_FORK, VISIBILITYMAP_FORK } from '../../src/common/relpath.ts'

export const FORK_SUFFIXES: Readonly<Record<number, string>> = { [MAIN_FORK]: '', [FSM_FORK]: '_fsm', [VISIBILITYMAP_FORK]: '_vm', [INIT_FORK]: '_init' }

export class MemoryPage implements RedoPage {
  readonly words: Int32Array
  dirty = false

  /** @param arena the page is at `start` in it; else it has memory of its own */
  constructor(source?: Uint8Array, arena = new ArrayBuffer(BLOCK_SIZE), start = 0) {
    this.words = new Int32Array(arena, start, BLOCK_SIZE / 4)
    if (source !== undefined) this.bytes.set(source)
  }

  // Views that redo hardly needs: made anew, so that a hundred thousand pages take less of the processor's caches.
  get bytes(): Uint8Array {
    return new Uint8Array(this.words.buffer, this.words.byteOffset, BLOCK_SIZE)
  }

  get halves(): Uint16Array {
    return new Uint16Array(this.words.buffer, this.words.byteOffset, BLOCK_SIZE / 2)
  }
}

/** Pages lie side by side in pieces of memory that grow with the fork up to so many pages. */
const ARENA_PAGES_MAX = 4096

export class MemoryFork implements RedoFork {
  readonly pages: MemoryPage[] = []
  private arena = new ArrayBuffer(0)
  private used = 0

  get blocks(): number {
    return this.pages.length
  }

  page(block: number): MemoryPage | undefined {
    return this.pages[block]
  }

  extend(block: number): MemoryPage {
    while (this.pages.length <= block) this.append()
    return this.pages[block]!
  }

  /** Adds a page: a copy of `source`, or zeros. */
  append(source?: Uint8Array): void {
    if (this.used === this.arena.byteLength) {
      this.arena = new ArrayBuffer(BLOCK_SIZE * Math.min(ARENA_PAGES_MAX, 1 + this.pages.length))
      this.used = 0
    }
    this.pages.push(new MemoryPage(source, this.arena, this.used))
    this.used += BLOCK_SIZE
  }
}

interface MemoryRelation extends RelFileLocator {
  forks: (MemoryFork | undefined)[]
}

export class MemoryStore implements RedoStore {
  /** By {@link relationKey}. */
  readonly relations = new Map<string, MemoryRelation>()
  readonly disowned = new Set<string>()
  readonly maps = new Map<string, Uint8Array>()
  /** `spc/db` of directories that exist: made, copied, or something was put into them. */
  readonly directories = new Set<string>()

  fork(spcOid: number, dbOid: number, relNumber: number, fork: number): MemoryFork | undefined {
    const key = `${spcOid}/${dbOid}/${relNumber}`
    if (this.disowned.has(key)) return undefined
    let relation = this.relations.get(key)
    if (relation === undefined) {
      this.relations.set(key, relation = { spcOid, dbOid, relNumber, forks: [] })
      this.directories.add(`${spcOid}/${dbOid}`)
    }
    return relation.forks[fork] ??= new MemoryFork()
  }

  exists(locator: RelFileLocator, fork: number): boolean {
    return this.relations.get(relationKey(locator))?.forks[fork] !== undefined
  }

  disown(locator: RelFileLocator): void {
    this.relations.delete(relationKey(locator))
    this.disowned.add(relationKey(locator))
  }

  create({ spcOid, dbOid, relNumber }: RelFileLocator, fork: number): void {
    this.fork(spcOid, dbOid, relNumber, fork)
  }

  truncate(locator: RelFileLocator, fork: number, blocks: number): void {
    const pages = this.relations.get(relationKey(locator))?.forks[fork]?.pages
    if (pages !== undefined && pages.length > blocks) pages.length = blocks
  }

  drop(locator: RelFileLocator): void {
    this.relations.delete(relationKey(locator))
    this.disowned.delete(relationKey(locator))
  }

  directoryExists({ spcOid, dbOid }: DatabaseDirectory): boolean {
    return this.directories.has(`${spcOid}/${dbOid}`)
  }

  copyDatabase(from: DatabaseDirectory, to: DatabaseDirectory): void {
    this.dropDatabase(to)
    this.createDatabase(to)
    for (const relation of Array.from(this.relations.values())) {
      if (relation.dbOid !== from.dbOid || relation.spcOid !== from.spcOid) continue
      const forks = relation.forks.map((fork) => {
        const copy = new MemoryFork()
        for (const page of fork?.pages ?? []) copy.append(page.bytes)
        return fork && copy
      })
      const copy = { ...to, relNumber: relation.relNumber, forks }
      this.relations.set(relationKey(copy), copy)
    }
    for (const key of Array.from(this.disowned)) {
      const prefix = `${from.spcOid}/${from.dbOid}/`
      if (key.startsWith(prefix)) this.disowned.add(`${to.spcOid}/${to.dbOid}/${key.slice(prefix.length)}`)
    }
    const map = this.maps.get(`${from.spcOid}/${from.dbOid}`)
    if (map !== undefined) this.maps.set(`${to.spcOid}/${to.dbOid}`, map)
  }

  createDatabase({ spcOid, dbOid }: DatabaseDirectory): void {
    this.directories.add(`${spcOid}/${dbOid}`)
  }

  dropDatabase({ spcOid, dbOid }: DatabaseDirectory): void {
    this.directories.delete(`${spcOid}/${dbOid}`)
    this.maps.delete(`${spcOid}/${dbOid}`)
    for (const [key, relation] of this.relations) if (relation.dbOid === dbOid && relation.spcOid === spcOid) this.relations.delete(key)
    for (const key of this.disowned) if (key.startsWith(`${spcOid}/${dbOid}/`)) this.disowned.delete(key)
  }

  createTablespace(): void {}

  dropTablespace(oid: number): void {
    for (const [key, relation] of this.relations) if (relation.spcOid === oid) this.relations.delete(key)
    for (const key of this.directories) if (key.startsWith(`${oid}/`)) this.directories.delete(key)
  }

  writeRelationMap({ spcOid, dbOid }: DatabaseDirectory, bytes: Uint8Array): void {
    this.maps.set(`${spcOid}/${dbOid}`, bytes)
  }

  endRecord(): void {}
}

export function relationKey({ spcOid, dbOid, relNumber }: RelFileLocator): string {
  return `${spcOid}/${dbOid}/${relNumber}`
}

export interface RelationFile extends RelFileLocator {
  fork: number
  /** Segment files in order, absolute paths. */
  paths: string[]
}

/** All relation files of a data directory, of all tablespaces; temporary ones left out. */
export function relationFiles(dataDir: string): RelationFile[] {
  const files = new Map<string, RelationFile>()
  const scan = (dir: string, spcOid: number, dbOid: number): void => {
    const names = readdirSync(dir)
    for (const name of names) {
      const match = /^(\d+)(?:_(fsm|vm|init))?(?:\.(\d+))?$/.exec(name)
      if (match === null) continue
      const fork = { '': MAIN_FORK, fsm: FSM_FORK, vm: VISIBILITYMAP_FORK, init: INIT_FORK }[match[2] ?? '']!
      const key = `${spcOid}/${dbOid}/${match[1]}/${fork}`
      const file = files.get(key) ?? { spcOid, dbOid, relNumber: Number(match[1]), fork, paths: [] }
      file.paths[Number(match[3] ?? 0)] = join(dir, name)
      files.set(key, file)
    }
  }
  for (const { dir, spcOid, dbOid } of databaseDirectories(dataDir)) scan(dir, spcOid, dbOid)
  return [...files.values()]
}

/** Directories of databases, and `global` as database 0. */
export function databaseDirectories(dataDir: string): { dir: string; spcOid: number; dbOid: number }[] {
  const found = [{ dir: join(dataDir, 'global'), spcOid: GLOBAL_TABLESPACE, dbOid: 0 }]
  const scan = (dir: string, spcOid: number): void => {
    for (const name of readdirSync(dir)) if (/^\d+$/.test(name)) found.push({ dir: join(dir, name), spcOid, dbOid: Number(name) })
  }
  scan(join(dataDir, 'base'), DEFAULT_TABLESPACE)
  for (const name of readdirSync(join(dataDir, 'pg_tblspc'))) {
    const link = join(dataDir, 'pg_tblspc', name)
    if (!existsSync(link) || !statSync(link).isDirectory()) continue
    for (const version of readdirSync(link)) if (version.startsWith('PG_')) scan(join(link, version), Number(name))
  }
  return found
}

/** True for a page that heaps and sequences do not have. */
export function isIndexFilePage(page: Uint8Array, block: number): boolean {
  const view = new DataView(page.buffer, page.byteOffset, BLOCK_SIZE)
  const special = view.getUint16(16, true)
  if (view.getUint16(14, true) === 0 || special === BLOCK_SIZE) return false
  return !(special === BLOCK_SIZE - 8 && block === 0 && view.getUint32(special, true) === 0x1717)
}

/** Every relation of a data directory that redo keeps: indexes are disowned, free space maps left out. */
export function loadDataDir(dataDir: string, store = new MemoryStore()): MemoryStore {
  for (const { dir, spcOid, dbOid } of databaseDirectories(dataDir)) {
    store.createDatabase({ spcOid, dbOid })
    const map = join(dir, 'pg_filenode.map')
    if (existsSync(map)) store.writeRelationMap({ spcOid, dbOid }, new Uint8Array(readFileSync(map)))
  }
  for (const file of relationFiles(dataDir)) {
    if (file.fork === FSM_FORK) continue
    const bytes = new Uint8Array(Buffer.concat(file.paths.map((path) => readFileSync(path))))
    const pages = Math.floor(bytes.length / BLOCK_SIZE)
    const isIndex = file.fork === MAIN_FORK && pages > 0 &&
      Array.from({ length: pages }, (_, block) => isIndexFilePage(bytes.subarray(block * BLOCK_SIZE), block)).some((index) => index)
    if (isIndex) store.disown(file)
    const fork = store.fork(file.spcOid, file.dbOid, file.relNumber, file.fork)
    for (let block = 0; fork !== undefined && block < pages; block++) {
      fork.append(bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE))
    }
  }
  return store
}
