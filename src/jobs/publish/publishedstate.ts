import * as v from 'valibot'
import type { Lake } from '../../engine/lake.ts'
import { readPiece } from '../../engine/pagereader.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import { CorruptionError } from '../../common/errors.ts'
import {
  decodeRecord, type FormatName, parsePublished, type PublicationRecord, type PublicationSettings, type PublishedEntry, recordOf,
} from '../../lake/publishedentry.ts'
import { parseLogRecord } from '../../lake/publishedlog.ts'
import type { EntryKey } from '../../lake/state/entries.ts'
import { parseText } from '../../lake/state/page.ts'
import type { TableFormat } from '../../lake/tableformat.ts'

/** What a state says of what was published. */
export interface PublishedState {
  /** Undefined before the first publication. */
  readonly settings: PublicationSettings | undefined
  /** By key: `<database>/<oid>` of a table, `log/<name>` of a log. */
  readonly entries: ReadonlyMap<string, PublishedEntry>
}

/** @param branch id of the branch @param only these entries; default: all @throws CorruptionError, UnsupportedError lake.state */
export async function readPublished(snapshot: Snapshot, branch: string, only?: readonly EntryKey[]): Promise<PublishedState> {
  const entries = new Map<string, PublishedEntry>()
  let settings: PublicationSettings | undefined
  const read = (key: string, value: unknown): void => {
    const found = parsePublished(key, value)
    // What the branch was made from published is its own: its folders are left alone.
    if (found.kind !== 'settings') {
      if (found.entry.branch === branch) entries.set(key, found.entry)
    } else if (found.settings.branch === branch) ({ settings } = found)
  }
  if (only === undefined) await snapshot.scan('published', read)
  else for (const [i, value] of (await snapshot.get(only)).entries()) if (value !== undefined) read(only[i]!.key, value)
  return { settings, entries }
}

/**
 * What the next snapshot of a table goes on from, each format's part checked by it.
 * @throws CorruptionError lake.published, lake.missing-object; EnvironmentError store.*
 */
export async function readRecord(lake: Lake, entry: PublishedEntry, formats: ReadonlyMap<FormatName, TableFormat>): Promise<PublicationRecord> {
  const { record: ref } = entry
  const record = decodeRecord(await readPiece(lake.ports.store, ref), ref, lake.compressor)
  const persisted = recordOf(ref)
  const parsed = [...formats].flatMap(([name, format]): [FormatName, unknown][] => (
    record[name] === undefined ? [] : [[name, format.parse(record[name], persisted, name, { ...entry, publishedMs: record.publishedMs })]]))
  return {
    publishedMs: record.publishedMs, ...Object.fromEntries(parsed), ...(record.log !== undefined && { log: parseLogRecord(record.log, persisted, 'log') }),
  }
}

/** Key of the object that tells of the newest publication of a branch whose commit points are all before readers. */
export function confirmationKey(branch: string): string {
  return `ltap/branches/${branch}/published.json`
}

const CONFIRMATION = v.looseObject({ publication: v.string() })

/** Nonce of that publication; undefined without one, or if the object does not say it: then the newest one is completed once more. */
export async function confirmedPublication({ ports: { store } }: Lake, branch: string): Promise<string | undefined> {
  const found = await store.get(confirmationKey(branch))
  if (found === undefined) return undefined
  try {
    const text = parseText(found.bytes, { code: 'lake.published', name: confirmationKey(branch) })
    return v.is(CONFIRMATION, text) ? text.publication : undefined
  } catch (error) {
    if (error instanceof CorruptionError) return undefined
    throw error
  }
}
