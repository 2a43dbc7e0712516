/** Commit status, multixacts, visibility at the end of a clean cluster. Pure; no I/O. */
export * from './clog.ts'
export * from './multixact.ts'
export type { SlruPages } from './slru.ts'
export * from './visibility.ts'
