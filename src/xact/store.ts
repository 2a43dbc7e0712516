import type { Xid } from '../common/ids.ts'
import type { SlruPages } from './slru.ts'

/** An SLRU that replay changes: a port. */
export interface SlruStore extends SlruPages {
  /** Page `n`, to be changed in place, until the record is done; made of zeros if it is not there. */
  change(n: number): Uint8Array
  /** Page `n` becomes zeros. */
  zero(n: number): void
  /** Numbers of the segments (files of 32 pages) that have a page, in any order. The caller decides which of them are old. */
  segments(): Iterable<number>
  /** Removes all pages of a segment. A segment that does not exist is no error. */
  dropSegment(segment: number): void
}

/** Where the state of transactions is kept: pg_xact, pg_multixact and pg_twophase. A port. */
export interface TransactionStore {
  readonly clog: SlruStore
  readonly multiOffsets: SlruStore
  readonly multiMembers: SlruStore
  /** A prepared transaction's state file, CRC included. `epoch` is the high half of its full xid, part of the file's name since 17. */
  savePrepared(xid: Xid, bytes: Uint8Array, epoch: number): void
  /** Removes the state file. A file that does not exist is no error. */
  removePrepared(xid: Xid, epoch: number): void
}
