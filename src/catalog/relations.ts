import { CorruptionError, withPosition } from '../common/errors.ts'
import { type Oid, xidPrecedes } from '../common/ids.ts'
import type { RelFileLocator } from '../common/rel.ts'
import { AccessMethods } from './accessmethod.ts'
import { buildTupleDesc } from './builddesc.ts'
import type { PgClass } from './catalogs.ts'
import type { ClassVersion, DatabaseCatalog } from './database.ts'
import { type OnDamage, orDamage } from './scan.ts'
import type { TupleDesc } from './tupledesc.ts'
import { TypeDefs } from './typedefs.ts'
import { type VirtualColumn, VirtualColumns } from './virtualcolumns.ts'

export interface DatabaseName {
  /** 0 for the shared catalogs. */
  oid: Oid
  name: string
  /** pg_database.encoding. */
  encoding: number
}

/** A relation whose pages are a heap: table, TOAST relation, materialized view or sequence. */
export interface Relation {
  database: DatabaseName
  schema: string
  name: string
  oid: Oid
  relkind: 'r' | 't' | 'm' | 'S'
  /** relpersistence: permanent or unlogged. */
  persistence: 'p' | 'u'
  locator: RelFileLocator
  /** As visible at L; undefined for a relation that is not. */
  desc: TupleDesc | undefined
  /** Its TOAST relation, 0 for none. */
  toastRelId: Oid
  /** Inheritance parents and the partitioned table, in order. */
  parents: readonly Oid[]
  /** By MVCC at L. A relation that only a prepared transaction or a deleted row version names is not. */
  visible: boolean
  virtualColumns: readonly VirtualColumn[]
  /** relispopulated: a server refuses to read a materialized view that was never filled. */
  populated: boolean
}

/** A visible relation without pages: partitioned table, view, foreign table. */
export interface UnstoredRelation {
  database: DatabaseName
  schema: string
  name: string
  oid: Oid
  relkind: 'p' | 'v' | 'f'
  desc: TupleDesc
  virtualColumns: readonly VirtualColumn[]
  parents: readonly Oid[]
}

/** A relation with files that are no heap. */
export interface NonHeapRelation {
  database: DatabaseName
  schema: string
  name: string
  oid: Oid
  relkind: Relation['relkind']
  parents: readonly Oid[]
  /** Why ltap does not read it. */
  reason: string
}

/** A relation whose columns the catalogs do not describe. */
export interface DamagedRelation extends Pick<Relation, 'database' | 'schema' | 'name' | 'oid' | 'parents'> {
  relkind: string
  error: CorruptionError
  /** Undefined if it has no pages. */
  locator: RelFileLocator | undefined
}

export interface RelationList {
  relations: Relation[]
  /** Tables of access methods other than heap. */
  nonHeap: NonHeapRelation[]
  unstored: UnstoredRelation[]
  /** With `carry`: visible relations whose catalog rows are not whole. */
  damaged: DamagedRelation[]
  /** Every file that a row version of pg_class names, including indexes and shared relations; any other file is an orphan. */
  named: readonly RelFileLocator[]
}

/**
 * Lists the relations of one database. Durability counts every row version of pg_class whose inserter did not abort, if its file is
 * there: of several that name the same file the visible one wins, else the newest.
 * @param shared list the shared catalogs, which every database describes, instead of the database's own relations
 * @param exists whether the main fork of a relation has a file
 * @param tolerant a relation that the catalogs do not describe is listed as damaged; else it is an error
 * @throws CorruptionError catalog.*
 */
export function listRelations(
  catalog: DatabaseCatalog, shared: DatabaseName | undefined, exists: (locator: RelFileLocator) => boolean, tolerant = false,
): RelationList {
  const lister = new Lister(catalog, shared ?? catalog.database)
  const damaged = (version: ClassVersion): OnDamage | undefined =>
    tolerant ? (error) => void list.damaged.push(lister.damaged(version, error)) : undefined
  // Temporary relations have file names of their own.
  const permanent = catalog.classes.filter(({ row }) => row.persistence !== 't')
  const list: RelationList = { relations: [], nonHeap: [], unstored: [], damaged: [], named: permanent.flatMap(({ locator }) => locator ?? []) }
  const classes = permanent.filter(({ row }) => row.shared === (shared !== undefined))
  const rival = (loser: Stored, winner: Stored): void => void orDamage(damaged({ ...loser, locator: undefined }), () => { throw sameFile(loser, winner) })
  for (const version of winners(classes, rival)) {
    const relkind = heapKind(version.row)
    if (relkind === undefined || !(version.visible || exists(version.locator))) continue
    const reason = lister.notHeap(version.row)
    if (reason !== undefined) list.nonHeap.push(lister.nonHeap(version.row, relkind, reason))
    else orDamage(damaged(version), () => list.relations.push(lister.relation(version, relkind)))
  }
  for (const version of classes) {
    const relkind = unstoredKind(version.row)
    if (version.visible && relkind !== undefined) orDamage(damaged(version), () => list.unstored.push(lister.unstored(version.row, relkind)))
  }
  return list
}

type Stored = ClassVersion & { locator: RelFileLocator }

/**
 * One version per file.
 * @param rival called for a heap that has the file of another relation that is visible, too: no server writes that
 */
