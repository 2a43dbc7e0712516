import { BlockSet } from '../../common/blockset.ts'
import { crc32c } from '../../common/crc32c.ts'
import { putObject } from '../tasks/lakeobject.ts'
import { LOG_NAMESPACE, type LogName, logKey, publishedEdit } from '../../lake/publishedentry.ts'
import { encodeLogFile, type LogFile, logFields, type LogRecord, type LogValue } from '../../lake/publishedlog.ts'
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

/** Makes snapshots of the tables that ltap adds rows to. What is new goes into new files, so each snapshot is an append. */
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
    const { staging, staging: { context } } = this
    const { lake, before, settings: { window: _window, ...settings }, publication, branch } = context
    const source = await this.source(name)
    const last = before.entries.get(logKey(name).key)
    const content = jsonHash([source.content, settings])
    if (last?.content === content) {
      await staging.expire(logKey(name), last)
      return undefined
    }
    const record = last && await readRecord(lake, last, context.formats)
    const known = record?.log as LogRecord | undefined
    const { files: added, next: rest } = await source.since(known)
    const folder = last?.folder ?? this.folder(name)
    const files = [...known?.files ?? []]
    let bytes = 0
    for await (const rows of added) {
      const file = await this.write(name, folder, rows)
      if (file === undefined) continue
      files.push(file)
      bytes += file.bytes
    }
    const published = this.snapshot(name, { uuid: last?.uuid ?? staging.newUuid({ dbOid: 0, oid: 0 }), folder }, files, record?.publishedMs)
    const log: LogRecord = { files, ...rest }
    const { next, encoded, bytes: metadata, obsolete, ...kept } = await staging.stage(published, record, { log })
    const { uuid, namespace, lsn } = published
    staging.edits.push(publishedEdit(logKey(name), {
      uuid, branch: branch.id, folder, namespace, name, lsn, ...(last === undefined && { first: true }), content, made: content, ...kept, publication,
      record: await context.parts.add(encoded),
    }))
    staging.prepared.push({ folder, record: next, isFirst: last === undefined, obsolete })
    return bytes + metadata + encoded.length
  }

  private async source(name: LogName): Promise<LogSource> {
    const { lake, snapshot } = this.staging.context
    return name === 'transactions' ? await TransactionsLog.read(lake, snapshot) : new SchemasLog(lake, snapshot.state, this.candidates)
  }

  private async write(name: LogName, folder: string, rows: Iterable<readonly LogValue[]>): Promise<LogFile | undefined> {
    const { lake: { ports: { store } }, work } = this.staging.context
    const { bytes, rows: length } = await encodeLogFile(name, rows)
    if (length === 0) return undefined
    const { key } = dataKeys(folder, work.name())
    await putObject(store, key, bytes)
    return { key, bytes: bytes.length, rows: length, crc: crc32c(bytes) }
  }

  private snapshot(
    name: LogName, { uuid, folder }: Pick<TableSnapshot, 'uuid' | 'folder'>, files: readonly LogFile[], publishedMs = 0,
  ): TableSnapshot {
    const { lake: { ports: { clock } }, snapshot: { state: { lsn, timeline, time } }, settings: { root } } = this.staging.context
    return {
      uuid, namespace: LOG_NAMESPACE, name, root, folder, kind: 'change', timeline, lsn, ...(time !== undefined && { time }),
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
