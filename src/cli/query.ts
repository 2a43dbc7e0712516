import { text as readAll } from 'node:stream/consumers'
import { type Command, InvalidArgumentError } from 'commander'
import { queryLake } from '../jobs/query/query.ts'
import { addFormatOption, formatOf, type RowFormatName } from './rowprinter.ts'
import { addLakeOptions, type LakeOptions, openOptionsOf, parseAt } from './options.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface QueryOptions extends LakeOptions {
  at?: string
  database?: string
  format?: RowFormatName
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
    `ltap query --lake ./lake "SHOW TABLES"`,
    `ltap query --lake s3://bucket/lake --at 16/B374D848 "SELECT count(*) FROM orders"`,
    `ltap query --lake ./lake - < report.sql`,
  ],
}

/** `ltap query`. */
export function addQuery(program: Command, run: Run): void {
  addLakeOptions(addFormatOption(addVerb(program, 'query <sql>', TEXT)))
    .option('--at <point>', 'a tag, the LSN of a state, or a time, for the last state at or before it (default: the newest state)', parseAt)
    .option('--database <name>', 'the database; needed if the lake has several user databases')
    .option('--memory-limit <size>', "DuckDB's memory limit, such as 4GB")
    .option('--threads <count>', "DuckDB's threads", parseCount)
    .option('--timeout <seconds>', 'end the query after this time, with exit code 3 (default: no limit)', parseSeconds)
    .action(async (sql: string, options: QueryOptions) => {
      const output = begin(run, options)
      const { lake, at, database, memoryLimit, threads, timeout } = options
      const request = { lake, format: formatOf(output, options.format), sql: sql === '-' ? await readAll(run.streams.stdin) : sql }
      const settings = {
        ...openOptionsOf(options), ...(at !== undefined && { at }), ...(database && { database }),
        ...(memoryLimit && { memoryLimit }), ...(threads && { threads }), ...(timeout && { timeoutSeconds: timeout }),
      }
      await queryLake({ ...request, ...settings, onNotice: output.notice }, output.write)
    })
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
