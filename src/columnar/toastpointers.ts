import { CorruptionError } from '../common/errors.ts'
import { checkPageHeader, isZeroPage } from '../page/header.ts'
import { checkLinePointers, linePointer, linePointerCount, LP_NORMAL, lpFlags, lpLen, lpOff } from '../page/linepointer.ts'
import type { AttributeLayout } from '../tuple/attribute.ts'
import { checkTupleHeader, deformTuple, newDeformedTuple } from '../tuple/deform.ts'
import { readTupleHeader, SIZE_OF_TUPLE_HEADER } from '../tuple/header.ts'
import { HEAP_HASEXTERNAL, HEAP_HASNULL } from '../tuple/infomask.ts'
import { readToastPointer, type ToastPointer } from '../tuple/toast.ts'
import { isExternal } from '../tuple/varlena.ts'

/**
 * The TOAST pointers in the tuples of a page, dead ones too: what to prepare before the page is decoded. Damaged pages and tuples have
 * none here: decoding them reports the damage.
 */
export function toastPointers(page: Uint8Array, attributes: readonly AttributeLayout[]): ToastPointer[] {
  const found: ToastPointer[] = []
  if (!attributes.some(({ len }) => len === -1)) return found
  passingOverDamage(() => {
    if (isZeroPage(page)) return
    checkPageHeader(page)
    checkLinePointers(page)
    for (let offset = 1, count = linePointerCount(page); offset <= count; offset++) {
      const item = linePointer(page, offset)
      if (lpFlags(item) === LP_NORMAL) passingOverDamage(() => addPointers(page, lpOff(item), lpLen(item), attributes, found))
    }
  })
  return found
}

function addPointers(page: Uint8Array, start: number, length: number, attributes: readonly AttributeLayout[], found: ToastPointer[]): void {
  const { infomask, natts, hoff } = readTupleHeader(page, start)
  if ((infomask & HEAP_HASEXTERNAL) === 0) return
  const hasNull = (infomask & HEAP_HASNULL) !== 0
  checkTupleHeader(hoff, natts, hasNull, length)
  const deformed = newDeformedTuple(attributes.length)
  deformTuple(page, start, start + length, start + hoff, natts, hasNull ? start + SIZE_OF_TUPLE_HEADER : -1, attributes, deformed)
  for (const [i, { len }] of attributes.entries()) {
    const at = deformed.starts[i]!
    if (len === -1 && at >= 0 && isExternal(page[at]!)) found.push(readToastPointer(page, at))
  }
}

function passingOverDamage(body: () => void): void {
  try {
    body()
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error
  }
}
