import { assert, CorruptionError } from '../common/errors.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { alignmentOf, type AttributeLayout } from '../tuple/attribute.ts'

/** The attributes of a catalog, to be read by name. */
export class CatalogLayout {
  readonly name: string
  readonly attributes: readonly AttributeLayout[]
  private readonly indexes: ReadonlyMap<string, number>

  constructor(name: string, attributes: readonly (AttributeLayout & { name: string })[]) {
    this.name = name
    this.attributes = attributes
    this.indexes = new Map(attributes.map((attribute, index) => [attribute.name, index]))
    if (this.indexes.size < attributes.length) throw new CorruptionError('catalog.attributes', `pg_attribute has two columns of one name of ${name}`)
  }

  /** Index of a column that every supported major has. @throws CorruptionError catalog.attributes where pg_attribute calls it otherwise */
  column(column: string): number {
    const index = this.indexes.get(column)
    if (index === undefined) throw new CorruptionError('catalog.attributes', `pg_attribute has no column ${column} of ${this.name}`)
    return index
  }
}

/** attlen and attalign of the types in bootstrap catalogs: o oid and its kin, n name, i2, i4, b bool, c "char", f4, v and vd varlena. */
const CODES: Readonly<Record<string, readonly [len: number, align: string]>> = {
  o: [4, 'i'], n: [64, 'c'], i2: [2, 's'], i4: [4, 'i'], b: [1, 'c'], c: [1, 'c'], f4: [4, 'i'], v: [-1, 'i'], vd: [-1, 'd'],
}

function bootstrapLayout(name: string, text: string): CatalogLayout {
  const attributes = text.trim().split(/\s+/).map((item) => {
    const [column, code] = item.split(':')
    const type = CODES[code ?? '']
    assert(column !== undefined && type !== undefined, `${name} ${item}`)
    return { name: column, len: type[0], align: alignmentOf(type[1]), plain: false }
  })
  return new CatalogLayout(name, attributes)
}

/** The layouts that must be known before a catalog can be read (schemapg.h). They depend on the major alone. */
export interface BootstrapLayouts {
  pgClass: CatalogLayout
  pgAttribute: CatalogLayout
  pgType: CatalogLayout
  pgDatabase: CatalogLayout
}

export function bootstrapLayouts(major: PgMajor): BootstrapLayouts {
  return {
    pgClass: bootstrapLayout('pg_class', pgClass(major)),
    pgAttribute: bootstrapLayout('pg_attribute', pgAttribute(major)),
    pgType: bootstrapLayout('pg_type', PG_TYPE),
    pgDatabase: bootstrapLayout('pg_database', pgDatabase(major)),
  }
}

function pgClass(major: PgMajor): string {
  return `oid:o relname:n relnamespace:o reltype:o reloftype:o relowner:o relam:o relfilenode:o reltablespace:o relpages:i4 reltuples:f4
    relallvisible:i4 ${major >= 18 ? 'relallfrozen:i4' : ''} reltoastrelid:o relhasindex:b relisshared:b relpersistence:c relkind:c
    relnatts:i2 relchecks:i2 relhasrules:b relhastriggers:b relhassubclass:b relrowsecurity:b relforcerowsecurity:b relispopulated:b
    relreplident:c relispartition:b relrewrite:o relfrozenxid:o relminmxid:o ${acl('relacl', major)} reloptions:v relpartbound:v`
}

function pgAttribute(major: PgMajor): string {
  const flags = `attnotnull:b atthasdef:b atthasmissing:b attidentity:c attgenerated:c attisdropped:b attislocal:b`
  const tail = `${acl('attacl', major)} attoptions:v attfdwoptions:v attmissingval:vd`
  if (major <= 15) {
    return `attrelid:o attname:n atttypid:o attstattarget:i4 attlen:i2 attnum:i2 attndims:i4 attcacheoff:i4 atttypmod:i4 attbyval:b
      attalign:c attstorage:c attcompression:c ${flags} attinhcount:i4 attcollation:o ${tail}`
  }
  return `attrelid:o attname:n atttypid:o attlen:i2 attnum:i2 ${major <= 17 ? 'attcacheoff:i4' : ''} atttypmod:i4 attndims:i2 attbyval:b
    attalign:c attstorage:c attcompression:c ${flags} attinhcount:i2 ${major === 16 ? 'attstattarget:i2' : ''} attcollation:o
    ${major >= 17 ? 'attstattarget:i2' : ''} ${tail}`
}

const PG_TYPE = `oid:o typname:n typnamespace:o typowner:o typlen:i2 typbyval:b typtype:c typcategory:c typispreferred:b typisdefined:b
  typdelim:c typrelid:o typsubscript:o typelem:o typarray:o typinput:o typoutput:o typreceive:o typsend:o typmodin:o typmodout:o
  typanalyze:o typalign:c typstorage:c typnotnull:b typbasetype:o typtypmod:i4 typndims:i4 typcollation:o`

function pgDatabase(major: PgMajor): string {
  const head = `oid:o datname:n datdba:o encoding:i4`
  if (major === 14) {
    return `${head} datcollate:n datctype:n datistemplate:b datallowconn:b datconnlimit:i4 datlastsysoid:o datfrozenxid:o datminmxid:o
      dattablespace:o`
  }
  return `${head} datlocprovider:c datistemplate:b datallowconn:b ${major >= 17 ? 'dathasloginevt:b' : ''} datconnlimit:i4 datfrozenxid:o
    datminmxid:o dattablespace:o`
}

/** aclitem grew to 16 bytes in 16, which aligns its arrays by 8. */
function acl(name: string, major: PgMajor): string {
  return `${name}:${major >= 16 ? 'vd' : 'v'}`
}
