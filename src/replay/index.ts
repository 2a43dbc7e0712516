/** Moves pages and transaction status along the WAL. Pure; storage comes through ports. */
export { type Consistency, Replay, type ReplayOptions, type ReplayProgress, type ReplayStore, type ReplayTarget } from './replay.ts'
export { type MemoryRelation, MemoryReplayStore } from './memoryreplaystore.ts'
export { MemoryTransactionStore } from './memorytransactionstore.ts'
export { MemorySlru } from './memoryslru.ts'
export { MemoryFork, MemoryPage } from './memoryfork.ts'
export { formatProgress, parseProgress, shutdownProgress, type ShutdownPoint } from './progress.ts'
export type { Ancestor } from './timelines.ts'
