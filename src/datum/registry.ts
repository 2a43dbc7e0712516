import { UnsupportedError } from '../common/errors.ts'
import type { Oid } from '../common/ids.ts'
import type { AttributeLayout } from '../tuple/attribute.ts'
import { arrayCodec } from './types/array.ts'
import { bitCodec } from './types/bit.ts'
import { boolCodec } from './types/bool.ts'
import { byteaCodec } from './types/bytea.ts'
import { charCodec } from './types/char.ts'
import type { Codec } from './codec.ts'
import { compositeCodec } from './types/composite.ts'
import { cubeCodec } from './types/cube.ts'
import { dateCodec } from './types/date.ts'
import { textEncoding } from './encoding/encodings.ts'
import { enumCodec } from './types/enum.ts'
import { float4Codec, float8Codec } from './types/float.ts'
import { boxCodec, circleCodec, lineCodec, lsegCodec, pathCodec, pointCodec, polygonCodec } from './types/geometric.ts'
import { hstoreCodec } from './types/hstore.ts'
import { cidrCodec, inetCodec } from './types/inet.ts'
import { int2Codec, int4Codec, int8Codec } from './types/int.ts'
import { intervalCodec } from './types/interval.ts'
import { jsonbCodec } from './types/jsonb.ts'
import { ltreeCodec } from './types/ltree.ts'
import { macaddr8Codec, macaddrCodec } from './types/macaddr.ts'
import { moneyCodec } from './types/money.ts'
import { multirangeCodec } from './types/multirange.ts'
import { nameCodec } from './types/name.ts'
import { declaredDisplayScale, numericCodec } from './types/numeric.ts'
import { oidCodec, regCodec } from './types/oid.ts'
import { int2vectorCodec, oidvectorCodec } from './types/oidvector.ts'
import { opaqueCodec } from './types/opaque.ts'
import { lsnCodec } from './types/pglsn.ts'
import { pgSnapshotCodec } from './types/pgsnapshot.ts'
import { halfvecCodec, sparsevecCodec, vectorCodec } from './types/pgvector.ts'
import { geometryCodec } from './types/postgis.ts'
import { rangeCodec } from './types/range.ts'
import { stringCodec } from './types/text.ts'
import { tidCodec } from './types/tid.ts'
import { timeCodec } from './types/time.ts'
import { timestampCodec, timestamptzCodec } from './types/timestamp.ts'
import { timetzCodec } from './types/timetz.ts'
import { tsqueryCodec } from './types/tsquery.ts'
import { tsvectorCodec } from './types/tsvector.ts'
import type { CodecContext, CodecFactory, CompositeHeader, TypeDef, TypeRef } from './typedef.ts'
import { uuidCodec } from './types/uuid.ts'
import { xid8Codec } from './types/xid8.ts'

const string: CodecFactory = ({ encoding }) => stringCodec(textEncoding(encoding))

/** pg_database.encoding of nearly every database: jsonb has a short cut for it. */
const UTF8 = 6

/** Built-in base types by typname in pg_catalog (pg_type.dat). */
const BUILT_IN: ReadonlyMap<string, CodecFactory> = new Map<string, CodecFactory>([
  ['bool', () => boolCodec],
  ['int2', () => int2Codec],
  ['int4', () => int4Codec],
  ['int8', () => int8Codec],
  ['oid', () => oidCodec],
  ['xid', () => oidCodec],
  ['cid', () => oidCodec],
  ['xid8', () => xid8Codec],
  ['tid', () => tidCodec],
  ['float4', () => float4Codec],
  ['float8', () => float8Codec],
  ['money', () => moneyCodec],
  ['numeric', ({ displayScale }, typmod) => numericCodec(typmod, { displayScale: displayScale ?? declaredDisplayScale(typmod) })],
  ['text', string],
  ['varchar', string],
  ['bpchar', string],
  ['json', string],
  ['xml', string],
  ['refcursor', string],
  ['pg_node_tree', string],
  ['name', ({ encoding }) => nameCodec(textEncoding(encoding))],
  ['char', ({ major, encoding }) => charCodec(major, textEncoding(encoding))],
  ['bytea', () => byteaCodec],
  ['jsonb', ({ encoding }) => jsonbCodec(encoding === UTF8 ? undefined : textEncoding(encoding))],
  ['date', () => dateCodec],
  ['time', (context) => timeCodec(context)],
  ['timetz', () => timetzCodec],
  ['timestamp', () => timestampCodec],
  ['timestamptz', () => timestamptzCodec],
  ['interval', (context) => intervalCodec(context)],
  ['uuid', (context) => uuidCodec(context)],
  ['macaddr', () => macaddrCodec],
  ['macaddr8', () => macaddr8Codec],
  ['pg_lsn', () => lsnCodec],
  ['inet', () => inetCodec],
  ['cidr', () => cidrCodec],
  ['bit', () => bitCodec],
  ['varbit', () => bitCodec],
  ['point', () => pointCodec],
  ['lseg', () => lsegCodec],
  ['box', () => boxCodec],
  ['line', () => lineCodec],
  ['circle', () => circleCodec],
  ['path', () => pathCodec],
  ['polygon', () => polygonCodec],
  ['tsvector', ({ encoding }) => tsvectorCodec(textEncoding(encoding))],
  ['tsquery', ({ encoding }) => tsqueryCodec(textEncoding(encoding))],
  ['pg_snapshot', () => pgSnapshotCodec],
  ['txid_snapshot', () => pgSnapshotCodec],
  ['oidvector', () => oidvectorCodec],
  ['int2vector', () => int2vectorCodec],
  ...['regproc', 'regprocedure', 'regoper', 'regoperator', 'regclass', 'regtype', 'regconfig', 'regdictionary', 'regnamespace', 'regrole',
    'regcollation'].map((name): [string, CodecFactory] => [name, () => regCodec]),
])

