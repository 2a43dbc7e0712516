import type { RelFileLocator } from '../common/rel.ts'
import type { BlockReference } from '../wal/record.ts'
import type { RedoFork, RedoStore } from './store.ts'

/** Number of cache slots: enough for the relations that a workload changes in turn to have a slot each. */
const SLOTS = 1024

class ForkSlot {
  spcOid = -1
  dbOid = 0
  relNumber = 0
  fork = 0
  found: RedoFork | undefined = undefined
}

/** A cache of the store's forks by block reference: a record costs a few comparisons and no search. Postgres has its SMgrRelation hash (smgr.c). */
export class Relations {
  private readonly store: RedoStore
  private readonly slots = Array.from({ length: SLOTS }, () => new ForkSlot())
  private readonly indexes = Array.from({ length: SLOTS }, () => new ForkSlot())

  constructor(store: RedoStore) {
    this.store = store
  }

  /** As {@link RedoStore.fork}. */
  fork({ spcOid, dbOid, relNumber }: RelFileLocator, fork: number): RedoFork | undefined {
    const slot = this.slots[(relNumber * 4 + fork) & (SLOTS - 1)]!
    if (slot.relNumber === relNumber && slot.fork === fork && slot.dbOid === dbOid && slot.spcOid === spcOid) return slot.found
    const found = this.store.fork(spcOid, dbOid, relNumber, fork)
    slot.spcOid = spcOid
    slot.dbOid = dbOid
    slot.relNumber = relNumber
    slot.fork = fork
    slot.found = found
    return found
  }

  /** Tells the store, once, that the relation of this block is an index. */
  disown({ spcOid, dbOid, relNumber }: BlockReference): void {
    const slot = this.indexes[relNumber & (SLOTS - 1)]!
    if (slot.relNumber === relNumber && slot.dbOid === dbOid && slot.spcOid === spcOid) return
    this.store.disown({ spcOid, dbOid, relNumber })
    // The store forgets the index's pages, so a fork that this cache found before must not be used again.
    for (let fork = 0; fork < 4; fork++) this.slots[(relNumber * 4 + fork) & (SLOTS - 1)]!.spcOid = -1
    slot.spcOid = spcOid
    slot.dbOid = dbOid
    slot.relNumber = relNumber
  }

  /** Empties the cache: a record created or dropped relations, and a file number may now mean another file. */
  forget(): void {
    for (let i = 0; i < SLOTS; i++) this.slots[i]!.spcOid = this.indexes[i]!.spcOid = -1
  }
}
