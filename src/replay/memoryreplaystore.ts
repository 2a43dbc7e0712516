import type { Oid, WalPosition } from '../common/ids.ts'
import { GLOBAL_TABLESPACE, type RelFileLocator } from '../common/rel.ts'
import { type DatabaseDirectory, FSM_FORK, INIT_FORK, MAIN_FORK } from '../common/relpath.ts'
import type { PageSource } from '../page/pagesource.ts'
import { MemoryFork } from './memoryfork.ts'
import { MemoryTransactionStore } from './memorytransactionstore.ts'
import { type CopiedFork, StoredPages } from './pagestore/storedpages.ts'
import type { ReplayStore } from './replay.ts'

/** The forks of a relation in memory. */
export interface MemoryRelation extends RelFileLocator {
  /** By fork number. */
  forks: (MemoryFork | undefined)[]
}

/**
 * A cluster in memory that replay moves along the WAL: for tests, for small clusters, and as the shortest description of what a ReplayStore
 * does. It keeps what a page store keeps, and nothing is durable.
 */
export class MemoryReplayStore extends MemoryTransactionStore implements ReplayStore {
  /** By {@link relationKey}. */
  readonly relations: Map<string, MemoryRelation> = new Map()
  /** Indexes, by {@link relationKey}. */
  readonly disowned: Set<string> = new Set()
  /** pg_filenode.map by `spc/db`. */
  readonly maps: Map<string, Uint8Array> = new Map()
  /** `spc/db` of directories that exist: made, copied, or something was put into them. */
  readonly directories: Set<string> = new Set([`${GLOBAL_TABLESPACE}/0`])

  beginRecord(_endLsn: WalPosition): void {
    // A store in memory keeps no list of events.
  }

  endRecord(): void {
    // Pages stay in memory: none is written or reused.
  }

  fork(spcOid: Oid, dbOid: Oid, relNumber: number, fork: number): MemoryFork | undefined {
    const key = `${spcOid}/${dbOid}/${relNumber}`
    if (fork === FSM_FORK || this.disowned.has(key)) return undefined
    let relation = this.relations.get(key)
    if (relation === undefined) {
      this.relations.set(key, relation = { spcOid, dbOid, relNumber, forks: [] })
      this.directories.add(`${spcOid}/${dbOid}`)
    }
    return relation.forks[fork] ??= new MemoryFork()
  }

  /**
   * The pages of a fork, to be read; undefined if the store has no such fork. It creates nothing. What {@link PageSource.prepare} takes is of the last record
   * that was applied, and stays so while replay goes on. The main fork of an unlogged relation is what {@link resetUnlogged} makes of it. Page checksums
   * are those that the pages came with: redo sets none.
   */
  pages({ spcOid, dbOid, relNumber }: RelFileLocator, fork: number): PageSource | undefined {
    const locator = { spcOid, dbOid, relNumber }
    const find = (): CopiedFork | undefined => {
      const forks = this.relations.get(relationKey(locator))?.forks
      const init = fork === MAIN_FORK ? forks?.[INIT_FORK] : undefined
      const found = init?.isChanged() === true ? init : forks?.[fork]
      return found && { blocks: found.blocks, copy: (block, into) => into.set(found.page(block)!.bytes), isDirty: () => false }
    }
    return find() === undefined ? undefined : new StoredPages(locator, fork, find, false)
  }

  exists(locator: RelFileLocator, fork: number): boolean {
    return this.relations.get(relationKey(locator))?.forks[fork] !== undefined
  }

  disown(locator: RelFileLocator): void {
    this.relations.delete(relationKey(locator))
    this.disowned.add(relationKey(locator))
  }

  create(locator: RelFileLocator, fork: number): void {
    // A new relation begins with its main fork, or in the WAL, if it is unlogged, with its init fork. The number was an index's, and is reused.
    if (fork === MAIN_FORK || fork === INIT_FORK) this.disowned.delete(relationKey(locator))
    this.fork(locator.spcOid, locator.dbOid, locator.relNumber, fork)
  }

