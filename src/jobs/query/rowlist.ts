import { closeSync } from 'node:fs'
import { createFile, writeFully } from '../../io/disk/create.ts'
import { fileError } from '../../io/disk/files.ts'
import type { LakeField } from '../../parquet/lakefield.ts'
import { ParquetEncoder } from '../../parquet/parquetwriter.ts'
import type { Vector } from '../../vector/vector.ts'

/** Rows of one row group of a list. */
export const ROW_GROUP_ROWS: number = 1 << 17

export interface RowGroup {
  readonly columns: readonly Vector[]
  readonly rows: number
}

/** Writes a list of rows, which a view joins, as a new Parquet file. @param dictionary whether the values of a column repeat @throws EnvironmentError file.* */
export async function writeRowList(
  path: string, fields: readonly LakeField[], dictionary: (column: string) => boolean, groups: Iterable<RowGroup>,
): Promise<void> {
  const fd = createFile(path, true)
  try {
    const encoder = new ParquetEncoder(fields, { compression: 'none', metadata: {}, dictionary }, (bytes) => writeFully(fd, bytes))
    for (const { columns, rows } of groups) await encoder.rowGroup(columns, rows)
    await encoder.finish()
  } catch (error) {
    throw fileError(error, path)
  } finally {
    closeSync(fd)
  }
}
