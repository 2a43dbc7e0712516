import type { RowSet } from '../../columnar/filesummary.ts'
import { encodeRequiredFile } from '../../parquet/requiredfile.ts'

/** Columns of a position delete file, with the ids that Iceberg reserves for them (spec, "Position Delete Files"). */
export const FILE_PATH = { name: 'file_path', id: 2147483546 }
const POS = { name: 'pos', id: 2147483545 }

/** A position delete file of one data file: a Parquet file of (its URI, position), by position. @param hidden at least one row */
export function encodePositionDeletes(path: string, hidden: RowSet): Uint8Array {
  return encodeRequiredFile({ ...FILE_PATH, value: path }, { ...POS, values: hidden })
}
