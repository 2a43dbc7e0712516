import { hexEncode } from '../common/bytes.ts'
import { sha256 } from '../common/sha256.ts'
import { utf8Encode } from '../common/utf8.ts'
import { tableMetadata } from '../lake/iceberg/metadata.ts'
import { currentSnapshot, metadataKey } from '../lake/iceberg/record.ts'
import type { CatalogContext, CatalogRequest } from './context.ts'
import { seenNamespace } from './namespaces.ts'
import { pageOf } from './page.ts'
import type { LoadedTable } from './publishedtables.ts'
import { badRequest, noTable, RequestError } from './requesterror.ts'
import { emptyResponse, jsonResponse } from './response.ts'

/** `GET …/tables`. */
export function listTables(own: CatalogRequest): Response {
  const namespace = seenNamespace(own)
  const { names, next } = pageOf(own.database.names(namespace), own.query)
  return jsonResponse({ identifiers: names.map((name) => ({ namespace: [namespace], name })), 'next-page-token': next ?? null })
}

/** `HEAD …/tables/{table}`. */
export function tableExists(own: CatalogRequest): Response {
  tableKey(own)
  return emptyResponse()
}

/** `POST …/tables/{table}/metrics`: what a client measured is dropped. */
export function reportMetrics(own: CatalogRequest): Response {
  tableKey(own)
  return emptyResponse()
}

/**
 * `GET …/tables/{table}`: metadata of the table with `snapshots=all`, or with those alone that branches and tags name. The ETag is of all that the answer is
 * made from.
 */
export async function loadTable(own: CatalogRequest, context: CatalogContext): Promise<Response> {
  const snapshots = own.query.get('snapshots') ?? 'all'
  if (snapshots !== 'all' && snapshots !== 'refs') throw badRequest(`snapshots is ${JSON.stringify(snapshots)}, not all or refs`)
  const table = await requestedTable(own)
  const { record, entry: { record: ref } } = table
  const location = await metadataLocation(table, own, context)
  const config = context.scanPlanning === undefined ? {} : { 'scan-planning-mode': context.scanPlanning }
  const parts = [ref.key, ref.start, ref.crc, snapshots, location, config]
  const etag = `"${hexEncode(sha256(utf8Encode(JSON.stringify(parts))).subarray(0, 16))}"`
  if (hasTag(own.request.headers.get('if-none-match'), etag)) return emptyResponse({ etag }, 304)
  const metadata = tableMetadata(record, snapshots === 'all' ? record.snapshots : [currentSnapshot(record)])
  return jsonResponse({ ...(location !== undefined && { 'metadata-location': location }), metadata, config }, { etag })
}

/** The table of the path. @throws RequestError 404; CorruptionError lake.*, EnvironmentError store.* */
export async function requestedTable(own: CatalogRequest): Promise<LoadedTable> {
  return await own.tables.load(tableKey(own))
}

function tableKey(own: CatalogRequest): string {
  const namespace = seenNamespace(own)
  const name = own.parameters.get('table')!
  const key = own.database.key(namespace, name)
  if (key === undefined) throw noTable(namespace, name)
  const { warehouse: { at }, tables: { settings } } = own
  if (at === undefined || !settings?.behind?.includes(key)) return key
  throw new RequestError(404, 'NoSuchTableException', `${namespace}.${name} could not be published at LSN ${settings.lsn}: ask for another state`)
}

/**
 * URI of the metadata file. It is put behind the commit that makes a snapshot the table's current one, and deleted when no listed snapshot needs it:
 * without the file there is no location, and the metadata of the answer is the table's nevertheless.
 */
async function metadataLocation(
  { record }: LoadedTable, { warehouse: { at } }: CatalogRequest, { lake: { ports: { store } }, located }: CatalogContext,
): Promise<string | undefined> {
  const key = metadataKey(record, record.version)
  const uri = `${record.root}/${key}`
  if (at === undefined && located.has(record)) return uri
  if (await store.head(key) === undefined) return undefined
  if (at === undefined) located.add(record)
  return uri
}

/** RFC 9110, section 13.1.2: the comparison is weak. */
function hasTag(header: string | null, etag: string): boolean {
  if (header === null) return false
  if (header.trim() === '*') return true
  return header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}
