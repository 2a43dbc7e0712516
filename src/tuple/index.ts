/** Heap tuples: header, attributes, variable-length datums, compression, TOAST pointers. Pure; no I/O. */
export * from './attribute.ts'
export * from './infomask.ts'
export * from './header.ts'
export * from './varlena.ts'
export * from './pglz.ts'
export * from './lz4.ts'
export * from './toast.ts'
export * from './deform.ts'
