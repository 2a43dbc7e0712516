import { closeSync } from 'node:fs'
import type { BlockSet } from '../../common/blockset.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { createFile, writeFully } from '../../io/disk/create.ts'
import { fileError } from '../../io/disk/files.ts'
import type { LakeField } from '../../parquet/lakefield.ts'
import { ParquetEncoder } from '../../parquet/parquetwriter.ts'
import { newVector } from '../../vector/columntype.ts'
import type { BytesVector, Vector, WordVector } from '../../vector/vector.ts'

/** Rows of a file that come or go in one step, or stay hidden. */
export interface ListedRows {
  /** Absolute path of the file. */
  readonly path: string
  readonly rows: BlockSet
  readonly step: number
  readonly part: number
  readonly kind: number
}

const ROW_GROUP_ROWS = 1 << 17
const FIELDS: readonly LakeField[] = [
  { name: 'file', id: 1, type: { kind: 'string' } }, { name: 'pos', id: 2, type: { kind: 'long' } }, { name: 'step', id: 3, type: { kind: 'int' } },
  { name: 'part', id: 4, type: { kind: 'int' } }, { name: 'kind', id: 5, type: { kind: 'int' } },
]

/** Writes them as Parquet, as ChangedTable.list says. @throws EnvironmentError file.* */
export async function writeChangeList(path: string, listed: readonly ListedRows[]): Promise<void> {
  const fd = createFile(path, true)
  try {
    const options = { compression: 'none', metadata: {}, dictionary: (column: string) => column !== 'pos' } as const
    const encoder = new ParquetEncoder(FIELDS, options, (bytes) => writeFully(fd, bytes))
    for (const { columns, rows } of rowGroups(listed)) await encoder.rowGroup(columns, rows)
    await encoder.finish()
  } catch (error) {
    throw fileError(error, path)
  } finally {
    closeSync(fd)
  }
}

function* rowGroups(listed: readonly ListedRows[]): Generator<{ columns: readonly Vector[]; rows: number }> {
  let columns = newColumns()
  let length = 0
  for (const { path, rows, step, part, kind } of listed) {
    const name = utf8Encode(path)
    for (const row of rows) {
      const [file, pos, ...rest] = columns
      file.push(name)
      pos.push2(row | 0, Math.floor(row / 0x100000000))
      for (const [i, value] of [step, part, kind].entries()) rest[i]!.push1(value)
      if (++length < ROW_GROUP_ROWS) continue
      yield { columns, rows: length }
      columns = newColumns()
      length = 0
    }
  }
  if (length > 0) yield { columns, rows: length }
}

function newColumns(): [BytesVector, WordVector, WordVector, WordVector, WordVector] {
  return FIELDS.map(({ type }) => newVector(type)) as [BytesVector, WordVector, WordVector, WordVector, WordVector]
}
