/**
 * Values of one page that their column does not show: counted, and the attnums whose column has no `_overflow` child to show them in,
 * so that the file must be written again with one. A page that is decoded again, or carried whole, resets these.
 */
export interface ValueFaults {
  dangling: number
  missingToast: number
  unreadable: number
  oversized: number
  readonly wanted: Set<number>
}

export function newValueFaults(): ValueFaults {
  return { dangling: 0, missingToast: 0, unreadable: 0, oversized: 0, wanted: new Set() }
}

export function clearValueFaults(faults: ValueFaults): void {
  faults.dangling = faults.missingToast = faults.unreadable = faults.oversized = 0
  faults.wanted.clear()
}
