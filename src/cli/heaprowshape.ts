import type { HeapReader, HeapRow } from '../jobs/inspect/heapreader.ts'
import { counted } from './count.ts'
import type { Output } from './output.ts'
import type { RowShape } from './rowprinter.ts'

/** How row versions are printed; their columns come last. */
export const HEAP_ROW_SHAPE: Omit<RowShape<HeapRow>, 'columns'> = {
  physical: ['ctid', 'xmin', 'xmax', 'next', 'state'], right: ['xmin'], numbers: [], extra: ['dangling', 'unreadable', 'problem'],
  cellsOf: ({ block, offset, xmin, xmax, next, state }) => [`(${block},${offset})`, String(xmin), xmax, next, state],
  valuesOf: ({ values }) => values,
  extraOf: ({ dangling, unreadable, problem }) => [dangling, unreadable, problem],
}

/** More of the kind say nothing new: without its TOAST relation each row of a table is damaged. */
const DAMAGE_SHOWN = 50

/** Damage met while rows are printed: the first of it by place, the rest by number. */
export class DamageLog {
  readonly lines: string[] = []
  count = 0

  readonly add = ({ message }: Error): void => {
    if (++this.count <= DAMAGE_SHOWN) this.lines.push(message)
  }

  async tellRest(output: Output): Promise<void> {
    const rest = this.count - DAMAGE_SHOWN
    if (rest > 0) await output.note(`ltap: and ${counted(rest, 'damaged page, tuple or value', 'damaged pages, tuples or values')} more`)
  }
}

/** What was shown otherwise than its type prints it, and left out, over all rows. */
export async function tellHeap(output: Output, { unreadableValues, missingValues, trailingBytes }: HeapReader): Promise<void> {
  await tellUnreadable(output, unreadableValues)
  if (missingValues > 0) await output.note(`ltap: ${counted(missingValues, 'value')} whose TOAST chunks are missing: shown as TOAST pointers, \\x…`)
  if (trailingBytes > 0) await output.note(`ltap: ${trailingBytes} bytes behind the last whole block, which no server reads`)
}

export async function tellUnreadable(output: Output, values: number): Promise<void> {
  if (values > 0) await output.note(`ltap: ${counted(values, 'value')} that no server prints: shown as the stored bytes, \\x…`)
}
