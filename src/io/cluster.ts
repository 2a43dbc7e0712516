import { relative } from 'node:path'
import { Cluster, type ClusterOptions, folderKey, missingFork, snapshotOf } from '../catalog/cluster.ts'
import type { ControlFile } from '../catalog/controlfile.ts'
import type { Relation } from '../catalog/relations.ts'
import { withPosition } from '../common/errors.ts'
import type { Oid } from '../common/ids.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { MAIN_FORK } from '../common/relpath.ts'
import type { ReplayProgress } from '../replay/replay.ts'
import type { Snapshot } from '../xact/snapshot.ts'
import type { FullXid } from '../xact/transactionstate.ts'
import { type Guess, openConsistentDirectory } from './datadir/consistentdirectory.ts'
import { listDatabaseDirectories } from './datadir/datadir.ts'
import { DirectorySource } from './datadir/directorysource.ts'
import type { ForkName, RelationDirectory, RelationFiles } from '../common/relationfiles.ts'
import { SegmentPages } from './datadir/segmentpages.ts'

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
  /** Bytes after the last whole block of the main fork, see {@link SegmentPages}. */
  trailingBytes: number
}

/** How a data directory is read that may be damaged. */
export interface DirectoryOptions extends ClusterOptions {
  /** With `carry`: the major version of a data directory that has lost PG_VERSION. */
  major?: PgMajor
  /** With `carry`: the system identifier of a data directory that has lost pg_control, if its pg_wal does not have it. */
  systemIdentifier?: bigint
  /** With `carry`: the next full transaction id of a data directory that has lost pg_control, if nothing tells how often xids have wrapped. */
  nextXid?: FullXid
}

/** The members of larger options that are these, each with its default. */
export function directoryOptions({
  onCorrupt = 'fail', unknownTransactions = 'hide', major, systemIdentifier, nextXid,
}: { [Key in keyof DirectoryOptions]: DirectoryOptions[Key] | undefined }): DirectoryOptions {
  return {
    onCorrupt, unknownTransactions, ...(major !== undefined && { major }), ...(systemIdentifier !== undefined && { systemIdentifier }),
    ...(nextXid !== undefined && { nextXid }),
  }
}

/** A cluster of files: a data directory that was shut down cleanly, or what replay made. */
export class DirectoryCluster extends Cluster {
  readonly control: ControlFile
  private readonly directory: DirectorySource

  /** By {@link openCluster}. @internal */
  constructor(directory: DirectorySource, options: DirectoryOptions = {}) {
    super(directory, options)
    this.directory = directory
    this.control = directory.files.control
  }

  /** pg_control is lost: identity, LSN, checksums and transaction counters are guessed. */
  get guessed(): boolean {
    return this.directory.files.guessed
  }

  /** When the server was at the LSN, in microseconds since 1970; undefined for a guessed state. */
  get time(): number | undefined {
    return this.directory.files.time
  }

  /** Where the replay is that made the files; undefined for the data directory of a server. */
  get replayed(): ReplayProgress | undefined {
    return this.directory.files.replayed
  }

  /** How well the state is known if pg_control is lost. */
  get guess(): Guess | undefined {
    return this.directory.files.guess
  }

  override get losses(): string[] {
    return [...this.directory.files.damage, ...super.losses]
  }

  override openMain(relation: Relation): SegmentPages {
    const name = `${relation.database.name}.${relation.schema}.${relation.name}`
    return withPosition({ relation: name }, () => {
      const fork = this.directory.fork(relation.locator, MAIN_FORK)
      if (fork === undefined) throw missingFork(this.directory.pathOf(relation.locator))
      return fork
    })
  }

  /** Files that no row version names; the leftovers of a crash. Reads every database that was not read yet. */
  orphans(): UnnamedFiles[] {
    const named = this.namedFiles()
    return this.unnamed(({ relations }, place) => {
      const known = named.get(folderKey(place)) ?? []
      return [...relations.values()].filter(({ relNumber }) => !known.some((numbers) => numbers.has(relNumber)))
    })
  }

  /** Temporary relations that a crash left behind. */
  temp(): UnnamedFiles[] {
    return this.unnamed(({ temp }) => temp)
  }

  /** The relation's files: what a worker needs to read them by itself. @throws CorruptionError relation.* */
  storage({ locator, database, schema, name }: Relation): RelationStorage {
    const path = this.directory.pathOf(locator)
    const files = this.directory.filesOf(locator)?.forks
    const forks: RelationStorage['forks'] = {}
    let trailingBytes = 0
    withPosition({ relation: `${database.name}.${schema}.${name}` }, () => {
      if (!files?.has('main')) throw missingFork(path)
      for (const [fork, segments] of files ?? []) {
        const opened = new SegmentPages(fork === 'main' ? path : `${path}_${fork}`, segments)
        forks[fork] = opened.blocks
        if (fork === 'main') trailingBytes = opened.trailingBytes
      }
    })
    return { path, relativePath: this.relativePath({ locator }), segments: files?.get('main') ?? [], forks, trailingBytes }
  }

  /** Segment 0 of the main fork, relative to the data directory, whether or not it is there. */
  relativePath({ locator }: Pick<Relation, 'locator'>): string {
    return relative(this.directory.files.path, this.directory.pathOf(locator))
  }

  private unnamed(pick: (directory: RelationDirectory, place: { spcOid: Oid; dbOid: Oid }) => RelationFiles[]): UnnamedFiles[] {
    return listDatabaseDirectories(this.directory.files).flatMap((place) => {
      const directory = this.directory.directory(place.spcOid, place.dbOid)
      return pick(directory, place).map((files) => ({ ...files, ...place, dir: directory.dir }))
    })
  }
}

/** @throws EnvironmentError datadir.* unless the server was shut down cleanly or `pgdata` was replayed; CorruptionError, UnsupportedError */
export function openCluster(pgdata: string, options: DirectoryOptions = {}): DirectoryCluster {
  return new DirectoryCluster(openDirectory(pgdata, options), options)
}

/** What a reader sees at the cluster's LSN. @throws EnvironmentError datadir.* */
export function openSnapshot(pgdata: string, options: DirectoryOptions = {}): Snapshot {
  return snapshotOf(openDirectory(pgdata, options), options)
}

function openDirectory(pgdata: string, { onCorrupt, major, systemIdentifier, nextXid }: DirectoryOptions): DirectorySource {
  return new DirectorySource(openConsistentDirectory(pgdata, onCorrupt, { major, systemIdentifier, nextXid }), onCorrupt)
}
