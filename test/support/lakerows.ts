/** The rows of a lake as plain values, read with our own Parquet reader. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DESCRIPTOR_KEY, type FileDescriptor, parseFileDescriptor } from '../../src/columnar/filedescriptor.ts'
import type { LakeField } from '../../src/parquet/lakefield.ts'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import { newVector } from '../../src/vector/columntype.ts'
import type { LakeFile, LakeRelation } from '../../src/lake/manifest.ts'
import { type Value, valueAt } from '../columnar/lakevalues.ts'

export interface LakeRow {
  /** `(block,offset)`. */
  ctid: string
  /** By column, in order. */
  values: Value[]
  /** Texts of `_overflow` by column, null where the column has none. */
  overflow: (string | null)[]
}

export interface LakeTable {
  descriptor: FileDescriptor
  columns: readonly LakeField[]
  rows: LakeRow[]
}

/** Visible rows in ctid order. */
export function visibleRows(lake: string, relation: LakeRelation): LakeTable {
  const files = relation.files.map((file) => readFile(lake, file))
  const [first] = files
  if (first === undefined) throw new Error(`${relation.name} has no file`)
  return { ...first, rows: files.flatMap(({ rows }) => rows) }
}

function readFile(lake: string, file: LakeFile): LakeTable {
  const reader = readParquet(readFileSync(join(lake, file.path)))
  const descriptor = parseFileDescriptor(reader.metadata.get(DESCRIPTOR_KEY))
  const columns = reader.fields.filter(({ name }) => name !== '_ltap' && name !== '_overflow')
  const hidden = hiddenPositions(lake, file)
  const rows: LakeRow[] = []
  let position = 0n
  for (let group = 0; group < reader.rowGroups; group++) {
    const { rows: count, columns: vectors } = reader.readRowGroup(group)
    const value = (name: string, row: number): Value => {
      const i = reader.fields.findIndex((field) => field.name === name)
      return i < 0 ? null : valueAt(vectors[i] ?? newVector({ kind: 'int' }), reader.fields[i]!.type, row)
    }
    for (let row = 0; row < count; row++, position++) {
      if (!hidden.has(position)) rows.push(lakeRow(columns, reader.fields, (name) => value(name, row)))
    }
  }
  return { descriptor, columns, rows }
}

function lakeRow(columns: readonly LakeField[], fields: readonly LakeField[], value: (name: string) => Value): LakeRow {
  const [block, offset] = value('_ltap') as Value[]
  const texts = (value('_overflow') ?? []) as Value[]
  const children = fields.find(({ name }) => name === '_overflow')?.children ?? []
  const overflow = columns.map(({ name }) => {
    const text = texts[children.findIndex((child) => child.name === name)]
    return typeof text === 'string' ? text.slice(1) : null
  })
  return { ctid: `(${String(block)},${String(offset)})`, values: columns.map(({ name }) => value(name)), overflow }
}

function hiddenPositions(lake: string, { hidden }: LakeFile): Set<bigint> {
  if (hidden === null) return new Set()
  const reader = readParquet(readFileSync(join(lake, hidden.path)))
  const { rows, columns } = reader.readRowGroup(0)
  return new Set(Array.from({ length: rows }, (_, row) => valueAt(columns[0]!, { kind: 'long' }, row) as bigint))
}
