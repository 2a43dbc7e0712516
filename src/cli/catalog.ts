import { type Command, Option } from 'commander'
import { onEnd, onInterrupt } from '../io/process/interruption.ts'
import { serveCatalog } from '../jobs/catalog/servecatalog.ts'
import { parsePort } from './options.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface CatalogVerbOptions {
  lake: string
  port: number
  host: string
  branch?: string
  tokenFile?: string
  auth: boolean
  scanPlanning?: 'client' | 'server'
  log?: boolean
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'serve the published tables of a lake to Spark, PyIceberg, DuckDB, Trino … as an Iceberg REST catalog; it reads the lake and writes nothing',
  examples: [
    'ltap catalog --lake ./lake   # http://localhost:8181; each database is a warehouse, each schema a namespace',
    'ltap catalog --lake s3://bucket/shop --host 0.0.0.0 --token-file tokens.txt   # a token a line, behind it the namespaces that it is for',
    "duckdb> ATTACH 'shop' AS shop (TYPE iceberg, ENDPOINT 'http://localhost:8181', AUTHORIZATION_TYPE 'none')",
    "duckdb> ATTACH 'shop@16/B374D848' …   # every table at one LSN; a tag, a time or now is taken, too",
  ],
}

/** `ltap catalog`. */
export function addCatalog(program: Command, run: Run): void {
  addVerb(program, 'catalog', TEXT)
    .requiredOption('--lake <lake>', 'the lake')
    .option('--port <number>', 'port to listen on; 0 for any that is free', parsePort, 8181)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--branch <name>', 'tables of this branch (default: main)')
    .option('--token-file <file>', 'answer requests with one of its bearer tokens alone')
    .option('--no-auth', 'answer everyone, at an address that others reach, too')
    .addOption(new Option('--scan-planning <who>', 'tell clients who plans scans: client, or server (default: as they like)').choices(['client', 'server']))
    .option('--log', 'print a line for each request to stderr: method, path, status')
    .action(async ({ lake, port, host, branch, tokenFile, auth, scanPlanning, log, ...options }: CatalogVerbOptions) => {
      const output = begin(run, options)
      const served = await serveCatalog({
        lake, port, host, ...(branch !== undefined && { branch }), ...(tokenFile !== undefined && { tokenFile }), ...(!auth && { noAuth: true }),
        ...(scanPlanning && { scanPlanning }), onBug: (error) => output.notice(`a request failed: ${error instanceof Error ? error.stack : String(error)}`),
        ...(log && { onAnswer: ({ method, url }, { status }) => output.notice(`${method} ${new URL(url).pathname} ${status}`) }),
      })
      const ended = new Promise<void>((resolve) => void onInterrupt(resolve))
      const forget = onEnd(served.close)
      await output.result({ url: served.url, lake: served.lake }, () => `${served.lake} is an Iceberg REST catalog at ${served.url}; Ctrl-C ends it\n`)
      await ended
      forget()
      await served.close()
    })
}
