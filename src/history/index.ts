/** Row versions of a table over a range of WAL. Pure; no I/O. */
export { type Life, LifeJudge, type Moment, type TableFile, type VersionState } from './versionlife.ts'
export { TransactionEnds } from './transactionends.ts'
export type { FollowedFile, KnownStatus, RemovedVersion } from './versionhistory.ts'
