import { BytesVector, ListVector, StructVector, type Vector, WordVector } from './vector.ts'

/** Bytes that a vector's values take when they are written, about. */
export function dataBytes(vector: Vector): number {
  if (vector instanceof BytesVector) return vector.data.length + vector.laterBytes
  if ('child' in vector) return dataBytes(vector.child as Vector)
  if ('children' in vector) return (vector.children as readonly Vector[]).reduce((sum, child) => sum + dataBytes(child), 0)
  return 'words' in vector ? vector.length * 8 : 0
}

/**
 * What a column with children, or one of texts of `_overflow`, asks of the Parquet encoder, whose peak is some four to six times that (measured):
 * bytes of strings count twice, and each value has two levels of 16 bits, whether it is null or not.
 */
export function nestedBytes(vector: Vector): number {
  if (vector instanceof BytesVector) return vector.data.length * 2 + vector.length * 8
  if (vector instanceof ListVector) return vector.length * 4 + nestedBytes(vector.child as Vector)
  if (vector instanceof StructVector) return vector.children.reduce((sum, child) => sum + nestedBytes(child), 0)
  return vector.length * (vector instanceof WordVector ? vector.wordsPerValue * 4 + 4 : 4)
}

/** Elements of the longest lists anywhere in a vector, nulls included: lists of nulls, booleans or empty strings have many elements and no bytes. */
export function listElements(vector: Vector): number {
  if (vector instanceof ListVector) return Math.max(vector.child.length, listElements(vector.child as Vector))
  if (vector instanceof StructVector) return vector.children.reduce((most, child) => Math.max(most, listElements(child)), 0)
  return 0
}
