/** What python/canonical.py prints, as values of tests: test/columnar/lakevalues.ts says how they are written. */
import type { ColumnType } from '../../src/vector/columntype.ts'
import type { Value } from '../columnar/lakevalues.ts'

export type CanonicalType = ColumnType | { kind: 'other', name: string }

export interface CanonicalColumn {
  readonly name: string
  readonly type: CanonicalType
}

export function readValues(type: CanonicalType, values: readonly unknown[]): Value[] {
  return values.map((value) => readValue(type, value))
}

function readValue(type: CanonicalType, value: unknown): Value {
  if (value === null) return null
  switch (type.kind) {
    case 'long':
    case 'time':
    case 'timestamp':
      return BigInt(value as string)
    case 'double':
      return BigInt(`0x${value as string}`)
    case 'decimal':
      return BigInt((value as string).replace('.', ''))
    case 'string':
      return typeof value === 'string' ? `s${value}` : `b${latin1((value as { hex: string }).hex)}`
    case 'binary':
      return `b${latin1(value as string)}`
    case 'uuid':
      return `b${latin1((value as string).replaceAll('-', ''))}`
    case 'list':
      return readValues(type.element, value as unknown[])
    case 'map':
      return (value as [unknown, unknown][]).map(([key, item]) => [`s${key as string}`, readValue(type.value, item)])
    case 'struct':
      return type.fields.map((field, i) => readValue(field.type, (value as unknown[])[i]))
    default:
      return value as Value
  }
}

function latin1(hex: string): string {
  return Buffer.from(hex, 'hex').toString('latin1')
}
