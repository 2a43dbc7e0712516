/** What a lake holds and how to query it. Pure; no I/O. */
export * from './manifest.ts'
export * from './notread.ts'
