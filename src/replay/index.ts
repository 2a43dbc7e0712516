/** Moves pages and transaction status along the WAL. Pure; storage comes through ports. */
export * from './replay.ts'
export type { Ancestor } from './timelines.ts'
