import { CorruptionError } from '../../common/errors.ts'
import type { Lake } from '../../engine/lake.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import type { FormatName, PublicationRecord, PublishedEntry } from '../../lake/publishedentry.ts'
import type { Head } from '../../lake/state/head.ts'
import type { TableCommit, TableFormat } from '../../lake/tableformat.ts'
import { tableFormats } from './formats.ts'
import { confirmedPublication, readPublished, readRecord } from './publishedstate.ts'

/** A table of a branch's newest publication. */
export interface PublishedFiles {
  readonly entry: PublishedEntry
  readonly record: PublicationRecord
  readonly commits: readonly TableCommit[]
  /** Keys of the files that readers find by their names. */
  readonly names: readonly string[]
}

/** What readers find by its name: files of a table's folder, with the version that they are of. */
const OWN_FILE =
  /^(.+)\/(?:metadata\/(?:v(\d{1,15})\.metadata\.json|version-hint\.text)|_delta_log\/(?:(\d{20})\.(?:json|checkpoint\.parquet)|_last_checkpoint))$/

export interface OwnFile {
  readonly folder: string
  readonly kind: FormatName
  readonly version: number | undefined
}

/** @returns undefined for the key of another file */
export function ownFile(key: string): OwnFile | undefined {
  const [, folder, metadata, log] = OWN_FILE.exec(key) ?? []
  if (folder === undefined) return undefined
  const version = metadata ?? log
  return { folder, kind: key.includes('/_delta_log/') ? 'delta' : 'iceberg', version: version === undefined ? undefined : Number(version) }
}

/** The files of a table in the formats that are published. @throws CorruptionError, UnsupportedError lake.published of one table */
export async function filesOfTable(
  lake: Lake, entry: PublishedEntry, root: string, formats: ReadonlyMap<FormatName, TableFormat>,
): Promise<PublishedFiles> {
  const record = await readRecord(lake, entry, formats)
  const known = [...formats].filter(([name]) => record[name] !== undefined)
  const commits = await Promise.all(known.map(([name, format]) => format.commit(record[name], { root, folder: entry.folder })))
  return { entry, record, commits, names: known.flatMap(([name, format]) => [...format.names(record[name], entry)]) }
}

/**
 * Calls `visit` with each table of a branch's newest publication, but for those that may not be before readers yet: the next publication completes them.
 * @param fail called for a table whose record cannot be read
 */
export async function visitPublished(
  lake: Lake, head: Head, visit: (table: PublishedFiles) => Promise<void> | void, fail: (entry: PublishedEntry, error: CorruptionError) => void,
): Promise<void> {
  const { settings, entries } = await readPublished(Snapshot.of(lake, head, head.state), head.branch.id)
  if (settings === undefined) return
  const isConfirmed = await confirmedPublication(lake, head.branch.name) === settings.publication
  const formats = new Map([...tableFormats(settings)].filter(([name]) => settings.formats.includes(name)))
  for (const entry of entries.values()) {
    if (!isConfirmed && entry.publication === settings.publication) continue
    try {
      await visit(await filesOfTable(lake, entry, settings.root, formats))
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error
      fail(entry, error)
    }
  }
}
