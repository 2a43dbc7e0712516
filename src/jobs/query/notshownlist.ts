import type { BlockSet } from '../../common/blockset.ts'
import { utf8Encode } from '../../common/utf8.ts'
import type { LakeField } from '../../parquet/lakefield.ts'
import { newVector } from '../../vector/columntype.ts'
import type { BitVector, BytesVector, WordVector } from '../../vector/vector.ts'
import { ROW_GROUP_ROWS, type RowGroup, writeRowList } from './rowlist.ts'

/** Rows of a file that a view does not show. */
export interface NotShownRows {
  /** Absolute path of the file. */
  readonly path: string
  /** Rows of blocks that a newer layer has. */
  readonly superseded: BlockSet
  readonly hidden: BlockSet
}

const FIELDS: readonly LakeField[] = [
  { name: 'file', id: 1, type: { kind: 'string' } }, { name: 'pos', id: 2, type: { kind: 'long' } }, { name: 'superseded', id: 3, type: { kind: 'boolean' } },
]

/** Writes them as Parquet, as LayeredRelation.notShown says. @throws EnvironmentError file.* */
export async function writeNotShown(list: string, files: readonly NotShownRows[]): Promise<void> {
  await writeRowList(list, FIELDS, (column) => column === 'file', rowGroups(files))
}

function* rowGroups(files: readonly NotShownRows[]): Generator<RowGroup> {
  let group = newGroup()
  for (const { path, superseded, hidden } of files) {
    const name = utf8Encode(path)
    for (const rows of [superseded, hidden]) {
      for (const row of rows) {
        group.file.push(name)
        group.pos.push2(row | 0, Math.floor(row / 0x100000000))
        group.superseded.push(rows === superseded)
        if (++group.rows < ROW_GROUP_ROWS) continue
        yield { columns: [group.file, group.pos, group.superseded], rows: group.rows }
        group = newGroup()
      }
    }
  }
  if (group.rows > 0) yield { columns: [group.file, group.pos, group.superseded], rows: group.rows }
}

function newGroup(): { file: BytesVector; pos: WordVector; superseded: BitVector; rows: number } {
  const [file, pos, superseded] = FIELDS.map(({ type }) => newVector(type)) as [BytesVector, WordVector, BitVector]
  return { file, pos, superseded, rows: 0 }
}
