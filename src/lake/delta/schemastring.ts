import { UnsupportedError } from '../../common/errors.ts'
import type { ColumnType } from '../../vector/columntype.ts'
import type { PublishedColumn } from '../publishedtable.ts'

/** The columns of a table as `metaData` says them. */
export interface DeltaSchema {
  /** Spark's JSON of a struct (PROTOCOL.md, Schema Serialization Format), with the id and the physical name of each field (Column Mapping). */
  readonly schemaString: string
  readonly maxColumnId: number
  /** A timestamp without time zone is among them. */
  readonly hasTimestampNtz: boolean
}

/** @param table how errors call it: `public.orders` @throws UnsupportedError delta.type for a type that Delta does not have */
export function deltaSchema(columns: readonly PublishedColumn[], table: string): DeltaSchema {
  const all = columns.flatMap(withChildren)
  return {
    schemaString: JSON.stringify(structType(columns, { table, path: '' })),
    maxColumnId: Math.max(0, ...all.map(({ id }) => id)),
    hasTimestampNtz: all.some(({ type }) => type.kind === 'timestamp' && !type.utc),
  }
}

/** Where a column is, for errors. */
interface Place {
  readonly table: string
  readonly path: string
}

function withChildren(column: PublishedColumn): PublishedColumn[] {
  return [column, ...(column.children ?? []).flatMap(withChildren)]
}

function structType(fields: readonly PublishedColumn[], place: Place): object {
  return { type: 'struct', fields: fields.map((field) => structField(field, place)) }
}

function structField(column: PublishedColumn, { table, path }: Place): object {
  const { id, name, physicalName } = column
  const type = dataType(column, { table, path: path === '' ? name : `${path}.${name}` })
  return { name, type, nullable: true, metadata: { 'delta.columnMapping.id': id, 'delta.columnMapping.physicalName': physicalName } }
}

/** Elements, keys and values have no id and no name in Delta's mapping: readers find them by their place. */
function dataType({ type, children = [] }: PublishedColumn, place: Place): object | string {
  if (type.kind === 'struct') return structType(children, place)
  if (type.kind === 'list') return { type: 'array', elementType: dataType(children[0]!, place), containsNull: true }
  if (type.kind !== 'map') return primitiveType(type, place)
  return { type: 'map', keyType: dataType(children[0]!, place), valueType: dataType(children[1]!, place), valueContainsNull: true }
}

function primitiveType(type: Exclude<ColumnType, { kind: 'struct' | 'list' | 'map' }>, { table, path }: Place): string {
  switch (type.kind) {
    case 'boolean':
    case 'long':
    case 'float':
    case 'double':
    case 'date':
    case 'string':
    case 'binary':
      return type.kind
    case 'int':
      return 'integer'
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`
    case 'timestamp':
      return type.utc ? 'timestamp' : 'timestamp_ntz'
    case 'time':
    case 'uuid':
      throw new UnsupportedError('delta.type', `Delta has no type for the ${type.kind} column '${path}' of ${table}: publish the table for Iceberg only`)
  }
}