function winners(classes: readonly ClassVersion[], rival: (loser: Stored, winner: Stored) => void): Iterable<Stored> {
  const best = new Map<string, Stored>()
  const losers: { key: string; version: Stored }[] = []
  for (const version of classes) {
    if (!isStored(version)) continue
    const key = `${version.locator.spcOid}/${version.locator.relNumber}`
    const other = best.get(key)
    const winner = other === undefined || wins(version, other) ? version : other
    best.set(key, winner)
    if (other !== undefined) losers.push({ key, version: winner === version ? other : version })
  }
  for (const { key, version } of losers) {
    const winner = best.get(key)!
    if (version.visible && winner.visible && heapKind(version.row) !== undefined && version.row.oid !== winner.row.oid) rival(version, winner)
  }
  return best.values()
}

function sameFile({ row, locator }: Stored, winner: Stored): CorruptionError {
  const reason = `pg_class gives ${row.name} (oid ${row.oid}) the file ${locator.relNumber}, which is that of ${winner.row.name} (oid ${winner.row.oid})`
  return new CorruptionError('catalog.class', `${reason}: one of the two rows is damaged`)
}

function isStored(version: ClassVersion): version is Stored {
  return version.locator !== undefined
}

function wins(version: Stored, other: Stored): boolean {
  if (version.visible !== other.visible) return version.visible
  if (version.visible && version.row.oid !== other.row.oid) {
    // Two visible relations with one file are damage. A file's number is the oid of its relation at first, and most files keep it.
    const [ours, others] = [rightTo(version), rightTo(other)]
    if (ours !== others) return ours > others
  }
  return !xidPrecedes(version.xmin, other.xmin)
}

function rightTo({ row, locator }: Stored): number {
  return (heapKind(row) === undefined ? 0 : 2) + (row.oid === locator.relNumber ? 1 : 0)
}

function heapKind({ kind }: PgClass): Relation['relkind'] | undefined {
  return kind === 'r' || kind === 't' || kind === 'm' || kind === 'S' ? kind : undefined
}

function unstoredKind({ kind }: PgClass): UnstoredRelation['relkind'] | undefined {
  return kind === 'p' || kind === 'v' || kind === 'f' ? kind : undefined
}

class Lister {
  private readonly catalog: DatabaseCatalog
  private readonly database: DatabaseName
  private readonly types: TypeDefs
  private readonly accessMethods: AccessMethods
  private readonly virtual: VirtualColumns
  private readonly parents: ReadonlyMap<Oid, Oid[]>

  constructor(catalog: DatabaseCatalog, database: DatabaseName) {
    this.catalog = catalog
    this.database = { oid: database.oid, name: database.name, encoding: database.encoding }
    this.types = new TypeDefs(catalog)
    this.accessMethods = new AccessMethods(catalog)
    this.virtual = new VirtualColumns(catalog, this.types)
    this.parents = parentsByChild(catalog)
  }

  /** Why the relation's files are no heap; undefined if they are. Sequences have no access method in pg_class. */
  notHeap({ kind, am }: PgClass): string | undefined {
    return kind === 'S' && am === 0 ? undefined : this.accessMethods.problem(am)
  }

  nonHeap(row: PgClass, relkind: Relation['relkind'], reason: string): NonHeapRelation {
    return { ...this.identity(row), relkind, reason }
  }

  relation(version: Stored, relkind: Relation['relkind']): Relation {
    const { row, visible, locator } = version
    return {
      ...this.identity(row), relkind, persistence: row.persistence === 'u' ? 'u' : 'p', locator, desc: visible ? this.desc(row) : undefined,
      toastRelId: row.toastRelId, visible, populated: row.populated,
      virtualColumns: visible ? this.virtualColumns(row) : [],
    }
  }

  damaged({ row, locator }: ClassVersion, error: CorruptionError): DamagedRelation {
    return { ...this.identity(row), relkind: row.kind, error, locator }
  }

  unstored(row: PgClass, relkind: UnstoredRelation['relkind']): UnstoredRelation {
    return { ...this.identity(row), relkind, desc: this.desc(row), virtualColumns: this.virtualColumns(row) }
  }

  private identity(row: PgClass): Pick<Relation, 'database' | 'schema' | 'name' | 'oid' | 'parents'> {
    const schema = this.catalog.namespaceName(row.namespace)
    return { database: this.database, schema, name: row.name, oid: row.oid, parents: this.parents.get(row.oid) ?? [] }
  }

  private desc(row: PgClass): TupleDesc {
    return withPosition({ relation: this.fullName(row) }, () => buildTupleDesc(this.catalog.attributes(row.oid), row.natts, this.types))
  }

  private virtualColumns(row: PgClass): VirtualColumn[] {
    return this.virtual.of(row.oid)
  }

  private fullName(row: PgClass): string {
    return `${this.database.name}.${this.catalog.namespaceName(row.namespace)}.${row.name}`
  }
}

/** A partition that is being detached concurrently is no longer queried through its parent. */
function parentsByChild({ inherits }: DatabaseCatalog): Map<Oid, Oid[]> {
  const parents = new Map<Oid, Oid[]>()
  for (const { child, parent, detachPending } of [...inherits].sort((a, b) => a.sequence - b.sequence)) {
    if (detachPending) continue
    parents.set(child, [...(parents.get(child) ?? []), parent])
  }
  return parents
}
