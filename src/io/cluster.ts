import { join, relative } from 'node:path'
import type { OidName, PgDatabase } from '../catalog/catalogs.ts'
import { type CatalogSources, type CatalogVisibility, type DatabaseCatalog, loadDatabaseCatalog, loadDatabases } from '../catalog/database.ts'
import {
  type DamagedRelation, type DatabaseName, listRelations, type NonHeapRelation, type Relation, type RelationList, type UnstoredRelation,
} from '../catalog/relations.ts'
import { guessRelationMap } from '../catalog/guessmap.ts'
import { type CatalogPages, orDamage } from '../catalog/scan.ts'
import { parseRelationMap } from '../common/relationmap.ts'
import { CorruptionError, EnvironmentError, withPosition } from '../common/errors.ts'
import type { Lsn, Oid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { RecentlyUsed } from '../common/recentlyused.ts'
import { DEFAULT_TABLESPACE, GLOBAL_TABLESPACE, type RelFileLocator } from '../common/rel.ts'
import { MultiXacts } from '../xact/multixact.ts'
import { Snapshot, type UnknownTransactions } from '../xact/snapshot.ts'
import { type ClusterFiles, openClusterFiles } from './datadir/clusterfiles.ts'
import type { ControlFile } from '../catalog/controlfile.ts'
import { databasePath, listDatabaseDirectories } from './datadir/datadir.ts'
import { readFile } from './disk/files.ts'
import { type ForkName, listRelationFiles, type RelationDirectory, type RelationFiles } from './datadir/relationfiles.ts'
import { missingFile, RelationFork } from './datadir/segments.ts'
import { FileSlru } from './datadir/slru.ts'

/** Files in a database directory that belong to no relation a catalog names, or to a temporary one. */
export interface UnnamedFiles extends RelationFiles {
  spcOid: Oid
  dbOid: Oid
  dir: string
}

/** Where a relation's pages are. */
export interface RelationStorage {
  /** Segment 0 of the main fork, and the same relative to the data directory. */
  path: string
  relativePath: string
  /** Segments of the main fork. */
  segments: readonly number[]
  /** Blocks of every fork that has a file. */
  forks: Partial<Record<ForkName, number>>
  /** Of the main fork, see {@link RelationFork}. */
  trailingBytes: number
}

/** How a data directory is read that may be damaged. */
export interface ClusterOptions {
  /** `fail`, the default: damage of what every reader needs is an error. `carry`: the rest is read, and {@link Cluster.losses} says what is not. */
  onCorrupt?: 'fail' | 'carry'
  /** With `carry`: whether rows are visible whose transaction's status is lost; default `hide`. */
  unknownTransactions?: UnknownTransactions
  /** With `carry`: of a data directory that has lost PG_VERSION. */
  major?: PgMajor
}

/** pg_database.encoding of most databases. */
const UTF8 = 6

const SHARED_GUESSES = [['pg_database', 1262]] as const
const DATABASE_GUESSES = [['pg_class', 1259], ['pg_attribute', 1249], ['pg_type', 1247]] as const

const NOTHING: RelationList = { relations: [], nonHeap: [], unstored: [], damaged: [], named: [] }

/** A database's relations and the shared ones: of databases with descriptors of every column there may be thousands. */
const LISTS_KEPT = 2
/** Of one database in a few tablespaces, and global/. */
const DIRECTORIES_KEPT = 4

/** A whole clog of the default 200 million xids has 6,100 pages; the hot end is what matters. */
const CLOG_PAGES = 512

/**
 * The relations of a cluster at one LSN: cleanly shut down, or replayed. The catalogs of a database are read when it is asked for, and again when others
 * were meanwhile: those of one are in memory. Read again they give the same relations in the same order. No file stays open but those of forks that the
 * caller has not closed.
 */
export class Cluster {
  readonly control: ControlFile
  readonly major: PgMajor
  readonly systemIdentifier: bigint
  /** End of the last record that is in the pages. */
  readonly lsn: Lsn
  readonly timeline: number
  readonly checksums: boolean
  /** Visible databases, template0 too, by oid. */
  readonly databases: readonly PgDatabase[]
  readonly snapshot: Snapshot
  private readonly datadir: ClusterFiles
  private readonly sources: CatalogSources
  private readonly lists = new RecentlyUsed<Oid, RelationList>(LISTS_KEPT)
  /** Of every database that was read: the numbers of the files that its catalogs name, by their place. */
  private readonly named = new Map<Oid, ReadonlyMap<string, ReadonlySet<number>>>()
  /** With `carry`: what of the catalogs is damaged. */
  private readonly catalogDamage = new Set<string>()
  private readonly goesOn: boolean
  private readonly directories = new RecentlyUsed<string, RelationDirectory>(DIRECTORIES_KEPT)

  constructor(datadir: ClusterFiles, options: ClusterOptions = {}) {
    const { control, major } = datadir
    this.datadir = datadir
    this.control = control
    this.major = major
    this.systemIdentifier = control.systemIdentifier
    this.lsn = datadir.lsn
    this.timeline = datadir.timeline
    this.checksums = control.checksums
    this.snapshot = snapshotOf(datadir, options)
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

  /** pg_control is lost: identity, LSN, checksums and transaction counters are guessed. */
  get guessed(): boolean {
    return this.datadir.guessed
  }

  /** With `carry`: a sentence for each damage of the cluster as a whole that was found so far, with what ltap did instead. */
  get losses(): string[] {
    return [...this.datadir.damage, ...this.catalogDamage, ...this.snapshot.losses]
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

  /** pg_default and pg_global too. */
  tablespaces(): OidName[] {
    return this.readable().slice(0, 1).flatMap((database) => this.catalogOf(database).tablespaces())
  }

  /** Files that no row version names; the leftovers of a crash. Reads every database that was not read yet. */
  orphans(): UnnamedFiles[] {
    const named = new Map<string, ReadonlySet<number>[]>()
    for (const oid of this.readableOids()) {
      if (!this.named.has(oid)) this.list(oid)
      for (const [place, numbers] of this.named.get(oid)!) named.set(place, [...(named.get(place) ?? []), numbers])
    }
    return this.unnamed(({ relations }, place) => {
      const known = named.get(placeKey(place)) ?? []
      return [...relations.values()].filter(({ relNumber }) => !known.some((numbers) => numbers.has(relNumber)))
    })
  }

  /** Temporary relations that a crash left behind. */
  temp(): UnnamedFiles[] {
    return this.unnamed(({ temp }) => temp)
  }

  /** The main fork; close it. @throws CorruptionError relation.* */
  openMain(relation: Relation): RelationFork {
    const name = `${relation.database.name}.${relation.schema}.${relation.name}`
    return withPosition({ relation: name }, () => this.openFork(relation.locator))
  }

  /** The relation's files: what a worker needs to read them by itself. @throws CorruptionError relation.* */
  storage({ locator, database, schema, name }: Relation): RelationStorage {
    const { spcOid, dbOid, relNumber } = locator
    const path = join(databasePath(this.datadir, spcOid, dbOid), String(relNumber))
    const files = this.filesOf(locator)?.forks
    const forks: RelationStorage['forks'] = {}
    let trailingBytes = 0
    withPosition({ relation: `${database.name}.${schema}.${name}` }, () => {
      if (!files?.has('main')) throw missingFile(path)
      for (const [fork, segments] of files ?? []) {
        const opened = new RelationFork(fork === 'main' ? path : `${path}_${fork}`, segments)
        forks[fork] = opened.blocks
        if (fork === 'main') trailingBytes = opened.trailingBytes
      }
    })
    return { path, relativePath: this.relativePath({ locator }), segments: files?.get('main') ?? [], forks, trailingBytes }
  }

  /** Segment 0 of the main fork, relative to the data directory, whether or not it is there. */
  relativePath({ locator: { spcOid, dbOid, relNumber } }: Pick<Relation, 'locator'>): string {
    return relative(this.datadir.path, join(databasePath(this.datadir, spcOid, dbOid), String(relNumber)))
  }

  private list(dbOid: Oid): RelationList {
    return this.lists.get(dbOid, () => {
      const list = dbOid === 0 ? this.sharedList() : this.databaseList(dbOid)
      if (!this.named.has(dbOid)) this.named.set(dbOid, numbersByPlace(list.named))
      return list
    })
  }

  private databaseList(dbOid: Oid): RelationList {
    const database = this.readable().find(({ oid }) => oid === dbOid)
    if (database === undefined) throw this.noDatabase(dbOid)
    return this.listOf(database, undefined) ?? NOTHING
  }

  /** Every database describes the shared catalogs: with damage passed over, the one that describes most of them. */
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

  /** Undefined, and said, if the database cannot be read at all. */
  private listOf(database: PgDatabase, shared: DatabaseName | undefined): RelationList | undefined {
    const onDamage = (error: CorruptionError): void => void this.catalogDamage.add(`database ${database.name} is not read: ${error.message}`)
    return orDamage(this.goesOn ? onDamage : undefined, () => {
      const exists = (locator: RelFileLocator): boolean => this.filesOf(locator)?.forks.has('main') ?? false
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
    const missing = listDatabaseDirectories(this.datadir).filter(({ spcOid, dbOid }) =>
      spcOid === DEFAULT_TABLESPACE && !databases.some(({ oid }) => oid === dbOid))
    return missing.map(({ dbOid }) => {
      const name = `database_${dbOid}`
      this.catalogDamage.add(`pg_database has no whole row of database ${dbOid}: it is read as ${name}, its encoding taken for UTF8`)
      return { oid: dbOid, name, encoding: UTF8, tablespace: DEFAULT_TABLESPACE, invalid: false, allowsConnections: true, template: false }
    })
  }

  /** pg_filenode.map; with `carry` a lost one is guessed from the files. */
  private readMap(spcOid: Oid, dbOid: Oid): ReadonlyMap<Oid, number> {
    const file = join(databasePath(this.datadir, spcOid, dbOid), 'pg_filenode.map')
    try {
      return withPosition({ file }, () => parseRelationMap(readFile(file), this.major))
    } catch (error) {
      const isGone = error instanceof EnvironmentError && error.code === 'file.missing'
      if (!this.goesOn || (!isGone && !(error instanceof CorruptionError))) throw error
      const { relations } = this.directory(spcOid, dbOid)
      const mains = [...relations.values()].filter(({ forks }) => forks.has('main')).map(({ relNumber }) => relNumber)
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

  /** Names in shared catalogs are in the encoding of the database they were made from: known if all have the same, else SQL_ASCII. */
  private sharedName(): DatabaseName {
    const encodings = new Set(this.databases.map(({ encoding }) => encoding))
    return { oid: 0, name: 'global', encoding: encodings.size === 1 ? [...encodings][0]! : 0 }
  }

  /** A database whose DROP was interrupted lacks files: all it still has are orphans. */
  private readable(): PgDatabase[] {
    return this.databases.filter(({ invalid }) => !invalid)
  }

  /** Oids of the databases that can be read, and 0 for the shared relations. */
  readableOids(): Oid[] {
    return [0, ...this.readable().map(({ oid }) => oid)]
  }

  private openCatalog(locator: RelFileLocator, name: string): CatalogPages {
    return { name, pages: this.openFork(locator), checksums: this.checksums }
  }

  private openFork(locator: RelFileLocator): RelationFork {
    const { spcOid, dbOid, relNumber } = locator
    const path = join(databasePath(this.datadir, spcOid, dbOid), String(relNumber))
    return new RelationFork(path, this.filesOf(locator)?.forks.get('main') ?? [])
  }

  private filesOf({ spcOid, dbOid, relNumber }: RelFileLocator): RelationFiles | undefined {
    return this.directory(spcOid, dbOid).relations.get(relNumber)
  }

  private directory(spcOid: Oid, dbOid: Oid): RelationDirectory {
    return this.directories.get(placeKey({ spcOid, dbOid }), () => listRelationFiles(databasePath(this.datadir, spcOid, dbOid)))
  }

  private unnamed(pick: (directory: RelationDirectory, place: { spcOid: Oid; dbOid: Oid }) => RelationFiles[]): UnnamedFiles[] {
    return listDatabaseDirectories(this.datadir).flatMap((place) => {
      const directory = this.directory(place.spcOid, place.dbOid)
      return pick(directory, place).map((files) => ({ ...files, ...place, dir: directory.dir }))
    })
  }
}

/** @throws EnvironmentError datadir.* unless the server was shut down cleanly or `pgdata` was replayed; CorruptionError, UnsupportedError */
export function openCluster(pgdata: string, options: ClusterOptions = {}): Cluster {
  return new Cluster(openClusterFiles(pgdata, options.onCorrupt, options.major), options)
}

/** What a reader sees at the cluster's LSN. @throws EnvironmentError datadir.* */
export function openSnapshot(pgdata: string, options: ClusterOptions = {}): Snapshot {
  return snapshotOf(openClusterFiles(pgdata, options.onCorrupt, options.major), options)
}

function snapshotOf({ path, transactions }: ClusterFiles, { onCorrupt, unknownTransactions = 'hide' }: ClusterOptions): Snapshot {
  const { nextXid, oldestXid, unresolvedFrom, oldestMulti, nextMulti, nextMultiOffset, prepared } = transactions
  const slru = (folder: string, pages?: number): FileSlru => new FileSlru(join(path, folder), pages, onCorrupt === 'carry' ? 'lost' : 'fail')
  const multixacts = new MultiXacts({
    offsets: slru('pg_multixact/offsets'), members: slru('pg_multixact/members'),
    oldestMulti, nextMulti, nextMultiOffset,
  })
  const clog = slru('pg_xact', CLOG_PAGES)
  return new Snapshot({ clog, multixacts, nextXid, oldestXid, prepared, unresolvedFrom, unknown: onCorrupt === 'carry' ? unknownTransactions : 'fail' })
}

/** A catalog row whose transaction status is lost counts: the file that it names either exists or does not. */
function showingUnknown(snapshot: Snapshot): CatalogVisibility {
  return {
    isVisible: (...tuple) => snapshot.isVisible(...tuple) || snapshot.isUnknown(...tuple),
    xminStatus: (...tuple) => snapshot.xminStatus(...tuple),
  }
}

function placeKey({ spcOid, dbOid }: { spcOid: Oid; dbOid: Oid }): string {
  return `${spcOid}/${dbOid}`
}

function numbersByPlace(locators: readonly RelFileLocator[]): Map<string, Set<number>> {
  const byPlace = new Map<string, Set<number>>()
  for (const locator of locators) {
    const key = placeKey(locator)
    const numbers = byPlace.get(key) ?? new Set()
    byPlace.set(key, numbers.add(locator.relNumber))
  }
  return byPlace
}
