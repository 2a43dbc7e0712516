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
export function publishedColumns(context: Omit<SchemaContext, 'fields'>, fields: FieldHistory): PublishedColumn[] {
  const { columns, overflow } = relationSchema({ ...context, fields: columnFields(fields) })
  const types = unnamedColumns(context).map(({ type }) => type)
  const names = newColumnFields(context).map(({ name }) => name)
  const own = columns.map((field, i) => publishedColumn(field, names[i]!, types[i]!))
  const nameOf = new Map(own.map(({ physicalName, name }) => [physicalName, name]))
  const children = overflow?.children?.map((child) => publishedColumn(child, nameOf.get(child.name)!, child.type))
  return [...own, ...(overflow ? [{ ...asItIs(overflow), children: children! }] : []), asItIs(LTAP_FIELD)]
}

/** @param type as `field.type`, with the names that the fields of composites have in Postgres now */
function publishedColumn(field: LakeField, name: string, type: ColumnType): PublishedColumn {
  const { id, name: physicalName, children } = field
  if (children === undefined) return { id, name, physicalName, type: field.type }
  const parts = partsOf(type)
  const names = uniqueNames(parts.map((part) => part.name))
  return { id, name, physicalName, type: field.type, children: children.map((child, i) => publishedColumn(child, names[i]!, parts[i]!.type)) }
}

function asItIs({ id, name, type, children }: LakeField): PublishedColumn {
  return { id, name, physicalName: name, type, ...(children && { children: children.map(asItIs) }) }
}

function partsOf(type: ColumnType): readonly { name: string; type: ColumnType }[] {
  if (type.kind === 'list') return [{ name: 'element', type: type.element }]
  if (type.kind === 'map') return [{ name: 'key', type: { kind: 'string' } }, { name: 'value', type: type.value }]
  return type.kind === 'struct' ? type.fields : []
}

/** Engines fold case: of two fields of a composite whose names differ in case only, the second one gets its position behind it. */
function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set<string>()
  return names.map((name, i) => {
    let unique = name
    while (taken.has(unique.toLowerCase())) unique += `_${i + 1}`
    taken.add(unique.toLowerCase())
    return unique
  })
}