/** Types of extensions, by typname. extensiontypes.ts says what else they must be; that was checked when the type was pinned. */
const EXTENSION: ReadonlyMap<string, CodecFactory> = new Map<string, CodecFactory>([
  ['citext', string],
  ['hstore', ({ encoding }) => hstoreCodec(textEncoding(encoding))],
  ['ltree', ({ encoding }) => ltreeCodec(textEncoding(encoding))],
  ['cube', () => cubeCodec],
  ['vector', () => vectorCodec],
  ['halfvec', () => halfvecCodec],
  ['sparsevec', () => sparsevecCodec],
  ['geometry', () => geometryCodec],
  ['geography', () => geometryCodec],
])

/**
 * The codec of an attribute's type (pg_type). Codecs from outside come through `context.extensions`. A type without a codec here gets the opaque
 * codec: its stored bytes in a binary column.
 * @throws UnsupportedError datum.type if the pinned types do not define `ref`, datum.codec if a codec from outside is pinned that was not given
 */
export function codecFor(ref: TypeRef, context: CodecContext): Codec {
  const type = pinned(ref.oid, context)
  switch (type.kind) {
    case 'domain':
      return codecFor(type.base!, context)
    case 'enum':
      return enumCodec(type, context.strictLabels)
    case 'array':
      return arrayOf(type, ref.typmod, context)
    case 'composite':
      return compositeOf(type, context)
    case 'range':
      return rangeOf(type, context)
    case 'multirange':
      return multirangeOf(type, context)
    case 'base':
      return baseOf(type, ref.typmod, context)
    case 'pseudo':
      return opaqueCodec
  }
}

function baseOf(type: TypeDef, typmod: number, context: CodecContext): Codec {
  if (type.opaque) return opaqueCodec
  if (type.schema === 'pg_catalog') return BUILT_IN.get(type.name)?.(context, typmod, type) ?? opaqueCodec
  const given = context.extensions?.get(type.name)
  if (!type.outside) return (ownFactory(type) ?? given)?.(context, typmod, type) ?? opaqueCodec
  const codec = given?.(context, typmod, type)
  if (codec === undefined) {
    const what = `values of the type ${type.schema}.${type.name} were written by a codec from outside of ltap`
    throw new UnsupportedError('datum.codec', `${what}; name its module with --codecs, or give it as \`extensions\` to the library`)
  }
  return codec
}

/** The extension types known here are all varlena: anything else is a namesake. */
function ownFactory({ name, len }: TypeDef): CodecFactory | undefined {
  return len === -1 ? EXTENSION.get(name) : undefined
}

/**
 * The types as a file pins them: those that a codec from outside reads (`context.extensions`) are marked, so that a reader of the file must give
 * that codec again, and no other type is ever read by one.
 */
export function pinOutside(types: readonly TypeDef[], context: Omit<CodecContext, 'types'>): readonly TypeDef[] {
  const whole = { ...context, types: new Map(types.map((type) => [type.oid, type])) }
  return types.map((type) => {
    const isOurs = type.kind !== 'base' || type.opaque === true || type.schema === 'pg_catalog' || ownFactory(type) !== undefined
    return isOurs || context.extensions?.get(type.name)?.(whole, -1, type) === undefined ? type : { ...type, outside: true as const }
  })
}

function arrayOf(type: TypeDef, typmod: number, context: CodecContext): Codec {
  const element = pinned(type.element, context)
  return arrayCodec(codecFor({ oid: element.oid, typmod }, nested(context)), element)
}

function compositeOf(type: TypeDef, context: CodecContext): Codec {
  const fields = (type.fields ?? []).map(({ name, type: field, len, align, plain, dropped }) => ({
    name, layout: { len, align, plain }, codec: dropped ? null : codecFor(field, nested(context)),
  }))
  const { compositeHeaders, onCompositeHeader } = context
  const onHeader = onCompositeHeader && ((header: CompositeHeader) => onCompositeHeader(type.oid, header))
  return compositeCodec(type.oid, fields, compositeHeaders?.get(type.oid), onHeader)
}

function rangeOf(type: TypeDef, context: CodecContext): Codec {
  const subtype = pinned(type.subtype, context)
  return rangeCodec(codecFor({ oid: subtype.oid, typmod: -1 }, context), layoutOf(subtype), type.oid)
}

/** The most frequent display scale is counted for top-level numerics only. */
function nested({ major, profile, encoding, types, extensions, compositeHeaders, onCompositeHeader, strictLabels = false }: CodecContext): CodecContext {
  return {
    major, profile, encoding, types, strictLabels, ...(extensions && { extensions }), ...(compositeHeaders && { compositeHeaders }),
    ...(onCompositeHeader && { onCompositeHeader }),
  }
}

/** A multirange's subtype in pg_range is its range type; its bounds are of that one's subtype. */
function multirangeOf(type: TypeDef, context: CodecContext): Codec {
  const subtype = pinned(pinned(type.subtype, context).subtype, context)
  return multirangeCodec(codecFor({ oid: subtype.oid, typmod: -1 }, context), layoutOf(subtype), type.oid)
}

function layoutOf({ len, align, storage }: TypeDef): AttributeLayout {
  return { len, align, plain: storage === 'p' }
}

/** @throws UnsupportedError datum.type */
function pinned(oid: Oid | undefined, { types }: CodecContext): TypeDef {
  const type = oid === undefined ? undefined : types.get(oid)
  if (!type) throw new UnsupportedError('datum.type', `type ${oid} is not among the pinned types`)
  return type
}
