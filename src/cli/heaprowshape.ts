import type { HeapRow } from '../io/inspect/heapreader.ts'
import type { RowShape } from './rowprinter.ts'

/** How row versions are printed; their columns come last. */
export const HEAP_ROW_SHAPE: Omit<RowShape<HeapRow>, 'columns'> = {
  physical: ['ctid', 'xmin', 'xmax', 'next', 'state'], numbers: ['xmin'], extra: ['dangling', 'problem'],
  cellsOf: ({ block, offset, xmin, xmax, next, state }) => [`(${block},${offset})`, String(xmin), xmax, next, state],
  valuesOf: ({ values }) => values,
  extraOf: ({ dangling, problem }) => [dangling, problem],
}
