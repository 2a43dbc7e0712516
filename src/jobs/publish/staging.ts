import { createHash } from 'node:crypto'
import { EnvironmentError, UnsupportedError } from '../../common/errors.ts'
import { equalJson } from '../../common/equaljson.ts'
import { MOMENT_MAX } from '../../common/validate.ts'
import type { Lake } from '../../engine/lake.ts'
import { missingObject, putObjects } from '../../engine/pagereader.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import type { Work } from '../../engine/writer.ts'
import type { ClusterInfo } from '../../lake/clusterinfo.ts'
import {
  encodeRecord, type FormatName, type PublicationRecord, publishedEdit, type PublishedEntry, publishedKey, type WantedSettings,
} from '../../lake/publishedentry.ts'
import type { TableSnapshot } from '../../lake/publishedtable.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import { MAIN_BRANCH, parseObjectName } from '../../lake/state/names.ts'
import { tableFolder } from '../../lake/tablefolder.ts'
import type { StagedTable, TableFormat } from '../../lake/tableformat.ts'
import type { PartWriter } from '../materialize/partwriter.ts'
import type { Candidate } from './candidates.ts'
import { jsonHash } from './jsonhash.ts'
import { type PublishedState, readRecord } from './publishedstate.ts'
import { type TableContent, tableContent } from './publishedtables.ts'

/** A table whose record goes into the lake, and whose commit points are put then. */
export interface PreparedTable {
  readonly folder: string
  /** No state of the lake had it: what lies there under its names is left over. */
  readonly isFirst: boolean
  /** Files to be deleted then. */
  readonly obsolete: readonly string[]
  readonly record: PublicationRecord
}

/** What a publication is made from. */
export interface StagingContext {
  readonly lake: Lake
  readonly branch: { readonly id: string; readonly name: string }
  readonly snapshot: Snapshot
  readonly cluster: ClusterInfo
  readonly before: PublishedState
  /** Nonce of the publication. */
  readonly publication: string
  readonly settings: WantedSettings
  readonly formats: ReadonlyMap<FormatName, TableFormat>
  readonly parts: PartWriter
  readonly work: Work
  /** Folders of tables, those that are gone too: no two have one. */
  readonly folders: Set<string>
  /** Objects of published tables that are missing, by key of the table's entry. */
  readonly lost: ReadonlyMap<string, ReadonlySet<string>>
}

/** Makes snapshots of tables, and puts all of them that no reader finds before the commit. */
export class Staging {
  readonly edits: (EntryKey & { readonly value?: unknown })[] = []
  readonly prepared: PreparedTable[] = []
  /** Entries whose objects the edits refer to. */
  readonly reads: EntryKey[] = []
  readonly context: StagingContext

  constructor(context: StagingContext) {
    this.context = context
  }

  /** Has a table that readers do not see at its newest snapshot yet wait for that. @returns false for another one */
  carry(table: EntryKey, blocked: ReadonlySet<string>): boolean {
    const last = this.context.before.entries.get(table.key)
    if (last === undefined || !blocked.has(last.folder)) return false
    this.edits.push(publishedEdit(table, { ...last, publication: this.context.publication }))
    return true
  }

