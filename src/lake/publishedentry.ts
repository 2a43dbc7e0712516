import * as v from 'valibot'
import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { crc32c } from '../common/crc32c.ts'
import { utf8Encode } from '../common/utf8.ts'
import {
  count, faulty, integer, lsnText, matching, moment, oneOf, type Persisted, pieceLength, pieceStart, type Schema, text, unsigned32, validate,
} from '../common/validate.ts'
import type { Compressor } from '../parquet/compressor.ts'
import type { EntryKey } from './state/entries.ts'
import { NONCE } from './state/names.ts'
import { objectKey, parseText, type PageRef, type PieceRef } from './state/page.ts'
import { decodeStateText, encodeStateText } from './state/statetext.ts'

/*
 * The tree `published` of a state: what foreign engines are shown.
 *
 *     settings            PublicationSettings
 *     <database>/<oid>    PublishedEntry, of a table
 *     log/<name>          PublishedEntry, of a table that ltap adds rows to at each publication (publishedlog.ts)
 */

/** Table formats that a lake is published in. */
export type FormatName = 'iceberg' | 'delta'
export const FORMAT_NAMES: readonly FormatName[] = ['iceberg', 'delta']

/** How a lake is published; each run does as the one before, unless it is told otherwise. */
export interface PublicationSettings {
  readonly formats: readonly FormatName[]
  /** Id of the branch whose tables these are: a new branch has the entries of the one that it was made from. */
  readonly branch: string
  readonly icebergVersion: 2 | 3
  /** URI of the lake in what was published: readers that find it elsewhere do not find its files. */
  readonly root: string
  /** Nonce of the newest publication. Its commit points may be missing, if it was killed: they are made of its entries. */
  readonly publication: string
  readonly window: PublishedWindow
  /** Milliseconds since 1970 when the first of all listed snapshots is no longer to be listed. */
  readonly expiresMs?: number
  /** Number of tables that the newest publication left as they were: they are tried again. */
  readonly left?: number
  /** LSN of the state that all tables were published at but those of `behind`; absent in the middle of a publication, and where very many were left. */
  readonly lsn?: string
  /** Keys of the entries of tables that were left. */
  readonly behind?: readonly string[]
}

/** So many tables may be behind. */
export const BEHIND_MAX = 1000

/** How a publication goes on: what it is told, or what was told before. */
export type WantedSettings = Omit<PublicationSettings, 'publication' | 'expiresMs' | 'left' | 'lsn' | 'behind'>

/** How many snapshots readers may ask for: those that are both among the newest ones and young enough, and always the newest one. */
export interface PublishedWindow {
  readonly snapshots: number
  readonly ms: number
}

/** A day, and at most a hundred: each one makes metadata longer that every reader gets. */
export const DEFAULT_WINDOW: PublishedWindow = { snapshots: 100, ms: 24 * 3_600_000 }

/** What was published of a table. */
export interface PublishedEntry {
  /** RFC 4122. */
  readonly uuid: string
  /** Key of the table's folder, which stays when the table is renamed. */
  readonly folder: string
  /** As engines show it. */
  readonly namespace: string
  readonly name: string
  /** LSN of the newest snapshot. */
  readonly lsn: string
  /** SHA-256 in base64url of what the state said of the table: while that is the same, so are its files and columns. */
  readonly content: string
  /** SHA-256 in base64url of the files, hidden rows and columns of the newest snapshot. */
  readonly made: string
  /** SHA-256 in base64url of the row versions that its readers see, whatever files they are in; absent in entries of an older ltap. */
  readonly rows?: string
  /** It is the first one of the table's folder: what lies there under its names is left over. */
  readonly first?: true
  /** Rows depend on transactions that had not ended: hidden rows may differ although `content` is the same. */
  readonly open?: true
  /** Milliseconds since 1970 when the oldest snapshot that readers may ask for, beside the newest one, is no longer listed. */
  readonly expiresMs?: number
  /** Id of the branch whose table it is: a new branch has the entries of the one that it was made from. */
  readonly branch: string
  /** Nonce of the publication that made the entry. */
  readonly publication: string
  /** The {@link PublicationRecord}. */
  readonly record: PieceRef
  /** Objects that readers of any listed snapshot need, data files too: they are roots, whatever states the lake retains. */
  readonly objects: readonly string[]
}

