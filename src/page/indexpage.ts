import { dataView } from '../common/bytes.ts'
import { areSoundBounds, isZeroPage, PAGESIZE_VERSION, readPageHeader } from './header.ts'
import { isIndexArea } from './specialarea.ts'

/** What the page of a main fork tells about its relation, by its special area. A page that is all zero or damaged tells nothing. */
export function tellRelationKind(page: Uint8Array, block: number): 'index' | 'no index' | 'unknown' {
  if (isZeroPage(page)) return 'unknown'
  const { lower, upper, special, pagesizeVersion } = readPageHeader(dataView(page))
  if (pagesizeVersion !== PAGESIZE_VERSION || !areSoundBounds(lower, upper, special)) return 'unknown'
  return isIndexArea(page, special, block) ? 'index' : 'no index'
}
