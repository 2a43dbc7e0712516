import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type ControlFile, parseControlFile } from '../../catalog/controlfile.ts'
import { CorruptionError, withPosition } from '../../common/errors.ts'
import { walPosition } from '../../common/ids.ts'
import { databasePath } from '../../common/relpath.ts'
import { type DirectoryCluster, openCluster } from '../../io/cluster.ts'
import { readControlFile, readPrepared } from '../../io/datadir/datadir.ts'
import type { ClusterEntry } from '../../io/datadir/lakefiles.ts'
import { RestoreTarget } from '../../io/datadir/restoretarget.ts'
import { FileSlru } from '../../io/datadir/slru.ts'
import { readFile } from '../../io/disk/files.ts'
import { createPageStore, openPageStore } from '../../io/pagestore/openstore.ts'
import { breathe } from '../../io/process/interruption.ts'
import { findWalTar } from '../../io/seed/findtars.ts'
import { settleDirectories } from '../../io/seed/seed.ts'
import { WalInventory } from '../../io/walsource/inventory.ts'
import type { StoreIdentity } from '../../replay/pagestore/statefile.ts'
import { shutdownProgress } from '../../replay/progress.ts'
import type { ReplayProgress, ReplayTarget } from '../../replay/replay.ts'
import { ORIGINS_FILE, parseOrigins } from '../../xact/replicationorigins.ts'
import { TransactionLog } from '../../xact/transactionlog.ts'
import type { OnProgress } from '../jobprogress.ts'
import { lakeRelationName } from '../lake.ts'
import { type LakeEntry, lakeEntries } from '../materialize/clusterfiles.ts'
import { replayCluster } from '../replay/replaycluster.ts'
import type { RestoreRelation, RestoreSource } from './restoresource.ts'

/** WAL that goes on where a state is, and how far. */
export interface RestoreWal {
  /** Folder of the WAL, one segment, or a tar file of WAL. */
  wal: string
  target: ReplayTarget
  timeline?: number | 'latest' | undefined
}

/**
 * A state that was moved along the WAL: its files and heaps become a page store in a folder, which is replayed.
 * @param folder for the page store; what is there is removed. The source that is returned reads it
 * @throws EnvironmentError replay.*, wal.*, file.*; CorruptionError; UnsupportedError
 */
export async function replaySource(source: RestoreSource, folder: string, to: RestoreWal, onProgress?: OnProgress): Promise<RestoreSource> {
  rmSync(folder, { recursive: true, force: true })
  const links = await makeStore(source, folder)
  const { wal, target, timeline } = to
  await replayCluster({ source: wal, wal, out: folder, target, ...timeline !== undefined && { timeline }, ...onProgress && { onProgress } })
  const newestTimeline = await findWalTar(wal) === undefined ? new WalInventory(wal).newestTimeline : 0
  return { ...storeSource(folder, links), newestTimeline: Math.max(newestTimeline, source.newestTimeline ?? 0) }
}

/** Where a state is, as a replay that goes on needs it. @param prepared what pg_twophase of the state holds */
function progressOfSource(
  { lsn, replayed }: Pick<RestoreSource, 'lsn' | 'replayed'>, control: ControlFile, prepared: ReplayProgress['transactions']['prepared'],
  more: { clog: FileSlru; origins: Uint8Array | undefined },
): ReplayProgress {
  const at = walPosition(lsn)
  if (replayed !== undefined) return { ...structuredClone(replayed), lsn: at, transactions: { ...structuredClone(replayed.transactions), prepared } }
  const origins = more.origins === undefined ? [] : parseOrigins(more.origins)
  const progress = shutdownProgress(control, more.clog, prepared, origins)
  return { ...progress, lsn: at, consistency: { at, reached: true }, transactions: { ...progress.transactions, consistent: true } }
}

