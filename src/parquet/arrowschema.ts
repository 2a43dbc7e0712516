import {
  Binary, Bool, type DataType, DateDay, Decimal, Field, FixedSizeBinary, Float32, Float64, Int32, Int64, List, Map_, Schema, Struct,
  TimeMicrosecond, TimestampMicrosecond, TimeUnit, Type, Utf8,
} from 'apache-arrow'
import { assert, CorruptionError, UnsupportedError } from '../common/errors.ts'
import type { ColumnType } from '../vector/columntype.ts'
import type { LakeField } from './lakefield.ts'

/** Arrow field metadata in which Parquet writers and readers carry the field id (arrow-rs, arrow-cpp). */
const FIELD_ID = 'PARQUET:field_id'
const FIELD_ID_MAX = 0x7fffffff

/** Lake fields → Arrow schema, with field ids on all levels. */
export function arrowSchema(fields: readonly LakeField[]): Schema {
  return new Schema(fields.map((field) => arrowField(field, field.name, true)))
}

function arrowField(field: LakeField, name: string, nullable: boolean): Field {
  assert(Number.isInteger(field.id) && field.id >= 0 && field.id <= FIELD_ID_MAX, 'a field id is an int32 from 0')
  return new Field(name, arrowType(field), nullable, new Map([[FIELD_ID, String(field.id)]]))
}

function arrowType(field: LakeField): DataType {
  const { type } = field
  switch (type.kind) {
    case 'boolean':
      return new Bool()
    case 'int':
      return new Int32()
    case 'long':
      return new Int64()
    case 'float':
      return new Float32()
    case 'double':
      return new Float64()
    case 'decimal':
      return new Decimal(type.scale, type.precision, 128)
    case 'date':
      return new DateDay()
    case 'time':
      return new TimeMicrosecond()
    case 'timestamp':
      return new TimestampMicrosecond(type.utc ? 'UTC' : null)
    case 'string':
      return new Utf8()
    case 'binary':
      return new Binary()
    case 'uuid':
      return new FixedSizeBinary(16)
    case 'list':
      return new List(arrowField(childrenOf(field, 1)[0]!, 'element', true))
    case 'map':
      return mapType(field)
    case 'struct':
      return new Struct(childrenOf(field, type.fields.length).map((child) => arrowField(child, child.name, true)))
  }
}

/** Arrow's Map_ calls its entries 'entries', the Parquet format wants 'key_value': the name is set again afterwards. */
function mapType(field: LakeField): DataType {
  const [key, value] = childrenOf(field, 2)
  const entries = new Field('key_value', new Struct([arrowField(key!, 'key', false), arrowField(value!, 'value', true)]), false)
  const type = new Map_(entries)
  ;(entries as { name: string }).name = 'key_value'
  return type
}

function childrenOf(field: LakeField, count: number): readonly LakeField[] {
  const children = field.children ?? []
  assert(children.length === count, `lake field ${field.name} has ${children.length} children, its type ${count}`)
  return children
}

/** The inverse of {@link arrowSchema}. Throws UnsupportedError for a type no lake file has, CorruptionError for a field without an id. */
export function lakeFields(schema: Schema): LakeField[] {
  return schema.fields.map(lakeField)
}

function lakeField(field: Field): LakeField {
  const text = field.metadata.get(FIELD_ID)
  const id = text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : -1
  if (id < 0 || id > FIELD_ID_MAX) throw new CorruptionError('parquet.field-id', `column '${field.name}' has no valid field id`)
  const leaf = leafType(field.type)
  if (leaf !== undefined) return { name: field.name, id, type: leaf }
  return nestedField(field, id)
}

function nestedField(field: Field, id: number): LakeField {
  const { name, type } = field
  switch (type.typeId) {
    case Type.List: {
      const children = (type as List).children.map(lakeField)
      return { name, id, type: { kind: 'list', element: children[0]!.type }, children }
    }
    case Type.Map: {
      const children = (type as Map_).children[0]!.type.children.map(lakeField)
      if (children[0]?.type.kind !== 'string') break
      return { name, id, type: { kind: 'map', value: children[1]!.type }, children }
    }
    case Type.Struct: {
      const children = (type as Struct).children.map(lakeField)
      return { name, id, type: { kind: 'struct', fields: children.map((child) => ({ name: child.name, type: child.type })) }, children }
    }
  }
  throw new UnsupportedError('parquet.type', `column '${name}' has the type ${type}, which no lake file has`)
}

function leafType(type: DataType): ColumnType | undefined {
  switch (type.typeId) {
    case Type.Bool:
      return { kind: 'boolean' }
    case Type.Int: {
      const { isSigned, bitWidth } = type as Int32
      if (!isSigned || bitWidth < 32) return undefined
      return { kind: (bitWidth as number) === 64 ? 'long' : 'int' }
    }
    case Type.Float: {
      const { ArrayType } = type as Float32 | Float64
      return ArrayType === Float32Array ? { kind: 'float' } : ArrayType === Float64Array ? { kind: 'double' } : undefined
    }
    case Type.Decimal: {
      const { precision, scale, bitWidth } = type as Decimal
      return bitWidth === 128 ? { kind: 'decimal', precision, scale } : undefined
    }
    case Type.Date:
      return (type as DateDay).ArrayType === Int32Array ? { kind: 'date' } : undefined
    case Type.Time:
      return (type as TimeMicrosecond).unit === TimeUnit.MICROSECOND ? { kind: 'time' } : undefined
    case Type.Timestamp: {
      const { unit, timezone } = type as TimestampMicrosecond
      if (unit !== TimeUnit.MICROSECOND || (timezone && timezone !== 'UTC')) return undefined
      return { kind: 'timestamp', utc: timezone === 'UTC' }
    }
    case Type.Utf8:
      return { kind: 'string' }
    case Type.Binary:
      return { kind: 'binary' }
    case Type.FixedSizeBinary:
      return (type as FixedSizeBinary).byteWidth === 16 ? { kind: 'uuid' } : undefined
    default:
      return undefined
  }
}
