import { CorruptionError, withPosition } from '../common/errors.ts'
import { type Oid, type Xid, xidPrecedes } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { GLOBAL_TABLESPACE, type RelFileLocator } from '../common/rel.ts'
import type { TupleHeader } from '../tuple/header.ts'
import * as catalogs from './catalogs.ts'
import type { PgAttribute, PgClass, PgDatabase, PgEnum, PgInherits, PgRange, PgType } from './catalogs.ts'
import { bootstrapLayouts, CatalogLayout } from './layout.ts'
import type { Snapshot } from '../xact/snapshot.ts'
import { type OpenCatalog, type CatalogToast, type CatalogTuple, type OnDamage, orDamage, scanCatalog } from './scan.ts'
import { chunksByValue, storedValue } from './toastchunks.ts'

export interface CatalogSources {
  major: PgMajor
  /** Decides row versions at L. */
  visibility: Pick<Snapshot, 'isVisible' | 'xminStatus'>
  /** pg_filenode.map of global/. */
  sharedMap: ReadonlyMap<Oid, number>
  /** The main fork of a relation. `name` is for its error messages. */
  open(locator: RelFileLocator, name: string): OpenCatalog
  /** For attmissingval; no released server gives pg_attribute a TOAST relation, so without it a TOAST pointer there is damage. */
  toast?: CatalogToast
  /** Called for each damage, which is then skipped: rows on a damaged page are not read. Without this function damage throws an error. */
  onDamage?: OnDamage
}

/** The sources of one database, with what its catalogs are called in error messages. */
interface Scope extends CatalogSources {
  prefix: string
}

/** A pg_class row version whose inserter did not abort. */
export interface ClassVersion {
  row: PgClass
  visible: boolean
  /** Inserted by a transaction that is in progress at L: a prepared one, or one that may still run. */
  pending: boolean
  xmin: Xid
  /** Undefined for relations without storage, and for versions that name no file. */
  locator: RelFileLocator | undefined
}

/** What the catalogs of one database say at L. */
export interface DatabaseCatalog {
  database: PgDatabase
  major: PgMajor
  classes: readonly ClassVersion[]
  /** Visible attributes of every relation that is no index, in attnum order. */
  attributes: (relId: Oid) => readonly PgAttribute[]
  types: ReadonlyMap<Oid, PgType>
  enums: readonly PgEnum[]
  ranges: readonly PgRange[]
  inherits: readonly PgInherits[]
  namespaceName: (oid: Oid) => string
  /** Every tablespace of the cluster. Reads pg_tablespace. */
  tablespaces: () => catalogs.OidName[]
  /** Reads pg_am. */
  accessMethods: () => catalogs.PgAm[]
  /** Visible rows of any catalog of the database; its out-of-line values are read from its TOAST relation. */
  read: <T>(oid: Oid, reader: (layout: CatalogLayout) => (tuple: CatalogTuple) => T) => T[]
  /** The rows of functions that are written in C. Reads pg_proc. */
  functions: (oids: ReadonlySet<Oid>) => catalogs.PgProc[]
  /** Every type of an extension, with the extension's name. Reads pg_depend and pg_extension. */
  extensionTypes: () => Map<Oid, string>
  /** Damage was passed over. */
  tolerant: boolean
}

/** pg_namespace.dat: what they are called where pg_namespace is damaged. The types in pg_catalog are known by that name. */
const INITIAL_NAMESPACES: ReadonlyMap<Oid, string> = new Map([[11, 'pg_catalog'], [99, 'pg_toast'], [2200, 'public']])

const INDEX_KINDS = 'iI'
/** RELKIND_HAS_STORAGE. */
const STORAGE_KINDS = 'riStm'

/** The rows of pg_database visible at L. */
export function loadDatabases(sources: CatalogSources): PgDatabase[] {
  const locator = databaseLocator(sources.sharedMap)
  const layout = bootstrapLayouts(sources.major).pgDatabase
  return visibleRows({ ...sources, prefix: 'global.pg_catalog.' }, locator, layout, catalogs.pgDatabaseReader(layout))
}

/**
 * Reads the catalogs of one database.
 * @param map the database's pg_filenode.map
 * @throws CorruptionError page.*, tuple.*, catalog.*
 */
