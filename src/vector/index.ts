/** Typed columns in memory, in Arrow's layout. Know no Postgres. Pure; no I/O. */
export { type ColumnField, type ColumnType, newVector } from './columntype.ts'
export { BitVector, BytesVector, ListVector, setBits, StructVector, Vector, WordVector } from './vector.ts'
