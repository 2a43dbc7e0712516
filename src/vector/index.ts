/** Typed columns in memory, in Arrow's layout. Know no Postgres. Pure; no I/O. */
export * from './columntype.ts'
export * from './vector.ts'
