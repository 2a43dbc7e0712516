import { text as readAll } from 'node:stream/consumers'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { QuerySource } from '../jobs/query/openquery.ts'
import { exportQuery } from '../jobs/query/exportquery.ts'
import { describeLake, isPsqlCommand } from '../jobs/query/describelake.ts'
import { printListing, queryLake } from '../jobs/query/query.ts'
import type { ResultFormat } from '../jobs/query/resultfiles.ts'
import { counted } from './count.ts'
import { UsageError } from './failure.ts'
import { columnNames } from './columnnames.ts'
import { formatOf, type RowFormatName } from './rowprinter.ts'
import { addLakeOptions, type LakeOptions, openOptionsOf, parseAt } from './options.ts'
import type { Output } from './output.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface QueryOptions extends LakeOptions {
  at?: string
  database?: string
  format?: RowFormatName | ResultFormat
  out?: string
  partitionBy?: readonly string[]
  memoryLimit?: string
  threads?: number
  timeout?: number
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'run SQL over a lake in DuckDB: visible rows under their Postgres names, all tuples under ltap_<schema>',
  examples: [
    `ltap query --lake ./lake "SELECT status, count(*) FROM orders GROUP BY status"`,
    `ltap query --lake ./lake --format csv "FROM orders" > orders.csv`,
    `ltap query --lake ./lake "SELECT id, _overflow.price FROM items WHERE _overflow.price IS NOT NULL"   # values no column type holds`,
    `ltap query --lake ./lake "SELECT id, _ltap.xmin, _ltap.xmax FROM ltap_public.orders WHERE NOT _visible"   # dead rows`,
    String.raw`ltap query --lake ./lake '\dt'   # also \d, \d public.orders, \dm, \ds, \dn, \l; SHOW TABLES`,
    `ltap query --lake s3://bucket/lake --at 16/B374D848 "SELECT count(*) FROM orders"`,
    `ltap query --lake ./lake - < report.sql`,
    `ltap query --lake ./lake --out ./orders.parquet "FROM orders"`,
    `ltap query --lake ./lake --out s3://bucket/orders --partition-by year,status "SELECT *, year(placed) AS year FROM orders"`,
  ],
}

const FORMAT = 'how rows are printed (default: table; with --json: json), or written with --out (default: by the ending of its name, or parquet)'

/** `ltap query`. */
export function addQuery(program: Command, run: Run): void {
  addLakeOptions(addVerb(program, 'query <sql>', TEXT))
    .addOption(new Option('--format <format>', FORMAT).choices(['table', 'csv', 'json', 'parquet']))
    .option('--out <place>', 'write the rows into a new folder, s3://bucket/prefix, or one file named .parquet, .csv or .json')
    .option('--partition-by <columns>', 'with --out: columns that become folders, a=1/b=2, such as year,status', columnNames)
    .option('--at <point>', 'a tag, the LSN of a state, or a time, for the last state at or before it (default: the newest state)', parseAt)
    .option('--database <name>', 'the database; needed if the lake has several user databases')
    .option('--memory-limit <size>', "DuckDB's memory limit, such as 4GB")
    .option('--threads <count>', "DuckDB's threads", parseCount)
    .option('--timeout <seconds>', 'end the query after this time, with exit code 3 (default: no limit)', parseSeconds)
    .action(async (sql: string, options: QueryOptions) => {
      const output = begin(run, options)
      const { lake, at, database, memoryLimit, threads, timeout, out } = options
      const print = out === undefined ? printFormat(output, options) : undefined
      const source: QuerySource = {
        lake, sql: sql === '-' ? await readAll(run.streams.stdin) : sql, onNotice: output.notice, ...openOptionsOf(options),
        ...(at !== undefined && { at }), ...(database && { database }),
        ...(memoryLimit && { memoryLimit }), ...(threads && { threads }), ...(timeout && { timeoutSeconds: timeout }),
      }
      if (isPsqlCommand(source.sql)) await writeListing(output, source, options)
      else if (print !== undefined) await queryLake({ ...source, format: print }, output.write)
      else await writeOut(output, source, out!, options)
    })
}

/** @throws UsageError for options that belong to --out */
function printFormat(output: Output, { format, partitionBy }: QueryOptions): RowFormatName {
  if (format === 'parquet') throw new UsageError('--format parquet needs --out <place>: Parquet is not printed')
  if (partitionBy !== undefined) throw new UsageError('--partition-by needs --out <place>')
  return formatOf(output, format)
}

/** @throws UsageError with --out */
async function writeListing(output: Output, source: QuerySource, { format, out }: QueryOptions): Promise<void> {
  if (out !== undefined || format === 'parquet') throw new UsageError(`a command such as ${source.sql.trim()} is printed: leave --out out`)
  await printListing(await describeLake(source), formatOf(output, format), output.write)
}

async function writeOut(output: Output, source: QuerySource, out: string, { format, partitionBy }: QueryOptions): Promise<void> {
  if (format === 'table') throw new UsageError('--format table is printed only; with --out write parquet, csv or json')
  const report = await exportQuery({ ...source, out, ...(format && { format }), ...(partitionBy && { partitionBy }) })
  const { rows, files, bytes } = report
  await output.result(report, () => `${counted(rows, 'row')} in ${counted(files, 'file')}, ${counted(bytes, 'byte')}: ${out}\n`)
}

/** Below what a timer of Node takes. */
const SECONDS_MAX = 2_000_000

function parseSeconds(text: string): number {
  if (!/^\d{1,7}(?:\.\d{1,3})?$/.test(text) || Number(text) === 0 || Number(text) > SECONDS_MAX) {
    throw new InvalidArgumentError('a number of seconds from 0.001 to 2000000 is needed.')
  }
  return Number(text)
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('a number from 1 to 9999 is needed.')
  return Number(text)
}
