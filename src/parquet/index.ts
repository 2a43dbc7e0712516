/** The Parquet file format: writing and reading. Knows no Postgres. Pure; no I/O. */
export type { Compressor } from './compressor.ts'
export type { LakeField } from './lakefield.ts'
export { type ChooseRead, type ParquetReader, type ParquetSource, readParquet, type RowGroup } from './parquetreader.ts'
export type { ParquetOptions } from './parquetwriter.ts'
export { loadZstd } from './zstdcompressor.ts'