  truncate(locator: RelFileLocator, fork: number, blocks: number): void {
    this.relations.get(relationKey(locator))?.forks[fork]?.truncate(blocks)
  }

  drop(locator: RelFileLocator): void {
    this.relations.delete(relationKey(locator))
    this.disowned.delete(relationKey(locator))
  }

  directoryExists(directory: DatabaseDirectory): boolean {
    return this.directories.has(directoryKey(directory))
  }

  copyDatabase(from: DatabaseDirectory, to: DatabaseDirectory): void {
    this.dropDatabase(to)
    this.createDatabase(to)
    // A server copies the files after its main forks of unlogged relations were reset; here the copy resets those of the source first.
    this.followInitForks(from)
    for (const relation of Array.from(this.relations.values())) {
      if (directoryKey(relation) !== directoryKey(from)) continue
      const copy = { spcOid: to.spcOid, dbOid: to.dbOid, relNumber: relation.relNumber, forks: relation.forks.map((fork) => fork?.copy()) }
      for (const fork of copy.forks) fork?.settled()
      this.relations.set(relationKey(copy), copy)
    }
    const prefix = `${directoryKey(from)}/`
    for (const key of Array.from(this.disowned)) if (key.startsWith(prefix)) this.disowned.add(`${directoryKey(to)}/${key.slice(prefix.length)}`)
    const map = this.maps.get(directoryKey(from))
    if (map !== undefined) this.maps.set(directoryKey(to), map)
  }

  createDatabase(directory: DatabaseDirectory): void {
    this.directories.add(directoryKey(directory))
  }

  dropDatabase(directory: DatabaseDirectory): void {
    const key = directoryKey(directory)
    this.directories.delete(key)
    this.maps.delete(key)
    for (const [name, relation] of this.relations) if (directoryKey(relation) === key) this.relations.delete(name)
    for (const name of this.disowned) if (name.startsWith(`${key}/`)) this.disowned.delete(name)
  }

  createTablespace(_oid: Oid): void {
    // The directories of the databases in the tablespace say all that replay needs to know of it.
  }

  dropTablespace(oid: Oid): void {
    for (const key of Array.from(this.directories)) {
      const [spcOid, dbOid] = key.split('/').map(Number) as [Oid, Oid]
      if (spcOid === oid) this.dropDatabase({ spcOid, dbOid })
    }
    // This store does not know a folder that only an index was in.
    for (const name of this.disowned) if (name.startsWith(`${oid}/`)) this.disowned.delete(name)
  }

  writeRelationMap({ spcOid, dbOid }: DatabaseDirectory, bytes: Uint8Array): void {
    const key = dbOid === 0 ? `${GLOBAL_TABLESPACE}/0` : `${spcOid}/${dbOid}`
    this.directories.add(key)
    this.maps.set(key, bytes.slice())
  }

  /**
   * What a server does when its recovery ends (ResetUnloggedRelations, reinit.c): the main fork of an unlogged relation becomes its init fork, if that
   * changed since the last call.
   */
  resetUnlogged(): void {
    for (const init of this.followInitForks()) init.settled()
  }

  /** @returns the init forks that changed */
  private followInitForks(directory?: DatabaseDirectory): MemoryFork[] {
    const changed: MemoryFork[] = []
    for (const relation of this.relations.values()) {
      const init = relation.forks[INIT_FORK]
      const elsewhere = directory !== undefined && directoryKey(directory) !== directoryKey(relation)
      if (init === undefined || elsewhere || !init.isChanged()) continue
      relation.forks[MAIN_FORK] = init.copy()
      changed.push(init)
    }
    return changed
  }
}

export function relationKey({ spcOid, dbOid, relNumber }: RelFileLocator): string {
  return `${spcOid}/${dbOid}/${relNumber}`
}

function directoryKey({ spcOid, dbOid }: DatabaseDirectory): string {
  return `${spcOid}/${dbOid}`
}
