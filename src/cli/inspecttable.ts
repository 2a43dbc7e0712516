import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { openCluster } from '../io/cluster.ts'
import { findTable } from '../io/inspect/findtable.ts'
import { TableReader, type TableRow } from '../io/inspect/tablereader.ts'
import { alignedFormat, type Cells, csvFormat, jsonFormat, type RowFormat } from '../io/tabletext.ts'
import { EXIT_BAD_INPUT } from './failure.ts'
import { parseLimit } from './options.ts'
import type { Output } from './output.ts'
import { replayFirst, type ReplayFirstOptions } from './replayfirst.ts'
import { addTargetOptions } from './replaytarget.ts'
import { addVerb, begin, type Run } from './verb.ts'

type Format = 'table' | 'csv' | 'json'

interface InspectTableOptions extends ReplayFirstOptions {
  database?: string
  dead?: boolean
  limit?: number
  format?: Format
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: "rows of a stopped server's table, or of a backup's at any time, as text, read from its pages: no server, no column types to type in",
  examples: [
    'ltap inspect table ./data public.orders --limit 10',
    'ltap inspect table ./data public.orders --dead   # deleted, updated and aborted versions too',
    'ltap inspect table ./data public.orders --database shop --format csv > orders.csv',
    "ltap inspect table ./backup public.orders --wal ./archive --to '2026-01-31 12:00Z' --dead   # as it was then, with what was deleted",
  ],
}

const PHYSICAL = ['ctid', 'xmin', 'xmax', 'next', 'state']
/** Rows written at once, and, of the first ones, those a table's column widths are taken from. */
const BATCH_ROWS = 1000
const BATCH_CHARACTERS = 1 << 20

/** `ltap inspect table`. */
export function addInspectTable(inspect: Command, run: Run): void {
  addTargetOptions(addVerb(inspect, 'table <pgdata or backup> <schema.name>', TEXT))
    .option('--work <dir>', 'with --wal or --to: folder for the replayed files, kept (default: a temporary one)')
    .option('--database <name>', 'needed if several user databases have the table')
    .option('--dead', 'all row versions, with what became of them')
    .option('--limit <count>', 'at most so many rows', parseLimit)
    .addOption(new Option('--format <format>', 'table, csv or json (default: table)').choices(['table', 'csv', 'json']))
    .action(async (pgdata: string, name: string, { database, dead = false, limit = Infinity, format, ...options }: InspectTableOptions) => {
      const output = begin(run, options)
      await replayFirst(output, pgdata, join(tmpdir(), 'ltap'), options, {}, async (files) => {
        const cluster = openCluster(files)
        const reader = new TableReader(cluster, findTable(cluster, name, database))
        try {
          const damage: string[] = []
          const rows = reader.rows({ dead, onDamage: (error) => damage.push(error.message) })
          await new RowPrinter(output, format ?? (output.json ? 'json' : 'table'), reader.columns, damage).print(rows, limit)
          if (damage.length > 0) run.exitCode = EXIT_BAD_INPUT
        } finally {
          reader.close()
        }
      })
    })
}

/** Writes rows as they come; what is damaged goes to stderr. */
class RowPrinter {
  private readonly output: Output
  private readonly format: Format
  private readonly columns: readonly string[]
  private readonly damage: string[]
  private damageShown = 0

  constructor(output: Output, format: Format, columns: readonly string[], damage: string[]) {
    this.output = output
    this.format = format
    this.columns = columns
    this.damage = damage
  }

  async print(rows: Iterable<TableRow>, limit: number): Promise<void> {
    let text: RowFormat | undefined
    let count = 0
    for (const cells of batches(rows, limit, (row) => (this.format === 'json' ? this.jsonCells(row) : plainCells(row)))) {
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
    const names = [...PHYSICAL, ...this.columns]
    if (this.format === 'json') return jsonFormat([...PHYSICAL, 'columns', 'dangling', 'problem'])
    if (this.format === 'csv') return csvFormat(names)
    return alignedFormat(names, names.map((_, i) => i === 1), sample)
  }

  /** Column values are strings, so that none loses a digit. */
  private jsonCells(row: TableRow): Cells {
    const [ctid, xmin, xmax, next, state] = plainCells(row)
    const columns = this.columns.map((name, i) => `${JSON.stringify(name)}:${JSON.stringify(row.values[i] ?? null)}`)
    return [
      ...[ctid, Number(xmin), xmax, next, state].map((value) => JSON.stringify(value)), `{${columns.join(',')}}`, JSON.stringify(row.dangling),
      JSON.stringify(row.problem),
    ]
  }

  private async tellDamage(): Promise<void> {
    for (; this.damageShown < this.damage.length; this.damageShown++) await this.output.note(`ltap: ${this.damage[this.damageShown]}`)
  }
}

function plainCells({ block, offset, xmin, xmax, next, state, values }: TableRow): Cells {
  return [`(${block},${offset})`, String(xmin), xmax, next, state, ...values]
}

function* batches(rows: Iterable<TableRow>, limit: number, cellsOf: (row: TableRow) => Cells): Iterable<Cells[]> {
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
