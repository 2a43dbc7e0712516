import type { RelFileLocator } from '../common/rel.ts'
import type { BlockReference } from '../wal/record.ts'
import type { RedoFork, RedoStore } from './store.ts'

/** Slots of the caches: relations that a workload changes alternately do not push each other out. */
const SLOTS = 1024

class ForkSlot {
  spcOid = -1
  dbOid = 0
  relNumber = 0
  fork = 0
  found: RedoFork | undefined = undefined
}

/** Forks of the store by block reference, remembered: a record costs a few comparisons, not a search. */
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

  /** The relation of this block is an index: the store is told, once. */
  disown({ spcOid, dbOid, relNumber }: BlockReference): void {
    const slot = this.indexes[relNumber & (SLOTS - 1)]!
    if (slot.relNumber === relNumber && slot.dbOid === dbOid && slot.spcOid === spcOid) return
    this.store.disown({ spcOid, dbOid, relNumber })
    for (let fork = 0; fork < 4; fork++) this.slots[(relNumber * 4 + fork) & (SLOTS - 1)]!.spcOid = -1
    slot.spcOid = spcOid
    slot.dbOid = dbOid
    slot.relNumber = relNumber
  }

  /** Relations were created or dropped: all that is remembered may be wrong. */
  forget(): void {
    for (let i = 0; i < SLOTS; i++) this.slots[i]!.spcOid = this.indexes[i]!.spcOid = -1
  }
}
