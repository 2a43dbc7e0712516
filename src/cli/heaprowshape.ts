import type { Command } from 'commander'
import type { HeapReader, HeapRow } from '../jobs/inspect/heapreader.ts'
import { counted } from './count.ts'
import { tellUnknown } from './corruptoptions.ts'
import { EXIT_BAD_INPUT } from './failure.ts'
import { addLimitOption } from './options.ts'
import type { Output } from './output.ts'
import { addFormatOption, formatOf, type RowFormatName, RowPrinter, type RowShape } from './rowprinter.ts'
import type { Run } from './verb.ts'

/** How row versions are printed; their columns come last. */
const HEAP_ROW_SHAPE: Omit<RowShape<HeapRow>, 'columns'> = {
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

export interface HeapRowOptions {
  dead?: boolean
  limit?: number
  format?: RowFormatName
  unknownTransactions: 'hide' | 'show'
}

/** `--dead`, `--limit` and `--format`, of the verbs that print a heap's rows. */
export function addHeapRowOptions(command: Command): Command {
  return addLimitOption(addFormatOption(command.option('--dead', 'print all row versions, with their state: live, dead, …')))
}

/** Prints the rows of a heap, and on stderr what is damaged and what is not shown. */
export async function printHeapRows(run: Run, output: Output, reader: HeapReader, options: HeapRowOptions): Promise<void> {
  const { dead = false, limit = Infinity, format, unknownTransactions } = options
  const damage = new DamageLog()
  const shape = { ...HEAP_ROW_SHAPE, columns: reader.columns }
  await new RowPrinter(output, formatOf(output, format), shape, damage.lines).print(reader.rows({ dead, onDamage: damage.add }), limit)
  await damage.tellRest(output)
  await tellHeap(output, reader)
  await tellUnknown(output, reader.unknownRows, unknownTransactions)
  if (damage.count > 0) run.exitCode = EXIT_BAD_INPUT
}

/** What was shown otherwise than its type prints it, and left out, over all rows. */
async function tellHeap(output: Output, { unreadableValues, missingValues, trailingBytes }: HeapReader): Promise<void> {
  await tellUnreadable(output, unreadableValues)
  await tellMissing(output, missingValues)
  if (trailingBytes > 0) await output.note(`ltap: ${trailingBytes} bytes behind the last whole block, which no server reads`)
}

export async function tellMissing(output: Output, values: number): Promise<void> {
  if (values > 0) await output.note(`ltap: ${counted(values, 'value')} whose TOAST chunks are missing: shown as TOAST pointers, \\x…`)
}

export async function tellUnreadable(output: Output, values: number): Promise<void> {
  if (values > 0) await output.note(`ltap: ${counted(values, 'value')} that no server prints: shown as the stored bytes, \\x…`)
}
