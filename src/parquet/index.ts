/** The Parquet file format: writing and reading. Knows no Postgres. Pure; no I/O. */
export type { LakeField } from './lakefield.ts'
export { type ParquetReader, readParquet } from './parquetreader.ts'
