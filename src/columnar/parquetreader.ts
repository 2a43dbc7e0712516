import { tableFromIPC } from 'apache-arrow'
import { readParquet as readWasmTable, readSchema } from 'parquet-wasm'
import { CorruptionError } from '../common/errors.ts'
import type { Vector } from '../datum/vector.ts'
import { batchVectors } from './arrow.ts'
import { lakeFields } from './arrowschema.ts'
import { type Footer, readFooter } from './footer.ts'
import type { LakeField } from './lakefield.ts'
import { decodeInWasm } from './wasm.ts'

export interface RowGroup {
  rows: number
  columns: Vector[]
}

/** An opened Parquet file; the row groups are decoded one by one. */
export interface ParquetReader {
  /** All key-values of the footer, the writer's own `ARROW:schema` among them. */
  metadata: ReadonlyMap<string, string>
  fields: readonly LakeField[]
  rows: number
  rowGroups: number
  /** Rows of each row group. */
  rowGroupRows: readonly number[]
  /** Decodes row group `index`, from 0; the vectors are the caller's. Throws CorruptionError('parquet.row-group'). */
  readRowGroup(index: number): RowGroup
}

/**
 * Opens a whole Parquet file; `bytes` must not change while it is in use.
 * Throws CorruptionError('parquet.…') for damaged files, UnsupportedError for types that no lake file has. Parquet has no checksums
 * here, so damage inside values may go unseen: it is found by the rebuilt page's CRC. After a panic of the reader, `wasmPanicked()`.
 */
export function readParquet(bytes: Uint8Array): ParquetReader {
  const { rows, rowGroupRows, metadata } = readFooter(bytes)
  const schema = decodeInWasm('parquet.schema', () => tableFromIPC(readSchema(bytes).intoIPCStream()).schema)
  const fields = lakeFields(schema)
  const readRowGroup = (index: number): RowGroup => decodeRowGroup(bytes, rowGroupRows, fields.length, index)
  return { metadata, fields, rows, rowGroups: rowGroupRows.length, rowGroupRows, readRowGroup }
}

function decodeRowGroup(bytes: Uint8Array, rowGroupRows: Footer['rowGroupRows'], fieldCount: number, index: number): RowGroup {
  const rows = rowGroupRows[index]
  if (rows === undefined) throw new RangeError(`row group ${index} of ${rowGroupRows.length}`)
  const table = decodeInWasm('parquet.row-group', () => {
    const options = { rowGroups: [index], batchSize: Math.max(rows, 1) }
    return tableFromIPC(readWasmTable(bytes, options).intoIPCStream())
  })
  const batch = table.batches[0]
  if (table.batches.length !== 1 || batch === undefined || batch.numRows !== rows || batch.numCols !== fieldCount) {
    throw new CorruptionError('parquet.row-group', `${table.numRows} rows where the footer says ${rows}`)
  }
  return { rows, columns: batchVectors(batch) }
}
