import { CorruptionError, withPosition } from '../common/errors.ts'
import { checkPageHeader, isZeroPage } from '../page/header.ts'
import { checkLinePointers, linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../page/linepointer.ts'

/**
 * Visits the tuples of a heap page.
 * @param mayBeTorn the page may have been copied while it was written: where it is damaged the visit ends
 * @throws CorruptionError page.*, and what `visit` throws, with the offset
 */
export function forEachTuple(page: Uint8Array, mayBeTorn: boolean, visit: (start: number, length: number, offset: number) => void): void {
  if (isZeroPage(page)) return
  try {
    checkPageHeader(page)
    checkLinePointers(page)
    const count = linePointerCount(page)
    for (let offset = 1; offset <= count; offset++) {
      const word = linePointer(page, offset)
      if (lpFlags(word) === LP_NORMAL) withPosition({ offset }, () => visit(lpOff(word), lpLen(word), offset))
    }
  } catch (error) {
    if (!mayBeTorn || !(error instanceof CorruptionError)) throw error
  }
}
