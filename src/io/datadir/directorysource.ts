import { join } from 'node:path'
import { folderKey } from '../../catalog/cluster.ts'
import type { ClusterIdentity, ClusterSource, ClusterTransactions } from '../../catalog/clustersource.ts'
import type { Lsn, Oid } from '../../common/ids.ts'
import { RecentlyUsed } from '../../common/recentlyused.ts'
import { BLOCK_SIZE, DEFAULT_TABLESPACE, type RelFileLocator } from '../../common/rel.ts'
import { FORK_NAMES } from '../../common/relpath.ts'
import type { ConsistentDirectory } from './consistentdirectory.ts'
import { databasePath, listDatabaseDirectories } from './datadir.ts'
import { readFile } from '../disk/files.ts'
import type { ForkName, RelationDirectory, RelationFiles } from '../../common/relationfiles.ts'
import { listRelationFiles } from './listrelationfiles.ts'
import { SegmentPages } from './segmentpages.ts'
import { FileSlru } from './slru.ts'

/** Number of pages of pg_xact in memory. With the default of 200 million xids pg_xact has 6,100 pages; most look-ups are of the newest ones. */
const CLOG_PAGES = 512
/** How many directory listings are kept: those of one database in a few tablespaces, and of global/. */
const DIRECTORIES_KEPT = 4

/**
 * The files of a data directory as a cluster. A folder is listed when a caller asks for it. The only files that stay open are those of forks that the
 * caller has not closed.
 */
export class DirectorySource implements ClusterSource {
  readonly identity: ClusterIdentity
  readonly lsn: Lsn
  readonly timeline: number
  readonly transactions: ClusterTransactions
  readonly clog: FileSlru
  readonly multiOffsets: FileSlru
  readonly multiMembers: FileSlru
  readonly files: ConsistentDirectory
  private readonly onUnreadable: 'fail' | 'lost'
  private readonly directories = new RecentlyUsed<string, RelationDirectory>(DIRECTORIES_KEPT)

  /** @param onCorrupt with `carry` a page that the disk does not give is lost, without it an error */
  constructor(files: ConsistentDirectory, onCorrupt: 'fail' | 'carry' = 'fail') {
    const { control: { systemIdentifier, catalogVersion, checksums }, major, lsn, timeline, transactions, path } = files
    this.files = files
    this.identity = { systemIdentifier, major, catalogVersion, checksums, blockSize: BLOCK_SIZE }
    this.lsn = lsn
    this.timeline = timeline
    this.transactions = transactions
    this.onUnreadable = onCorrupt === 'carry' ? 'lost' : 'fail'
    const slru = (folder: string, pages?: number): FileSlru => new FileSlru(join(path, folder), pages, this.onUnreadable)
    this.clog = slru('pg_xact', CLOG_PAGES)
    this.multiOffsets = slru('pg_multixact/offsets')
    this.multiMembers = slru('pg_multixact/members')
  }

  relationMap(spcOid: Oid, dbOid: Oid): Uint8Array {
    return readFile(join(this.folder(spcOid, dbOid), 'pg_filenode.map'))
  }

  exists(locator: RelFileLocator): boolean {
    return this.filesOf(locator)?.forks.has('main') ?? false
  }

  fork(locator: RelFileLocator, fork: number): SegmentPages | undefined {
    const name = FORK_NAMES[fork] as ForkName
    const segments = this.filesOf(locator)?.forks.get(name)
    if (segments === undefined) return undefined
    const path = this.pathOf(locator)
    return new SegmentPages(name === 'main' ? path : `${path}_${name}`, segments, this.onUnreadable)
  }

  folder(spcOid: Oid, dbOid: Oid): string {
    return databasePath(this.files, spcOid, dbOid)
  }

  databaseOids(): Oid[] {
    return listDatabaseDirectories(this.files).filter(({ spcOid }) => spcOid === DEFAULT_TABLESPACE).map(({ dbOid }) => dbOid)
  }

  relNumbers(spcOid: Oid, dbOid: Oid): number[] {
    return [...this.directory(spcOid, dbOid).relations.values()].filter(({ forks }) => forks.has('main')).map(({ relNumber }) => relNumber)
  }

  /** Segment 0 of the main fork. */
  pathOf({ spcOid, dbOid, relNumber }: RelFileLocator): string {
    return join(this.folder(spcOid, dbOid), String(relNumber))
  }

  filesOf({ spcOid, dbOid, relNumber }: RelFileLocator): RelationFiles | undefined {
    return this.directory(spcOid, dbOid).relations.get(relNumber)
  }

  directory(spcOid: Oid, dbOid: Oid): RelationDirectory {
    return this.directories.get(folderKey({ spcOid, dbOid }), () => listRelationFiles(this.folder(spcOid, dbOid)))
  }
}
