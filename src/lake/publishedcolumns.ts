import { partsOf } from '../columnar/columnfields.ts'
import { columnFields, type FieldHistory } from '../columnar/fieldhistory.ts'
import { LTAP_FIELD } from '../columnar/physical.ts'
import { newColumnFields, relationSchema, type SchemaContext, unnamedColumns } from '../columnar/schema.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import type { ColumnType } from '../vector/columntype.ts'
import type { PublishedColumn } from './publishedtable.ts'

/**
 * The columns of a table as engines are to see them: under the names that they have in Postgres now, made unique as names of new fields are, with the ids
 * and Parquet names of the table's fields. User columns first, then `_overflow` if the table has one, then `_ltap`.
 * @param context of the table at the snapshot's LSN, without `fields`
 */
export function publishedColumns(context: Omit<SchemaContext, 'fields' | 'uniqueLanes'>, fieldHistory: FieldHistory): PublishedColumn[] {
  const { uniqueLanes } = fieldHistory
  const { columns, overflow, fields } = relationSchema({ ...context, fields: columnFields(fieldHistory), ...(uniqueLanes && { uniqueLanes }) })
  const shown = (field: LakeField, name: string, type: ColumnType): PublishedColumn => publishedColumn(field, { name, type }, uniqueLanes === true)
  const types = unnamedColumns(context).map(({ type }) => type)
  const names = newColumnFields(context).map(({ name }) => name)
  const own = columns.map((field, i) => shown(field, names[i]!, types[i]!))
  const nameOf = new Map(own.map(({ id, name }) => [id, name]))
  const lanes = shown(fields.at(-1)!, LTAP_FIELD.name, LTAP_FIELD.type)
  if (overflow === undefined) return [...own, lanes]
  const texts = overflow.children!.map(({ id, type }) => ({ name: nameOf.get(id - overflow.id)!, type }))
  return [...own, shown(overflow, overflow.name, { kind: 'struct', fields: texts }), lanes]
}

/**
 * @param as its name, and its type with the names that the fields of composites have in Postgres now
 * @param isUnique its nested fields have names of their own, but in lists: ClickHouse would find no other name there
 */
function publishedColumn(field: LakeField, { name, type }: { name: string; type: ColumnType }, isUnique: boolean): PublishedColumn {
  const { id, name: physicalName, children } = field
  if (children === undefined || (isUnique && type.kind === 'list')) return { ...asItIs(field), name }
  const parts = partsOf(type)
  return { id, name, physicalName, type: field.type, children: children.map((child, i) => publishedColumn(child, parts[i]!, isUnique)) }
}

function asItIs({ id, name, type, children }: LakeField): PublishedColumn {
  return { id, name, physicalName: name, type, ...(children && { children: children.map(asItIs) }) }
}