/** @returns where the links of tablespaces led */
async function makeStore(source: RestoreSource, folder: string): Promise<Map<string, string>> {
  const target = new RestoreTarget(folder)
  const links = new Map<string, string>()
  const contents = new Map<string, Uint8Array>()
  const unlogged = new Set<string>()
  try {
    for await (const entry of source.entries()) {
      if (entry.kind === 'link') links.set(entry.path, entry.target)
      if (entry.kind === 'file') {
        const bytes = await source.read(entry.path)
        target.file(entry.path, bytes)
        if (entry.path === 'global/pg_control' || entry.path === ORIGINS_FILE) contents.set(entry.path, bytes)
        const main = /^(.*\/\d+)_init$/.exec(entry.path)?.[1]
        if (main !== undefined) unlogged.add(main)
      } else target.folder(entry.path)
      await breathe()
    }
    const control = contents.get('global/pg_control')
    if (control === undefined) throw new CorruptionError('restore.file', 'the state has no pg_control', { file: 'global/pg_control' })
    const { catalogVersion } = withPosition({ file: 'global/pg_control' }, () => parseControlFile(control, source.major))
    for await (const relation of source.relations()) {
      const path = `${databasePath(relation.locator, { major: source.major, catalogVersion })}/${relation.locator.relNumber}`
      if (!unlogged.has(path)) await writeHeap(target, path, relation)
    }
    await target.finish()
  } finally {
    target.release()
  }
  beginStore(source, folder, contents.get(ORIGINS_FILE))
  return links
}

/** Gives every block of a heap its place. */
export async function writeHeap(target: RestoreTarget, path: string, relation: RestoreRelation): Promise<void> {
  const fork = target.fork(path, relation.blocks)
  try {
    await relation.pages((block, page) => fork.write(block, page))
    withPosition({ relation: relation.name }, () => fork.end())
  } finally {
    fork.close()
  }
  await breathe()
}

function beginStore(source: RestoreSource, folder: string, origins: Uint8Array | undefined): void {
  const { major } = source
  const control = readControlFile(folder, major)
  const { systemIdentifier, catalogVersion, checksums } = control
  const identity: StoreIdentity = { systemIdentifier, major, catalogVersion, checksums }
  // An unlogged index is an init fork and nothing else: it tells by its pages that it is an index.
  const unlogged = settleDirectories(folder, identity).flatMap(({ indexes }) => indexes)
  const clog = new FileSlru(join(folder, 'pg_xact'))
  const progress = progressOfSource(source, control, readPrepared({ path: folder, major }), { clog, origins })
  createPageStore(folder, identity, progress, unlogged)
  const cluster = openCluster(folder)
  const indexes = cluster.readableOids().filter((oid) => oid !== 0).flatMap((oid) => cluster.indexes(oid).map(({ locator }) => locator))
  createPageStore(folder, identity, progress, [...unlogged, ...indexes])
  if (source.replayed === undefined) trim(folder, progress)
}

/** A server that starts behind a shutdown clears what lies beyond the counters; a replay that goes on from there has to find it so. */
function trim(folder: string, progress: ReplayProgress): void {
  const store = openPageStore(folder)
  try {
    new TransactionLog(store, structuredClone(progress.transactions), store.identity.major).trim()
    store.flush(progress)
  } finally {
    store.close()
  }
}

/** What replay made, as what a data directory is made from. @param links where the links of tablespaces led */
function storeSource(folder: string, links: ReadonlyMap<string, string>): RestoreSource {
  const cluster = openCluster(folder)
  const { major, lsn, timeline, replayed } = cluster
  const entries = new Map<string, LakeEntry>()
  for (const entry of lakeEntries(folder, cluster)) entries.set(entry.path, entry)
  return {
    major, lsn, timeline, counters: replayed!.transactions, replayed,
    async *entries() {
      for (const entry of entries.values()) yield entryOf(entry, links)
    },
    read: (path) => {
      const entry = entries.get(path)
      return Promise.resolve(entry?.kind === 'made' ? entry.content : readFile(join(folder, path)))
    },
    async *relations() {
      for (const relation of cluster.allRelations()) yield heapOf(cluster, relation)
    },
  }
}

function entryOf(entry: LakeEntry, links: ReadonlyMap<string, string>): ClusterEntry {
  if (entry.kind === 'made') return { kind: 'file', path: entry.path, mode: 0o600, bytes: entry.content.length }
  const target = links.get(entry.path)
  return entry.kind === 'folder' && target !== undefined ? { kind: 'link', path: entry.path, target } : entry
}

function heapOf(cluster: DirectoryCluster, relation: Parameters<DirectoryCluster['openMain']>[0]): RestoreRelation {
  const { locator, schema, name } = relation
  const database = locator.dbOid === 0 ? null : relation.database.name
  const fork = cluster.openMain(relation)
  const { blocks } = fork
  fork.close()
  return {
    locator, name: lakeRelationName({ database, schema, name }), blocks,
    pages: async (sink) => {
      const pages = cluster.openMain(relation)
      try {
        for (let block = 0; block < blocks; block++) {
          sink(block, pages.read(block))
          if (block % 256 === 255) await breathe()
        }
      } finally {
        pages.close()
      }
    },
  }
}