export function loadDatabaseCatalog(given: CatalogSources, database: PgDatabase, map: ReadonlyMap<Oid, number>): DatabaseCatalog {
  const { encoding } = database
  const sources: Scope = { ...given, prefix: `${database.name}.pg_catalog.` }
  const layouts = bootstrapLayouts(sources.major)
  const mapped = (oid: Oid) => mappedLocator(map, oid, database.tablespace, database.oid)
  const classes = loadClasses(sources, database, map, layouts.pgClass)
  const relations = new Map<Oid, ClassVersion>()
  for (const version of classes) if (version.visible) relations.set(version.row.oid, version)
  const attributes = loadAttributes(sources, mapped(catalogs.ATTRIBUTE_RELATION_ID), layouts.pgAttribute, encoding, (relId) => {
    const kind = relations.get(relId)?.row.kind
    return kind !== undefined && !INDEX_KINDS.includes(kind)
  })
  const read = <T>(oid: Oid, reader: (layout: CatalogLayout) => (tuple: CatalogTuple) => T, wanted = visibleAtL(sources), from = sources): T[] => {
    const rows = orDamage(sources.onDamage, () => {
      const version = relations.get(oid)
      if (!version?.locator) throw new CorruptionError('catalog.class', `pg_class has no catalog ${oid}`, { relation: database.name })
      const layout = layoutOf(version.row, attributes(oid))
      return allRows(from, version.locator, layout, reader(layout), wanted)
    })
    return rows ?? []
  }
  const types = visibleRows(sources, mapped(catalogs.TYPE_RELATION_ID), layouts.pgType, catalogs.pgTypeReader(layouts.pgType, encoding))
  // Every row version counts: if a relation is not committed, its schema may not be committed either. A visible name comes last and wins.
  const schemaNames = (wanted: (header: TupleHeader) => boolean) =>
    read(catalogs.NAMESPACE_RELATION_ID, (layout) => catalogs.oidNameReader(layout, 'nspname', encoding), wanted)
  const namespaces = new Map([...schemaNames(notAborted(sources)), ...schemaNames(visibleAtL(sources))].map(({ oid, name }) => [oid, name]))
  return {
    database, major: sources.major, classes, attributes, tolerant: sources.onDamage !== undefined,
    read: (oid, reader) => {
      const toastRelId = relations.get(oid)?.row.toastRelId ?? 0
      const chunks = lazy(() => chunksByValue(toastRelId === 0 ? [] : read(toastRelId, catalogs.toastChunkReader)))
      const toast: CatalogToast = { fetch: (pointer) => storedValue(chunks().get(pointer.valueId), pointer) }
      return read(oid, reader, visibleAtL(sources), { ...sources, toast })
    },
    types: new Map(types.map((type) => [type.oid, type])),
    enums: read(catalogs.ENUM_RELATION_ID, (layout) => catalogs.pgEnumReader(layout, encoding)),
    ranges: read(catalogs.RANGE_RELATION_ID, catalogs.pgRangeReader),
    inherits: read(catalogs.INHERITS_RELATION_ID, catalogs.pgInheritsReader),
    namespaceName: (oid) => namespaces.get(oid) ?? (sources.onDamage && INITIAL_NAMESPACES.get(oid)) ?? String(oid),
    tablespaces: () => read(catalogs.TABLESPACE_RELATION_ID, (layout) => catalogs.oidNameReader(layout, 'spcname', encoding)),
    accessMethods: () => read(catalogs.ACCESS_METHOD_RELATION_ID, (layout) => catalogs.pgAmReader(layout, encoding)),
    functions: (oids) => read(catalogs.PROCEDURE_RELATION_ID, (layout) => catalogs.pgProcReader(layout, (oid) => oids.has(oid)))
      .filter((row) => row !== undefined),
    extensionTypes: () => {
      const extensions = read(catalogs.EXTENSION_RELATION_ID, (layout) => catalogs.oidNameReader(layout, 'extname', encoding))
      const names = new Map(extensions.map(({ oid, name }) => [oid, name]))
      const members = read(catalogs.DEPEND_RELATION_ID, catalogs.extensionMemberReader)
      return new Map(members.flatMap((member) => (member === undefined ? [] : [[member.type, names.get(member.extension) ?? '']])))
    },
  }
}

