import { dataView } from '../../common/bytes.ts'
import { BLOCK_SIZE } from '../../common/rel.ts'
import { isZeroPage, PAGESIZE_VERSION, readPageHeader, SIZE_OF_PAGE_HEADER } from '../../page/header.ts'

/** sequence.c: what the 8 bytes of a sequence's special area begin with; the rest is zero. */
const SEQ_MAGIC = 0x1717

/**
 * What the page of a main fork tells about its relation: heaps have no special area, sequences 8 bytes with a magic, indexes something
 * else. A page that is all zero or damaged tells nothing.
 */
export function tellRelationKind(page: Uint8Array, block: number): 'index' | 'no index' | 'unknown' {
  if (isZeroPage(page)) return 'unknown'
  const view = dataView(page)
  const { lower, upper, special, pagesizeVersion } = readPageHeader(view)
  const sound = pagesizeVersion === PAGESIZE_VERSION && lower >= SIZE_OF_PAGE_HEADER && lower <= upper && upper <= special && special <= BLOCK_SIZE
  if (!sound || special % 8 !== 0) return 'unknown'
  if (special === BLOCK_SIZE) return 'no index'
  const sequence = special === BLOCK_SIZE - 8 && block === 0 && view.getUint32(special, true) === SEQ_MAGIC && view.getUint32(special + 4, true) === 0
  return sequence ? 'no index' : 'index'
}
