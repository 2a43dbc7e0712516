import { assert } from '../../common/errors.ts'
import type { ColumnType } from '../../vector/columntype.ts'
import type { PublishedColumn } from '../publishedtable.ts'

/** A type in the JSON of Iceberg's schemas (spec, appendix C): `long`, `decimal(10, 2)`, or a nested one. */
export type IcebergType = string | StructType | ListType | MapType

export interface StructType {
  readonly type: 'struct'
  readonly fields: readonly NestedField[]
}

export interface ListType {
  readonly type: 'list'
  readonly 'element-id': number
  readonly element: IcebergType
  readonly 'element-required': boolean
}

export interface MapType {
  readonly type: 'map'
  readonly 'key-id': number
  readonly key: IcebergType
  readonly 'value-id': number
  readonly value: IcebergType
  readonly 'value-required': boolean
}

export interface NestedField {
  readonly id: number
  readonly name: string
  readonly required: boolean
  readonly type: IcebergType
}

/** The fields of a schema, in order of the columns. */
export function schemaFields(columns: readonly PublishedColumn[]): NestedField[] {
  return columns.map((column) => ({ id: column.id, name: column.name, required: false, type: icebergType(column) }))
}

function icebergType(column: PublishedColumn): IcebergType {
  const { type } = column
  switch (type.kind) {
    case 'decimal':
      return `decimal(${type.precision}, ${type.scale})`
    case 'timestamp':
      return type.utc ? 'timestamptz' : 'timestamp'
    case 'list': {
      const [element] = childrenOf(column, 1) as [PublishedColumn]
      return { type: 'list', 'element-id': element.id, element: icebergType(element), 'element-required': false }
    }
    case 'map': {
      const [key, value] = childrenOf(column, 2) as [PublishedColumn, PublishedColumn]
      return { type: 'map', 'key-id': key.id, key: icebergType(key), 'value-id': value.id, value: icebergType(value), 'value-required': false }
    }
    case 'struct':
      return { type: 'struct', fields: schemaFields(childrenOf(column, type.fields.length)) }
    default:
      return type.kind
  }
}

function childrenOf({ name, children = [] }: PublishedColumn, count: number): readonly PublishedColumn[] {
  assert(children.length === count, `the column ${name} has ${children.length} children, not ${count}`)
  return children
}

/** Types of the columns that files have bounds of, by field id: those that are not in a list or a map. */
export function boundedTypes(columns: readonly PublishedColumn[]): Map<number, ColumnType> {
  const types = new Map<number, ColumnType>()
  const visit = ({ id, type, children }: PublishedColumn): void => {
    if (type.kind === 'struct') children?.forEach(visit)
    else if (type.kind !== 'list' && type.kind !== 'map') types.set(id, type)
  }
  columns.forEach(visit)
  return types
}

/** The greatest field id of the columns and their parts. */
export function greatestId(columns: readonly PublishedColumn[]): number {
  return Math.max(0, ...columns.flatMap(({ id, children = [] }) => [id, greatestId(children)]))
}
