import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  DuckDBBlobValue, DuckDBDateValue, DuckDBDecimalValue, type DuckDBConnection, DuckDBListValue, DuckDBMapValue, DuckDBStructValue,
  DuckDBTimestampTZValue, DuckDBTimestampValue, DuckDBTimeValue, type DuckDBValue,
} from '@duckdb/node-api'
import type { ColumnType } from '../../src/vector/columntype.ts'
import { latin1, type Value } from './lakevalues.ts'

let written = 0

/** Writes a file that DuckDB never saw: it knows one again by name, size and second, and then reads what it read before. */
export function writeFresh(directory: string, file: Uint8Array): string {
  const path = join(directory, `${++written}.parquet`)
  writeFileSync(path, file)
  return path
}

/** All rows as DuckDB reads them, column by column, in the form of {@link Value}; NaNs lose their payload on the way. */
export async function duckColumns(db: DuckDBConnection, path: string, types: readonly ColumnType[]): Promise<Value[][]> {
  const columns = await (await db.run(`select * from read_parquet('${path}')`)).getColumns()
  return types.map((type, i) => (columns[i] ?? []).map((value) => quietNaNs(duckValue(value, type), type)))
}

function duckValue(value: DuckDBValue, type: ColumnType): Value {
  if (value === null) return null
  if (type.kind === 'float') return floatBits(value as number)
  if (type.kind === 'double') return doubleBits(value as number)
  if (type.kind === 'string') return `s${value as string}`
  if (value instanceof DuckDBBlobValue) return latin1(value.bytes)
  if (value instanceof DuckDBDateValue) return value.days
  if (value instanceof DuckDBDecimalValue) return value.value
  if (value instanceof DuckDBTimeValue) return value.micros
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue) return value.micros
  if (value instanceof DuckDBListValue && type.kind === 'list') return value.items.map((item) => duckValue(item, type.element))
  if (value instanceof DuckDBStructValue && type.kind === 'struct') {
    return type.fields.map((field) => duckValue(value.entries[field.name]!, field.type))
  }
  if (value instanceof DuckDBMapValue && type.kind === 'map') {
    return value.entries.map((entry) => [`s${entry.key as string}`, duckValue(entry.value, type.value)])
  }
  return value as Value
}

const scratch = new DataView(new ArrayBuffer(8))

function floatBits(value: number): number {
  scratch.setFloat32(0, value)
  return scratch.getUint32(0)
}

function doubleBits(value: number): bigint {
  scratch.setFloat64(0, value)
  return scratch.getBigUint64(0)
}

/** A value with every NaN made the same one, for readers that pass floats through numbers. */
export function quietNaNs(value: Value, type: ColumnType): Value {
  if (value === null) return null
  if (type.kind === 'float') return ((value as number) & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : value
  if (type.kind === 'double') return BigInt.asUintN(63, value as bigint) > 0x7ff0000000000000n ? 0x7ff8000000000000n : value
  if (type.kind === 'list') return (value as Value[]).map((element) => quietNaNs(element, type.element))
  if (type.kind === 'map') return (value as Value[][]).map(([key, entry]) => [key!, quietNaNs(entry!, type.value)])
  if (type.kind === 'struct') return (value as Value[]).map((entry, i) => quietNaNs(entry, type.fields[i]!.type))
  return value
}
