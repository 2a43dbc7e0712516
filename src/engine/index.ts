/** A lake that grows: the ports that it is kept through, and what is told over them. Pure; storage, time and chance come through ports. */
export type { Cas, CasOutcome, CasToken, CasValue } from './cas.ts'
export type { Clock } from '../common/clock.ts'
export { type Collected, collectGarbage, reachAll, registeredHeads } from './collect.ts'
export { EtagCas } from './etagcas.ts'
export { Lake, type LakePorts, type ReadHead } from './lake.ts'
export { MemoryObjectStore } from './memoryobjectstore.ts'
export { isKey } from './objectkey.ts'
export type {
  ByteRange, Leftover, ObjectInfo, ObjectStore, ObjectUpload, PutOptions, PutOutcome, RequestKind, StoreCounters, StoredObject,
} from './objectstore.ts'
export type { PageReader } from './pagereader.ts'
export type { CasKind } from '../lake/state/format.ts'
export { openCas, probeCas } from './probecas.ts'
export type { Random } from './random.ts'
export { addReference, createBranch, deleteBranch, jobObjectName, keepStates, type Registered, removeReference } from './references.ts'
export { SequencedCas, type SequencedCasOptions } from './sequencedcas.ts'
export { Snapshot } from './snapshot.ts'
export { BranchWriter, type Work } from './writer.ts'
