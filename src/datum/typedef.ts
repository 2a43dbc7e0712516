import type { Oid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { ColumnType } from './column.ts'

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

/** Which Parquet types a lake may use: see ARCHITECTURE.md. */
export type TypeProfile = 'portable' | 'iceberg'

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
}

/** Column types are derived from codecs; re-exported so that a codec file needs one import. */
export type { ColumnType }
