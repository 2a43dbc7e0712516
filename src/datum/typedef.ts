import * as v from 'valibot'
import type { Oid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { flag, integer, oneOf, type Schema, text, unsigned32 } from '../common/validate.ts'
import type { ColumnType } from '../vector/columntype.ts'
import type { Codec } from './codec.ts'

/** A type as pg_type describes it, pinned into every file so that rebuilding never asks a later catalog. JSON-safe. */
export interface TypeDef {
  oid: Oid
  /** typname, e.g. `int4`, `_text`, `mood`. */
  name: string
  /** nspname of typnamespace. */
  schema: string
  kind: 'base' | 'array' | 'enum' | 'domain' | 'composite' | 'range' | 'multirange' | 'pseudo'
  /** typlen: bytes, -1 varlena, -2 cstring. */
  len: number
  /** typalign in bytes: 1, 2, 4, 8. */
  align: number
  /** typstorage: p, e, x, m. */
  storage: string
  /** typdelim: what separates array elements of this type. */
  delimiter: string
  /** base: named as a type that has a codec, but made of something else; only its stored bytes can be shown. */
  opaque?: true
  /** base: its values are read by a codec from outside of ltap, which is given under the type's name (`CodecContext.extensions`). */
  outside?: true
  /** array: the element type. */
  element?: Oid
  /** domain: what it is over. */
  base?: TypeRef
  /** enum: pg_enum rows, oid and label, in sort order. */
  labels?: readonly (readonly [Oid, string])[]
  /** composite: every attribute in attnum order, dropped ones too. */
  fields?: readonly CompositeField[]
  /** range: its subtype; multirange: its range type. */
  subtype?: Oid
}

export interface TypeRef {
  oid: Oid
  /** atttypmod, -1 for none. */
  typmod: number
}

export interface CompositeField {
  name: string
  type: TypeRef
  len: number
  align: number
  plain: boolean
  dropped: boolean
}

const INT32 = integer(-0x80000000, 0x7fffffff)

export const TYPE_REF: Schema<TypeRef> = v.strictObject({ oid: unsigned32, typmod: INT32 })

/** attlen or typlen (an int2), attalign as bytes. */
export const LAYOUT: { len: Schema<number>; align: Schema<number> } = {
  len: v.custom<number>((len) => typeof len === 'number' && Number.isInteger(len) && len >= -2 && len <= 0x7fff && len !== 0,
    '-2, -1 or a length from 1 to 32767'),
  align: oneOf([1, 2, 4, 8]),
}

const COMPOSITE_FIELD = v.strictObject({ name: text, type: TYPE_REF, ...LAYOUT, plain: flag, dropped: flag })

const COMMON = { oid: unsigned32, name: text, schema: text, ...LAYOUT, storage: oneOf(['p', 'e', 'x', 'm']), delimiter: text }

/** What is read as a TypeDef; how types hang together is checked by checkTupleDesc. */
export const TYPE_DEF: Schema<TypeDef> = v.variant('kind', [
  v.strictObject({ kind: v.literal('base'), ...COMMON, opaque: v.exactOptional(v.literal(true)), outside: v.exactOptional(v.literal(true)) }),
  v.strictObject({ kind: v.literal('pseudo'), ...COMMON }),
  v.strictObject({ kind: v.literal('array'), ...COMMON, element: unsigned32 }),
  v.strictObject({ kind: v.literal('domain'), ...COMMON, base: TYPE_REF }),
  v.strictObject({ kind: v.literal('enum'), ...COMMON, labels: v.array(v.strictTuple([unsigned32, text])) }),
  v.strictObject({ kind: v.literal('composite'), ...COMMON, fields: v.array(COMPOSITE_FIELD) }),
  v.strictObject({ kind: oneOf(['range', 'multirange']), ...COMMON, subtype: unsigned32 }),
])

const UINT16 = integer(0, 0xffff)
/** What is read as a CompositeHeader. */
export const COMPOSITE_HEADER: Schema<CompositeHeader> = v.strictObject({ typmod: INT32, block: unsigned32, offset: UINT16, infomask: UINT16 })
export const PLAIN_COMPOSITE_HEADER: CompositeHeader = { typmod: -1, block: 0xffffffff, offset: 0, infomask: 0 }

/** Which Parquet types a lake may use: see ARCHITECTURE.md. */
export type TypeProfile = 'portable' | 'iceberg'

/**
 * What stands in the header of a composite value beside length, type and shape. A server that has nothing to say there writes typmod -1, the invalid ctid
 * and no further bits; 15.20 and 17.12 write the LSN as of which the type had its attributes.
 */
export interface CompositeHeader {
  readonly typmod: number
  /** Block and offset of t_ctid. */
  readonly block: number
  readonly offset: number
  /** Bits of t_infomask that do not follow from the attributes. */
  readonly infomask: number
}

/** Everything a codec may depend on besides the type itself. */
export interface CodecContext {
  major: PgMajor
  profile: TypeProfile
  /** pg_database.encoding of the database the bytes come from (6 = UTF8). */
  encoding: number
  /** Types by oid, the pinned set. */
  types: ReadonlyMap<Oid, TypeDef>
  /** The display scale that numerics of this column most often have. Absent inside arrays and composites: the declared one. */
  displayScale?: number
  /** Codecs from outside this package, by typname; asked only for base types that no codec of this package knows. */
  extensions?: ReadonlyMap<string, CodecFactory>
  /** Headers that values of composite types are predicted to have, by type; of another type {@link PLAIN_COMPOSITE_HEADER}. */
  compositeHeaders?: ReadonlyMap<Oid, CompositeHeader>
  /** Told of the header of each composite value that is read, those inside of values too. */
  onCompositeHeader?: (type: Oid, header: CompositeHeader) => void
  /** For readers: the text of an enum's oid without a label is an error, as in the server's output function. In the lake it is hex. */
  strictLabels?: boolean
}

/**
 * Makes the codec of one type.
 * @param typmod of the attribute, -1 for none
 * @returns undefined where the type is only a namesake: another schema, another typlen; its stored bytes are then shown as they are
 */
export type CodecFactory = (context: CodecContext, typmod: number, type: TypeDef) => Codec | undefined

/** Column types are derived from codecs; re-exported so that a codec file needs one import. */
export type { ColumnType }
