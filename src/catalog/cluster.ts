import type { OidName, PgDatabase } from './catalogs.ts'
import type { ClusterSource } from './clustersource.ts'
import {
  type CatalogSources, catalogLocators, classLocator, type DatabaseCatalog, loadDatabaseCatalog, loadDatabases,
} from './database.ts'
import { type IndexFile, listIndexes } from './indexes.ts'
import { guessRelationMap } from './guessmap.ts'
import {
  type DamagedRelation, type DatabaseName, listRelations, type NonHeapRelation, type Relation, type RelationList, type UnstoredRelation,
} from './relations.ts'
import { type OpenCatalog, orDamage } from './scan.ts'
import { CorruptionError, EnvironmentError, withPosition } from '../common/errors.ts'
import type { Lsn, Oid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { DEFAULT_TABLESPACE, GLOBAL_TABLESPACE, type RelFileLocator } from '../common/rel.ts'
import { parseRelationMap } from '../common/relationmap.ts'
import { RecentlyUsed } from '../common/recentlyused.ts'
import type { PageSource } from '../page/pagesource.ts'
import { MAIN_FORK } from '../common/relpath.ts'
import { MultiXacts } from '../xact/multixact.ts'
import { Snapshot, type UnknownTransactions } from '../xact/snapshot.ts'

/** How a cluster is read that may be damaged. */
export interface ClusterOptions {
  /** `fail`, the default: damage of what every reader needs is an error. `carry`: the rest is read, and {@link Cluster.losses} says what is not. */
  onCorrupt?: 'fail' | 'carry'
  /** With `carry`: whether rows are visible whose transaction's status is lost; default `hide`. */
  unknownTransactions?: UnknownTransactions
}

/** pg_database.encoding of most databases. */
const UTF8 = 6

const SHARED_GUESSES = [['pg_database', 1262]] as const
const DATABASE_GUESSES = [['pg_class', 1259], ['pg_attribute', 1249], ['pg_type', 1247]] as const

const NOTHING: RelationList = { relations: [], nonHeap: [], unstored: [], damaged: [], named: [] }

/**
 * Number of lists of relations in memory: a database's and the shared one. A list has descriptors of every column, and a cluster may have thousands
 * of databases.
 */
const LISTS_KEPT = 2

/**
 * The databases, relations and snapshot of a cluster at one LSN: cleanly shut down, or replayed. The catalogs of a database are read when a caller
 * asks for them. Only those of the last database stay in memory, so they may be read a second time; that gives the same relations in the same order.
 * The only forks that stay open are those that the caller opened.
 */
export class Cluster {
  readonly major: PgMajor
  readonly systemIdentifier: bigint
  /** End of the last record that is in the pages. */
  readonly lsn: Lsn
  readonly timeline: number
  readonly checksums: boolean
  /** Visible databases, template0 too, by oid. */
  readonly databases: readonly PgDatabase[]
  readonly snapshot: Snapshot
  protected readonly source: ClusterSource
  private readonly sources: CatalogSources
  private readonly lists = new RecentlyUsed<Oid, RelationList>(LISTS_KEPT)
  /** For every database that was read: the numbers of the files that its catalogs name, by their folder. */
  private readonly named = new Map<Oid, ReadonlyMap<string, ReadonlySet<number>>>()
  /** With `carry`: what of the catalogs is damaged. */
  private readonly catalogDamage = new Set<string>()
  private readonly goesOn: boolean

  /** @throws CorruptionError, UnsupportedError, EnvironmentError if pg_database cannot be read */
  constructor(source: ClusterSource, options: ClusterOptions = {}) {
    const { major, systemIdentifier, checksums } = source.identity
    this.source = source
    this.major = major
    this.systemIdentifier = systemIdentifier
    this.lsn = source.lsn
    this.timeline = source.timeline
    this.checksums = checksums
    this.snapshot = snapshotOf(source, options)
    this.goesOn = options.onCorrupt === 'carry'
    this.sources = {
      major, visibility: this.goesOn ? showingUnknown(this.snapshot) : this.snapshot,
      ...(this.goesOn && { onDamage: (error: CorruptionError) => void this.catalogDamage.add(error.message) }),
      sharedMap: this.readMap(GLOBAL_TABLESPACE, 0),
      open: (locator, name) => this.openCatalog(locator, name),
    }
    const databases = orDamage(this.sources.onDamage, () => loadDatabases(this.sources)) ?? []
    this.databases = [...databases, ...this.unlisted(databases)].sort((a, b) => a.oid - b.oid)
  }

  /** With `carry`: a sentence for each damage of the cluster as a whole that was found so far, with what ltap did instead. */
  get losses(): string[] {
    return [...this.catalogDamage, ...this.snapshot.losses]
  }

  /**
   * Heap relations of a database, or the shared ones for `dbOid` 0.
   * @throws EnvironmentError cluster.database, CorruptionError, UnsupportedError
   */
  relations(dbOid: Oid): readonly Relation[] {
    return this.list(dbOid).relations
  }

  /** Tables of access methods that ltap does not read. */
  nonHeap(dbOid: Oid): readonly NonHeapRelation[] {
    return this.list(dbOid).nonHeap
  }

  /** With `carry`: relations whose catalog rows are damaged. */
  damaged(dbOid: Oid): readonly DamagedRelation[] {
    return this.list(dbOid).damaged
  }

  /** Partitioned tables, views and foreign tables of a database. */
  unstored(dbOid: Oid): readonly UnstoredRelation[] {
    return this.list(dbOid).unstored
  }

  /** The shared relations once, then those of one database after the other. */
  *allRelations(): Generator<Relation> {
    for (const oid of this.readableOids()) yield* this.list(oid).relations
  }

  /** Files of the indexes of a database and of the shared ones. Reads its catalogs. @throws EnvironmentError cluster.database */
  indexes(dbOid: Oid): IndexFile[] {
    return listIndexes(this.catalogOf(this.readableDatabase(dbOid)))
  }

  /** pg_default and pg_global too. */
  tablespaces(): OidName[] {
    return this.readable().slice(0, 1).flatMap((database) => this.catalogOf(database).tablespaces())
  }

  /** The main fork; close it. @throws CorruptionError relation.* */
  openMain(relation: Relation): PageSource {
    const name = `${relation.database.name}.${relation.schema}.${relation.name}`
    return withPosition({ relation: name }, () => this.openFork(relation.locator))
  }

  /** pg_class of a database. @throws EnvironmentError cluster.database */
  classLocator(dbOid: Oid): RelFileLocator {
    const database = this.readableDatabase(dbOid)
    return classLocator(database, this.readMap(database.tablespace, dbOid))
  }

  /** The forks that the relations of a database are read from. Reads pg_class. @throws EnvironmentError cluster.database */
  catalogLocators(dbOid: Oid): RelFileLocator[] {
    const database = this.readableDatabase(dbOid)
    return catalogLocators(this.sources, database, this.readMap(database.tablespace, dbOid))
  }

  /** The numbers of the files that row versions name, by {@link folderKey}. Reads every database that was not read yet. */
  protected namedFiles(): ReadonlyMap<string, readonly ReadonlySet<number>[]> {
    const named = new Map<string, ReadonlySet<number>[]>()
    for (const oid of this.readableOids()) {
      if (!this.named.has(oid)) this.list(oid)
      for (const [folder, numbers] of this.named.get(oid)!) named.set(folder, [...(named.get(folder) ?? []), numbers])
    }
    return named
  }

  private list(dbOid: Oid): RelationList {
    return this.lists.get(dbOid, () => {
      const list = dbOid === 0 ? this.sharedList() : this.databaseList(dbOid)
      if (!this.named.has(dbOid)) this.named.set(dbOid, numbersByFolder(list.named))
      return list
    })
  }

  private databaseList(dbOid: Oid): RelationList {
    return this.listOf(this.readableDatabase(dbOid), undefined) ?? NOTHING
  }

  /** Every database describes the shared catalogs. With `carry`, the database that describes most of them is believed. */
  private sharedList(): RelationList {
    const databases = this.readable()
    if (databases[0] === undefined && !this.goesOn) throw this.noDatabase(0)
    let best = NOTHING
    for (const database of databases) {
      const list = this.listOf(database, this.sharedName())
      if (list !== undefined && list.relations.length > best.relations.length) best = list
      if (best.relations.length > 0 && best.damaged.length === 0) break
    }
    return best
  }

  /** Undefined if the database cannot be read at all; {@link losses} then says so. */
  private listOf(database: PgDatabase, shared: DatabaseName | undefined): RelationList | undefined {
    const onDamage = (error: CorruptionError): void => void this.catalogDamage.add(`database ${database.name} is not read: ${error.message}`)
    return orDamage(this.goesOn ? onDamage : undefined, () => {
      const exists = (locator: RelFileLocator): boolean => this.source.exists(locator)
      return listRelations(this.catalogOf(database), shared, exists, this.goesOn)
    })
  }

  private catalogOf(database: PgDatabase): DatabaseCatalog {
    const map = this.readMap(database.tablespace, database.oid)
    return loadDatabaseCatalog(this.sources, database, map)
  }

  /** With damage in the shared catalogs: databases that have files and no row in pg_database. */
  private unlisted(databases: readonly PgDatabase[]): PgDatabase[] {
    if (this.catalogDamage.size === 0) return []
    const missing = [...this.source.databaseOids()].filter((dbOid) => !databases.some(({ oid }) => oid === dbOid))
    return missing.map((dbOid) => {
      const name = `database_${dbOid}`
      this.catalogDamage.add(`pg_database has no whole row of database ${dbOid}: it is read as ${name}, its encoding taken for UTF8`)
      return { oid: dbOid, name, encoding: UTF8, tablespace: DEFAULT_TABLESPACE, invalid: false, allowsConnections: true, template: false }
    })
  }

  /** pg_filenode.map; with `carry` a lost one is guessed from the files. */
  private readMap(spcOid: Oid, dbOid: Oid): ReadonlyMap<Oid, number> {
    const file = `${this.source.folder(spcOid, dbOid)}/pg_filenode.map`
    try {
      return withPosition({ file }, () => parseRelationMap(this.source.relationMap(spcOid, dbOid), this.major))
    } catch (error) {
      const isGone = error instanceof EnvironmentError && ['file.missing', 'file.error'].includes(error.code)
      if (!this.goesOn || (!isGone && !(error instanceof CorruptionError))) throw error
      const mains = this.source.relNumbers(spcOid, dbOid)
      const map = guessRelationMap(this.major, dbOid === 0, mains, (relNumber) => this.openCatalog({ spcOid, dbOid, relNumber }, String(relNumber)))
      const found = (dbOid === 0 ? SHARED_GUESSES : DATABASE_GUESSES).map(([name, oid]) => `${name} ${map.get(oid) ?? 'not found'}`).join(', ')
      this.catalogDamage.add(`${error.message}; guessed from the rows of the files beside it: ${found}`)
      return map
    }
  }

  private noDatabase(dbOid: Oid): EnvironmentError {
    const dropped = this.databases.some(({ oid }) => oid === dbOid)
    const reason = dropped ? `DROP DATABASE of ${dbOid} was interrupted; drop it again` : `the cluster has no database with oid ${dbOid}`
    return new EnvironmentError('cluster.database', reason)
  }

  /**
   * A name in a shared catalog is in the encoding of the database that a session was connected to when it made the name. If all databases have one
   * encoding, it is that one; otherwise names are read as SQL_ASCII.
   */
  private sharedName(): DatabaseName {
    const encodings = new Set(this.databases.map(({ encoding }) => encoding))
    return { oid: 0, name: 'global', encoding: encodings.size === 1 ? [...encodings][0]! : 0 }
  }

  /** A database whose DROP was interrupted lacks files: all it still has are orphans. */
  private readable(): PgDatabase[] {
    return this.databases.filter(({ invalid }) => !invalid)
  }

  private readableDatabase(dbOid: Oid): PgDatabase {
    const database = this.readable().find(({ oid }) => oid === dbOid)
    if (database === undefined) throw this.noDatabase(dbOid)
    return database
  }

  /** Oids of the databases that can be read, and 0 for the shared relations. */
  readableOids(): Oid[] {
    return [0, ...this.readable().map(({ oid }) => oid)]
  }

  private openCatalog(locator: RelFileLocator, name: string): OpenCatalog {
    return { name, pages: this.openFork(locator), checksums: this.checksums }
  }

  private openFork(locator: RelFileLocator): PageSource {
    const pages = this.source.fork(locator, MAIN_FORK)
    if (pages !== undefined) return pages
    throw missingFork(`${this.source.folder(locator.spcOid, locator.dbOid)}/${locator.relNumber}`)
  }
}

/** @param file its segment 0 */
export function missingFork(file: string): CorruptionError {
  return new CorruptionError('relation.missing-file', 'the relation has no file: its rows are lost, or the copy of the data directory is incomplete', { file })
}

/** What tells the status of transactions. */
export type TransactionSource = Pick<ClusterSource, 'transactions' | 'clog' | 'multiOffsets' | 'multiMembers'>

/** What a reader sees at the LSN of `source`. */
export function snapshotOf(source: TransactionSource, { onCorrupt, unknownTransactions = 'hide' }: ClusterOptions = {}): Snapshot {
  const { nextXid, oldestXid, unresolvedFrom, oldestMulti, nextMulti, nextMultiOffset, prepared } = source.transactions
  const multixacts = new MultiXacts({ offsets: source.multiOffsets, members: source.multiMembers, oldestMulti, nextMulti, nextMultiOffset })
  const unknown = onCorrupt === 'carry' ? unknownTransactions : 'fail'
  return new Snapshot({ clog: source.clog, multixacts, nextXid, oldestXid, prepared, unresolvedFrom, unknown })
}

/** A catalog row counts even if the status of its transaction is lost: whether the file that it names exists decides. */
function showingUnknown(snapshot: Snapshot): CatalogSources['visibility'] {
  return {
    isVisible: (...tuple) => snapshot.isVisible(...tuple) || snapshot.isUnknown(...tuple),
    xminStatus: (...tuple) => snapshot.xminStatus(...tuple),
  }
}

/** What names a folder of relations among others. */
export function folderKey({ spcOid, dbOid }: { spcOid: Oid; dbOid: Oid }): string {
  return `${spcOid}/${dbOid}`
}

function numbersByFolder(locators: readonly RelFileLocator[]): Map<string, Set<number>> {
  const byFolder = new Map<string, Set<number>>()
  for (const locator of locators) {
    const key = folderKey(locator)
    const numbers = byFolder.get(key) ?? new Set()
    byFolder.set(key, numbers.add(locator.relNumber))
  }
  return byFolder
}
