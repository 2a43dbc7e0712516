/** Ids, versions, errors, bytes: what every floor speaks in. Pure; no I/O. */
export * from './blockset.ts'
export * from './bytes.ts'
export * from './crc32c.ts'
export * from './errors.ts'
export * from './ids.ts'
export * from './pgversion.ts'
export * from './rel.ts'
export * from './utf8.ts'
