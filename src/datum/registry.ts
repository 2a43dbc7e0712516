import { UnsupportedError } from '../common/errors.ts'
import { boolCodec } from './bool.ts'
import { byteaCodec } from './bytea.ts'
import { charCodec } from './char.ts'
import type { Codec } from './codec.ts'
import { dateCodec } from './date.ts'
import { textEncoding } from './encoding.ts'
import { enumCodec } from './enum.ts'
import { float4Codec, float8Codec } from './float.ts'
import { int2Codec, int4Codec, int8Codec } from './int.ts'
import { intervalCodec } from './interval.ts'
import { jsonbCodec } from './jsonb.ts'
import { macaddr8Codec, macaddrCodec } from './macaddr.ts'
import { moneyCodec } from './money.ts'
import { nameCodec } from './name.ts'
import { numericCodec } from './numeric.ts'
import { oidCodec, regCodec } from './oid.ts'
import { opaqueCodec } from './opaque.ts'
import { lsnCodec } from './pglsn.ts'
import { stringCodec } from './text.ts'
import { tidCodec } from './tid.ts'
import { timeCodec } from './time.ts'
import { timestampCodec, timestamptzCodec } from './timestamp.ts'
import { timetzCodec } from './timetz.ts'
import type { CodecContext, TypeDef, TypeRef } from './typedef.ts'
import { uuidCodec } from './uuid.ts'
import { xid8Codec } from './xid8.ts'

/** Makes the codec of one type; `typmod` is the attribute's, -1 for none. */
type CodecFactory = (context: CodecContext, typmod: number, type: TypeDef) => Codec

const string: CodecFactory = ({ encoding }) => stringCodec(textEncoding(encoding))

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
  ['numeric', (context, typmod) => numericCodec(typmod, context)],
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
  ['jsonb', ({ encoding }) => jsonbCodec(textEncoding(encoding))],
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
  ...['regproc', 'regprocedure', 'regoper', 'regoperator', 'regclass', 'regtype', 'regconfig', 'regdictionary', 'regnamespace', 'regrole',
    'regcollation'].map((name): [string, CodecFactory] => [name, () => regCodec]),
])

/** Types of extensions, by typname: their oids differ from database to database. */
const EXTENSION = new Map<string, CodecFactory>([['citext', string]])

/**
 * The codec of an attribute's type. A type nobody here knows gets the opaque codec: its stored bytes in a binary column.
 * @throws UnsupportedError datum.type if the pinned types do not define `ref`
 */
export function codecFor(ref: TypeRef, context: CodecContext): Codec {
  const type = context.types.get(ref.oid)
  if (!type) throw new UnsupportedError('datum.type', `type ${ref.oid} is not among the pinned types`)
  switch (type.kind) {
    case 'domain':
      return codecFor({ oid: type.base!.oid, typmod: type.base!.typmod }, context)
    case 'enum':
      return enumCodec(type)
    case 'array':
      return opaqueCodec
    case 'base': {
      const factory = type.schema === 'pg_catalog' ? BUILT_IN.get(type.name) : EXTENSION.get(type.name)
      return factory ? factory(context, ref.typmod, type) : opaqueCodec
    }
    default:
      return opaqueCodec
  }
}

