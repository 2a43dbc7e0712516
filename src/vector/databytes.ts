import { BytesVector, type Vector } from './vector.ts'

/** Bytes that a vector's values take when they are written, about. */
export function dataBytes(vector: Vector): number {
  if (vector instanceof BytesVector) return vector.data.length + vector.laterBytes
  if ('child' in vector) return dataBytes(vector.child as Vector)
  if ('children' in vector) return (vector.children as readonly Vector[]).reduce((sum, child) => sum + dataBytes(child), 0)
  return 'words' in vector ? vector.length * 8 : 0
}
