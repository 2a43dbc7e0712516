import type { Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { TransactionStore } from '../xact/store.ts'
import { twoPhaseFileName } from '../xact/twophase.ts'
import { MemorySlru } from './memoryslru.ts'

/** The state of transactions in memory. */
export class MemoryTransactionStore implements TransactionStore {
  readonly clog: MemorySlru
  readonly multiOffsets: MemorySlru
  readonly multiMembers: MemorySlru
  /** State files of pg_twophase by name. */
  readonly prepared: Map<string, Uint8Array> = new Map()
  readonly major: PgMajor

  constructor(major: PgMajor, clog: MemorySlru = new MemorySlru(), multiOffsets: MemorySlru = new MemorySlru(), multiMembers: MemorySlru = new MemorySlru()) {
    this.major = major
    this.clog = clog
    this.multiOffsets = multiOffsets
    this.multiMembers = multiMembers
  }

  savePrepared(xid: Xid, bytes: Uint8Array, epoch: number): void {
    this.prepared.set(twoPhaseFileName(xid, epoch, this.major), bytes.slice())
  }

  removePrepared(xid: Xid, epoch: number): void {
    this.prepared.delete(twoPhaseFileName(xid, epoch, this.major))
  }
}
