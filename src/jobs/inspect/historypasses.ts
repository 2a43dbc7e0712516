import { join } from 'node:path'
import { ATTRIBUTE_RELATION_ID, RELATION_RELATION_ID } from '../../catalog/catalogs.ts'
import type { Relation } from '../../catalog/relations.ts'
import { EnvironmentError } from '../../common/errors.ts'
import { type Oid, parseLsn, type WalPosition, walPosition } from '../../common/ids.ts'
import { AttributeHistory } from '../../history/attributehistory.ts'
import { FileHistory } from '../../history/filehistory.ts'
import { TransactionEnds } from '../../history/transactionends.ts'
import { type FollowedFile, VersionHistory } from '../../history/versionhistory.ts'
import { type DirectoryCluster, type DirectoryOptions, openCluster } from '../../io/cluster.ts'
import { databasePath, listDatabaseDirectories, listTablespaces, readControlFile } from '../../io/datadir/datadir.ts'
import { readIfThere } from '../../io/disk/files.ts'
import type { PageStore } from '../../replay/pagestore/pagestore.ts'
import { replayCluster, type ReplayClusterOptions } from '../replay/replaycluster.ts'
import { findTable } from './findtable.ts'
import { VersionSpill } from './versionspill.ts'

/** What to replay, without the folder of the result. */
export type ReplaySource = Omit<ReplayClusterOptions, 'out' | 'observe' | 'cacheBytes'>

/** What a first replay tells about a table: which relation it is, and which files a second replay has to watch. */
export interface WatchList {
  oid: Oid
  /** The database whose folder has the table's files; 0 for a shared catalog. */
  dbOid: Oid
  encoding: number
  files: FollowedFile[]
  /** TOAST relations that the table had. */
  toast: ReadonlySet<Oid>
  /**
   * The position at which the table's database was copied from another one; undefined if it was not. The rows that it had then are of transactions
   * that changed another table.
   */
  databaseCopied: WalPosition | undefined
}

/** The result of the second replay, and the files of the relation at the end of the range. */
export interface Watched {
  spill: VersionSpill
  attributes: AttributeHistory
  ends: TransactionEnds
  /** Next full xid when the range began. */
  start: { low: number; epoch: number }
  /** Where the WAL of the range begins and ends. */
  range: { from: WalPosition; to: WalPosition }
}

/**
 * Replays once to find the table by its name at the end, and every file that it and its TOAST relations had on the way.
 * @param out a new folder
 * @throws EnvironmentError selection.*, replay.* and more: see {@link replayCluster}
 */
export async function findFiles(source: ReplaySource, out: string, table: string, database: string | undefined, options: DirectoryOptions): Promise<WatchList> {
  let history: FileHistory | undefined
  await replayCluster({
    ...source, out, observe: (started) => {
      history = new FileHistory(started.store.identity.major)
      for (const { dbOid, bytes } of relationMaps(started.store)) history.catalogs.addMap(dbOid, bytes)
      return { pages: history }
    },
  })
  const cluster = openCluster(out, options)
  const relation = findTable(cluster, table, database)
  refuseKind(relation)
  return watchList(cluster, relation, history!)
}

/** Replays again and keeps every row version of the watched files that vanishes. */
export async function watchFiles(source: ReplaySource, out: string, list: WatchList, spillFolder: string): Promise<Watched> {
  let watched: Watched | undefined
  try {
    const { lsn } = await replayCluster({
      ...source, out, observe: (started, state) => {
        const { store, progress } = started
        const start = { ...progress.transactions.nextXid }
        const attributes = new AttributeHistory(store.identity.major, list.oid, list.encoding)
        const spill = new VersionSpill(spillFolder, list.files, (page, mayBeTorn) => attributes.addPage(page, state().nextXid, mayBeTorn))
        const ends = new TransactionEnds(start, list.databaseCopied !== undefined)
        watched = { spill, attributes, ends, start, range: { from: progress.lsn, to: progress.lsn } }
        return {
          transactions: ends,
          pages: new VersionHistory({ files: list.files, sink: spill, store, state, ends, checksums: store.identity.checksums }),
        }
      },
    })
    watched!.range.to = walPosition(parseLsn(lsn)!)
  } catch (error) {
    watched?.spill.close()
    throw error
  }
  watched!.spill.finish()
  return watched!
}

/** Shows every page of a catalog of the relation's database. */
export function forEachCatalogPage(cluster: DirectoryCluster, relation: Relation, catalog: Oid, visit: (page: Uint8Array) => void): void {
  // Every database describes the shared catalogs.
  const dbOid = relation.database.oid === 0 ? cluster.databases.find(({ invalid }) => !invalid)!.oid : relation.database.oid
  const found = cluster.relations(dbOid).find(({ oid, visible }) => oid === catalog && visible)
  if (found === undefined) throw new EnvironmentError('history.catalog', `the database has no catalog ${catalog}`)
  const fork = cluster.openMain(found)
  try {
    for (let block = 0; block < fork.blocks; block++) visit(fork.read(block))
  } finally {
    fork.close()
  }
}

function watchList(cluster: DirectoryCluster, relation: Relation, history: FileHistory): WatchList {
  const { oid, toastRelId, database: { oid: dbOid, encoding }, locator } = relation
  forEachCatalogPage(cluster, relation, RELATION_RELATION_ID, (page) => history.addPage(dbOid, page))
  const files: FollowedFile[] = []
  const add = (role: FollowedFile['role'], spcOid: Oid, relNumber: number): void => {
    const known = files.some((file) => file.relNumber === relNumber && (file.spcOid === 0 || file.spcOid === spcOid))
    if (!known) files.push({ role, dbOid, spcOid, relNumber, createdAt: 0 })
  }
  for (const { spcOid, relNumber } of history.filesOf(dbOid, oid)) add('table', spcOid, relNumber)
  add('table', locator.spcOid, locator.relNumber)
  const toast = new Set([...history.toastOf(dbOid, oid), ...(toastRelId === 0 ? [] : [toastRelId])])
  for (const id of toast) for (const { spcOid, relNumber } of history.filesOf(dbOid, id)) add('toast', spcOid, relNumber)
  for (const relNumber of history.catalogs.numbersOf(dbOid, ATTRIBUTE_RELATION_ID)) add('attributes', 0, relNumber)
  return { oid, dbOid, encoding, files, toast, databaseCopied: history.catalogs.copied.get(dbOid) }
}

function refuseKind({ schema, name, relkind, persistence }: Relation): void {
  if (relkind === 'S') throw new EnvironmentError('history.sequence', `'${schema}.${name}' is a sequence: its only row has no versions`)
  if (persistence === 'u') throw new EnvironmentError('history.unlogged', `'${schema}.${name}' is unlogged: the WAL does not say how it changed`)
}

export function resumed(file: string): EnvironmentError {
  const reason = 'the folder holds an earlier replay, and row versions that it removed are not known; name a new folder'
  return new EnvironmentError('history.resumed', reason, { file })
}

/** pg_filenode.map of every database and the shared one, as replay begins. */
function relationMaps({ path, identity: { major } }: PageStore): { dbOid: Oid; bytes: Uint8Array }[] {
  const datadir = { path, major, control: readControlFile(path, major), tablespaces: listTablespaces(path) }
  return listDatabaseDirectories(datadir).flatMap(({ spcOid, dbOid }) => {
    const bytes = readIfThere(join(databasePath(datadir, spcOid, dbOid), 'pg_filenode.map'))
    return bytes === undefined ? [] : [{ dbOid, bytes }]
  })
}
