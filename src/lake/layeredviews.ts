import { LTAP_FIELD } from '../columnar/physical.ts'
import type { LakeField } from '../parquet/lakefield.ts'
import type { ColumnType } from '../vector/columntype.ts'
import { globEscape, isTuple, quoteText } from './viewtext.ts'
import { foldName, quoteName } from './viewnames.ts'

/** Files of one relation whose columns are the same. */
export interface LayerGroup {
  /** Absolute ones. */
  readonly paths: readonly string[]
  /** Some of their rows are not shown. */
  readonly isHoled: boolean
  /** All that the files have; the last one is `_ltap`. */
  readonly fields: readonly LakeField[]
  /** Column of the view → column of the files. One that is not there is NULL: the files were written before it was added. */
  readonly columns: ReadonlyMap<string, LakeField>
  /** Column of the view → child of `_overflow` in the files. */
  readonly overflow: ReadonlyMap<string, LakeField>
}

/** A relation of a lake of format 2, whose files were written one after the other, while its columns changed. */
export interface LayeredRelation {
  /** Types of the relation's columns, by name, with the names that the fields of composites have in the view. */
  readonly types: ReadonlyMap<string, ColumnType>
  /** Undefined: the view is there to be listed, and refuses to be read. */
  readonly groups: readonly LayerGroup[] | undefined
  /**
   * A Parquet file of positions in files, (file, pos, superseded): rows that no reader sees, and those of blocks that a newer layer has. Undefined: all
   * rows are shown.
   */
  readonly notShown: string | undefined
}

export interface LayeredColumns {
  readonly names: readonly string[]
  /** Names of the `_overflow` children that the view shows; undefined: it shows no `_overflow`. */
  readonly overflow: readonly string[] | undefined
  /** Name of the column that says whether a row is visible, in a view of all tuples. */
  readonly visible: string | undefined
}

/** A SELECT for each group. */
export function layeredRows({ groups = [], notShown, types }: LayeredRelation, columns: LayeredColumns): string[] {
  return groups.flatMap((group) => {
    const list = columnList(group, types, columns)
    if (!group.isHoled || notShown === undefined) return [plainRows(group, list, columns)]
    return sources(group).map(({ rows, key }) => shownRows(rows, list, key('"_hidden"'), notShown, columns, group))
  })
}

/**
 * SELECTs of the rows that a Parquet file (file, pos, step, part, kind) names, each as often as it does: their columns as one struct `_values`, `_ltap`, and
 * the last three. Columns without a value in any row are there, too.
 */
export function listedRows({ groups = [], types }: Pick<LayeredRelation, 'groups' | 'types'>, names: readonly string[], list: string): string[] {
  const overflow = names.filter((name) => groups.some((group) => group.overflow.has(name)))
  return groups.flatMap((group) => {
    const values = names.map((name) => `${quoteName(name)} := ${valueOf(name, group, types)}`)
    if (overflow.length > 0) values.push(`"_overflow" := ${overflowOf(group, overflow)}`)
    const packed = values.length === 0 ? 'NULL' : `struct_pack(${values.join(', ')})`
    const { lanes, tuple } = lanesOf(group)
    const row = `${packed} AS "_values", ${lanes}, "_listed".step, "_listed".part, "_listed".kind`
    const listed = `read_parquet(${fileText(list)}, hive_partitioning = false) AS "_listed"`
    return sources(group).map(({ rows, key }) => `SELECT ${row}\nFROM ${rows}\nJOIN ${listed}\n  ON ${key('"_listed"')}\nWHERE ${tuple}`)
  })
}

/** What a group's rows are read from, and how a list of (file, pos) names them. */
function sources({ paths, fields }: LayerGroup): { rows: string; key: (list: string) => string }[] {
  // A column named file_row_number stands in the way of DuckDB's own: count instead.
  const names = fields.map(({ name }) => name)
  if (names.some((name) => foldName(name) === 'file_row_number')) {
    const position = freeName('_position', names)
    return paths.map((path) => ({
      rows: `(SELECT *, row_number() OVER () - 1 AS ${quoteName(position)} FROM read_parquet(${fileText(path)}, hive_partitioning = false)) AS "_row"`,
      key: (list) => `${list}.file = ${quoteText(path)} AND "_row".${quoteName(position)} = ${list}.pos`,
    }))
  }
  const file = freeName('_file', names)
  return [{
    rows: `read_parquet(${fileList(paths)}, file_row_number = true, filename = ${quoteText(file)}, hive_partitioning = false) AS "_row"`,
    key: (list) => `"_row".${quoteName(file)} = ${list}.file AND "_row".file_row_number = ${list}.pos`,
  }]
}

/** The SELECT of a relation without rows. */
export function typedNoRows({ types }: LayeredRelation, { names, overflow, visible }: LayeredColumns, where = 'false'): string {
  const list = names.map((name) => `${nullOf(name, types)} AS ${quoteName(name)}`)
  if (overflow) list.push(`CAST(NULL AS STRUCT(${overflow.map((name) => `${quoteName(name)} VARCHAR`).join(', ')})) AS "_overflow"`)
  if (visible !== undefined) list.push(`true AS ${quoteName(visible)}`)
  return `SELECT ${list.join(', ') || 'NULL AS "_no_columns"'} WHERE ${where}`
}

