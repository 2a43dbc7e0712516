/** Heap tuples: header, attributes, variable-length datums, compression, TOAST pointers. Pure; no I/O. */
export * from './attribute.ts'
export * from './infomask.ts'
export * from './header.ts'
export * from './varlena.ts'
export { pglzDecompress } from '../common/pglz.ts'
export { lz4Decompress } from '../common/lz4.ts'
export * from './toast.ts'
export * from './deform.ts'
