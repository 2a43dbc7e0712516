/** A lake that grows: the ports that it is kept through, and what is told over them. Pure; storage, time and chance come through ports. */
export type { Cas, CasOutcome, CasToken, CasValue } from './cas.ts'
export type { Clock } from './clock.ts'
export { EtagCas } from './etagcas.ts'
export { MemoryObjectStore } from './memoryobjectstore.ts'
export { isKey } from './objectkey.ts'
export type {
  ByteRange, ObjectInfo, ObjectStore, ObjectUpload, PutOptions, PutOutcome, RequestKind, StoreCounters, StoredObject,
} from './objectstore.ts'
export { type CasKind, openCas, probeCas } from './probecas.ts'
export type { Random } from './random.ts'
export { SequencedCas, type SequencedCasOptions } from './sequencedcas.ts'
