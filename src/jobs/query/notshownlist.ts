import { closeSync } from 'node:fs'
import type { BlockSet } from '../../common/blockset.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { createFile, writeFully } from '../../io/disk/create.ts'
import { fileError } from '../../io/disk/files.ts'
import type { LakeField } from '../../parquet/lakefield.ts'
import { ParquetEncoder } from '../../parquet/parquetwriter.ts'
import { newVector } from '../../vector/columntype.ts'
import type { BitVector, BytesVector, Vector, WordVector } from '../../vector/vector.ts'

/** Rows of a file that a view does not show. */
export interface NotShownRows {
  /** Absolute path of the file. */
  readonly path: string
  /** Rows of blocks that a newer layer has. */
  readonly superseded: BlockSet
  readonly hidden: BlockSet
}

const ROW_GROUP_ROWS = 1 << 17
const FIELDS: readonly LakeField[] = [
  { name: 'file', id: 1, type: { kind: 'string' } }, { name: 'pos', id: 2, type: { kind: 'long' } }, { name: 'superseded', id: 3, type: { kind: 'boolean' } },
]

/** Writes them as Parquet, as LayeredRelation.notShown says. @throws EnvironmentError file.* */
export async function writeNotShown(list: string, files: readonly NotShownRows[]): Promise<void> {
  const fd = createFile(list, true)
  try {
    const options = { compression: 'none', metadata: {}, dictionary: (column: string) => column === 'file' } as const
    const encoder = new ParquetEncoder(FIELDS, options, (bytes) => writeFully(fd, bytes))
    for (const { columns, rows } of rowGroups(files)) await encoder.rowGroup(columns, rows)
    await encoder.finish()
  } catch (error) {
    throw fileError(error, list)
  } finally {
    closeSync(fd)
  }
}

function* rowGroups(files: readonly NotShownRows[]): Generator<{ columns: readonly Vector[]; rows: number }> {
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
