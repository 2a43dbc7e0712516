import type { Command } from 'commander'
import { formatWalPosition } from '../common/ids.ts'
import { type HistoryRow, openHistory } from '../jobs/inspect/tablehistory.ts'
import type { Moment } from '../history/historyrow.ts'
import { timeText } from '../wal/text/time.ts'
import { EXIT_BAD_INPUT } from './failure.ts'
import { tellUnreadable } from './heaprowshape.ts'
import { withWalProgress } from './jobprogress.ts'
import { parseLimit } from './options.ts'
import { addTargetOptions, type TargetOptions } from './replaytarget.ts'
import { addFormatOption, formatOf, type RowFormatName, RowPrinter, type RowShape } from './rowprinter.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface InspectHistoryOptions extends TargetOptions {
  database?: string
  limit?: number
  format?: RowFormatName
  work?: string
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: "every version that a table's rows had between a copy or backup and a later point of the WAL, with when it was valid",
  examples: [
    'ltap inspect history ./backup public.orders --wal ./archive',
    "ltap inspect history ./backup public.orders --wal ./archive --to '2026-01-31 12:00Z' --format csv > orders.csv",
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

/** `ltap inspect history`. */
export function addInspectHistory(inspect: Command, run: Run): void {
  addFormatOption(addTargetOptions(addVerb(inspect, 'history <pgdata|backup> <schema.name>', TEXT)))
    .option('--database <name>', 'needed if several user databases have the table')
    .option('--work <dir>', 'new folder for the replayed files, kept (default: a temporary one)')
    .option('--limit <count>', 'at most so many rows', parseLimit)
    .action(async (source: string, table: string, { database, limit = Infinity, format, work, wal, to, timeline, ...options }: InspectHistoryOptions) => {
      const output = begin(run, options)
      const history = await withWalProgress(output, 'replay', (onProgress) => openHistory({
        source, table, onProgress, onNotice: output.notice, ...(to === undefined ? {} : { target: to }), ...(wal === undefined ? {} : { wal }),
        ...(timeline === undefined ? {} : { timeline }), ...(database === undefined ? {} : { database }), ...(work === undefined ? {} : { work }),
      }))
      try {
        await new RowPrinter(output, formatOf(output, format), { ...SHAPE, columns: history.columns }).print(history.rows(), limit)
        await tellUnreadable(output, history.unreadableValues)
        if (history.unreadableValues > 0) run.exitCode = EXIT_BAD_INPUT
      } finally {
        history.close()
      }
    })
}

function lsnOf(moment: Moment | undefined): string | undefined {
  return moment === undefined || moment === 'before' ? moment : formatWalPosition(moment.lsn)
}

function timeOf(moment: Moment | undefined): string | undefined {
  return moment === undefined || moment === 'before' || moment.time === undefined ? undefined : timeText(moment.time)
}
