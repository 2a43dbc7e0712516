/** Commit status, multixacts, visibility, and their replay from WAL. Pure; no I/O. */
export { TRANSACTION_STATUS_ABORTED, TRANSACTION_STATUS_COMMITTED, transactionStatus } from './clog.ts'
export { CommitLog, type TransactionEnd } from './commitlog.ts'
export { type MultiXactMember, type MultiXactStatus, MultiXacts, type MultiXactSources } from './multixact.ts'
export { formatOrigins, parseOrigins, type ReplicationOrigin } from './replicationorigins.ts'
export type { SlruPages } from './slru.ts'
export type { SlruStore, TransactionStore } from './store.ts'
export { TransactionLog, type TransactionObserver } from './transactionlog.ts'
export {
  type FullXid, fullXidNumber, preparedXidsOf, type StartPoint, startState, type TransactionState, widenXid,
} from './transactionstate.ts'
export { parseTwoPhaseFile, type PreparedTransaction, twoPhaseFileName } from './twophase.ts'
export { Snapshot, type SnapshotSources, type UnknownTransactions, type XidStatus, type XmaxStatus, type XminStatus } from './snapshot.ts'
export type { OffsetsPages } from './multixactlog.ts'
export type { TupleState } from './tuplestate.ts'
