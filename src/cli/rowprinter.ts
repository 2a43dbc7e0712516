import { type Command, Option } from 'commander'
import { alignedFormat, type Cells, csvFormat, jsonFormat, type RowFormat } from '../jobs/query/tabletext.ts'
import { UsageError } from './failure.ts'
import type { Output } from './output.ts'

export type RowFormatName = 'table' | 'csv' | 'json'

/** Rows written at once, and, of the first ones, those a table's column widths are taken from. */
const BATCH_ROWS = 1000
const BATCH_CHARACTERS = 1 << 20

/** What rows have beside the table's columns. */
export interface RowShape<T> {
  /** Names of the cells before the columns. */
  physical: readonly string[]
  /** The extra columns whose values are printed at the right of their column. */
  right: readonly string[]
  /** The extra columns whose values are numbers in JSON. */
  numbers: readonly string[]
  columns: readonly string[]
  /** Names of what only JSON has, after the columns. */
  extra: readonly string[]
  cellsOf: (row: T) => Cells
  valuesOf: (row: T) => Cells
  extraOf: (row: T) => unknown[]
}

/** Adds the option --format, which every verb that prints rows has. */
export function addFormatOption(command: Command): Command {
  return command.addOption(new Option('--format <format>', 'how rows are printed (default: table; with --json: json)').choices(['table', 'csv', 'json']))
}

/** @throws UsageError for two formats at once: with --out, --json is about the report */
export function checkFormat({ json, format, out }: { json?: boolean; format?: RowFormatName; out?: string }): void {
  if (out !== undefined || json !== true || format === undefined || format === 'json') return
  throw new UsageError(`--json and --format ${format} exclude each other: give one of them`)
}

export function formatOf(output: Output, format: RowFormatName | undefined): RowFormatName {
  return format ?? (output.json ? 'json' : 'table')
}

/** Writes rows as they come; what is damaged goes to stderr. */
export class RowPrinter<T> {
  private readonly output: Output
  private readonly format: RowFormatName
  private readonly shape: RowShape<T>
  private readonly damage: readonly string[]
  private damageShown = 0

  /** @param damage may grow while rows come */
  constructor(output: Output, format: RowFormatName, shape: RowShape<T>, damage: readonly string[] = []) {
    this.output = output
    this.format = format
    this.shape = shape
    this.damage = damage
  }

  async print(rows: Iterable<T>, limit: number): Promise<void> {
    const { cellsOf, valuesOf } = this.shape
    let text: RowFormat | undefined
    let count = 0
    for (const cells of batches(rows, limit, (row) => (this.format === 'json' ? this.jsonCells(row) : [...cellsOf(row), ...valuesOf(row)]))) {
      text ??= this.rowFormat(cells)
      await this.output.write((count === 0 ? text.head() : '') + cells.map(text.row).join(''))
      count += cells.length
      await this.tellDamage()
    }
    text ??= this.rowFormat([])
    await this.output.write((count === 0 ? text.head() : '') + text.tail(count))
    await this.tellDamage()
  }

  private rowFormat(sample: readonly Cells[]): RowFormat {
    const { physical, columns, right, extra } = this.shape
    if (this.format === 'json') return jsonFormat([...physical, 'columns', ...extra])
    const names = [...physical, ...columns]
    if (this.format === 'csv') return csvFormat(names)
    return alignedFormat(names, names.map((name, i) => i < physical.length && right.includes(name)), sample)
  }

  /** Column values are strings, so that numbers lose no digit. */
  private jsonCells(row: T): Cells {
    const { physical, numbers, columns, cellsOf, valuesOf, extraOf } = this.shape
    const values = valuesOf(row)
    const own = cellsOf(row).map((cell, i) => (cell !== undefined && numbers.includes(physical[i]!) ? cell : JSON.stringify(cell ?? null)))
    const pairs = columns.map((name, i) => `${JSON.stringify(name)}:${JSON.stringify(values[i] ?? null)}`)
    return [...own, `{${pairs.join(',')}}`, ...extraOf(row).map((value) => JSON.stringify(value ?? null))]
  }

  private async tellDamage(): Promise<void> {
    for (; this.damageShown < this.damage.length; this.damageShown++) await this.output.note(`ltap: ${this.damage[this.damageShown]}`)
  }
}

function* batches<T>(rows: Iterable<T>, limit: number, cellsOf: (row: T) => Cells): Iterable<Cells[]> {
  let batch: Cells[] = []
  let characters = 0
  let left = limit
  if (left === 0) return
  for (const row of rows) {
    const cells = cellsOf(row)
    batch.push(cells)
    characters += cells.reduce((sum, cell) => sum + (cell?.length ?? 0), 0)
    left--
    if (left === 0) break
    if (batch.length < BATCH_ROWS && characters < BATCH_CHARACTERS) continue
    yield batch
    batch = []
    characters = 0
  }
  if (batch.length > 0) yield batch
}
