/** Row versions of a table over a range of WAL. Pure; no I/O. */
export { type Life, LifeJudge, type Moment, type VersionState } from './historyrow.ts'
