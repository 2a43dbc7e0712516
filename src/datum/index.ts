/** Codecs: stored bytes ↔ lake columns ↔ canonical text, one file per type. Pure; no I/O. */
export type { Codec } from './codec.ts'
export { ParseError } from './codec.ts'
export { type ColumnField, newVector } from '../vector/columntype.ts'
export { codecFor } from './registry.ts'
export type { CodecContext, CodecFactory, ColumnType, CompositeField, CompositeHeader, TypeDef, TypeProfile, TypeRef } from './typedef.ts'
export { BitVector, BytesVector, ListVector, setBits, StructVector, Vector, WordVector } from '../vector/vector.ts'
export type { NumericCodec } from './types/numeric.ts'