/** Every catalog that is read here or by way of {@link DatabaseCatalog}. */
const CATALOGS_READ: ReadonlySet<Oid> = new Set([
  catalogs.TYPE_RELATION_ID, catalogs.ATTRIBUTE_RELATION_ID, catalogs.PROCEDURE_RELATION_ID, catalogs.RELATION_RELATION_ID,
  catalogs.TABLESPACE_RELATION_ID, catalogs.ATTR_DEFAULT_RELATION_ID, catalogs.OPERATOR_RELATION_ID, catalogs.COLLATION_RELATION_ID,
  catalogs.TS_CONFIG_RELATION_ID, catalogs.ACCESS_METHOD_RELATION_ID, catalogs.DEPEND_RELATION_ID, catalogs.INHERITS_RELATION_ID,
  catalogs.NAMESPACE_RELATION_ID, catalogs.EXTENSION_RELATION_ID, catalogs.ENUM_RELATION_ID, catalogs.RANGE_RELATION_ID,
])

/** pg_database. @param map the shared pg_filenode.map */
export function databaseLocator(map: ReadonlyMap<Oid, number>): RelFileLocator {
  return mappedLocator(map, catalogs.DATABASE_RELATION_ID, GLOBAL_TABLESPACE, 0)
}

/** pg_class of a database. @param map its pg_filenode.map */
export function classLocator(database: PgDatabase, map: ReadonlyMap<Oid, number>): RelFileLocator {
  return mappedLocator(map, catalogs.RELATION_RELATION_ID, database.tablespace, database.oid)
}

/** The forks that {@link loadDatabaseCatalog} and what it returns may read, TOAST relations too. Reads pg_class. */
export function catalogLocators(given: CatalogSources, database: PgDatabase, map: ReadonlyMap<Oid, number>): RelFileLocator[] {
  const sources: Scope = { ...given, prefix: `${database.name}.pg_catalog.` }
  const classes = loadClasses(sources, database, map, bootstrapLayouts(sources.major).pgClass)
  const isRead = new Set(CATALOGS_READ)
  for (const { row } of classes) if (CATALOGS_READ.has(row.oid)) isRead.add(row.toastRelId)
  const found = classes.flatMap(({ row, locator }) => (locator !== undefined && isRead.has(row.oid) ? [locator] : []))
  const mapped = [...map].flatMap(([oid, relNumber]) => (isRead.has(oid) ? [{ spcOid: database.tablespace, dbOid: database.oid, relNumber }] : []))
  return [...found, ...mapped]
}

/** Two visible versions of one relation there are only where the status of their transactions is lost: the newer one counts. */
function newestOfEach(classes: ClassVersion[]): ClassVersion[] {
  const newest = new Map<Oid, ClassVersion>()
  for (const version of classes) {
    if (!version.visible) continue
    const other = newest.get(version.row.oid)
    const older = other !== undefined && xidPrecedes(version.xmin, other.xmin) ? version : other
    if (older !== undefined) older.visible = false
    if (older !== version) newest.set(version.row.oid, version)
  }
  return classes
}

function loadClasses(sources: Scope, database: PgDatabase, map: ReadonlyMap<Oid, number>, layout: CatalogLayout): ClassVersion[] {
  const own = classLocator(database, map)
  const readClass = catalogs.pgClassReader(layout, database.encoding)
  return newestOfEach(allRows(sources, own, layout, (tuple) => {
    const row = readClass(tuple)
    const { xmin, xmax, infomask, cid } = tuple.header
    const visible = sources.visibility.isVisible(xmin, xmax, infomask, cid)
    const locator = locatorOf(row, database, row.shared ? sources.sharedMap : map)
    // A deleted version without file is the transient heap that VACUUM FULL of a mapped catalog leaves.
    const isNeeded = STORAGE_KINDS.includes(row.kind) && !(sources.onDamage && INDEX_KINDS.includes(row.kind))
    if (locator === undefined && visible && isNeeded) {
      throw new CorruptionError('catalog.class', `${row.name} has relfilenode 0 and is in no pg_filenode.map`)
    }
    return { row, visible, pending: sources.visibility.xminStatus(xmin, infomask, cid) === 'in-progress', xmin, locator }
  }, notAborted(sources)))
}

