import type { Oid } from '../common/ids.ts'
import { ALIGNMENTS } from '../tuple/attribute.ts'
import { CorruptionError } from '../common/errors.ts'
import type { CatalogLayout } from './layout.ts'
import { nameText } from './nametext.ts'
import type { CatalogTuple } from './scan.ts'

/** Oids of the catalogs we read, the same in every major (pg_*.h). */
export const TYPE_RELATION_ID = 1247
export const ATTRIBUTE_RELATION_ID = 1249
export const PROCEDURE_RELATION_ID = 1255
export const RELATION_RELATION_ID = 1259
export const DATABASE_RELATION_ID = 1262
export const TABLESPACE_RELATION_ID = 1213
export const ATTR_DEFAULT_RELATION_ID = 2604
export const OPERATOR_RELATION_ID = 2617
export const COLLATION_RELATION_ID = 3456
export const TS_CONFIG_RELATION_ID = 3602
export const ACCESS_METHOD_RELATION_ID = 2601
export const DEPEND_RELATION_ID = 2608
export const INHERITS_RELATION_ID = 2611
export const NAMESPACE_RELATION_ID = 2615
export const EXTENSION_RELATION_ID = 3079
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
  /** relispopulated: false for a materialized view WITH NO DATA. */
  populated: boolean
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

export interface PgAm {
  oid: Oid
  name: string
  /** amhandler. */
  handler: Oid
}

/** A function of language internal or C: its name in the server's executable or in a library. */
export interface PgProc {
  oid: Oid
  /** prosrc. */
  symbol: string
  /** probin, `$libdir/hstore`; undefined for internal ones. */
  library: string | undefined
}

/** A type that an extension made, and drops with itself. */
export interface ExtensionMember {
  type: Oid
  extension: Oid
}

/** pg_namespace, pg_tablespace or pg_extension. */
export interface OidName {
  oid: Oid
  name: string
}

type Reader<T> = (tuple: CatalogTuple) => T

/** A database's name is in the encoding of the session that created it, which no catalog records: it is shown as UTF-8, else as hex. */
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
    'relkind', 'relnatts', 'relispopulated',
  )
  return (tuple) => ({
    oid: tuple.oid(at.oid), name: nameText(tuple.name(at.relname), encoding), namespace: tuple.oid(at.relnamespace),
    am: tuple.oid(at.relam), relfilenode: tuple.oid(at.relfilenode), tablespace: tuple.oid(at.reltablespace),
    toastRelId: tuple.oid(at.reltoastrelid), shared: tuple.bool(at.relisshared), persistence: tuple.char(at.relpersistence),
    kind: tuple.char(at.relkind), natts: tuple.int2(at.relnatts), populated: tuple.bool(at.relispopulated),
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

export function pgAmReader(layout: CatalogLayout, encoding: number): Reader<PgAm> {
  const at = columns(layout, 'oid', 'amname', 'amhandler')
  return (tuple) => ({ oid: tuple.oid(at.oid), name: nameText(tuple.name(at.amname), encoding), handler: tuple.oid(at.amhandler) })
}

/** INTERNALlanguageId and ClanguageId (pg_language.dat). */
const INTERNAL_LANGUAGE = 12
const C_LANGUAGE = 13

/** A row of pg_attrdef: the expression of a default or a generated column. */
export interface PgAttrdef {
  relId: Oid
  attnum: number
  /** adbin, a pg_node_tree; undefined for those that `wanted` refuses. */
  tree: Uint8Array | undefined
}

export function pgAttrdefReader(layout: CatalogLayout, wanted: (relId: Oid, attnum: number) => boolean): Reader<PgAttrdef> {
  const at = columns(layout, 'adrelid', 'adnum', 'adbin')
  return (tuple) => {
    const relId = tuple.oid(at.adrelid)
    const attnum = tuple.int2(at.adnum)
    return { relId, attnum, tree: wanted(relId, attnum) ? tuple.payload(at.adbin) : undefined }
  }
}

/** A chunk of a TOAST relation. */
export function toastChunkReader(layout: CatalogLayout): Reader<{ id: Oid; sequence: number; data: Uint8Array }> {
  const at = columns(layout, 'chunk_id', 'chunk_seq', 'chunk_data')
  return (tuple) => ({ id: tuple.oid(at.chunk_id), sequence: tuple.int4(at.chunk_seq), data: tuple.payload(at.chunk_data) })
}

export interface QualifiedName extends OidName {
  namespace: Oid
}

/** @param prefix `opr`, `pro`, `coll` or `cfg`: of the columns' names */
export function qualifiedNameReader(layout: CatalogLayout, prefix: string, encoding: number): Reader<QualifiedName> {
  const at = columns(layout, 'oid', `${prefix}name`, `${prefix}namespace`)
  return (tuple) => ({
    oid: tuple.oid(at['oid']), name: nameText(tuple.name(at[`${prefix}name`]!), encoding), namespace: tuple.oid(at[`${prefix}namespace`]!),
  })
}

/** Returns undefined for functions of other languages and for those that `wanted` refuses. */
export function pgProcReader(layout: CatalogLayout, wanted: (oid: Oid) => boolean): Reader<PgProc | undefined> {
  const at = columns(layout, 'oid', 'prolang', 'prosrc', 'probin')
  return (tuple) => {
    const oid = tuple.oid(at.oid)
    const language = tuple.oid(at.prolang)
    if (!wanted(oid) || (language !== INTERNAL_LANGUAGE && language !== C_LANGUAGE)) return undefined
    return { oid, symbol: symbolText(tuple, at.prosrc), library: language === C_LANGUAGE ? symbolText(tuple, at.probin) : undefined }
  }
}

/** No symbol that is known here is so long that it is stored out of line, or not ASCII. */
function symbolText(tuple: CatalogTuple, column: number): string {
  return tuple.isNull(column) || tuple.isExternal(column) ? '' : String.fromCharCode(...tuple.payload(column).subarray(0, 1000))
}

const EXTENSION_DEPENDENCY = 'e'

/** Returns undefined for a row that does not make a type a member of an extension. */
export function extensionMemberReader(layout: CatalogLayout): Reader<ExtensionMember | undefined> {
  const at = columns(layout, 'classid', 'objid', 'refclassid', 'refobjid', 'deptype')
  return (tuple) => {
    const ofExtension = tuple.char(at.deptype) === EXTENSION_DEPENDENCY && tuple.oid(at.refclassid) === EXTENSION_RELATION_ID
    if (!ofExtension || tuple.oid(at.classid) !== TYPE_RELATION_ID) return undefined
    return { type: tuple.oid(at.objid), extension: tuple.oid(at.refobjid) }
  }
}

/** @param column `nspname`, `spcname` or `extname` */
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
  const bytes = ALIGNMENTS.get(letter)
  if (bytes === undefined) throw new CorruptionError('catalog.value', `attalign or typalign '${letter}'`)
  return bytes
}
