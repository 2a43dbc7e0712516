/** Heap pages: header, line pointers, checksum and canonical form. Pure; no I/O. */
export * from './header.ts'
export * from './linepointer.ts'
export * from './checksum.ts'
export * from './canonical.ts'
export * from './heappage.ts'
export * from './visibilitymap.ts'
export * from './pagesource.ts'
export * from './specialarea.ts'
