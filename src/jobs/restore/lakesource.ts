import { crc32c } from '../../common/crc32c.ts'
import { POSTGRES_EPOCH_SECONDS } from '../../common/epoch.ts'
import { CorruptionError, EnvironmentError, UnsupportedError } from '../../common/errors.ts'
import { parseLsn } from '../../common/ids.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { Lake } from '../../engine/lake.ts'
import { Snapshot } from '../../engine/snapshot.ts'
import { type ClusterInfo, parseCatalogEntry } from '../../lake/clusterinfo.ts'
import { CurrentRelation } from '../../lake/layerorder.ts'
import { type NotRead, notReadText } from '../../lake/notread.ts'
import { type ClusterFile, filePath, parseFile } from '../../lake/state/files.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import type { PieceRef } from '../../lake/state/page.ts'
import { pinnedStates, retainedStates } from '../../lake/state/registrations.ts'
import type { Stage } from '../../lake/state/stage.ts'
import { parseStateRelation, type StateRelation } from '../../lake/staterelation.ts'
import type { ClusterEntry } from '../../io/datadir/lakefiles.ts'
import type { ReplayTarget } from '../../replay/replay.ts'
import { lakeRelationName } from '../lake.ts'
import { rebuildFilePages } from '../lakes/filepages.ts'
import { openLake, openState } from '../lakes/openlake.ts'
import { pointOf } from '../lakes/pointof.ts'
import type { RestoreRelation, RestoreSource } from './restoresource.ts'

/**
 * A state of a lake of layers as what a data directory is made from.
 * @param place URL or folder of the lake @param to LSN of a state, time or tag; default: the newest state @param branch default: `main`
 * @throws EnvironmentError lake.*, restore.incomplete, store.*; UnsupportedError restore.format, restore.damaged; CorruptionError lake.*
 */
export async function openLakeSource(place: string, to?: string, branch?: string): Promise<RestoreSource> {
  const lake = await openLayers(place)
  return await lakeSource(await openState(lake, await pointOf(lake, to, branch), branch), lake.ports.store)
}

async function openLayers(place: string): Promise<Lake> {
  const lake = await openLake(place)
  if (lake === undefined) {
    throw new UnsupportedError('restore.format', `${place} has no lake of layers, which keeps all that a server needs: make one with ltap transcode; a lake in `
      + 'one folder has heaps only, and ltap rebuild writes them into a copy of the data directory')
  }
  return lake
}

/**
 * The newest state of a lake of layers from which a replay of WAL can reach a target.
 * @throws EnvironmentError restore.no-state if all of them are newer; as {@link openLakeSource}
 */
export async function openLakeSourceBefore(place: string, target: ReplayTarget, branch: string = MAIN_BRANCH): Promise<RestoreSource> {
  const lake = await openLayers(place)
  const snapshots = await lake.runHead(branch, function* (head): Stage<Snapshot[]> {
    const states = new Map([...pinnedStates(head), ...yield* retainedStates(head)].map((state) => [state.sequence, state]))
    return [...states.values()].filter(({ sequence }) => sequence > 0).sort((a, b) => b.sequence - a.sequence).map((state) => Snapshot.of(lake, head, state))
  })
  for (const snapshot of snapshots) {
    if (target.lsn !== undefined && parseLsn(snapshot.state.lsn)! > BigInt(target.lsn)) continue
    if (target.time !== undefined && (await timeOf(snapshot)) > target.time) continue
    return await lakeSource(snapshot, lake.ports.store)
  }
  const oldest = snapshots.at(-1)?.state
  const known = oldest === undefined ? 'it has none yet: ltap transcode writes one' : `its oldest one is at LSN ${oldest.lsn}`
  throw new EnvironmentError('restore.no-state', `the lake in ${lake.ports.store.url} has no state from which WAL leads to that point; ${known}`)
}

/** No transaction in the state ended later; microseconds since 2000. A clean shutdown is known by the second in which its checkpoint began. */
async function timeOf(snapshot: Snapshot): Promise<bigint> {
  const { time } = snapshot.state
  if (time === undefined) {
    throw new EnvironmentError('restore.no-state', `the state at LSN ${snapshot.state.lsn} does not say of what time it is: ask for an LSN`)
  }
  const [value] = await snapshot.get([{ tree: 'catalog', key: 'cluster' }])
  const entry = parseCatalogEntry('cluster', value)
  const isReplayed = entry.kind === 'cluster' && entry.cluster.replayed !== undefined
  return BigInt(time) - BigInt(POSTGRES_EPOCH_SECONDS) * 1_000_000n + (isReplayed ? 0n : 999_999n)
}

