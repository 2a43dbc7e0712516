import { BitVector, BytesVector, ListVector, StructVector, type Vector, WordVector } from './vector.ts'

/** Types a Parquet column of a lake can have, and the vector that holds each (design: one table from Postgres to Parquet). */
export type ColumnType =
  | { kind: 'boolean' }
  | { kind: 'int' }
  | { kind: 'long' }
  | { kind: 'float' }
  | { kind: 'double' }
  | { kind: 'decimal'; precision: number; scale: number }
  | { kind: 'date' }
  | { kind: 'time' }
  | { kind: 'timestamp'; utc: boolean }
  | { kind: 'string' }
  | { kind: 'binary' }
  | { kind: 'uuid' }
  | { kind: 'list'; element: ColumnType }
  | { kind: 'map'; value: ColumnType }
  | { kind: 'struct'; fields: readonly ColumnField[] }

export interface ColumnField {
  name: string
  type: ColumnType
}

/**
 * An empty vector for a column type.
 * Units: date in days since 1970-01-01, time and timestamp in microseconds (timestamp since 1970-01-01), decimal as the
 * unscaled 128-bit two's complement number, uuid as 16 bytes in text order, map as a list of struct(key string, value).
 */
export function newVector(type: ColumnType): Vector {
  switch (type.kind) {
    case 'boolean':
      return new BitVector()
    case 'int':
    case 'float':
    case 'date':
      return new WordVector(1)
    case 'long':
    case 'double':
    case 'time':
    case 'timestamp':
      return new WordVector(2)
    case 'decimal':
    case 'uuid':
      return new WordVector(4)
    case 'string':
    case 'binary':
      return new BytesVector()
    case 'list':
      return new ListVector(newVector(type.element))
    case 'map':
      return new ListVector(new StructVector([new BytesVector(), newVector(type.value)]))
    case 'struct':
      return new StructVector(type.fields.map((field) => newVector(field.type)))
  }
}
