import type { ColumnType } from '../vector/columntype.ts'

/**
 * One column of a lake file, or a part of one, with its Parquet field id.
 * `children` follow the type: a list has [element], a map [key, value], a struct its fields; the names of the first two are fixed
 * by the Parquet format. Every field is optional but a map's key.
 */
export interface LakeField {
  name: string
  id: number
  type: ColumnType
  children?: readonly LakeField[]
}
