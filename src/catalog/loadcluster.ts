import { Cluster, type ClusterOptions } from './cluster.ts'
import type { ClusterSource } from './clustersource.ts'
import { databaseLocator } from './database.ts'
import { BlockSet } from '../common/blockset.ts'
import type { Oid } from '../common/ids.ts'
import { GLOBAL_TABLESPACE, type RelFileLocator } from '../common/rel.ts'
import { parseRelationMap } from '../common/relationmap.ts'
import { MemoryPages, type PageSource, readPages } from '../page/pagesource.ts'
import { MAIN_FORK } from '../common/relpath.ts'

/**
 * The cluster of a source whose pages have to be prepared. It fetches the catalogs, about 3 MB for each small database, and keeps their pages in
 * memory while the cluster is in use. Pages of pg_xact and pg_multixact must be readable without preparation.
 * @param dbOids databases to read; default: all of them. The shared relations come along; those of other databases are
 *   not there, and to ask for them is a bug.
 * @throws CorruptionError page.*, tuple.*, catalog.*, relmap; EnvironmentError file.missing; as the source does
 */
export async function loadCluster(source: ClusterSource, options: ClusterOptions = {}, dbOids?: readonly Oid[]): Promise<Cluster> {
  const held = new HeldCatalogs(source)
  await held.fetch([databaseLocator(parseRelationMap(source.relationMap(GLOBAL_TABLESPACE, 0), source.identity.major))])
  const cluster = new Cluster(held.source, options)
  const all = cluster.databases.filter(({ invalid }) => !invalid).map(({ oid }) => oid)
  const wanted = dbOids ?? all
  // The first one describes the shared relations.
  for (const oid of new Set([...all.slice(0, 1), ...wanted])) {
    await held.fetch([cluster.classLocator(oid)])
    await held.fetch(cluster.catalogLocators(oid))
  }
  return cluster
}

/** A cluster some of whose forks are in memory. */
class HeldCatalogs {
  readonly source: ClusterSource
  private readonly pages = new Map<string, MemoryPages>()
  private readonly original: ClusterSource

  constructor(original: ClusterSource) {
    this.original = original
    const held = (locator: RelFileLocator, fork: number): PageSource | undefined =>
      (fork === MAIN_FORK ? this.pages.get(keyOf(locator)) : undefined) ?? original.fork(locator, fork)
    this.source = {
      identity: original.identity, lsn: original.lsn, timeline: original.timeline, transactions: original.transactions, clog: original.clog,
      multiOffsets: original.multiOffsets, multiMembers: original.multiMembers, fork: held,
      relationMap: (spcOid, dbOid) => original.relationMap(spcOid, dbOid), exists: (locator) => original.exists(locator),
      folder: (spcOid, dbOid) => original.folder(spcOid, dbOid), databaseOids: () => original.databaseOids(),
      relNumbers: (spcOid, dbOid) => original.relNumbers(spcOid, dbOid),
    }
  }

  /** The forks that exist. Reading another one reports that it is missing. */
  async fetch(locators: Iterable<RelFileLocator>): Promise<void> {
    for (const locator of locators) {
      const key = keyOf(locator)
      const fork = this.pages.has(key) ? undefined : this.original.fork(locator, MAIN_FORK)
      if (fork === undefined) continue
      try {
        this.pages.set(key, new MemoryPages(await readPages(fork, BlockSet.range(0, fork.blocks)), fork.file))
      } finally {
        fork.close()
      }
    }
  }
}

function keyOf({ spcOid, dbOid, relNumber }: RelFileLocator): string {
  return `${spcOid}/${dbOid}/${relNumber}`
}
