import type { Command } from 'commander'
import { formatWalPosition } from '../common/ids.ts'
import { type HistoryRow, openHistory } from '../jobs/inspect/tablehistory.ts'
import type { Moment } from '../history/versionlife.ts'
import { timeText } from '../wal/text/time.ts'
import { EXIT_BAD_INPUT } from './failure.ts'
import { addOnCorruptOption, tellLosses } from './corruptoptions.ts'
import { DamageLog, tellMissing, tellUnreadable } from './heaprowshape.ts'
import { withWalProgress } from './jobprogress.ts'
import { addLimitOption } from './options.ts'
import { addTargetOptions, type TargetOptions } from './replaytarget.ts'
import { addFormatOption, formatOf, type RowFormatName, RowPrinter, type RowShape } from './rowprinter.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface InspectHistoryOptions extends TargetOptions {
  onCorrupt: 'fail' | 'carry'
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
  addOnCorruptOption(addLimitOption(addFormatOption(addTargetOptions(addVerb(inspect, 'history <pgdata|backup> <schema.name>', TEXT)))))
    .option('--database <name>', 'the database; needed if several user databases have the table')
    .option('--work <dir>', 'new folder for the replayed files, kept (default: a temporary one)')
    .action(async (source: string, table: string, { limit = Infinity, format, ...options }: InspectHistoryOptions) => {
      const { database, work, wal, to, timeline, onCorrupt } = options
      const output = begin(run, options)
      const history = await withWalProgress(output, 'replay', (onProgress) => openHistory({
        source, table, onCorrupt, onProgress, onNotice: output.notice, ...(to === undefined ? {} : { target: to }), ...(wal === undefined ? {} : { wal }),
        ...(timeline === undefined ? {} : { timeline }), ...(database === undefined ? {} : { database }), ...(work === undefined ? {} : { work }),
      }))
      try {
        if (!history.populated) await output.note(`ltap: materialized view ${table} has not been populated at the end: no server reads it there`)
        const damage = new DamageLog()
        await new RowPrinter(output, formatOf(output, format), { ...SHAPE, columns: history.columns }, damage.lines).print(history.rows(damage.add), limit)
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

function lsnOf(moment: Moment | undefined): string | undefined {
  return moment === undefined || moment === 'before' ? moment : formatWalPosition(moment.lsn)
}

function timeOf(moment: Moment | undefined): string | undefined {
  return moment === undefined || moment === 'before' || moment.time === undefined ? undefined : timeText(moment.time)
}
