import { BlockSet } from '../../common/blockset.ts'
import { crc32c } from '../../common/crc32c.ts'
import { putObject, readObject } from '../tasks/lakeobject.ts'
import { planLogMerge } from '../../lake/logmergeplan.ts'
import { LOG_NAMESPACE, type LogName, logKey, type PublicationRecord, publishedEdit } from '../../lake/publishedentry.ts'
import { encodeLogFile, type LogFile, logFields, type LogRecord, mergeLogFiles } from '../../lake/publishedlog.ts'
import type { TableSnapshot } from '../../lake/publishedtable.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import { dataKeys } from '../../lake/tablefolder.ts'
import type { Candidate } from './candidates.ts'
import { jsonHash } from './jsonhash.ts'
import { readRecord } from './publishedstate.ts'
import type { LogSource } from './logsource.ts'
import { SchemasLog } from './schemaslog.ts'
import type { Staging } from './staging.ts'
import { TransactionsLog } from './transactionslog.ts'

/** Makes snapshots of the tables that ltap adds rows to. What is new goes into new files, so each snapshot is an append, or a merge of files. */
export class LogStaging {
  private readonly staging: Staging
  private readonly candidates: readonly Candidate[]

  /** @param candidates all tables of the state that engines are to be shown */
  constructor(staging: Staging, candidates: readonly Candidate[]) {
    this.staging = staging
    this.candidates = candidates
  }

  /** @returns bytes that were written; undefined if the state has nothing new @throws CorruptionError lake.*; EnvironmentError store.* */
  async add(name: LogName): Promise<number | undefined> {
    const { staging, staging: { context: { before, settings: { window: _window, ...settings }, lost: all } } } = this
    const source = await this.source(name)
    const last = before.entries.get(logKey(name).key)
    const content = jsonHash([source.content, settings])
    const lost = all.get(logKey(name).key)
    if (last?.content === content && lost === undefined) {
      await staging.expire(logKey(name), last)
      return undefined
    }
    const record = last && await staging.recordOf(last, lost)
    const known = record?.log as LogRecord | undefined
    const from = known && (lost === undefined ? known : withoutLost(known, source, lost))
    const { files: added, next: rest } = await source.since(from)
    const folder = last?.folder ?? this.folder(name)
    const files = [...from?.files ?? []]
    let bytes = 0
    for await (const rows of added) {
      const file = await this.write(folder, await encodeLogFile(name, rows))
      if (file === undefined) continue
      files.push(file)
      bytes += file.bytes
    }
    return bytes + await this.stage(name, { content, folder, kind: 'change' }, { files, ...rest }, record)
  }

  /**
   * Makes one file of several, where size tiers say so: the rows are the same ones.
   * @param all whatever they say @returns bytes that were written; undefined without such files
   */
  async merge(name: LogName, all: boolean): Promise<number | undefined> {
    const { staging, staging: { context: { lake, before, formats } } } = this
    const last = before.entries.get(logKey(name).key)
    if (last === undefined) return undefined
    const record = await readRecord(lake, last, formats)
    const log = record.log as LogRecord | undefined
    let files = log?.files ?? []
    let bytes = 0
    for (let plan = planLogMerge(files, all); plan !== undefined; plan = planLogMerge(files, all)) {
      const merged = await this.write(last.folder, await mergeLogFiles(name, this.contents(files.slice(plan.first, plan.end))))
      if (merged === undefined) break
      files = [...files.slice(0, plan.first), merged, ...files.slice(plan.end)]
      bytes += merged.bytes
    }
    if (bytes === 0) {
      await staging.expire(logKey(name), last)
      return undefined
    }
    return bytes + await this.stage(name, { content: last.content, folder: last.folder, kind: 'merge' }, { ...log, files }, record)
  }

  private async *contents(files: readonly LogFile[]): AsyncGenerator<LogFile & { content: Uint8Array }> {
    for (const file of files) yield { ...file, content: await readObject(this.staging.context.lake.ports.store, file) }
  }

  /** @returns bytes of metadata */
  private async stage(
    name: LogName, { content, folder, kind }: { content: string } & Pick<TableSnapshot, 'folder' | 'kind'>, log: LogRecord,
    record: PublicationRecord | undefined,
  ): Promise<number> {
    const { staging, staging: { context: { before, branch, parts, publication } } } = this
    const last = before.entries.get(logKey(name).key)
    const published = this.snapshot(name, { uuid: last?.uuid ?? staging.newUuid({ dbOid: 0, oid: 0 }), folder, kind }, log.files, record?.publishedMs)
    const { next, encoded, bytes, obsolete, ...kept } = await staging.stage(published, record, { log })
    const { uuid, namespace, lsn } = published
    staging.edits.push(publishedEdit(logKey(name), {
      uuid, branch: branch.id, folder, namespace, name, lsn, ...(last === undefined && { first: true }), content, made: content, ...kept, publication,
      record: await parts.add(encoded),
    }))
    staging.prepared.push({ folder, record: next, isFirst: last === undefined, obsolete })
    return bytes + encoded.length
  }

  private async source(name: LogName): Promise<LogSource> {
    const { lake, snapshot } = this.staging.context
    return name === 'transactions' ? await TransactionsLog.read(lake, snapshot) : new SchemasLog(lake, snapshot.state, this.candidates)
  }

  private async write(folder: string, { bytes, rows }: { bytes: Uint8Array; rows: number }): Promise<LogFile | undefined> {
    const { lake: { ports: { store } }, work } = this.staging.context
    if (rows === 0) return undefined
    const { key } = dataKeys(folder, work.name())
    await putObject(store, key, bytes)
    return { key, bytes: bytes.length, rows, crc: crc32c(bytes) }
  }

  private snapshot(
    name: LogName, { uuid, folder, kind }: Pick<TableSnapshot, 'uuid' | 'folder' | 'kind'>, files: readonly LogFile[], publishedMs = 0,
  ): TableSnapshot {
    const { lake: { ports: { clock } }, snapshot: { state: { lsn, timeline, time } }, settings: { root } } = this.staging.context
    return {
      uuid, namespace: LOG_NAMESPACE, name, root, folder, kind, timeline, lsn, ...(time !== undefined && { time }),
      columns: logFields(name).map(({ id, name: column, type }) => ({ id, name: column, physicalName: column, type })),
      files: files.map(({ key, bytes, rows }) => ({ key, bytes, rows, columns: [], hidden: BlockSet.EMPTY })),
      publishedMs: Math.max(clock.now(), publishedMs + 1),
    }
  }

  /** No folder of a database has a dot in its name. */
  private folder(name: LogName): string {
    const { branch } = this.staging.context
    return `${branch.name === MAIN_BRANCH ? '' : `branches/${branch.name}/`}${LOG_NAMESPACE}.${name}`
  }
}

/** What a log goes on from where objects are missing: as it was, if no data file is among them. */
function withoutLost(known: LogRecord, source: LogSource, lost: ReadonlySet<string>): LogRecord {
  const left = known.files.filter(({ key }) => !lost.has(key))
  return left.length === known.files.length ? known : source.withoutLost(known, left)
}
