import { arrayCodec } from '../../src/datum/types/array.ts'
import { boolCodec } from '../../src/datum/types/bool.ts'
import type { Codec } from '../../src/datum/codec.ts'
import { compositeCodec } from '../../src/datum/types/composite.ts'
import { dateCodec } from '../../src/datum/types/date.ts'
import { textEncoding } from '../../src/datum/encoding/encodings.ts'
import { float4Codec, float8Codec } from '../../src/datum/types/float.ts'
import { boxCodec, circleCodec, lineCodec, lsegCodec, pathCodec, pointCodec, polygonCodec } from '../../src/datum/types/geometric.ts'
import { int2Codec, int4Codec, int8Codec } from '../../src/datum/types/int.ts'
import { multirangeCodec } from '../../src/datum/types/multirange.ts'
import { numericCodec } from '../../src/datum/types/numeric.ts'
import { int2vectorCodec, oidvectorCodec } from '../../src/datum/types/oidvector.ts'
import { rangeCodec } from '../../src/datum/types/range.ts'
import { stringCodec } from '../../src/datum/types/text.ts'
import { timestampCodec, timestamptzCodec } from '../../src/datum/types/timestamp.ts'
import { timetzCodec } from '../../src/datum/types/timetz.ts'
import { uuidCodec } from '../../src/datum/types/uuid.ts'
import { alignmentOf } from '../../src/tuple/attribute.ts'
import type { Session } from '../support/oracle.ts'

const text = stringCodec(textEncoding(6))

const BASE = new Map<string, Codec>(Object.entries({
  bool: boolCodec, int2: int2Codec, int4: int4Codec, int8: int8Codec, float4: float4Codec, float8: float8Codec,
  text, varchar: text, numeric: numericCodec(-1, { displayScale: 0 }), date: dateCodec, timestamp: timestampCodec,
  timestamptz: timestamptzCodec, timetz: timetzCodec, uuid: uuidCodec({ profile: 'portable' }),
  point: pointCodec, lseg: lsegCodec, box: boxCodec, line: lineCodec, circle: circleCodec,
  path: pathCodec, polygon: polygonCodec, oidvector: oidvectorCodec, int2vector: int2vectorCodec,
}))

/** The codec of a type, put together from the server's own catalog. */
export async function codecOf(sql: Session, type: string): Promise<Codec> {
  const [row] = await sql.query(
    `select t.oid, t.typname, t.typtype, t.typrelid, t.typbasetype::regtype as base, e.oid as element,
     format_type(e.oid, null) as elementname,
     (select format_type(rngsubtype, null) from pg_range where rngtypid = t.oid or rngmultitypid = t.oid) as subtype
     from pg_type t left join pg_type e on e.oid = t.typelem and t.typsubscript = 'array_subscript_handler'::regproc
     where t.oid = '${type}'::regtype`)
  const oid = Number(row!['oid'])
  const base = BASE.get(row!['typname']!)
  if (base) return base
  if (row!['element']) {
    const layout = await layoutOf(sql, row!['elementname']!)
    return arrayCodec(await codecOf(sql, row!['elementname']!), { ...layout, oid: Number(row!['element']) })
  }
  if (row!['typtype'] === 'd') return codecOf(sql, row!['base']!)
  if (row!['typtype'] === 'c') return compositeCodec(oid, await fieldsOf(sql, row!['typrelid']!))
  if (!row!['subtype']) throw new Error(`no codec for ${type} in this test`)
  const make = row!['typtype'] === 'r' ? rangeCodec : multirangeCodec
  return make(await codecOf(sql, row!['subtype']), await layoutOf(sql, row!['subtype']), oid)
}

async function layoutOf(sql: Session, type: string) {
  const [row] = await sql.query(`select typlen, typalign, typstorage, typdelim from pg_type where oid = '${type}'::regtype`)
  return {
    len: Number(row!['typlen']), align: alignmentOf(row!['typalign']!), plain: row!['typstorage'] === 'p', delimiter: row!['typdelim']!,
  }
}

async function fieldsOf(sql: Session, relid: string) {
  const rows = await sql.query(
    `select attname, attlen, attalign, attstorage, attisdropped, format_type(atttypid, null) as type from pg_attribute
     where attrelid = $1::oid and attnum > 0 order by attnum`, [relid])
  const fields = []
  for (const row of rows) {
    const layout = { len: Number(row['attlen']), align: alignmentOf(row['attalign']!), plain: row['attstorage'] === 'p' }
    fields.push({ name: row['attname']!, layout, codec: row['attisdropped'] === 't' ? null : await codecOf(sql, row['type']!) })
  }
  return fields
}
