/** WAL records onto pages: what recovery does, for heaps, sequences and visibility maps. Pure; pages come from a store. */
export * from './mask.ts'
export * from './redo.ts'
export * from './store.ts'
export type { RedoObserver } from './buffers.ts'
