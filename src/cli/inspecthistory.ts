import { type Command, Option } from 'commander'
import { formatWalPosition } from '../common/ids.ts'
import { exportHistory, type ExportHistoryOptions, historyTarget } from '../jobs/inspect/exporthistory.ts'
import { type HistoryRow, openHistory, type TableHistory } from '../jobs/inspect/tablehistory.ts'
import type { ResultFormat } from '../jobs/query/resultfiles.ts'
import type { Moment } from '../history/versionlife.ts'
import { timeText } from '../wal/text/time.ts'
import { counted } from './count.ts'
import { EXIT_BAD_INPUT, UsageError } from './failure.ts'
import { addOnCorruptOption, tellLosses } from './corruptoptions.ts'
import { DamageLog, tellMissing, tellUnreadable } from './heaprowshape.ts'
import { withWalProgress } from './jobprogress.ts'
import { addLimitOption } from './options.ts'
import type { Output } from './output.ts'
import { addTargetOptions, type TargetOptions } from './replaytarget.ts'
import { formatOf, type RowFormatName, RowPrinter, type RowShape } from './rowprinter.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface InspectHistoryOptions extends TargetOptions {
  onCorrupt: 'fail' | 'carry'
  database?: string
  limit?: number
  format?: RowFormatName | ResultFormat
  out?: string
  partitionBy?: 'day'
  work?: string
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: "every version that a table's rows had between a copy or backup and a later point of the WAL, with when it was valid",
  examples: [
    'ltap inspect history ./backup public.orders --wal ./archive',
    "ltap inspect history ./backup public.orders --wal ./archive --to '2026-01-31 12:00Z' --format csv > orders.csv",
    'ltap inspect history ./backup public.orders --wal ./archive --out ./orders-history --partition-by day   # Parquet',
    `ltap inspect history ./backup public.orders --wal ./archive --json | jq -c '.[] | select(.columns.id == "42")'`,
  ],
}

const SHAPE: Omit<RowShape<HistoryRow>, 'columns'> = {
  physical: ['file', 'ctid', 'xmin', 'xmax', 'state', 'from_lsn', 'from_time', 'to_lsn', 'to_time'], right: ['file', 'xmin'], numbers: ['file'],
  extra: ['dangling', 'problem', 'raw'],
  cellsOf: ({ file, block, offset, xmin, xmax, state, from, to }) =>
    [String(file), `(${block},${offset})`, String(xmin), xmax, state, lsnOf(from), timeOf(from), lsnOf(to), timeOf(to)],
  valuesOf: ({ values }) => values,
  extraOf: ({ dangling, problem, raw }) => [dangling, problem, raw],
}

const FORMAT = 'how rows are printed (default: table; with --json: json), or written with --out (default: by the ending of its name, or parquet)'

/** `ltap inspect history`. */
export function addInspectHistory(inspect: Command, run: Run): void {
  addOnCorruptOption(addLimitOption(addTargetOptions(addVerb(inspect, 'history <pgdata|backup> <schema.name>', TEXT))))
    .addOption(new Option('--format <format>', FORMAT).choices(['table', 'csv', 'json', 'parquet']))
    .option('--out <place>', 'write the versions into a new folder, s3://bucket/prefix, or one file named .parquet, .csv or .json')
    .addOption(new Option('--partition-by <what>', 'with --out: a folder for each day, in UTC, on which versions became valid').choices(['day']))
    .option('--database <name>', 'the database; needed if several user databases have the table')
    .option('--work <dir>', 'new folder for the replayed files, kept (default: a temporary one)')
    .action(async (source: string, table: string, options: InspectHistoryOptions) => {
      const { database, work, wal, to, timeline, onCorrupt, limit = Infinity } = options
      const output = begin(run, options)
      const target = targetOf(output, options)
      if (target !== undefined) historyTarget(source, target)
      const print = target === undefined ? formatOf(output, printFormat(options)) : undefined
      const history = await withWalProgress(output, 'replay', (onProgress) => openHistory({
        source, table, onCorrupt, onProgress, onNotice: output.notice, ...(to === undefined ? {} : { target: to }), ...(wal === undefined ? {} : { wal }),
        ...(timeline === undefined ? {} : { timeline }), ...(database === undefined ? {} : { database }), ...(work === undefined ? {} : { work }),
      }))
      try {
        if (!history.populated) await output.note(`ltap: materialized view ${table} has not been populated at the end: no server reads it there`)
        const damage = new DamageLog()
        if (print !== undefined) {
          await new RowPrinter(output, print, { ...SHAPE, columns: history.columns }, damage.lines).print(history.rows(damage.add), limit)
        } else if (target !== undefined) {
          await writeFiles(output, history, source, { ...target, onDamage: damage.add, limit })
          for (const line of damage.lines) await output.note(`ltap: ${line}`)
        }
        await damage.tellRest(output)
        await tellUnreadable(output, history.unreadableValues)
        await tellMissing(output, history.missingValues)
        await tellLosses(output, history.losses)
        if (history.unreadableValues + damage.count > 0) run.exitCode = EXIT_BAD_INPUT
      } finally {
        history.close()
      }
    })
}

/** @throws UsageError */
function targetOf({ notice }: Output, { out, format, partitionBy }: InspectHistoryOptions): ExportHistoryOptions | undefined {
  if (out === undefined) return undefined
  if (format === 'table') throw new UsageError('--format table is printed only; with --out write parquet, csv or json')
  return { out, onNotice: notice, ...(format && { format }), ...(partitionBy && { partitionBy }) }
}

/** @throws UsageError for options that belong to --out */
function printFormat({ format, partitionBy }: InspectHistoryOptions): RowFormatName | undefined {
  if (format === 'parquet') throw new UsageError('--format parquet needs --out <place>: Parquet is not printed')
  if (partitionBy !== undefined) throw new UsageError('--partition-by needs --out <place>')
  return format
}

async function writeFiles(output: Output, history: TableHistory, source: string, target: ExportHistoryOptions): Promise<void> {
  const report = await exportHistory(history, source, target)
  const { out, rows, files, bytes } = report
  await output.result(report, () => `${counted(rows, 'row version')} in ${counted(files, 'file')}, ${counted(bytes, 'byte')}: ${out}\n`)
}

function lsnOf(moment: Moment | undefined): string | undefined {
  return moment === undefined || moment === 'before' ? moment : formatWalPosition(moment.lsn)
}

function timeOf(moment: Moment | undefined): string | undefined {
  return moment === undefined || moment === 'before' || moment.time === undefined ? undefined : timeText(moment.time)
}
