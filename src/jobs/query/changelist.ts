import type { BlockSet } from '../../common/blockset.ts'
import { utf8Encode } from '../../common/utf8.ts'
import type { LakeField } from '../../parquet/lakefield.ts'
import { newVector } from '../../vector/columntype.ts'
import type { BytesVector, WordVector } from '../../vector/vector.ts'
import { ROW_GROUP_ROWS, type RowGroup, writeRowList } from './rowlist.ts'

/** Rows of a file that come or go in one step, or stay hidden. */
export interface ListedRows {
  /** Absolute path of the file. */
  readonly path: string
  readonly rows: BlockSet
  readonly step: number
  readonly part: number
  readonly kind: number
}

const FIELDS: readonly LakeField[] = [
  { name: 'file', id: 1, type: { kind: 'string' } }, { name: 'pos', id: 2, type: { kind: 'long' } }, { name: 'step', id: 3, type: { kind: 'int' } },
  { name: 'part', id: 4, type: { kind: 'int' } }, { name: 'kind', id: 5, type: { kind: 'int' } },
]

/** Writes them as Parquet, as ChangedTable.list says. @throws EnvironmentError file.* */
export async function writeChangeList(path: string, listed: readonly ListedRows[]): Promise<void> {
  await writeRowList(path, FIELDS, (column) => column !== 'pos', rowGroups(listed))
}

function* rowGroups(listed: readonly ListedRows[]): Generator<RowGroup> {
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
