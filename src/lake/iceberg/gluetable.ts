import { currentSchema, type IcebergRecord, metadataKey } from './record.ts'
import type { IcebergType } from './schema.ts'

/**
 * The input of `aws glue create-table --cli-input-json` and of `update-table`, which registers the table's newest metadata file. Types are written as Iceberg's
 * Java library writes them for Glue (IcebergToGlueConverter).
 * @param names as Glue is to call them
 */
export function glueTable(record: IcebergRecord, { database, table }: { database: string; table: string }): object {
  const { root, folder, version } = record
  const columns = currentSchema(record).fields.map(({ id, name, required, type }) => ({
    Name: name, Type: hiveType(type),
    Parameters: { 'iceberg.field.id': String(id), 'iceberg.field.optional': String(!required), 'iceberg.field.current': 'true' },
  }))
  return {
    DatabaseName: database,
    TableInput: {
      Name: table, TableType: 'EXTERNAL_TABLE',
      Parameters: { table_type: 'ICEBERG', metadata_location: `${root}/${metadataKey(record, version)}` },
      StorageDescriptor: { Location: `${root}/${folder}`, Columns: columns },
    },
  }
}

function hiveType(type: IcebergType): string {
  if (typeof type === 'string') return PRIMITIVES[type] ?? type.replace(', ', ',')
  if (type.type === 'list') return `array<${hiveType(type.element)}>`
  if (type.type === 'map') return `map<${hiveType(type.key)},${hiveType(type.value)}>`
  return `struct<${type.fields.map(({ name, type: of }) => `${name}:${hiveType(of)}`).join(',')}>`
}

const PRIMITIVES: Readonly<Record<string, string>> = { long: 'bigint', time: 'string', uuid: 'string', timestamptz: 'timestamp' }