/** @throws as {@link openLakeSource} */
async function lakeSource(snapshot: Snapshot, store: ObjectStore): Promise<RestoreSource> {
  const { timeline, lsn } = snapshot.state
  const { cluster, databases } = await readClusterInfo(snapshot, store)
  const files = new Map<string, ClusterFile>()
  await snapshot.scan('files', (key, value) => void files.set(filePath({ key }), parseFile(value, { tree: 'files', key })))
  const relations: StateRelation[] = []
  await snapshot.scan('layers', (key, value) => void relations.push(parseStateRelation(key, value)))
  const pieces = new Pieces(store)
  return {
    major: cluster.major, lsn: parseLsn(lsn)!, timeline, counters: cluster.replayed?.transactions, replayed: cluster.replayed,
    async *entries() {
      for (const [path, file] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) yield entryOf(path, file)
    },
    read: async (path) => {
      const file = files.get(path)
      if (file?.kind !== 'file') throw new CorruptionError('restore.file', 'the state has no such file', { file: path })
      return file.content === undefined ? new Uint8Array(0) : await pieces.read(file.content)
    },
    async *relations() {
      for (const relation of relations) yield relationOf(store, cluster.checksums, relation, databases)
    },
  }
}

/** Parents come before what is in them: `/` is before every character of a name but a few that no file of a data directory begins with. */
function entryOf(path: string, file: ClusterFile): ClusterEntry {
  if (file.kind === 'link') return { kind: 'link', path, target: file.target }
  if (file.kind === 'folder') return { kind: 'folder', path, mode: file.mode }
  return { kind: 'file', path, mode: file.mode, bytes: file.content?.length ?? 0 }
}

type DatabaseNames = ReadonlyMap<number, string>

async function readClusterInfo(snapshot: Snapshot, { url }: ObjectStore): Promise<{ cluster: ClusterInfo; databases: DatabaseNames }> {
  const [value] = await snapshot.get([{ tree: 'catalog', key: 'cluster' }])
  const entry = parseCatalogEntry('cluster', value)
  if (entry.kind !== 'cluster') throw new CorruptionError('lake.state', 'the entry cluster of catalog is of another kind')
  const { cluster } = entry
  if (!cluster.complete) throw incomplete(`the lake in ${url} was made with --database or --table`)
  const { missing, databases } = await readListed(snapshot)
  if (missing !== undefined) throw incomplete(`the lake in ${url} lacks ${notReadText(missing)}`)
  if (cluster.guessed || (cluster.damage ?? []).length > 0) {
    const reason = 'was made of a damaged cluster: no server is started on what was guessed; read it with ltap query'
    throw new UnsupportedError('restore.damaged', `the lake in ${url} ${reason}`)
  }
  return { cluster, databases }
}

/**
 * The first relation with a heap that is not in the state, and the databases. What has another access method has no heap: it is listed when it is
 * restored.
 */
async function readListed(snapshot: Snapshot): Promise<{ missing: NotRead | undefined; databases: DatabaseNames }> {
  let missing: NotRead | undefined
  const databases = new Map<number, string>()
  await snapshot.scan('catalog', (key, value) => {
    const entry = parseCatalogEntry(key, value)
    if (entry.kind === 'notread' && entry.notRead.why !== 'access-method' && entry.notRead.why !== 'foreign-table') missing ??= entry.notRead
    if (entry.kind === 'database') databases.set(entry.database.oid, entry.database.name)
  })
  return { missing, databases }
}

function incomplete(why: string): EnvironmentError {
  return new EnvironmentError('restore.incomplete', `${why}, so no server can run on what it has; transcode the whole cluster into a lake`)
}

function relationOf(store: ObjectStore, checksums: boolean, { locator, info, layers }: StateRelation, databases: DatabaseNames): RestoreRelation {
  const current = new CurrentRelation(layers)
  const { schema, name } = info
  return {
    locator, name: lakeRelationName({ database: databases.get(locator.dbOid) ?? null, schema, name }), blocks: current.length,
    pages: async (sink) => {
      for (const { file, current: wanted } of current.files) {
        if (wanted.size === 0) continue
        await rebuildFilePages(store, file, checksums, (block, page) => {
          if (wanted.has(block)) sink(block, page)
        })
      }
    },
  }
}

/** Small files lie together in objects: the last one that was read is kept. */
class Pieces {
  private readonly store: ObjectStore
  private last: { key: string; bytes: Uint8Array } | undefined

  constructor(store: ObjectStore) {
    this.store = store
  }

  /** @throws CorruptionError lake.object */
  async read({ key, start, length, crc }: PieceRef): Promise<Uint8Array> {
    if (this.last?.key !== key) {
      const found = await this.store.get(key)
      if (found === undefined) throw new CorruptionError('lake.object', `the lake refers to the object ${key}, which is not in ${this.store.url}`)
      this.last = { key, bytes: found.bytes }
    }
    const bytes = this.last.bytes.subarray(start, start + length)
    if (bytes.length === length && crc32c(bytes) === crc) return bytes
    throw new CorruptionError('lake.object', `the piece at ${start} of the object ${key} in ${this.store.url} has not the bytes that were written`)
  }
}
