import { text as readAll } from 'node:stream/consumers'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type QueryFormat, queryLake } from '../jobs/query/query.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface QueryOptions {
  lake: string
  database?: string
  format?: QueryFormat
  memoryLimit?: string
  threads?: number
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
    `ltap query --lake ./lake - < report.sql`,
  ],
}

/** `ltap query`. */
export function addQuery(program: Command, run: Run): void {
  addVerb(program, 'query <sql>', TEXT)
    .requiredOption('--lake <dir>', 'folder of the lake')
    .option('--database <name>', 'needed if the lake has several user databases')
    .addOption(new Option('--format <format>', 'how rows are printed (default: table; with --json: json)').choices(['table', 'csv', 'json']))
    .option('--memory-limit <size>', "DuckDB's memory limit, such as 4GB")
    .option('--threads <count>', "DuckDB's threads", parseCount)
    .action(async (sql: string, options: QueryOptions) => {
      const output = begin(run, options)
      const { json, format = json ? 'json' : 'table', lake, database, memoryLimit, threads } = options
      const request = { lake, format, sql: sql === '-' ? await readAll(run.streams.stdin) : sql }
      const settings = { ...(database && { database }), ...(memoryLimit && { memoryLimit }), ...(threads && { threads }) }
      await queryLake({ ...request, ...settings, onNotice: output.notice }, output.write)
    })
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('a number from 1 to 9999 is needed.')
  return Number(text)
}