/** What the next publication of a table goes on from: JSON of each format. */
export interface PublicationRecord {
  /** When the newest snapshot was published, in milliseconds since 1970. */
  readonly publishedMs: number
  readonly iceberg?: unknown
  readonly delta?: unknown
  /** LogRecord of a log. */
  readonly log?: unknown
}

/** Names the entry of the settings. */
export const SETTINGS_ENTRY: EntryKey = { tree: 'published', key: 'settings' }
const sha256 = matching(/^[\w-]{43}$/, 'a SHA-256 in base64url')
const nonce = matching(NONCE, 'a nonce of 20 characters [0-9a-z]')
const UUID = matching(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, 'a UUID')
const SETTINGS: Schema<PublicationSettings> = v.strictObject({
  formats: v.array(oneOf(FORMAT_NAMES)), icebergVersion: oneOf([2, 3] as const), branch: nonce, root: text, publication: nonce,
  window: v.strictObject({ snapshots: integer(1, 1_000_000), ms: count }), expiresMs: v.exactOptional(count), left: v.exactOptional(integer(1, 0xffffffff)),
  lsn: v.exactOptional(lsnText), behind: v.exactOptional(v.array(text)),
})
const ENTRY = v.strictObject({
  uuid: UUID, branch: nonce, folder: v.pipe(objectKey, v.check((key) => !key.startsWith('ltap/'), 'a folder of a table')), namespace: text,
  name: text, lsn: lsnText, content: sha256, made: sha256, rows: v.exactOptional(sha256),
  first: v.exactOptional(v.literal(true, 'true')), open: v.exactOptional(v.literal(true, 'true')), expiresMs: v.exactOptional(count),
  publication: nonce, record: v.strictObject({ start: pieceStart, length: pieceLength, crc: unsigned32, sha256 }), objects: v.array(objectKey),
})

/** Names the entry of a table. */
export function publishedKey(table: { dbOid: number; oid: number }): EntryKey {
  return { tree: 'published', key: `${table.dbOid}/${table.oid}` }
}

/** Schema of the tables that are ltap's own. */
export const LOG_NAMESPACE = 'ltap'
/** Those tables. */
export type LogName = 'transactions' | 'schemas'
export const LOG_NAMES: readonly LogName[] = ['transactions', 'schemas']

/** Names the entry of a log. */
export function logKey(name: LogName): EntryKey {
  return { tree: 'published', key: `log/${name}` }
}

/** Whether the entry of this key is that of a log. */
export function isLogKey(key: string): boolean {
  return LOG_NAMES.some((name) => key === logKey(name).key)
}

/** @param of a table, or its entry */
export function publishedEdit(
  of: { dbOid: number; oid: number } | EntryKey, { record: { key, ...record }, objects, ...entry }: PublishedEntry,
): EntryKey & { value: object } {
  return { ...'tree' in of ? { tree: of.tree, key: of.key } : publishedKey(of), value: { ...entry, record, objects: [key, ...objects] } }
}

export function settingsEdit(settings: PublicationSettings): EntryKey & { value: object } {
  return { ...SETTINGS_ENTRY, value: settings }
}

/** What tells which table an entry is of, for lists of many. */
export interface PublishedName extends Pick<PublishedEntry, 'branch' | 'namespace' | 'name' | 'publication'> {
  /** Absent: a table of ltap, which no database has. */
  readonly dbOid?: number
}

const NAME: Schema<Omit<PublishedName, 'dbOid'>> = v.object({ branch: nonce, namespace: text, name: text, publication: nonce })

