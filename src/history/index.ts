/** Row versions of a table over a range of WAL. Pure; no I/O. */
export type { Life, Moment, VersionState } from './historyrow.ts'
