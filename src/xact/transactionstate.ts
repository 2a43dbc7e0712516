import * as v from 'valibot'
import { type Oid, type Xid, xidPrecedes } from '../common/ids.ts'
import { flag, integer, matching, type Schema, unsigned32 } from '../common/validate.ts'
import { transactionOutcome } from './clog.ts'
import type { OffsetsPages } from './multixactlog.ts'
import { REPLICATION_ORIGINS, type ReplicationOrigin } from './replicationorigins.ts'
import type { SlruPages } from './slru.ts'
import { PREPARED_TRANSACTION, type PreparedTransaction } from './twophase.ts'

/** A 64-bit xid in two halves. */
export interface FullXid {
  low: Xid
  epoch: number
}

/** What replay of transactions knows beside the SLRUs: the counters of varsup.c and multixact.c, and pg_twophase. Plain data, for JSON. */
export interface TransactionState extends OffsetsPages {
  timeline: number
  nextXid: FullXid
  nextOid: Oid
  nextMulti: number
  nextMultiOffset: number
  oldestXid: Xid
  /** From here on CLOG has every status. A CLOG_TRUNCATE record moves it past {@link oldestXid} until the next checkpoint. */
  oldestClogXid: Xid
  oldestMulti: number
  /**
   * A transaction before this xid that CLOG leaves open, and that is not prepared, is dead: its server went down. A transaction from here on may
   * still be running.
   */
  unresolvedFrom: FullXid
  /** Prepared transactions, in the order of their PREPARE. */
  prepared: PreparedTransaction[]
  /** How far logical replication has come from each origin; absent where it was not known at the start, and is not kept then. */
  origins?: ReplicationOrigin[]
  /** Pages that were missing and that redo created, `clog 12`. A truncation before the point of consistency must explain each. */
  missingPages: string[]
  consistent: boolean
}

const FULL_XID = v.strictObject({ low: unsigned32, epoch: unsigned32 })
const OFFSETS_PAGE = integer(-1, 0xffffffff)

/** The check of a TransactionState that was stored as JSON. */
export const TRANSACTION_STATE: Schema<TransactionState> = v.strictObject({
  timeline: integer(1, 0xffffffff), nextXid: FULL_XID, nextOid: unsigned32, nextMulti: unsigned32, nextMultiOffset: unsigned32, oldestXid: unsigned32,
  oldestClogXid: unsigned32, oldestMulti: unsigned32, unresolvedFrom: FULL_XID, prepared: v.array(PREPARED_TRANSACTION),
  origins: v.exactOptional(REPLICATION_ORIGINS),
  missingPages: v.array(matching(/^[a-z ]{1,40} \d{1,10}$/, 'the name of a page')), consistent: flag,
  lastOffsetsPage: OFFSETS_PAGE, aheadOffsetsPage: OFFSETS_PAGE,
})

/**
 * What a checkpoint says of transactions: from its record, or from pg_control. A base backup needs the record at backup_label's CHECKPOINT
 * LOCATION, because its pg_control may be of a later checkpoint.
 */
export interface StartPoint {
  timeline: number
  nextXid: FullXid
  nextOid: Oid
  nextMulti: number
  nextMultiOffset: number
  oldestXid: Xid
  oldestMulti: number
  /** 0 at a shutdown checkpoint, where nothing runs (and at an online one of wal_level minimal, which is refused elsewhere). */
  oldestActiveXid: Xid
}

/**
 * The state at a checkpoint.
 * @param prepared the state files in pg_twophase. A file may be stale (its transaction has ended), or newer than the checkpoint in a base backup
 * @param origins what pg_logical/replorigin_checkpoint has; undefined if that is not known
 */
export function startState(
  from: StartPoint, prepared: readonly PreparedTransaction[], clog: SlruPages, origins?: readonly ReplicationOrigin[],
): TransactionState {
  const { timeline, nextXid, nextOid, nextMulti, nextMultiOffset, oldestXid, oldestMulti, oldestActiveXid } = from
  return {
    timeline, nextXid: { ...nextXid }, nextOid, nextMulti, nextMultiOffset, oldestXid, oldestClogXid: oldestXid, oldestMulti,
    unresolvedFrom: oldestActiveXid === 0 ? { ...nextXid } : widenXid(oldestActiveXid, nextXid),
    prepared: prepared.filter(({ xid }) => xidPrecedes(xid, nextXid.low) && !hasEnded(clog, xid)),
    ...origins !== undefined && { origins: origins.map((origin) => ({ ...origin })) },
    missingPages: [], consistent: false, lastOffsetsPage: -1, aheadOffsetsPage: -1,
  }
}

/** The test of ProcessTwoPhaseBuffer (twophase.c) for a stale state file: CLOG says that its transaction has ended. */
function hasEnded(clog: SlruPages, xid: Xid): boolean {
  return transactionOutcome(clog, xid) !== 'open'
}

/** Prepared transactions and their subtransactions, for a snapshot. */
export function preparedXidsOf({ prepared }: Pick<TransactionState, 'prepared'>): Set<Xid> {
  return new Set(prepared.flatMap(({ xid, subxacts }) => [xid, ...subxacts]))
}

/** The full xid of an xid that was assigned before `next`, less than 2^32 xids ago. */
export function widenXid(xid: Xid, next: FullXid): FullXid {
  return { low: xid, epoch: xid > next.low ? next.epoch - 1 : next.epoch }
}

/** A full xid as one number: exact below 2^53, which takes 2 million wraps. */
export function fullXidNumber(xid: Xid, next: FullXid): number {
  return (xid > next.low ? next.epoch - 1 : next.epoch) * 0x100000000 + xid
}
