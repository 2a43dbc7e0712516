import type { DeltaRecord } from './record.ts'

/** A type of a schemaString, which was checked when its record was read. */
type DeltaType = string
  | { readonly type: 'struct'; readonly fields: readonly DeltaField[] }
  | { readonly type: 'array'; readonly elementType: DeltaType }
  | { readonly type: 'map'; readonly keyType: DeltaType; readonly valueType: DeltaType }

interface DeltaField {
  readonly name: string
  readonly type: DeltaType
  readonly nullable: boolean
}

/**
 * The body of `POST /api/2.1/unity-catalog/tables` (CreateTable), which registers the table's folder as an external Delta table.
 * @param location URI of the folder
 */
export function unityTable(
  { metaData: { schemaString } }: DeltaRecord, { catalog, schema, table, location }: { catalog: string; schema: string; table: string; location: string },
): object {
  const { fields } = JSON.parse(schemaString) as { fields: readonly DeltaField[] }
  return {
    name: table, catalog_name: catalog, schema_name: schema, table_type: 'EXTERNAL', data_source_format: 'DELTA', storage_location: location,
    columns: fields.map((field, position) => ({
      name: field.name, type_text: typeText(field.type), type_json: JSON.stringify(field), type_name: typeName(field.type), position, nullable: field.nullable,
    })),
  }
}

/** SQL's words of Delta's types. */
const WORDS: Readonly<Record<string, string>> = { byte: 'tinyint', short: 'smallint', integer: 'int', long: 'bigint' }

function typeText(type: DeltaType): string {
  if (typeof type === 'string') return WORDS[type] ?? type
  if (type.type === 'array') return `array<${typeText(type.elementType)}>`
  if (type.type === 'map') return `map<${typeText(type.keyType)},${typeText(type.valueType)}>`
  return `struct<${type.fields.map(({ name, type: of }) => `${quoted(name)}:${typeText(of)}`).join(',')}>`
}

function quoted(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? name : `\`${name.replaceAll('`', '``')}\``
}

function typeName(type: DeltaType): string {
  if (typeof type !== 'string') return type.type.toUpperCase()
  return type === 'integer' ? 'INT' : type.replace(/\(.*/, '').toUpperCase()
}