function locatorOf(row: PgClass, database: PgDatabase, map: ReadonlyMap<Oid, number>): RelFileLocator | undefined {
  if (!STORAGE_KINDS.includes(row.kind)) return undefined
  const relNumber = row.relfilenode === 0 ? map.get(row.oid) : row.relfilenode
  if (relNumber === undefined) return undefined
  if (row.shared) return { spcOid: GLOBAL_TABLESPACE, dbOid: 0, relNumber }
  return { spcOid: row.tablespace === 0 ? database.tablespace : row.tablespace, dbOid: database.oid, relNumber }
}

function loadAttributes(
  sources: Scope, locator: RelFileLocator, layout: CatalogLayout, encoding: number, wanted: (relId: Oid) => boolean,
): (relId: Oid) => readonly PgAttribute[] {
  const byRelation = new Map<Oid, PgAttribute[]>()
  const read = catalogs.pgAttributeReader(layout, encoding, wanted)
  const xmins = new Map<PgAttribute, Xid>()
  visibleRows(sources, locator, layout, (tuple) => {
    const attribute = read(tuple)
    if (attribute === undefined) return
    const attributes = byRelation.get(attribute.relId) ?? []
    byRelation.set(attribute.relId, attributes)
    xmins.set(attribute, tuple.header.xmin)
    // Two visible versions there are only where the status of their transactions is lost: the newer one counts.
    const twin = attributes.findIndex(({ attnum }) => attnum === attribute.attnum)
    if (twin < 0) attributes.push(attribute)
    else if (xidPrecedes(xmins.get(attributes[twin]!)!, tuple.header.xmin)) attributes[twin] = attribute
  })
  for (const attributes of byRelation.values()) attributes.sort((a, b) => a.attnum - b.attnum)
  return (relId) => byRelation.get(relId) ?? []
}

function layoutOf(row: PgClass, attributes: readonly PgAttribute[]): CatalogLayout {
  if (attributes.length !== row.natts) {
    throw new CorruptionError('catalog.attributes', `pg_attribute has ${attributes.length} attributes of ${row.name}`)
  }
  return new CatalogLayout(row.name, attributes.map(({ name, len, align, storage }) => ({ name, len, align, plain: storage === 'p' })))
}

function mappedLocator(map: ReadonlyMap<Oid, number>, oid: Oid, spcOid: Oid, dbOid: Oid): RelFileLocator {
  const relNumber = map.get(oid)
  if (relNumber === undefined) throw new CorruptionError('relmap', `pg_filenode.map does not map catalog ${oid}`)
  return { spcOid, dbOid, relNumber }
}

function visibleAtL({ visibility }: CatalogSources): (header: TupleHeader) => boolean {
  return ({ xmin, xmax, infomask, cid }) => visibility.isVisible(xmin, xmax, infomask, cid)
}

function notAborted({ visibility }: CatalogSources): (header: TupleHeader) => boolean {
  return ({ xmin, infomask, cid }) => visibility.xminStatus(xmin, infomask, cid) !== 'aborted'
}

function visibleRows<T>(sources: Scope, locator: RelFileLocator, layout: CatalogLayout, read: (tuple: CatalogTuple) => T): T[] {
  return allRows(sources, locator, layout, read, visibleAtL(sources))
}

function allRows<T>(
  sources: Scope, locator: RelFileLocator, layout: CatalogLayout, read: (tuple: CatalogTuple) => T,
  wanted: (header: TupleHeader) => boolean,
): T[] {
  const rows: T[] = []
  const { toast, prefix, onDamage } = sources
  const relation = prefix + layout.name
  const source = orDamage(onDamage, () => withPosition({ relation }, () => sources.open(locator, relation)))
  if (source === undefined) return rows
  try {
    scanCatalog({ source, layout, wanted, ...(toast && { toast }), ...(onDamage && { onDamage }) }, (tuple) => rows.push(read(tuple)))
  } finally {
    source.pages.close()
  }
  return rows
}

function lazy<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => (made ??= { value: make() }).value
}
