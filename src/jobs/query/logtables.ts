import { join } from 'node:path'
import type { Lake } from '../../engine/lake.ts'
import { readCatalog } from '../../engine/statecatalog.ts'
import { writeFile } from '../../io/disk/create.ts'
import { ObjectFiles } from '../../io/objectstore/objectfiles.ts'
import { LOG_NAMES, LOG_NAMESPACE, type LogName, logKey, parsePublished } from '../../lake/publishedentry.ts'
import { encodeLogFile, logFields, type LogRecord, type LogValue } from '../../lake/publishedlog.ts'
import { duckType } from '../../lake/layeredviews.ts'
import { foldName, quoteName } from '../../lake/viewnames.ts'
import { globEscape, quoteText } from '../../lake/viewtext.ts'
import type { StateManifest } from '../lakes/statemanifest.ts'
import { publicationCandidates } from '../publish/candidates.ts'
import { readRecord } from '../publish/publishedstate.ts'
import { SchemasLog } from '../publish/schemaslog.ts'
import { TransactionsLog } from '../publish/transactionslog.ts'

/** `ltap.transactions` and `ltap.schemas` of one state, for a query that names them: what is published, and what the next publication would add. */
export class LogTables {
  /** Every file that views read. */
  readonly paths: string[] = []
  private readonly lake: Lake
  private readonly state: StateManifest
  private readonly scratch: string
  private readonly objects: ObjectFiles
  private written = 0
  private ended: Promise<string[]> | undefined

  /** @param scratch a folder of this query alone */
  constructor(lake: Lake, state: StateManifest, scratch: string, cacheBytes: number) {
    this.lake = lake
    this.state = state
    this.scratch = scratch
    this.objects = new ObjectFiles(lake.ports.store, join(scratch, 'logs'), cacheBytes)
  }

  /** SQL that makes a view of each log that a text names. @throws CorruptionError lake.*; EnvironmentError store.*, file.* */
  async views(sql: string, catalog: string): Promise<string> {
    const text = foldName(sql)
    const wanted = LOG_NAMES.filter((name) => text.includes(LOG_NAMESPACE) && text.includes(name))
    const views = await Promise.all(wanted.map(async (name) => {
      const files = name === 'transactions' ? await this.transactions() : await this.schemas()
      const columns = logFields(name).map(({ name: column, type }) => `CAST(NULL AS ${duckType(type)}) AS ${quoteName(column)}`)
      const rows = files.length === 0 ? `SELECT ${columns.join(', ')} WHERE false`
        : `FROM read_parquet([${files.map((file) => quoteText(globEscape(file))).join(', ')}], hive_partitioning = false)`
      this.paths.push(...files)
      return `CREATE VIEW ${quoteName(catalog)}.${quoteName(LOG_NAMESPACE)}.${quoteName(name)} AS ${rows};\n`
    }))
    return wanted.length === 0 ? '' : `CREATE SCHEMA IF NOT EXISTS ${quoteName(catalog)}.${quoteName(LOG_NAMESPACE)};\n${views.join('')}`
  }

  /** Files with the rows of `ltap.transactions`. */
  transactions(): Promise<string[]> {
    const write = async (): Promise<string[]> => {
      const { files } = await (await TransactionsLog.read(this.lake, this.state.snapshot)).since(undefined)
      return await this.write('transactions', files)
    }
    return this.ended ??= write()
  }

  private async schemas(): Promise<string[]> {
    const { lake, state: { snapshot } } = this
    const [value] = await snapshot.get([logKey('schemas')])
    const found = value === undefined ? undefined : parsePublished(logKey('schemas').key, value)
    const record = found?.kind === 'log' ? (await readRecord(lake, found.entry, new Map())).log as LogRecord : undefined
    const candidates = await publicationCandidates(snapshot, await readCatalog(snapshot))
    const { files } = await new SchemasLog(lake, snapshot.state, candidates).since(record)
    const published = await Promise.all((record?.files ?? []).map(async (file) => (await this.objects.open(file)).path))
    return [...published, ...await this.write('schemas', files)]
  }

  private async write(name: LogName, files: Iterable<Iterable<readonly LogValue[]>> | AsyncIterable<Iterable<readonly LogValue[]>>): Promise<string[]> {
    const paths: string[] = []
    for await (const rows of files) {
      const path = join(this.scratch, `log${this.written++}.parquet`)
      writeFile(path, (await encodeLogFile(name, rows)).bytes)
      paths.push(path)
    }
    return paths
  }
}
