import { assert } from '../common/errors.ts'
import type { RelationDescriptor } from './filedescriptor.ts'

/** No file was written: begin again, for all files of the relation, with these attnums in the descriptor's `overflow`. */
export interface WantedOverflow {
  wanted: readonly number[]
}

/** The descriptor of files whose columns of these attnums have an `_overflow` child, too. */
export function withOverflow(relation: RelationDescriptor, wanted: Iterable<number>): RelationDescriptor {
  const before = relation.overflow ?? []
  const overflow = [...new Set([...before, ...wanted])].sort((a, b) => a - b)
  assert(overflow.length > before.length, 'a column is wanted that is there')
  return { ...relation, overflow }
}