  /**
   * @returns bytes that were written; undefined if the newest snapshot of the table is of the same content
   * @throws as tableContent, and what a format does not take: UnsupportedError publish.*
   */
  async add(table: Candidate): Promise<number | undefined> {
    if (table.missing !== undefined) throw new UnsupportedError('publish.part', `its rows are not complete: ${table.missing} was not read`)
    const { lake, snapshot, cluster, before, settings: { window: _window, ...settings }, publication } = this.context
    const last = before.entries.get(publishedKey(table).key)
    const quick = jsonHash([table.content, table.shown, settings])
    const lost = this.context.lost.get(publishedKey(table).key)
    if (last?.content === quick && last.open === undefined && lost === undefined) return await this.expire(publishedKey(table), last)
    const content = await tableContent(lake, snapshot, cluster, table)
    const gone = lost && content.files.find(({ key }) => lost.has(key))
    if (gone) throw missingObject(lake.ports.store, gone.key)
    const made = contentHash(content, [table.shown, settings])
    const state = { content: quick, made, rows: content.rows, ...(content.open && { open: true as const }) }
    if (last?.made === made && lost === undefined) {
      // Files, rows and columns are the same, though the state says it otherwise now, or transactions ended that made no difference.
      const { open: _open, ...rest } = last
      const now = { ...rest, ...state }
      if (!this.isExpired(now)) this.edits.push(publishedEdit(table, now))
      return await this.expire(publishedKey(table), now)
    }
    const record = last && await this.recordOf(last, lost)
    const published = this.tableSnapshot(table, content, last, record)
    const { next, encoded, bytes, obsolete, ...kept } = await this.stage(published, record)
    const { uuid, folder, namespace, name, lsn } = published
    this.edits.push(publishedEdit(table, {
      uuid, branch: this.context.branch.id, folder, namespace, name, lsn, ...(last === undefined && { first: true }),
      ...state, ...kept, publication, record: await this.context.parts.add(encoded),
    }))
    for (const key of table.parts) this.reads.push({ tree: 'layers', key })
    this.prepared.push({ folder, record: next, isFirst: last === undefined, obsolete })
    return bytes + encoded.length
  }

  /** Takes snapshots that are no longer listed from a table that did not change. */
  async expire(table: EntryKey, last: PublishedEntry): Promise<undefined> {
    const { lake, formats, publication } = this.context
    if (!this.isExpired(last)) return
    const now = lake.ports.clock.now()
    const record = await readRecord(lake, last, formats)
    const staged = [...formats].flatMap(([name, format]): [FormatName, StagedTable][] => {
      if (record[name] === undefined) return []
      return [[name, format.expire(record[name], now, last)]]
    })
    const { next: formatsOnly, bytes: _, obsolete, ...kept } = stagedRecord(staged, record.publishedMs)
    const next = { ...formatsOnly, ...(record.log !== undefined && { log: record.log }) }
    const { expiresMs: _before, first: _first, ...entry } = last
    this.edits.push(publishedEdit(table, { ...entry, ...kept, publication, record: await this.context.parts.add(encodeRecord(next, lake.compressor)) }))
    this.prepared.push({ folder: last.folder, record: next, isFirst: false, obsolete })
  }

  /** What the next snapshot goes on from. @param lost objects that are missing */
  async recordOf(last: PublishedEntry, lost: ReadonlySet<string> | undefined): Promise<PublicationRecord> {
    const { lake, formats } = this.context
    const record = await readRecord(lake, last, formats)
    if (lost === undefined) return record
    const whole = [...formats].flatMap(([name, format]): [FormatName, unknown][] => (
      record[name] === undefined ? [] : [[name, format.withoutLost(record[name], lost)]]))
    return { ...record, ...Object.fromEntries(whole) }
  }

  /** Whether a snapshot may be listed that no longer is to be. */
  private isExpired({ expiresMs }: PublishedEntry): boolean {
    const { lake, before, settings } = this.context
    return expiresMs !== undefined && (lake.ports.clock.now() >= expiresMs || !equalJson(settings.window, before.settings?.window))
  }

  private tableSnapshot(
    table: Candidate, { columns, files, rows }: TableContent, last: PublishedEntry | undefined, record: PublicationRecord | undefined,
  ): TableSnapshot {
    const { lake, snapshot: { state: { lsn, timeline, time } }, settings: { root } } = this.context
    return {
      uuid: last?.uuid ?? this.newUuid(table), ...table.shown, root, folder: last?.folder ?? this.newFolder(table), columns, files,
      // What is in other files now was merged. An entry of an older ltap does not say its rows: at the same LSN no row differs.
      kind: (last?.rows === undefined ? last?.lsn === lsn : last.rows === rows) ? 'merge' : 'change', timeline, lsn, ...(time !== undefined && { time }),
      publishedMs: checkedMoment(Math.max(lake.ports.clock.now(), (record?.publishedMs ?? 0) + 1)),
    }
  }

