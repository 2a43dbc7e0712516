import type { Attribute } from '../catalog/tupledesc.ts'
import { isBuiltIn } from '../datum/builtin.ts'
import type { TypeDef, TypeRef } from '../datum/typedef.ts'
import type { ColumnPlan, SchemaContext } from './schema.ts'

/**
 * How generated code moves values of a type without calling its codec. Each form is a short cut of one codec and must agree with
 * it in every bit (differential test): what it cannot do exactly it hands to the codec.
 */
export type InlineForm =
  | { kind: 'word' | 'doubleword' | 'int16' | 'uint32' | 'boolean' | 'date' | 'timestamp' }
  | { kind: 'bytes'; utf8: boolean }
  | { kind: 'decimal'; scale: number; displayScale: number; limit: number }

const UTF8 = 6

/** Built-in types by oid (pg_type.dat). */
const FORMS: ReadonlyMap<number, InlineForm> = new Map<number, InlineForm>([
  [16, { kind: 'boolean' }],
  [21, { kind: 'int16' }],
  [23, { kind: 'word' }],
  [700, { kind: 'word' }],
  [20, { kind: 'doubleword' }],
  [701, { kind: 'doubleword' }],
  ...[26, 28, 29, 24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191].map((oid): [number, InlineForm] => [oid, { kind: 'uint32' }]),
  [1082, { kind: 'date' }],
  [1114, { kind: 'timestamp' }],
  [1184, { kind: 'timestamp' }],
  [17, { kind: 'bytes', utf8: false }],
  ...[25, 1042, 1043, 114, 142].map((oid): [number, InlineForm] => [oid, { kind: 'bytes', utf8: true }]),
])
const NUMERIC = 1700

/** The inline form of an attribute's column; undefined: generated code calls the codec. */
export function inlineForm(attribute: Attribute, column: ColumnPlan, context: SchemaContext): InlineForm | undefined {
  const base = baseType(attribute.type, context.desc.types)
  if (base === undefined || !isBuiltIn(base)) return undefined
  const { oid } = base
  const type = column.codec.column
  if (oid === NUMERIC) {
    if (type.kind !== 'decimal') return undefined
    const displayScale = context.displayScales[attribute.attnum] ?? 0
    return { kind: 'decimal', scale: type.scale, displayScale, limit: 10 ** Math.min(type.precision, 16) }
  }
  const form = FORMS.get(oid)
  if (form?.kind === 'bytes' && form.utf8 && context.encoding !== UTF8) return undefined
  return form
}

function baseType(ref: TypeRef, types: readonly TypeDef[]): TypeDef | undefined {
  const found = types.find((type) => type.oid === ref.oid)
  return found?.base ? baseType(found.base, types) : found
}

/** date: 2000-01-01 in days since 1970; the native range 0001-01-01 .. 9999-12-31 in days since 2000. */
export const DATE_EPOCH_DAYS = 10957
export const DATE_MIN = -730119
export const DATE_MAX = 2921939

/** timestamp: 946684800 s in microseconds, as two words. */
export const TIMESTAMP_EPOCH_LOW = 0x3b37e000
export const TIMESTAMP_EPOCH_HIGH = 220417
/**
 * High words of microseconds since 2000 that lie wholly inside the native range: the border words go to the codec.
 * -63082281600000000 .. 252455615999999999.
 */
export const TIMESTAMP_HIGH_MIN = -14687488
export const TIMESTAMP_HIGH_MAX = 58779402
