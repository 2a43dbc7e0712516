import { assert } from '../common/errors.ts'

/** How one attribute is laid out in a tuple: pg_attribute's copy, never pg_type's (it survives DROP COLUMN). */
export interface AttributeLayout {
  /** attlen: bytes, -1 varlena, -2 cstring. */
  len: number
  /** attalign as bytes: 1, 2, 4, 8. */
  align: number
  /** attstorage 'p': never a 1-byte header. */
  plain: boolean
}

/** attalign's and typalign's letters, and the bytes they mean (pg_type.h). */
export const ALIGNMENTS: ReadonlyMap<string, number> = new Map([['c', 1], ['s', 2], ['i', 4], ['d', 8]])

/** For letters that ltap itself wrote, or checked. */
export function alignmentOf(letter: string): number {
  const alignment = ALIGNMENTS.get(letter)
  assert(alignment !== undefined, `no such attalign '${letter}'`)
  return alignment
}
