import type { Oid } from '../common/ids.ts'
import { alignmentOf } from '../tuple/attribute.ts'
import { CorruptionError } from '../common/errors.ts'
import type { CatalogLayout } from './layout.ts'
import { nameText } from './nametext.ts'
import type { CatalogTuple } from './scan.ts'

/** Oids of the catalogs we read, the same in every major (pg_*.h). */
export const TYPE_RELATION_ID = 1247
export const ATTRIBUTE_RELATION_ID = 1249
export const RELATION_RELATION_ID = 1259
export const DATABASE_RELATION_ID = 1262
export const TABLESPACE_RELATION_ID = 1213
export const ACCESS_METHOD_RELATION_ID = 2601
export const INHERITS_RELATION_ID = 2611
export const NAMESPACE_RELATION_ID = 2615
export const ENUM_RELATION_ID = 3501
export const RANGE_RELATION_ID = 3541

export interface PgDatabase {
  oid: Oid
  name: string
  encoding: number
  /** dattablespace. */
  tablespace: Oid
  /** datconnlimit -2: DROP DATABASE was interrupted, parts of the files are gone. */
  invalid: boolean
  allowsConnections: boolean
  template: boolean
}

export interface PgClass {
  oid: Oid
  name: string
  namespace: Oid
  am: Oid
  relfilenode: number
  /** reltablespace, 0 for the database's own. */
  tablespace: Oid
  toastRelId: Oid
  shared: boolean
  persistence: string
  kind: string
  natts: number
}

export interface PgAttribute {
  relId: Oid
  attnum: number
  name: string
  type: Oid
  typmod: number
  len: number
  align: number
  storage: string
  dropped: boolean
  generated: string
  /** attmissingval: the payload of an array of one element. */
  missing?: Uint8Array
}

export interface PgType {
  oid: Oid
  name: string
  namespace: Oid
  len: number
  align: number
  storage: string
  type: string
  delimiter: string
  relId: Oid
  element: Oid
  /** typinput: tells arrays from other types with an element. */
  input: Oid
  base: Oid
  typmod: number
}

export interface PgEnum {
  oid: Oid
  type: Oid
  sortOrder: number
  label: string
}

export interface PgRange {
  type: Oid
  subtype: Oid
  multirange: Oid
}

export interface PgInherits {
  child: Oid
  parent: Oid
  sequence: number
  detachPending: boolean
}

/** pg_namespace, pg_tablespace or pg_am. */
export interface OidName {
  oid: Oid
  name: string
}

type Reader<T> = (tuple: CatalogTuple) => T

/** Names of databases are in the encoding of whoever made them, which is not recorded: UTF-8 or hex. */
export function pgDatabaseReader(layout: CatalogLayout): Reader<PgDatabase> {
  const at = columns(layout, 'oid', 'datname', 'encoding', 'dattablespace', 'datconnlimit', 'datallowconn', 'datistemplate')
  return (tuple) => ({
    oid: tuple.oid(at.oid), name: nameText(tuple.name(at.datname), 0), encoding: tuple.int4(at.encoding),
    tablespace: tuple.oid(at.dattablespace), invalid: tuple.int4(at.datconnlimit) === -2, allowsConnections: tuple.bool(at.datallowconn),
    template: tuple.bool(at.datistemplate),
  })
}

export function pgClassReader(layout: CatalogLayout, encoding: number): Reader<PgClass> {
  const at = columns(
    layout, 'oid', 'relname', 'relnamespace', 'relam', 'relfilenode', 'reltablespace', 'reltoastrelid', 'relisshared', 'relpersistence',
    'relkind', 'relnatts',
  )
  return (tuple) => ({
    oid: tuple.oid(at.oid), name: nameText(tuple.name(at.relname), encoding), namespace: tuple.oid(at.relnamespace),
    am: tuple.oid(at.relam), relfilenode: tuple.oid(at.relfilenode), tablespace: tuple.oid(at.reltablespace),
    toastRelId: tuple.oid(at.reltoastrelid), shared: tuple.bool(at.relisshared), persistence: tuple.char(at.relpersistence),
    kind: tuple.char(at.relkind), natts: tuple.int2(at.relnatts),
  })
}

