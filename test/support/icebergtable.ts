/** A published table as a reader sees it that knows Iceberg's specification and Parquet, and nothing of ltap. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { type MetadataJson, readSnapshot, type SnapshotRows } from '../lake/iceberg/reader.ts'

/** Metadata of the newest version that the hint names. @param folder of the table */
export function icebergMetadata(folder: string): MetadataJson {
  const version = readFileSync(join(folder, 'metadata/version-hint.text'), 'utf8')
  return JSON.parse(readFileSync(join(folder, `metadata/v${version}.metadata.json`), 'utf8')) as MetadataJson
}

/** Folders of published tables by `schema.name`, as their metadata say it. @param lake a folder @param ltap ltap's own tables instead of the server's */
export function publishedFolders(lake: string, ltap = false): Map<string, string> {
  const folders = new Map<string, string>()
  for (const entry of readdirSync(lake, { recursive: true, withFileTypes: true })) {
    if (entry.name !== 'version-hint.text') continue
    const folder = join(entry.parentPath, '..')
    const { properties } = icebergMetadata(folder)
    if (/^ltap\.(?:transactions|schemas)$/.test(basename(folder)) === ltap) folders.set(`${properties['ltap.namespace']}.${properties['ltap.table']}`, folder)
  }
  return folders
}

/** Iceberg has paths as they are. */
function pathOf(uri: string): string {
  return uri.slice('file://'.length)
}

/** Objects by URI, read when they are asked for. */
class FilesByUri extends Map<string, Uint8Array> {
  override get(uri: string): Uint8Array | undefined {
    return Uint8Array.from(readFileSync(pathOf(uri)))
  }
}

/** Rows of a snapshot, sorted: the text of each column but `_overflow` and `_ltap`, in the order of the schema. @param id default: the current one */
export async function icebergRows(metadata: MetadataJson, id: number = metadata['current-snapshot-id']): Promise<string[]> {
  const snapshot = metadata.snapshots.find((each) => each['snapshot-id'] === id)!
  const { fields } = metadata.schemas.find((schema) => schema['schema-id'] === snapshot['schema-id'])!
  const { files } = await readSnapshot(new FilesByUri(), metadata, id)
  const rows: string[] = []
  const connection = await (await DuckDBInstance.create()).connect()
  for (const [uri, { visible }] of files as SnapshotRows['files']) {
    const file = pathOf(uri).replaceAll("'", "''")
    const found = await connection.runAndReadAll(`SELECT name, field_id FROM parquet_schema('${file}') WHERE field_id IS NOT NULL`)
    const names = new Map(found.getRows().map(([name, field]) => [Number(field), String(name)]))
    const list = fields.filter(({ name }) => name !== '_overflow' && name !== '_ltap').map(({ id: field }) => {
      const name = names.get(field)
      return name === undefined ? 'NULL' : `CAST("${name.replaceAll('"', '""')}" AS VARCHAR)`
    })
    const all = await connection.runAndReadAll(`SELECT ${[...list, "''"].join(', ')} FROM read_parquet('${file}') ${names.has(1_000_000) ? `ORDER BY "_ltap"."${names.get(1_000_001)}", "_ltap"."${names.get(1_000_002)}"` : ''}`)
    const values = all.getRows()
    for (const row of visible) rows.push(JSON.stringify(values[row]!.slice(0, -1)))
  }
  connection.closeSync()
  return rows.sort()
}
