/** The type under which a published table shows a column of Postgres: what ARCHITECTURE.md promises, written a second time. */
import type { TypeRef } from '../../src/datum/typedef.ts'
import type { ColumnType } from '../../src/vector/columntype.ts'
import type { Types } from '../support/servertext.ts'

const PLAIN: Record<string, ColumnType> = {
  bool: { kind: 'boolean' }, int2: { kind: 'int' }, int4: { kind: 'int' }, int8: { kind: 'long' }, oid: { kind: 'long' }, xid: { kind: 'long' }, cid: { kind: 'long' },
  xid8: { kind: 'decimal', precision: 20, scale: 0 }, float4: { kind: 'float' }, float8: { kind: 'double' }, money: { kind: 'decimal', precision: 19, scale: 2 },
  bytea: { kind: 'binary' }, date: { kind: 'date' }, timestamp: { kind: 'timestamp', utc: false }, timestamptz: { kind: 'timestamp', utc: true },
  interval: { kind: 'struct', fields: [{ name: 'months', type: { kind: 'int' } }, { name: 'days', type: { kind: 'int' } }, { name: 'micros', type: { kind: 'long' } }] },
  vector: { kind: 'list', element: { kind: 'float' } }, halfvec: { kind: 'list', element: { kind: 'float' } }, hstore: { kind: 'map', value: { kind: 'string' } },
}
/** Types without a codec: their stored bytes are shown. */
const OPAQUE = [
  'aclitem', 'jsonpath', 'pg_dependencies', 'pg_mcv_list', 'pg_ndistinct', 'ean13', 'isbn', 'isbn13', 'ismn', 'ismn13', 'issn', 'issn13', 'upc',
  'lquery', 'ltxtquery', 'query_int', 'seg',
]
const VARHDRSZ = 4

/** In a lake of the profile `portable`. */
export function publishedType({ oid, typmod }: TypeRef, types: Types): ColumnType {
  const type = types.get(oid)!
  if (type.kind === 'domain') return publishedType({ oid: type.base!.oid, typmod: typmod === -1 ? type.base!.typmod : typmod }, types)
  if (type.kind === 'array') return { kind: 'list', element: publishedType({ oid: type.element!, typmod }, types) }
  if (type.kind === 'composite') {
    const fields = type.fields!.filter(({ dropped }) => !dropped).map((field) => ({ name: field.name, type: publishedType(field.type, types) }))
    // Parquet has no struct without fields.
    return fields.length === 0 ? { kind: 'string' } : { kind: 'struct', fields }
  }
  if (type.name === 'numeric') return numeric(typmod)
  if (type.schema === 'pg_catalog' && type.name.startsWith('reg')) return { kind: 'long' }
  if (OPAQUE.includes(type.name)) return { kind: 'binary' }
  return PLAIN[type.name] ?? { kind: 'string' }
}

function numeric(typmod: number): ColumnType {
  const [precision, scale] = [((typmod - VARHDRSZ) >> 16) & 0xffff, ((((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024)]
  const isDeclared = typmod >= VARHDRSZ && precision <= 38 && scale >= 0 && scale <= precision
  return isDeclared ? { kind: 'decimal', precision, scale } : { kind: 'decimal', precision: 38, scale: 9 }
}