function columnList(group: LayerGroup, types: ReadonlyMap<string, ColumnType>, { names, overflow }: LayeredColumns): string {
  const list = names.map((name) => {
    const value = valueOf(name, group, types)
    return value === `"_row".${quoteName(name)}` ? value : `${value} AS ${quoteName(name)}`
  })
  if (overflow) list.push(`${overflowOf(group, overflow)} AS "_overflow"`)
  return list.join(', ') || 'NULL AS "_no_columns"'
}

function valueOf(name: string, { columns }: LayerGroup, types: ReadonlyMap<string, ColumnType>): string {
  const field = columns.get(name)
  return field === undefined ? nullOf(name, types) : renamed(`"_row".${quoteName(field.name)}`, field.type, types.get(name) ?? field.type)
}

function nullOf(name: string, types: ReadonlyMap<string, ColumnType>): string {
  return `CAST(NULL AS ${duckType(types.get(name) ?? { kind: 'string' })})`
}

/** A value whose fields have other names in the files than in the view. Types are alike but for names. */
function renamed(value: string, from: ColumnType, to: ColumnType, depth = 0): string {
  if (from.kind === 'struct' && to.kind === 'struct') {
    const fields = from.fields.map((field, i) => {
      const { name, type } = to.fields[i]!
      return { name, value: renamed(`${value}.${quoteName(field.name)}`, field.type, type, depth) }
    })
    if (fields.every((field) => field.value === `${value}.${quoteName(field.name)}`)) return value
    return `CASE WHEN ${value} IS NOT NULL THEN struct_pack(${fields.map((field) => `${quoteName(field.name)} := ${field.value}`).join(', ')}) END`
  }
  if (from.kind !== 'list' || to.kind !== 'list') return value
  const element = `"_e${depth}"`
  const inner = renamed(element, from.element, to.element, depth + 1)
  return inner === element ? value : `list_transform(${value}, lambda ${element}: ${inner})`
}

/** `_ltap` under the names of its lanes, and the condition that a row has a tuple. */
function lanesOf({ fields }: LayerGroup): { lanes: string; tuple: string } {
  const found = fields.at(-1)!
  const lanes = renamed(`"_row".${quoteName(found.name)}`, found.type, LTAP_FIELD.type)
  return { lanes: `${lanes} AS ${quoteName(LTAP_FIELD.name)}`, tuple: isTuple(found) }
}

/** The same children from each group, for UNION ALL takes struct by struct. */
function overflowOf({ overflow }: LayerGroup, wanted: readonly string[]): string {
  const children = wanted.map((name) => {
    const child = overflow.get(name)
    return `${quoteName(name)} := ${child === undefined ? 'CAST(NULL AS VARCHAR)' : `"_row"."_overflow".${quoteName(child.name)}`}`
  })
  const packed = `struct_pack(${children.join(', ')})`
  return `CASE WHEN ${overflow.size === 0 ? 'false' : '"_row"."_overflow" IS NOT NULL'} THEN ${packed} END`
}

function plainRows(group: LayerGroup, list: string, { visible }: LayeredColumns): string {
  const from = `read_parquet(${fileList(group.paths)}, hive_partitioning = false) AS "_row"`
  if (visible === undefined) return `SELECT ${list}\nFROM ${from}`
  const { lanes, tuple } = lanesOf(group)
  return `SELECT ${list}, ${lanes}, true AS ${quoteName(visible)}\nFROM ${from}\nWHERE ${tuple}`
}

function shownRows(rows: string, list: string, key: string, notShown: string, { visible }: LayeredColumns, group: LayerGroup): string {
  const hidden = `read_parquet(${fileText(notShown)}, hive_partitioning = false) AS "_hidden"`
  if (visible === undefined) return `SELECT ${list}\nFROM ${rows}\nANTI JOIN ${hidden}\n  ON ${key}`
  const { lanes, tuple } = lanesOf(group)
  const where = `${tuple} AND coalesce("_hidden".superseded, false) = false`
  return `SELECT ${list}, ${lanes}, "_hidden".pos IS NULL AS ${quoteName(visible)}\nFROM ${rows}\nLEFT JOIN ${hidden}\n  ON ${key}\nWHERE ${where}`
}

export function freeName(name: string, taken: readonly string[]): string {
  const folded = new Set(taken.map(foldName))
  let free = name
  while (folded.has(free)) free += '_'
  return free
}

function fileList(paths: readonly string[]): string {
  return `[${paths.map(fileText).join(', ')}]`
}

/** A path as DuckDB's glob takes it for itself. */
function fileText(path: string): string {
  return quoteText(globEscape(path))
}

/** The type of DuckDB that a column of a file has there. */
export function duckType(type: ColumnType): string {
  switch (type.kind) {
    case 'boolean':
      return 'BOOLEAN'
    case 'int':
      return 'INTEGER'
    case 'long':
      return 'BIGINT'
    case 'float':
      return 'FLOAT'
    case 'double':
      return 'DOUBLE'
    case 'decimal':
      return `DECIMAL(${type.precision}, ${type.scale})`
    case 'date':
      return 'DATE'
    case 'time':
      return 'TIME'
    case 'timestamp':
      return type.utc ? 'TIMESTAMP WITH TIME ZONE' : 'TIMESTAMP'
    case 'string':
      return 'VARCHAR'
    case 'binary':
      return 'BLOB'
    case 'uuid':
      return 'UUID'
    case 'list':
      return `${duckType(type.element)}[]`
    case 'map':
      return `MAP(VARCHAR, ${duckType(type.value)})`
    case 'struct':
      return `STRUCT(${type.fields.map(({ name, type: field }) => `${quoteName(name)} ${duckType(field)}`).join(', ')})`
  }
}