/** Returns undefined for system attributes and for relations that `wanted` refuses. */
export function pgAttributeReader(
  layout: CatalogLayout, encoding: number, wanted: (relId: Oid) => boolean,
): Reader<PgAttribute | undefined> {
  const at = columns(
    layout, 'attrelid', 'attnum', 'attname', 'atttypid', 'atttypmod', 'attlen', 'attalign', 'attstorage', 'attisdropped', 'attgenerated',
    'atthasmissing', 'attmissingval',
  )
  return (tuple) => {
    const relId = tuple.oid(at.attrelid)
    const attnum = tuple.int2(at.attnum)
    if (attnum < 1 || !wanted(relId)) return undefined
    const attribute: PgAttribute = {
      relId, attnum, name: nameText(tuple.name(at.attname), encoding), type: tuple.oid(at.atttypid), typmod: tuple.int4(at.atttypmod),
      len: checkLength(tuple.int2(at.attlen)), align: alignment(tuple.char(at.attalign)), storage: tuple.char(at.attstorage),
      dropped: tuple.bool(at.attisdropped), generated: tuple.char(at.attgenerated),
    }
    if (tuple.bool(at.atthasmissing) && !tuple.isNull(at.attmissingval)) attribute.missing = tuple.payload(at.attmissingval)
    return attribute
  }
}

export function pgTypeReader(layout: CatalogLayout, encoding: number): Reader<PgType> {
  const at = columns(
    layout, 'oid', 'typname', 'typnamespace', 'typlen', 'typalign', 'typstorage', 'typtype', 'typdelim', 'typrelid', 'typelem', 'typinput',
    'typbasetype', 'typtypmod',
  )
  return (tuple) => ({
    oid: tuple.oid(at.oid), name: nameText(tuple.name(at.typname), encoding), namespace: tuple.oid(at.typnamespace),
    len: checkLength(tuple.int2(at.typlen)), align: alignment(tuple.char(at.typalign)), storage: tuple.char(at.typstorage),
    type: tuple.char(at.typtype), delimiter: tuple.char(at.typdelim), relId: tuple.oid(at.typrelid), element: tuple.oid(at.typelem),
    input: tuple.oid(at.typinput), base: tuple.oid(at.typbasetype), typmod: tuple.int4(at.typtypmod),
  })
}

export function pgEnumReader(layout: CatalogLayout, encoding: number): Reader<PgEnum> {
  const at = columns(layout, 'oid', 'enumtypid', 'enumsortorder', 'enumlabel')
  return (tuple) => ({
    oid: tuple.oid(at.oid), type: tuple.oid(at.enumtypid), sortOrder: tuple.float4(at.enumsortorder),
    label: nameText(tuple.name(at.enumlabel), encoding),
  })
}

export function pgRangeReader(layout: CatalogLayout): Reader<PgRange> {
  const at = columns(layout, 'rngtypid', 'rngsubtype', 'rngmultitypid')
  return (tuple) => ({ type: tuple.oid(at.rngtypid), subtype: tuple.oid(at.rngsubtype), multirange: tuple.oid(at.rngmultitypid) })
}

export function pgInheritsReader(layout: CatalogLayout): Reader<PgInherits> {
  const at = columns(layout, 'inhrelid', 'inhparent', 'inhseqno', 'inhdetachpending')
  return (tuple) => ({
    child: tuple.oid(at.inhrelid), parent: tuple.oid(at.inhparent), sequence: tuple.int4(at.inhseqno),
    detachPending: tuple.bool(at.inhdetachpending),
  })
}

/** @param column `nspname`, `spcname` or `amname` */
export function oidNameReader(layout: CatalogLayout, column: string, encoding: number): Reader<OidName> {
  const oid = layout.column('oid')
  const name = layout.column(column)
  return (tuple) => ({ oid: tuple.oid(oid), name: nameText(tuple.name(name), encoding) })
}

function columns<const N extends string>(layout: CatalogLayout, ...names: readonly N[]): Record<N, number> {
  return Object.fromEntries(names.map((name) => [name, layout.column(name)])) as Record<N, number>
}

function checkLength(len: number): number {
  if (len === 0 || len < -2) throw new CorruptionError('catalog.value', `attlen or typlen ${len}`)
  return len
}

function alignment(letter: string): number {
  try {
    return alignmentOf(letter)
  } catch {
    throw new CorruptionError('catalog.value', `attalign or typalign '${letter}'`)
  }
}
