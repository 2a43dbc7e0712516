import { join, relative } from 'node:path'
import type { HeapSource } from '../catalog/heapsource.ts'
import type { OidName, PgDatabase } from '../catalog/catalogs.ts'
import { type CatalogSources, type DatabaseCatalog, loadDatabaseCatalog, loadDatabases } from '../catalog/database.ts'
import {
  type DatabaseName, listRelations, type NonHeapRelation, type Relation, type RelationList, type UnstoredRelation,
} from '../catalog/relations.ts'
import { parseRelationMap } from '../catalog/relmap.ts'
import { CorruptionError, EnvironmentError, withPosition } from '../common/errors.ts'
import type { Lsn, Oid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import type { RelFileLocator } from '../common/rel.ts'
import { MultiXacts } from '../xact/multixact.ts'
import { Snapshot, type UnknownTransactions } from '../xact/visibility.ts'
import { type ClusterFiles, openClusterFiles } from './datadir/clusterfiles.ts'
import type { ControlFile } from './datadir/controlfile.ts'
import { databasePath, listDatabaseDirectories } from './datadir/datadir.ts'
import { readFile } from './datadir/files.ts'
import { HeapPages } from './datadir/heappages.ts'
import { type ForkName, listRelationFiles, type RelationDirectory, type RelationFiles } from './datadir/relationfiles.ts'
import { RelationFork } from './datadir/segments.ts'
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
}

/** A whole clog of the default 200 million xids has 6,100 pages; the hot end is what matters. */
const CLOG_PAGES = 512

/**
 * The relations of a cluster at one LSN: cleanly shut down, or replayed. Databases are read when they are first asked for, and stay in memory. No file stays
 * open but those of forks that the caller has not closed.
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
  private readonly lists = new Map<Oid, RelationList>()
  private readonly directories = new Map<string, RelationDirectory>()

  constructor(datadir: ClusterFiles, options: ClusterOptions = {}) {
    const { control, major, path } = datadir
    this.datadir = datadir
    this.control = control
    this.major = major
    this.systemIdentifier = control.systemIdentifier
    this.lsn = datadir.lsn
    this.timeline = datadir.timeline
    this.checksums = control.checksums
    this.snapshot = snapshotOf(datadir, options)
    this.sources = {
      major, visibility: this.snapshot, sharedMap: readMap(join(path, 'global'), major),
      open: (locator, name) => this.openCatalog(locator, name),
    }
    this.databases = loadDatabases(this.sources).sort((a, b) => a.oid - b.oid)
  }

  /** With `carry`: what of the cluster as a whole is damaged, as far as it was met, and what was done instead: sentences. */
  get losses(): string[] {
    return [...this.datadir.damage, ...this.snapshot.losses]
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

  /** Partitioned tables, views and foreign tables of a database. */
  unstored(dbOid: Oid): readonly UnstoredRelation[] {
    return this.list(dbOid).unstored
  }

  /** The shared relations once, then those of every database. */
  allRelations(): Relation[] {
    return this.readableOids().flatMap((oid) => this.list(oid).relations)
  }

  /** pg_default and pg_global too. */
  tablespaces(): OidName[] {
    return this.readable().slice(0, 1).flatMap((database) => this.catalogOf(database).tablespaces())
  }

  /** Files that no row version names; the leftovers of a crash. Reads every database. */
  orphans(): UnnamedFiles[] {
    const named = new Set<string>()
    for (const oid of this.readableOids()) for (const locator of this.list(oid).named) named.add(locatorKey(locator))
    return this.unnamed(({ relations }, { spcOid, dbOid }) =>
      [...relations.values()].filter(({ relNumber }) => !named.has(locatorKey({ spcOid, dbOid, relNumber }))))
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
      if (!files?.has('main')) throw new CorruptionError('relation.missing-file', 'the relation has no file', { file: path })
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
    const known = this.lists.get(dbOid)
    if (known !== undefined) return known
    const database = dbOid === 0 ? this.readable()[0] : this.readable().find(({ oid }) => oid === dbOid)
    if (database === undefined) throw this.noDatabase(dbOid)
    const catalog = this.catalogOf(database)
    const shared = dbOid === 0 ? this.sharedName() : undefined
    const list = listRelations(catalog, shared, (locator) => this.filesOf(locator)?.forks.has('main') ?? false)
    this.lists.set(dbOid, list)
    return list
  }

  private catalogOf(database: PgDatabase): DatabaseCatalog {
    const map = readMap(databasePath(this.datadir, database.tablespace, database.oid), this.major)
    return loadDatabaseCatalog(this.sources, database, map)
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

  private readableOids(): Oid[] {
    return [0, ...this.readable().map(({ oid }) => oid)]
  }

  private openCatalog(locator: RelFileLocator, name: string): HeapSource {
    return new HeapPages(name, this.openFork(locator), this.checksums)
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
    const key = `${spcOid}/${dbOid}`
    const known = this.directories.get(key)
    if (known !== undefined) return known
    const listed = listRelationFiles(databasePath(this.datadir, spcOid, dbOid))
    this.directories.set(key, listed)
    return listed
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
  return new Cluster(openClusterFiles(pgdata, options.onCorrupt), options)
}

/** What a reader sees at the cluster's LSN. @throws EnvironmentError datadir.* */
export function openSnapshot(pgdata: string, options: ClusterOptions = {}): Snapshot {
  return snapshotOf(openClusterFiles(pgdata, options.onCorrupt), options)
}

function snapshotOf({ path, transactions }: ClusterFiles, { onCorrupt, unknownTransactions = 'hide' }: ClusterOptions): Snapshot {
  const { nextXid, oldestXid, unresolvedFrom, oldestMulti, nextMulti, nextMultiOffset, prepared } = transactions
  const multixacts = new MultiXacts({
    offsets: new FileSlru(join(path, 'pg_multixact/offsets')), members: new FileSlru(join(path, 'pg_multixact/members')),
    oldestMulti, nextMulti, nextMultiOffset,
  })
  const clog = new FileSlru(join(path, 'pg_xact'), CLOG_PAGES)
  return new Snapshot({ clog, multixacts, nextXid, oldestXid, prepared, unresolvedFrom, unknown: onCorrupt === 'carry' ? unknownTransactions : 'fail' })
}

function readMap(dir: string, major: PgMajor): Map<Oid, number> {
  const file = join(dir, 'pg_filenode.map')
  return withPosition({ file }, () => parseRelationMap(readFile(file), major))
}

function locatorKey({ spcOid, dbOid, relNumber }: RelFileLocator): string {
  return `${spcOid}/${dbOid}/${relNumber}`
}
