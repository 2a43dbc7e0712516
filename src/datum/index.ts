/** Codecs: stored bytes ↔ lake columns ↔ canonical text, one file per type. Pure; no I/O. */
export type { Codec } from './codec.ts'
export { ParseError } from './codec.ts'
export * from '../vector/columntype.ts'
export { codecFor } from './registry.ts'
export type * from './typedef.ts'
export * from '../vector/vector.ts'
