import type { LakeField } from '../parquet/lakefield.ts'
import { encodeParquet, type ParquetOptions } from '../parquet/parquetwriter.ts'
import { newVector } from '../vector/columntype.ts'
import type { Vector, WordVector } from '../vector/vector.ts'

/** Iceberg's reserved id of a position delete's `pos`. */
const HIDDEN_FIELD: LakeField = { name: 'pos', id: 2147483545, type: { kind: 'long' } }

/** The list of hidden rows of a file: positions of the rows that no reader may see at L, ascending. Undefined without such rows. */
export function encodeHidden(hidden: readonly number[], compression: ParquetOptions['compression']): Uint8Array | undefined {
  if (hidden.length === 0) return undefined
  const positions = newVector(HIDDEN_FIELD.type) as WordVector
  positions.reserve(hidden.length)
  for (const position of hidden) positions.push2(position | 0, Math.floor(position / 4294967296))
  const groups = [{ columns: [positions as Vector], rows: hidden.length }]
  return encodeParquet([HIDDEN_FIELD], { compression, metadata: {}, dictionary: () => false }, groups)
}
