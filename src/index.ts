/** ltap: Postgres heap pages to Parquet and back, bit for bit. Each floor is importable by itself: `ltap/page`, `ltap/columnar`, … */
export * from './common/index.ts'
export * from './columnar/index.ts'
export * from './io.ts'
