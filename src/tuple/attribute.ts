/** How one attribute is laid out in a tuple: pg_attribute's copy, never pg_type's (it survives DROP COLUMN). */
export interface AttributeLayout {
  /** attlen: bytes, -1 varlena, -2 cstring. */
  len: number
  /** attalign as bytes: 1, 2, 4, 8. */
  align: number
  /** attstorage 'p': never a 1-byte header. */
  plain: boolean
}

/** attalign's letter to bytes. */
export function alignmentOf(letter: string): number {
  switch (letter) {
    case 'c':
      return 1
    case 's':
      return 2
    case 'i':
      return 4
    case 'd':
      return 8
    default:
      throw new RangeError(`no such attalign '${letter}'`)
  }
}
