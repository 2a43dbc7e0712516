/** WAL records onto pages: what recovery does, for heaps, sequences and visibility maps. Pure; pages come from a store. */
export { maskHeapPage, maskSequencePage } from './mask.ts'
export { Redo, type RedoSettings, type RedoState } from './redo.ts'
export type { RedoFork, RedoPage, RedoStore } from './store.ts'
export type { RedoObserver } from './buffers.ts'
export type { InvalidPage } from './invalidpages.ts'