/** The entry of a table, as far as it names it; undefined for that of the settings. @throws as {@link parsePublished} */
export function parsePublishedName(key: string, value: unknown): PublishedName | undefined {
  if (key === SETTINGS_ENTRY.key) return undefined
  const persisted = entryOf(key)
  return { ...(!isLogKey(key) && { dbOid: tableOf(key, persisted).dbOid }), ...validate(NAME, value, persisted) }
}

/** An entry of the tree, by what it is of. */
export type Published =
  | { readonly kind: 'settings'; readonly settings: PublicationSettings }
  | { readonly kind: 'table'; readonly dbOid: number; readonly oid: number; readonly entry: PublishedEntry }
  | { readonly kind: 'log'; readonly name: LogName; readonly entry: PublishedEntry }

/** @throws CorruptionError lake.state with the member; UnsupportedError lake.state for a member that this ltap does not know */
export function parsePublished(key: string, value: unknown): Published {
  const persisted = entryOf(key)
  if (key === SETTINGS_ENTRY.key) return { kind: 'settings', settings: validate(SETTINGS, value, persisted) }
  const name = LOG_NAMES.find((log) => key === logKey(log).key)
  const table = name === undefined ? tableOf(key, persisted) : undefined
  const { record, objects: [object, ...objects], ...entry } = validate(ENTRY, value, persisted)
  if (object === undefined) throw faulty(persisted, 'objects', 'has not the object of the record')
  const published = { ...entry, record: { key: object, ...record }, objects }
  return table === undefined ? { kind: 'log', name: name!, entry: published } : { kind: 'table', ...table, entry: published }
}

function entryOf(key: string): Persisted {
  return { code: 'lake.state', name: `the entry ${key} of published` }
}

function tableOf(key: string, persisted: Persisted): { dbOid: number; oid: number } {
  const [, dbOid, oid] = /^(\d{1,10})\/(\d{1,10})$/.exec(key) ?? []
  if (oid === undefined) throw faulty(persisted, 'its key', 'names no table')
  return { dbOid: Number(dbOid), oid: Number(oid) }
}

/** So many bytes of JSON a record has at most. */
const RECORD_MAX = 64 << 20
const RECORD: Schema<PublicationRecord> = v.strictObject({
  publishedMs: moment, iceberg: v.exactOptional(v.unknown()),
  delta: v.exactOptional(v.unknown()), log: v.exactOptional(v.unknown()),
}) as Schema<PublicationRecord>

/**
 * @param max bytes of JSON that a reader takes
 * @throws UnsupportedError publish.record for more
 */
export function encodeRecord(record: PublicationRecord, compressor?: Compressor, max: number = RECORD_MAX): Uint8Array {
  const json = jsonWithin(record, max)
  if (json !== undefined) return encodeStateText(json, compressor)
  throw new UnsupportedError('publish.record',
    `what its next snapshot goes on from has more than ${max} bytes: it has too many files for one table. Merge them (ltap merge), or publish one format alone`)
}

function jsonWithin(value: unknown, max: number): string | undefined {
  try {
    const json = JSON.stringify(value)
    return json.length <= max && utf8Encode(json).length <= max ? json : undefined
  } catch (error) {
    // A text of JavaScript has at most some 512 MB.
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** @throws CorruptionError lake.published with the member */
export function decodeRecord(bytes: Uint8Array, ref: PageRef, compressor?: Compressor): PublicationRecord {
  const persisted: Persisted = recordOf(ref)
  if (bytes.length !== ref.length || crc32c(bytes) !== ref.crc) {
    throw new CorruptionError(persisted.code, `${persisted.name} is damaged: its ${bytes.length} bytes do not have the CRC of its reference`)
  }
  return validate(RECORD, parseText(decodeStateText(bytes, persisted, RECORD_MAX, compressor), persisted), persisted)
}

/** What error messages call a record. */
export function recordOf({ key, start }: PageRef): Persisted {
  return { code: 'lake.published', name: `the record of a published table at byte ${start} of ${key}` }
}
