import type { Lsn, Oid, Xid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { RelFileLocator } from '../common/rel.ts'
import type { PageSource } from '../page/pagesource.ts'
import type { SlruPages } from '../xact/slru.ts'
import { type FullXid, preparedXidsOf, type TransactionState } from '../xact/transactionstate.ts'

/** What never changes within a cluster (pg_control). */
export interface ClusterIdentity {
  systemIdentifier: bigint
  major: PgMajor
  /** catalog_version_no, which is in the paths of tablespaces. */
  catalogVersion: number
  /** data_checksum_version: pages carry checksums. */
  checksums: boolean
  /** blcksz; ltap reads 8192. */
  blockSize: number
}

/** Which transactions have ended at the LSN: what a snapshot needs beside pg_xact and pg_multixact. */
export interface ClusterTransactions {
  nextXid: FullXid
  /** CLOG has every status from here on. */
  oldestXid: Xid
  /** Transactions from this one on that CLOG leaves open may still be running; nextXid in a cluster that was shut down. */
  unresolvedFrom: FullXid
  oldestMulti: number
  nextMulti: number
  nextMultiOffset: number
  /** Prepared transactions and their subtransactions. */
  prepared: ReadonlySet<Xid>
}

/** The transactions of a replay, at the end of its last record. */
export function transactionsOf(state: TransactionState): ClusterTransactions {
  const { nextXid, oldestClogXid, unresolvedFrom, oldestMulti, nextMulti, nextMultiOffset } = state
  return { nextXid, oldestXid: oldestClogXid, unresolvedFrom, oldestMulti, nextMulti, nextMultiOffset, prepared: preparedXidsOf(state) }
}

/**
 * A cluster at one LSN, to be read: a port, since it may be a data directory, a page store or memory. Nothing here creates anything.
 * Cluster (cluster.ts) makes databases, relations and a snapshot of it, and reads synchronously, so the pages of its forks must be at hand; of
 * one whose pages have to be prepared, loadCluster (loadcluster.ts) makes it.
 */
export interface ClusterSource {
  readonly identity: ClusterIdentity
  /** End of the last record that is in the pages. */
  readonly lsn: Lsn
  readonly timeline: number
  readonly transactions: ClusterTransactions
  /** pg_xact, pg_multixact/offsets and pg_multixact/members. */
  readonly clog: SlruPages
  readonly multiOffsets: SlruPages
  readonly multiMembers: SlruPages
  /**
   * pg_filenode.map of a database in its default tablespace; the shared one has dbOid 0 in pg_global.
   * @throws EnvironmentError file.missing without such a file
   */
  relationMap(spcOid: Oid, dbOid: Oid): Uint8Array
  /** The relation has a main fork. */
  exists(locator: RelFileLocator): boolean
  /**
   * The pages of a fork (ForkNumber, relpath.h); undefined if the relation has none. Close it.
   * @throws CorruptionError relation.*
   */
  fork(locator: RelFileLocator, fork: number): PageSource | undefined
  /** What error messages call the folder of a database in a tablespace, and where its relations are: a path. */
  folder(spcOid: Oid, dbOid: Oid): string
  /** Oids of the databases that have a folder in pg_default, whether or not pg_database has them. */
  databaseOids(): Iterable<Oid>
  /** File numbers of the relations in a folder that have a main fork. */
  relNumbers(spcOid: Oid, dbOid: Oid): Iterable<number>
}