  /** @param own what the record has beside those of the formats */
  async stage(
    published: TableSnapshot, record: PublicationRecord | undefined, own: Pick<PublicationRecord, 'log'> = {},
  ): Promise<StagedRecord & { encoded: Uint8Array }> {
    const { lake, formats, work } = this.context
    const staged = await Promise.all([...formats].map(async ([name, format]): Promise<[FormatName, StagedTable]> => (
      [name, await format.next(record?.[name], published, work)])))
    const { next, ...made } = stagedRecord(staged, published.publishedMs)
    const whole = { ...next, ...own }
    // What is too large is refused before anything is put.
    const encoded = encodeRecord(whole, lake.compressor)
    await putObjects(lake.ports.store, staged.flatMap(([, { objects }]) => objects))
    return { ...made, next: whole, encoded }
  }

  /** Folder of a new table; of a branch beside main apart, since each has snapshots of its own over files that they share. */
  private newFolder(table: Candidate): string {
    const { branch: { name }, folders } = this.context
    const plain = name === MAIN_BRANCH ? tableFolder(table) : `branches/${name}/${tableFolder(table)}`
    // A database that is a copy of another one has tables with the same numbers, and may have its name.
    let folder = plain
    for (let i = 0; folders.has(folder); i++) folder = `${plain}-${table.dbOid}${i === 0 ? '' : `-${i}`}`
    folders.add(folder)
    return folder
  }

  newUuid({ dbOid, oid }: { dbOid: number; oid: number }): string {
    const { lake: { format, ports } } = this.context
    const hex = createHash('sha256').update(`${format.main}/${dbOid}/${oid}/${ports.random.nonce()}`).digest('hex')
    const variant = (Number.parseInt(hex[16]!, 16) & 3 | 8).toString(16)
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
  }
}

/** What of a table's entry the formats make. */
type StagedRecord = Pick<PublishedEntry, 'objects' | 'expiresMs'> & { next: PublicationRecord; bytes: number; obsolete: string[] }

function stagedRecord(staged: readonly [FormatName, StagedTable][], publishedMs: number): StagedRecord {
  const expiresMs = Math.min(...staged.map(([, own]) => own.expiresMs ?? Infinity))
  return {
    next: { publishedMs, ...Object.fromEntries(staged.map(([name, own]) => [name, own.record])) }, ...(expiresMs < Infinity && { expiresMs }),
    // What readers find by its name alone, gc never deletes.
    objects: [...new Set(staged.flatMap(([, { refers }]) => [...refers]))].filter((key) => parseObjectName(key) !== undefined),
    obsolete: staged.flatMap(([, own]) => own.obsolete),
    bytes: staged.flatMap(([, { objects }]) => objects).reduce((sum, { bytes }) => sum + bytes.length, 0),
  }
}

/** @throws EnvironmentError publish.clock for a time that readers of the lake refuse */
function checkedMoment(ms: number): number {
  if (ms <= MOMENT_MAX) return ms
  throw new EnvironmentError('publish.clock', `its snapshot would be of ${ms} ms since 1970, behind the year 9999: set the clock of this machine`)
}

/** Rows may be hidden in very many runs: no text has all of them. */
function contentHash({ columns, files }: TableContent, others: unknown): string {
  const hash = createHash('sha256').update(jsonHash([columns, others]))
  for (const { hidden, ...file } of files) {
    hash.update(jsonHash(file))
    const runs = new Float64Array(hidden.runs.length * 2)
    for (const [i, { first, count }] of hidden.runs.entries()) runs.set([first, count], i * 2)
    hash.update(runs)
  }
  return hash.digest('base64url')
}
